import type { Caller } from '../../domain/access.ts';
import type { Onward } from '../../domain/distribution.ts';
import type { Entity } from '../../domain/entity.ts';
import { DomainError } from '../../domain/errors.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { JOIN_LIMITS } from '../../domain/linked.ts';
import { printTypes } from '../../domain/query/parse/types.ts';
import type { EntityQuery, EntitySelector } from '../../domain/query/query.ts';
import { isSnapshotTenant } from '../../domain/snapshot.ts';
import { queriesOf } from '../../domain/subscription.ts';
import { conditionsIn } from '../../domain/subscription-copy.ts';
import type { EntityStore } from '../../ports/entity-store.ts';
import type { DistributedReads } from '../distributed/reads.ts';
import type { SubscriptionInForce } from '../notify/subscriptions-in-force.ts';

/** Entities in one periodic notification; more of them are not sent at once. */
const PAGE = { limit: 1000 };

/**
 * All entities that a subscription selects now (5.8.6, timeInterval): here, and at the sources that have some, put together as a query would.
 * A source that does not answer is missing from this notification, and not from the next.
 */
export function subscribedEntities({
  entities,
  reads,
  resolveContext,
  hasSources,
  splits,
}: {
  readonly entities: EntityStore;
  readonly reads: DistributedReads;
  readonly resolveContext: (source: JsonValue) => Promise<Context> | Context;
  readonly hasSources: (tenant: TenantId) => boolean;
  readonly splits: (entry: SubscriptionInForce) => boolean;
}): (entry: SubscriptionInForce) => Promise<readonly Entity[]> {
  return async (entry) => {
    const { tenant, document, subscription } = entry;
    const { selectors, conditions } = queriesOf(subscription);
    const found = new Map<string, Entity>();
    const local = document.members['localOnly'] === true || isSnapshotTenant(tenant) || !hasSources(tenant);
    const asked = local ? undefined : await question(entry);
    for (const [index, selector] of (selectors.length > 0 ? selectors : [{}]).entries()) {
      const query = { ...conditions, ...selector };
      const everywhere = asked && (await union({ ...SYSTEM, tenant, onward: asked(subscription.entities?.[index]) }, query));
      if (everywhere !== undefined) for (const entity of everywhere) found.set(entity.id, entity);
      else for (const { entity } of (await entities.query(tenant, query, PAGE)).entities) found.set(entity.id, entity);
    }
    return [...found.values()];
  };

  /** undefined: no source is concerned, or none may be asked something as wide. */
  async function union(caller: Caller, query: EntityQuery): Promise<readonly Entity[] | undefined> {
    try {
      const request = { query, page: PAGE, local: caller.onward === undefined, joinLevel: JOIN_LIMITS.levels };
      return (await reads.queryEntities(caller, request, {}))?.found.entities;
    } catch (error) {
      if (error instanceof DomainError && error.type === 'BadRequestData') return undefined;
      throw error;
    }
  }

  /** The query that a client would have sent, for sources. */
  async function question(entry: SubscriptionInForce): Promise<(selector: EntitySelector | undefined) => Onward> {
    const { document } = entry;
    const context = await resolveContext(document.context);
    const names = await resolveContext(document.contexts?.['q'] ?? document.context);
    const members: JsonObject = { ...document.members, ...conditionsIn(document, names, context) };
    const geoQ = isObject(members['geoQ']) ? members['geoQ'] : {};
    const common: Record<string, string> = splits(entry) ? { splitEntities: 'true' } : {};
    const add = (name: string, value: JsonValue | undefined): void => {
      if (value !== undefined) common[name] = typeof value === 'string' ? value : JSON.stringify(value);
    };
    for (const name of ['q', 'scopeQ', 'expandValues', 'jsonKeys', 'csf']) add(name, members[name]);
    for (const name of ['georel', 'geometry', 'coordinates', 'geoproperty']) add(name, geoQ[name]);
    add('datasetId', Array.isArray(members['datasetId']) ? members['datasetId'].join(',') : undefined);
    return (selector) => {
      const query = { ...common };
      if (selector?.types) query['type'] = printTypes(selector.types, (type) => context.compact(type as Iri));
      if (selector?.ids) query['id'] = selector.ids.join(',');
      if (selector?.idPattern !== undefined) query['idPattern'] = selector.idPattern;
      return { context, via: document.via ?? [], headers: {}, method: 'GET', path: 'entities', query };
    };
  }
}

const SYSTEM = { principal: { kind: 'system' } } as const;
