import type { Caller } from '../../domain/access.ts';
import { type AttributeInstance, instanceValue } from '../../domain/attribute.ts';
import type { Change } from '../../domain/change.ts';
import { mergeVersions } from '../../domain/distribution.ts';
import type { Entity } from '../../domain/entity.ts';
import { DomainError } from '../../domain/errors.ts';
import { type Iri, NGSILD_NULL, type TenantId } from '../../domain/iri.ts';
import { compile } from '../../domain/query/evaluate.ts';
import { isSnapshotTenant } from '../../domain/snapshot.ts';
import { queriesOf } from '../../domain/subscription.ts';
import type { SubscriptionDocument } from '../../domain/subscription-document.ts';
import type { Micros } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';
import type { EntityStore } from '../../ports/entity-store.ts';
import type { DistributedReads } from '../distributed/reads.ts';
import type { LinkedReader } from '../linked.ts';
import type { SubscriptionInForce } from './subscriptions-in-force.ts';

/** Entities that may be spread over several brokers (5.2.12, splitEntities): conditions hold for the whole of one, and the whole of it is notified. */
export interface SplitEntities {
  /** Whether this subscription takes entities to be spread, and there are sources that could have parts. */
  splits(entry: SubscriptionInForce): boolean;
  /**
   * The change with the entity as a whole: this broker and all sources are asked for their parts (5.8.6). A source that does not answer has none.
   * @param except the registration of the source that told of the change
   * @returns undefined if the whole does not meet the conditions of the subscription
   */
  whole(entry: SubscriptionInForce, change: Change, except?: Iri): Promise<Change | undefined>;
  /** Another broker told of this entity: it has a part of it. */
  heard(tenant: TenantId, id: Iri): void;
  /** The conditions of the subscription, on one entity. */
  meetsConditions(entry: SubscriptionInForce, entity: Entity): Promise<boolean>;
}

/** Entities that are remembered as told of by other brokers. */
const MOST_TOLD = 100_000;
/** How long a source that did not answer is left alone (6.3.17). */
const REST_MS = 10_000;

export function splitEntities({
  reads,
  entities,
  linked,
  clock,
  hasSources,
  byDefault,
}: {
  readonly reads: DistributedReads;
  readonly entities: EntityStore;
  readonly linked: LinkedReader;
  readonly clock: Clock;
  readonly hasSources: (tenant: TenantId) => boolean;
  /** Of subscriptions that do not say whether entities are spread. */
  readonly byDefault: boolean;
}): SplitEntities {
  /** Sources that did not answer, and until when they are not asked again: each notification would wait for them. */
  const resting = new Map<Iri, Micros>();

  /** Entities that other brokers have told of. */
  const told = new Set<string>();

  async function meetsConditions(entry: SubscriptionInForce, entity: Entity): Promise<boolean> {
    const { tenant, subscription, tests, looksAtLinked } = entry;
    const follow = looksAtLinked ? linked.follow(tenant, subscription.where, entity) : undefined;
    if (follow === undefined) return tests.conditions(entity);
    return compile(queriesOf(subscription).conditions, await follow)(entity);
  }

  /**
   * An entity that is created here, and of which nobody else has told, is all there is of it until somebody tells otherwise: to ask every source about every new
   * entity would cost a request for each of them, nearly always for nothing.
   */
  const isNew = ({ kind, tenant, id }: Change, except: Iri | undefined): boolean =>
    kind === 'created' && except === undefined && !told.has(`${tenant} ${id}`);

  /** What this broker and the sources have of an entity. */
  async function elsewhere(
    { tenant, document, context }: SubscriptionInForce,
    id: Iri,
    except?: Iri,
  ): Promise<Entity | undefined> {
    const now = clock.micros();
    for (const [source, until] of resting) if (until <= now) resting.delete(source);
    const caller: Caller = {
      tenant,
      principal: { kind: 'system' },
      onward: {
        context,
        via: document.via ?? [],
        headers: {},
        method: 'GET',
        path: `entities/${id}`,
        query: {},
        except: [...(except === undefined ? [] : [except]), ...resting.keys()],
      },
    };
    const answer = await reads.retrieveEntity(caller, id, undefined, {});
    for (const warning of answer?.warnings ?? []) {
      const [, source] = /^199 (\S+) /.exec(warning) ?? [];
      if (source !== undefined) resting.set(source as Iri, clock.micros() + REST_MS * 1000);
    }
    const found = answer === undefined ? (await entities.get(tenant, id))?.entity : answer.found;
    return found instanceof DomainError ? undefined : found;
  }

  return {
    splits: ({ document, tenant }) => saysSplit(document, byDefault) && !isSnapshotTenant(tenant) && hasSources(tenant),
    meetsConditions,
    heard(tenant, id) {
      const key = `${tenant} ${id}`;
      // Those told of last are kept.
      told.delete(key);
      told.add(key);
      if (told.size > MOST_TOLD) told.delete(told.values().next().value as string);
    },
    async whole(entry, change, except) {
      const rest = isNew(change, except) ? undefined : await elsewhere(entry, change.id, except);
      const parts = [known(change.entity), ...(rest ? [rest] : [])].map((entity) => ({ entity, auxiliary: false }));
      const entity = mergeVersions(parts, clock.micros());
      if (entity === undefined || !(await meetsConditions(entry, entity))) return undefined;
      // What is gone is told as it was told, whatever is left of the entity elsewhere.
      return change.kind === 'deleted' ? change : { ...change, entity };
    },
  };
}

/** What is known of an entity: of attributes that are gone, nothing. */
function known(entity: Entity): Entity {
  const attributes: Record<Iri, readonly AttributeInstance[]> = {};
  for (const [name, instances] of Object.entries(entity.attributes) as [Iri, readonly AttributeInstance[]][]) {
    const left = instances.filter((instance) => instanceValue(instance) !== NGSILD_NULL);
    if (left.length > 0) attributes[name] = left;
  }
  return { ...entity, attributes };
}

/** Whether entities are taken to be spread over several brokers; never those of a subscription to what is here. */
export function saysSplit({ members }: SubscriptionDocument, byDefault: boolean): boolean {
  const said = members['splitEntities'];
  return members['localOnly'] !== true && (typeof said === 'boolean' ? said : byDefault);
}
