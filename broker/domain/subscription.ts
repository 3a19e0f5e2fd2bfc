import type { Change } from './change.ts';
import type { Entity } from './entity.ts';
import type { Iri } from './iri.ts';
import type { Condition, EntityQuery, EntitySelector, ScopeSelection } from './query/query.ts';
import { type Instant, type Micros, toMicros } from './time.ts';

export type { EntitySelector };

/** 5.2.12: which kinds of change notify. `entityUpdated` stands for the three attribute triggers. */
export const TRIGGERS = [
  'entityCreated',
  'entityUpdated',
  'entityDeleted',
  'attributeCreated',
  'attributeUpdated',
  'attributeDeleted',
] as const;
export type Trigger = (typeof TRIGGERS)[number];

/** When `notificationTrigger` is absent: deletions do not notify (5.2.12). */
export const DEFAULT_TRIGGERS: readonly Trigger[] = ['attributeCreated', 'attributeUpdated'];

/** What a subscription watches and when it may speak: the part of 5.2.12 that decides whether a change notifies. Names are IRIs. */
export interface Subscription {
  readonly id: Iri;
  /** Absent: every entity that has a watched attribute. */
  readonly entities?: readonly EntitySelector[];
  /** Absent: any attribute. */
  readonly watchedAttributes?: readonly Iri[];
  readonly triggers: readonly Trigger[];
  /** q and geoQ together. */
  readonly where?: Condition;
  readonly scopes?: ScopeSelection;
  readonly datasetIds?: readonly (Iri | '@none')[];
  readonly isActive: boolean;
  readonly expiresAt?: Instant;
  /** Seconds that pass at least between two notifications. */
  readonly throttlingS?: number;
  /** Seconds between periodic notifications; then changes do not notify. */
  readonly timeIntervalS?: number;
}

/** 5.2.12, `status`: derived whenever it is read. */
export function statusOf(
  subscription: Pick<Subscription, 'isActive' | 'expiresAt'>,
  now: Micros,
): 'active' | 'paused' | 'expired' {
  if (subscription.expiresAt !== undefined && toMicros(subscription.expiresAt) <= now) return 'expired';
  return subscription.isActive ? 'active' : 'paused';
}

/** Compiled tests of one entity; made by evaluate.ts, handed in because compiling a query is work that is done once per subscription. */
export interface EntityTests {
  /** One per member of `entities`: ids, pattern and types. */
  readonly selectors: readonly ((entity: Entity) => boolean)[];
  /** q, geoQ and scopeQ. */
  readonly conditions: (entity: Entity) => boolean;
}

/** The queries that {@link EntityTests} are compiled from. */
export function queriesOf(subscription: Subscription): {
  readonly selectors: readonly EntityQuery[];
  readonly conditions: EntityQuery;
} {
  return {
    selectors: (subscription.entities ?? []).map((selector) => ({
      ...(selector.ids ? { ids: selector.ids } : {}),
      ...(selector.idPattern !== undefined ? { idPattern: selector.idPattern } : {}),
      ...(selector.types ? { types: selector.types } : {}),
    })),
    conditions: {
      ...(subscription.where ? { where: subscription.where } : {}),
      ...(subscription.scopes ? { scopes: subscription.scopes } : {}),
      ...(subscription.datasetIds ? { datasetIds: subscription.datasetIds } : {}),
    },
  };
}

/**
 * Does this change concern this subscription (5.8.6)? Status, throttling and time intervals are not looked at here.
 * A write that left everything equal never becomes a change, so every attribute listed in the change has really changed.
 */
export function concerns(subscription: Subscription, tests: EntityTests, change: Change): boolean {
  if (!triggered(subscription, change)) return false;
  if (tests.selectors.length > 0 && !tests.selectors.some((matches) => matches(change.entity))) return false;
  return tests.conditions(change.entity);
}

/** Whether this kind of attribute change notifies: `entityUpdated` is equivalent to all three (5.2.12). Asked for every change, so it makes nothing. */
export function hearsAttribute({ triggers }: Pick<Subscription, 'triggers'>, kind: keyof typeof ATTRIBUTE_TRIGGER): boolean {
  return triggers.includes('entityUpdated') || triggers.includes(ATTRIBUTE_TRIGGER[kind]);
}

function triggered(subscription: Subscription, change: Change): boolean {
  const { watchedAttributes, triggers } = subscription;
  if (change.kind === 'deleted') {
    // With the entity its attributes are deleted.
    return (
      (triggers.includes('entityDeleted') || hearsAttribute(subscription, 'deleted')) &&
      hasWatched(watchedAttributes, change.entity)
    );
  }
  if (change.kind === 'created' && triggers.includes('entityCreated') && hasWatched(watchedAttributes, change.entity))
    return true;
  return change.attributes.some(
    ({ name, kind }) => hearsAttribute(subscription, kind) && (watchedAttributes?.includes(name) ?? true),
  );
}

const ATTRIBUTE_TRIGGER = { created: 'attributeCreated', updated: 'attributeUpdated', deleted: 'attributeDeleted' } as const;

function hasWatched(watched: readonly Iri[] | undefined, entity: Entity): boolean {
  return watched === undefined || watched.some((name) => entity.attributes[name] !== undefined);
}
