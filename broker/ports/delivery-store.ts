import type { Position } from '../domain/change.ts';
import type { TenantId } from '../domain/iri.ts';

/**
 * A delivery that did not succeed at once. Its body is not kept: it is made again from the change log at `position`, which is
 * therefore not trimmed while the delivery waits. (subscription, position) identifies it.
 */
export interface ParkedDelivery {
  readonly tenant: TenantId;
  readonly subscription: string;
  readonly position: Position;
  /** The queue it waits in: that of one subscription's endpoint. Deliveries of one queue go out in order and share their back-off. */
  readonly endpoint: string;
  readonly attempts: number;
  /** Why the last attempt failed. */
  readonly reason: string;
  /** Given up: waits for an operator who replays or drops it (dead-letter list). */
  readonly dead: boolean;
}

export interface DeliveryStore {
  /** Keeps deliveries; one that is there already gets the new attempts, reason and dead. Resolves when on disk. */
  park(deliveries: readonly ParkedDelivery[]): Promise<void>;
  /** The endpoints that have deliveries waiting which are not dead, and how many. */
  endpoints(): Promise<readonly { readonly endpoint: string; readonly waiting: number }[]>;
  /** Oldest first, not dead. */
  waiting(endpoint: string, limit: number): Promise<readonly ParkedDelivery[]>;
  dead(limit: number): Promise<readonly ParkedDelivery[]>;
  /** Delivered, or no longer wanted. */
  remove(deliveries: readonly { readonly subscription: string; readonly position: Position }[]): Promise<void>;
  removeSubscription(tenant: TenantId, subscription: string): Promise<void>;
  /** The oldest position that a parked delivery needs; undefined if none. */
  oldest(): Promise<Position | undefined>;
}
