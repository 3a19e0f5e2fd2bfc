import type { Iri } from '../../domain/iri.ts';
import type { Condition, EntityQuery, GeoCondition, TypeSelection } from '../../domain/query/query.ts';
import type { PageRequest } from '../../ports/entity-store.ts';
import { compareIds } from '../id-order.ts';
import { hasOnly, necessaryTypes } from '../query-parts.ts';
import { type AttributeIndexes, conjuncts, isPoint, type Lookup } from './attribute-indexes.ts';
import type { Database } from './database.ts';
import type { Dictionary } from './dictionary.ts';
import type { GeoIndex } from './geo-index.ts';
import type { IdCache, KnownId } from './id-cache.ts';
import { putInOrder } from './ordered-ids.ts';
import type { ShapeCounts } from './shape-counts.ts';

/** How to find the entities that a query may mean, in ascending id. What is found must still pass what is `left` of the query. */
export interface Access {
  /** The next candidates after an id ('' is before all), ascending, at most `limit`: their keys. */
  next(after: string, limit: number): readonly number[];
  /** Of every candidate it must still be tested whether it is of the types, or whether the whole query is true of it. */
  readonly left: 'nothing' | 'types' | 'everything';
  /** The index of values that finds them. */
  readonly lookup?: Lookup;
}

/** The parts of the store that a query asks. */
export interface Sources {
  readonly database: Database;
  readonly dictionary: Dictionary;
  readonly geo: GeoIndex;
  readonly indexes: AttributeIndexes;
  readonly shapes: ShapeCounts;
  readonly ids: IdCache;
}

/** So few candidates of an index are put in order sooner than anything else could be found out. */
const FEW = 200;
/** Measured: to put a candidate in order costs so many times less than to look at an entity. */
const ORDER_COST = 0.2;
/** Steps of candidates that are taken from an index at a time, once the first was not enough. */
const PORTION = 100;

const NOTHING: Access = { next: () => [], left: 'nothing' };

/**
 * Chooses the way to the candidates: ids, the values of an attribute, the R*Tree, or a walk over the type index or over all ids of the tenant.
 * An index finds what matches, and then that must be put in order; a walk is in order, and looks at what does not match. So an index is the
 * better way the fewer it finds, and for the first page of what is true of every other entity a walk is.
 */
export function compileQuery(query: EntityQuery, tenant: number, sources: Sources, page: PageRequest): Access {
  const { database, dictionary, geo, indexes } = sources;
  if (query.ids) return listed(query.ids, tenant, database, query);
  const lookup = indexes.lookup(tenant, query);
  if (lookup && lookup.rows <= FEW) return byValue(lookup, query, indexes);
  const place = query.where && boundingCondition(query.where);
  if (place) {
    const all = sources.shapes.total(tenant);
    // Where a walk over so many entities and the order of so many candidates cost the same.
    const most = Math.max(2_000, Math.sqrt((page.limit * all) / ORDER_COST));
    const found = geo.candidates(tenant, place, Math.ceil(lookup ? Math.min(most, lookup.rows) : most));
    if (found) return byKeys(found, tenant, query, sources);
  }
  if (lookup && isWorthIt(lookup, page)) return byValue(lookup, query, indexes);
  const selection = query.types ?? typesOfAny(query.anyOf);
  const types = selection && fewTypes(selection);
  if (!types) {
    const next: Access['next'] = (after, limit) => keysOf(database.all(ALL, tenant, after, limit));
    return { next, left: hasOnly(query) ? 'nothing' : 'everything' };
  }
  const keys = types.map((type) => dictionary.findName(type)).filter((key) => key !== undefined);
  if (keys.length === 0) return NOTHING;
  const [only, ...others] = keys as [number, ...number[]];
  if (others.length === 0) {
    const next: Access['next'] = (after, limit) => keysOf(database.all(OF_TYPE, tenant, only, after, limit));
    return { next, left: query.types?.kind === 'type' && hasOnly(query, 'types') ? 'nothing' : 'everything' };
  }
  return { next: (after, limit) => ofTypes(database, tenant, keys, after, limit), left: 'everything' };
}

/** Entities that a walk would look at for this page, if so many of an index's rows match. */
export function walkOf({ index, rows }: Lookup, { limit, offset = 0, after, order, count }: PageRequest): number {
  const all = index.sample.rows;
  if (count || order) return all;
  return Math.min(all, ((limit + 1 + (after === undefined ? offset : 0)) * all) / Math.max(1, rows));
}

function isWorthIt(lookup: Lookup, page: PageRequest): boolean {
  const [span, ...others] = lookup.spans;
  // The entities with one value are in order already.
  const ordered = others.length === 0 && span !== undefined && isPoint(span);
  const walk = walkOf(lookup, page);
  return (ordered ? 0 : lookup.rows * ORDER_COST) + Math.min(lookup.rows, page.limit) < walk;
}

function byValue(lookup: Lookup, query: EntityQuery, indexes: AttributeIndexes): Access {
  const { where } = query;
  const answered =
    lookup.exact && hasOnly(query, 'types', 'where') && where && conjuncts(where).length === lookup.covered.length;
  let first = true;
  let portion: readonly (readonly [number, string])[] = [];
  let at = 0;
  let full = false;
  function load(after: string, limit: number): void {
    portion = indexes.rows(lookup, after, PORTION * limit);
    full = portion.length === PORTION * limit;
    at = 0;
  }
  return {
    lookup,
    left: answered ? (query.types ? 'types' : 'nothing') : 'everything',
    next(after, limit) {
      if (first) {
        first = false;
        return indexes.keys(lookup, after, limit);
      }
      // They are put in order each time they are asked for: once for many pages that follow.
      if (portion[at - 1]?.[1] !== after) load(after, limit);
      const found = portion.slice(at, at + limit);
      at += found.length;
      if (found.length < limit && full) {
        load(portion.at(-1)?.[1] ?? after, limit);
        at = limit - found.length;
        found.push(...portion.slice(0, at));
      }
      return found.map(([key]) => key);
    },
  };
}

const keysOf = (rows: readonly (readonly unknown[])[]): number[] => rows.map(([key]) => key as number);

const ALL = 'SELECT key FROM entity WHERE tenant = ? AND shape IS NOT NULL AND id > ? ORDER BY id LIMIT ?';
const OF_TYPE = 'SELECT entity FROM entity_type WHERE tenant = ? AND type = ? AND id > ? ORDER BY id LIMIT ?';

function listed(ids: readonly Iri[], tenant: number, database: Database, query: EntityQuery): Access {
  const wanted = JSON.stringify([...new Set(ids)]);
  return {
    next: (after, limit) => keysOf(database.all(LISTED, tenant, wanted, after, limit)),
    left: hasOnly(query, 'ids') ? 'nothing' : 'everything',
  };
}
const LISTED =
  'SELECT key FROM entity WHERE tenant = ? AND id IN (SELECT value FROM json_each(?)) AND shape IS NOT NULL AND id > ? ORDER BY id LIMIT ?';

/** Entities by their keys; those of other tenants are not among them. */
function byKeys(keys: Iterable<number>, tenant: number, query: EntityQuery, { ids, database, dictionary }: Sources): Access {
  const found: KnownId[] = [];
  const unknown: number[] = [];
  for (const key of keys) {
    const known = ids.get(key);
    if (known === undefined) unknown.push(key);
    else if (known.tenant === tenant) found.push(known);
  }
  if (unknown.length > 0) {
    const type = query.types?.kind === 'type' ? dictionary.findName(query.types.type) : undefined;
    const wanted = JSON.stringify(unknown);
    const rows =
      type === undefined ? database.all(BY_KEYS, wanted, tenant) : database.all(OF_TYPE_BY_KEYS, wanted, tenant, type);
    for (const [key, id] of rows) found.push(ids.set(key as number, tenant, id as Iri));
  }
  putInOrder(found);
  return {
    next(after, limit) {
      const start = after === '' ? 0 : firstBehind(found, after);
      return found.slice(start, start + limit).map(({ key }) => key);
    },
    left: 'everything',
  };
}

/** Where in a list in order of ids those behind an id begin. */
function firstBehind(ordered: readonly KnownId[], after: string): number {
  let low = 0;
  for (let high = ordered.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (compareIds(ordered[middle]?.id ?? '', after) > 0) high = middle;
    else low = middle + 1;
  }
  return low;
}

const BY_KEYS =
  'SELECT e.key, e.id FROM json_each(?) AS wanted CROSS JOIN entity AS e ON e.key = wanted.value WHERE e.tenant = ? AND e.shape IS NOT NULL';

// The index of types is small beside the table of entities, and has the ids, too.
const OF_TYPE_BY_KEYS =
  'SELECT t.entity, t.id FROM json_each(?) AS wanted CROSS JOIN entity_type AS t INDEXED BY entity_type_by_key ON t.tenant = ? AND t.type = ? AND t.entity = wanted.value';

/** Several types: each index range is in order, so their first `limit` rows hold the first `limit` of all. */
function ofTypes(database: Database, tenant: number, types: readonly number[], after: string, limit: number): number[] {
  const branch =
    'SELECT * FROM (SELECT entity, id FROM entity_type WHERE tenant = ? AND type = ? AND id > ? ORDER BY id LIMIT ?)';
  const sql = `SELECT DISTINCT entity, id FROM (${types.map(() => branch).join(' UNION ALL ')}) ORDER BY id LIMIT ?`;
  const values = types.flatMap((type) => [tenant, type, after, limit]);
  return keysOf(database.all(sql, ...values, limit));
}

/** The types that several selectors ask for together; undefined if one of them does not ask for a type. */
function typesOfAny(selectors: EntityQuery['anyOf']): EntityQuery['types'] {
  const types = selectors?.map((selector) => selector.types).filter((selection) => selection !== undefined);
  return types && types.length === selectors?.length ? { kind: 'any', of: types } : undefined;
}

/** {@link necessaryTypes} if they are not too many for one statement: SQLite takes at most 500 branches of a compound select. */
export function fewTypes(selection: TypeSelection): readonly Iri[] | undefined {
  const types = necessaryTypes(selection);
  return types.length <= 100 ? types : undefined;
}

/** A geo condition that every match fulfils, if there is one. */
function boundingCondition(condition: Condition): GeoCondition | undefined {
  if (condition.kind === 'geo') return condition.relation === 'disjoint' ? undefined : condition;
  if (condition.kind !== 'and') return undefined;
  for (const part of condition.of) {
    const found = boundingCondition(part);
    if (found) return found;
  }
  return undefined;
}

/**
 * Like {@link compileQuery} for temporal queries: also finds entities that only history knows. All of them must still be tested.
 * @param descending largest id first: what is found then lies before an id
 */
export function candidatesOverTime(
  query: EntityQuery,
  tenant: number,
  { database, dictionary }: { database: Database; dictionary: Dictionary },
  descending: boolean,
): (after: string, limit: number) => [number, Iri][] {
  const [listedEver, ever, ofTypeEver] = descending ? DESCENDING : ASCENDING;
  if (query.ids) {
    const wanted = JSON.stringify([...new Set(query.ids)]);
    return (after, limit) => database.all(listedEver, tenant, wanted, after, limit) as [number, Iri][];
  }
  const types = query.types && fewTypes(query.types)?.map((type) => dictionary.findName(type));
  const [type, ...others] = (types ?? []).filter((key) => key !== undefined);
  // Types that a temporal provision added are known to no index: they are found among all.
  if (types?.length !== 1 || type === undefined || others.length > 0) {
    return (after, limit) => database.all(ever, tenant, after, limit) as [number, Iri][];
  }
  return (after, limit) => database.all(ofTypeEver, tenant, type, after, limit, tenant, after, limit, limit) as [number, Iri][];
}

/** What is listed, all, and what has a type, by id. */
function everById(after: '>' | '<', direction: 'ASC' | 'DESC'): readonly [string, string, string] {
  const order = `ORDER BY id ${direction} LIMIT ?`;
  return [
    `SELECT key, id FROM entity WHERE tenant = ? AND id IN (SELECT value FROM json_each(?)) AND id ${after} ? ${order}`,
    `SELECT key, id FROM entity WHERE tenant = ? AND id ${after} ? ${order}`,
    `SELECT * FROM (SELECT * FROM (SELECT entity, id FROM entity_type WHERE tenant = ? AND type = ? AND id ${after} ? ${order})
      UNION SELECT * FROM (SELECT key, id FROM entity WHERE tenant = ? AND past IS NOT NULL AND id ${after} ? ${order}))
      ORDER BY 2 ${direction} LIMIT ?`,
  ];
}
const ASCENDING = everById('>', 'ASC');
const DESCENDING = everById('<', 'DESC');
