import { type AccessFunction, type Caller, demand } from '../domain/access.ts';
import {
  ENTITY_MAP_LIMITS,
  type EntityMap,
  type EntityMapLimits,
  endOf,
  entityMapId,
  updatedMap,
} from '../domain/entity-map.ts';
import { DomainError, notFound } from '../domain/errors.ts';
import type { Period } from '../domain/history.ts';
import type { Iri, TenantId } from '../domain/iri.ts';
import type { JsonObject } from '../domain/json.ts';
import { type Instant, type Micros, toMicros } from '../domain/time.ts';
import type { Clock } from '../ports/clock.ts';
import type { DocumentStore } from '../ports/document-store.ts';

export type { EntityMap };

/** A page of what fits of an EntityMap. */
export interface MappedPage<T> {
  readonly items: readonly T[];
  readonly more: boolean;
  /** Where the next page begins. */
  readonly nextOffset: number;
  readonly count?: number;
}

/** One part of what a query finds, with whether there is more. */
export type IdsAt = (
  offset: number,
  limit: number,
) => Promise<{
  readonly ids: readonly Iri[];
  readonly more: boolean;
  /** Who has something of an entity (5.2.39); absent: this broker alone has all of them. */
  heldBy?(id: Iri): readonly string[];
  /** The EntityMaps that context sources keep, by registration. */
  readonly linkedMaps?: Readonly<Record<Iri, Iri>>;
}>;

/** What matches the query among some ids. */
export type MatchesOf<T> = (ids: readonly Iri[]) => Promise<readonly T[]>;

/** 5.14, and the use of EntityMaps by 5.7.1 to 5.7.4 (5.5.9.3, 5.5.14). */
export interface EntityMapOperations {
  /**
   * 5.14.4 and 5.14.5: remembers all that a query finds.
   * @param madeFor equal for equal queries
   * @throws DomainError TooManyResults
   */
  createEntityMap(caller: Caller, idsAt: IdsAt, madeFor: string, lifetime: Period | undefined): Promise<EntityMap>;
  /** 5.14.1. @throws DomainError ResourceNotFound, as the following */
  retrieveEntityMap(caller: Caller, id: Iri): Promise<EntityMap>;
  /** 5.14.2. */
  updateEntityMap(caller: Caller, id: Iri, fragment: JsonObject): Promise<void>;
  /** 5.14.3. */
  deleteEntityMap(caller: Caller, id: Iri): Promise<void>;
  /** What a NGSILD-EntityMap header refers to; undefined if it has ended or never was. */
  referredMap(caller: Caller, reference: string): Promise<EntityMap | undefined>;
  /**
   * 5.5.9.3: a page of the map, filled as long as there are entities that fit. Those that no longer do are taken out of the map.
   * @param among if given, only these ids count
   */
  pageOf<T extends { readonly id: Iri }>(
    caller: Caller,
    map: EntityMap,
    page: { readonly offset: number; readonly limit: number; readonly count: boolean },
    matchesOf: MatchesOf<T>,
    madeFor: string,
    among?: readonly Iri[],
  ): Promise<MappedPage<T>>;
}

/** Ids that are looked up at once. */
const AT_ONCE = 500;

export function entityMapOperations({
  documents,
  clock,
  access,
  newId,
  limits = ENTITY_MAP_LIMITS,
}: {
  readonly documents: DocumentStore;
  readonly clock: Clock;
  readonly access: AccessFunction;
  readonly newId: () => Iri;
  readonly limits?: EntityMapLimits;
}): EntityMapOperations {
  /** When each map of each tenant ends, so that making room costs no reading. */
  let ends: Promise<Map<TenantId, Map<string, Micros>>> | undefined;

  async function readEnds(): Promise<Map<TenantId, Map<string, Micros>>> {
    const all = new Map<TenantId, Map<string, Micros>>();
    for (const { tenant, id, body } of await documents.list('entity-map', undefined)) {
      ofTenant(all, tenant).set(id, toMicros(body['expiresAt'] as Instant));
    }
    return all;
  }

  async function makeRoom(tenant: TenantId): Promise<void> {
    ends ??= readEnds();
    const known = ofTenant(await ends, tenant);
    const now = clock.micros();
    const first = [...known].sort((a, b) => a[1] - b[1]);
    for (const [at, [id, end]] of first.entries()) {
      if (end > now && first.length - at < limits.maps) break;
      known.delete(id);
      await documents.delete('entity-map', tenant, id);
    }
  }

  async function remember(tenant: TenantId, map: EntityMap, expect?: number): Promise<void> {
    const { id, ...body } = map;
    if ((await documents.put('entity-map', tenant, id, body as unknown as JsonObject, expect)) === undefined) return;
    ends ??= readEnds();
    ofTenant(await ends, tenant).set(id, toMicros(map.expiresAt));
  }

  async function find(tenant: TenantId, id: Iri): Promise<{ readonly map: EntityMap; readonly version: number } | undefined> {
    const stored = await documents.get('entity-map', tenant, id);
    if (stored === undefined) return undefined;
    const map = { ...(stored.body as unknown as Omit<EntityMap, 'id'>), id };
    return toMicros(map.expiresAt) <= clock.micros() ? undefined : { map, version: stored.version };
  }

  async function existing(tenant: TenantId, id: Iri): Promise<{ readonly map: EntityMap; readonly version: number }> {
    const found = await find(tenant, id);
    if (found === undefined) throw notFound(`There is no EntityMap ${id}`);
    return found;
  }

  /** Somebody else may have changed the map meanwhile; then the gaps are found again by the next page. */
  async function takeOut(tenant: TenantId, id: Iri, gone: ReadonlySet<Iri>): Promise<void> {
    const found = await find(tenant, id);
    if (found === undefined) return;
    const ids = found.map.ids.map((one) => (one !== null && gone.has(one) ? null : one));
    await remember(tenant, { ...found.map, ids }, found.version);
  }

  return {
    async createEntityMap(caller, idsAt, madeFor, lifetime) {
      demand(access, caller, { operation: 'createEntityMap', effect: 'read' });
      const ids = new Set<Iri>();
      const sources: Record<Iri, readonly string[]> = {};
      let linkedMaps: Readonly<Record<Iri, Iri>> | undefined;
      for (let offset = 0; ; ) {
        const part = await idsAt(offset, AT_ONCE);
        for (const id of part.ids) {
          ids.add(id);
          const holders = part.heldBy?.(id) ?? [];
          if (holders.some((holder) => holder !== '@none')) sources[id] = holders;
        }
        linkedMaps = part.linkedMaps ?? linkedMaps;
        if (ids.size > limits.entities) {
          throw new DomainError(
            'TooManyResults',
            `An EntityMap holds ${limits.entities} entities at most: narrow the query down`,
          );
        }
        if (!part.more || part.ids.length === 0) break;
        offset += part.ids.length;
      }
      await makeRoom(caller.tenant);
      const map: EntityMap = {
        id: newId(),
        expiresAt: endOf(clock.micros(), lifetime, limits),
        ids: [...ids],
        sources,
        ...(linkedMaps && Object.keys(linkedMaps).length > 0 ? { linkedMaps } : {}),
        madeFor,
      };
      await remember(caller.tenant, map);
      return map;
    },

    async retrieveEntityMap(caller, id) {
      demand(access, caller, { operation: 'retrieveEntityMap', effect: 'read', ids: [id] });
      return (await existing(caller.tenant, id)).map;
    },

    async updateEntityMap(caller, id, fragment) {
      demand(access, caller, { operation: 'updateEntityMap', effect: 'write', ids: [id] });
      const { map } = await existing(caller.tenant, id);
      await remember(caller.tenant, updatedMap(map, fragment, clock.micros(), limits));
    },

    async deleteEntityMap(caller, id) {
      demand(access, caller, { operation: 'deleteEntityMap', effect: 'write', ids: [id] });
      await existing(caller.tenant, id);
      await documents.delete('entity-map', caller.tenant, id);
      ofTenant(await (ends ?? readEnds()), caller.tenant).delete(id);
    },

    async referredMap(caller, reference) {
      const id = entityMapId(reference);
      return id === undefined ? undefined : (await find(caller.tenant, id))?.map;
    },

    async pageOf(caller, map, { offset, limit, count }, matchesOf, madeFor, among) {
      type Item = Awaited<ReturnType<typeof matchesOf>>[number];
      const wanted = among && new Set<string>(among);
      const items: Item[] = [];
      const gone = new Set<Iri>();
      let total = 0;
      let next = offset;
      // Without a count nothing before and behind the page has to be looked at.
      let from = count ? 0 : offset;
      while (from < map.ids.length && (count || items.length < limit)) {
        const part = map.ids.slice(from, from + (count ? AT_ONCE : Math.min(AT_ONCE, limit - items.length)));
        const ids = part.filter((id): id is Iri => id !== null && (wanted?.has(id) ?? true));
        const found = new Map(ids.length === 0 ? [] : (await matchesOf(ids)).map((item) => [item.id, item]));
        for (const id of ids) if (!found.has(id)) gone.add(id);
        total += found.size;
        for (const [at, id] of part.entries()) {
          if (from + at < offset || items.length >= limit) continue;
          next = from + at + 1;
          const item = id === null ? undefined : found.get(id);
          if (item !== undefined) items.push(item);
        }
        from += part.length;
      }
      if (gone.size > 0 && madeFor === map.madeFor) await takeOut(caller.tenant, map.id, gone);
      const more = map.ids.slice(next).some((id) => id !== null && !gone.has(id) && (wanted?.has(id) ?? true));
      return { items, more, nextOffset: next, ...(count ? { count: total } : {}) };
    },
  };
}

function ofTenant<T>(all: Map<TenantId, Map<string, T>>, tenant: TenantId): Map<string, T> {
  let found = all.get(tenant);
  if (found === undefined) {
    found = new Map();
    all.set(tenant, found);
  }
  return found;
}
