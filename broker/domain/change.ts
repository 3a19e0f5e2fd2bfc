import type { AttributeInstance } from './attribute.ts';
import type { Entity } from './entity.ts';
import type { Iri, TenantId } from './iri.ts';
import type { Stamp } from './stamp.ts';
import type { Instant } from './time.ts';

/** One attribute instance that a write created, updated or deleted. A write that leaves the instance equal is not listed. */
export interface AttributeChange {
  readonly name: Iri;
  readonly datasetId?: Iri;
  readonly kind: 'created' | 'updated' | 'deleted';
  /** What is stored now; absent if deleted. */
  readonly after?: AttributeInstance;
  /** What was stored before; absent if created. */
  readonly before?: AttributeInstance;
  /**
   * History does not get a new instance: the one with `after.instanceId` becomes `after`, and if the attribute was deleted the one with
   * `before.instanceId` is forgotten, as if it never was.
   */
  readonly amends?: true;
}

/** An instance that history alone hears of. With an instanceId that was reserved (ports/series-store.ts) it is kept under it, also if it says the same as another. */
export interface LateInstance {
  readonly name: Iri;
  readonly instance: AttributeInstance;
  /** It takes the place of the instance with its instanceId, or takes it away. */
  readonly amends?: 'replaced' | 'forgotten';
}

/** What one write did to one entity, as the domain decides it. The store adds the position (see {@link Change}). */
export interface ChangeDraft {
  readonly kind: 'created' | 'updated' | 'deleted';
  /** The entity as it was; absent if created. */
  readonly before?: Entity;
  /** The entity as it is; absent if deleted. */
  readonly after?: Entity;
  readonly attributes: readonly AttributeChange[];
  /** Readings older than the current value: they go to history, and change nothing else. */
  readonly late?: readonly LateInstance[];
  /** When the write was accepted, as clients see it (modifiedAt, deletedAt). */
  readonly at: Instant;
  readonly stamp: Stamp;
}

/** A position in the change log: grows with every change of this broker, in the order in which they were committed. Never reused. */
export type Position = number;

/** A committed change: the one event that subscriptions, federation, SensorThings over MQTT, LDES and caches all read. */
export interface Change {
  readonly position: Position;
  readonly tenant: TenantId;
  readonly id: Iri;
  readonly kind: 'created' | 'updated' | 'deleted';
  /** Types before and after, united: what a subscription to either must see. */
  readonly types: readonly Iri[];
  /** The entity after this change, or, if it was deleted, as it was before. */
  readonly entity: Entity;
  readonly attributes: readonly AttributeChange[];
  readonly late?: readonly LateInstance[];
  readonly at: Instant;
  readonly stamp: Stamp;
}
