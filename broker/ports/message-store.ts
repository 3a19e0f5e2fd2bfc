import type { TenantId } from '../domain/iri.ts';
import type { JsonObject } from '../domain/json.ts';
import type { ParkedDelivery } from './delivery-store.ts';

/**
 * A notification that no change of the log could be made again from: about registrations, or received from another broker. It brings its
 * content along, and is kept until it is delivered. `position` is its number: it grows, and is not used again while anything of it is kept.
 */
export interface StoredMessage extends ParkedDelivery {
  readonly body: JsonObject;
}

export interface MessageStore {
  /** Keeps new messages. Resolves when on disk. */
  add(messages: readonly StoredMessage[]): Promise<void>;
  /** New attempts, reason and verdict of messages that are kept; those that are gone stay so. Resolves when on disk. */
  park(messages: readonly ParkedDelivery[]): Promise<void>;
  /** The queues in which messages wait that are not dead, and how many. */
  endpoints(): Promise<readonly { readonly endpoint: string; readonly waiting: number }[]>;
  /** Oldest first, not dead. */
  waiting(endpoint: string, limit: number): Promise<readonly StoredMessage[]>;
  dead(limit: number): Promise<readonly StoredMessage[]>;
  /** Delivered, or no longer wanted. */
  remove(messages: readonly { readonly position: number }[]): Promise<void>;
  /** Nobody wants any message of this queue. */
  removeQueue(tenant: TenantId, endpoint: string): Promise<void>;
  /** The largest number that is kept; 0 if nothing is. */
  last(): Promise<number>;
}
