import type { Iri } from '../../domain/iri.ts';
import type { Condition, EntityQuery, GeoCondition } from '../../domain/query/query.ts';
import type { Database } from './database.ts';
import type { Dictionary } from './dictionary.ts';
import type { GeoIndex } from './geo-index.ts';

/** How to find the entities that a query may mean, in ascending id. What is found must still pass the query's own test if `exact` is false. */
export interface Access {
  /** The next candidates after an id ('' is before all), ascending, at most `limit`: rows [key, id]. */
  next(after: string, limit: number): [number, Iri][];
  /** Every candidate matches, unless it has expired. */
  readonly exact: boolean;
}

/** More candidates than this from an index are slower to sort than a walk in order of the id is to filter. */
const MOST_CANDIDATES = 2_000;

const NOTHING: Access = { next: () => [], exact: true };

/** Chooses the way to the candidates: ids, the R*Tree, or a walk over the type index or over all ids of the tenant. */
export function compileQuery(
  query: EntityQuery,
  tenant: number,
  { database, dictionary, geo }: { database: Database; dictionary: Dictionary; geo: GeoIndex },
): Access {
  if (query.ids) return listed(query.ids, tenant, database, query);
  const place = query.where && boundingCondition(query.where);
  if (place) {
    const found = geo.candidates(tenant, place, MOST_CANDIDATES);
    if (found) return byKeys([...found], tenant, database);
  }
  const selection = query.types ?? typesOfAny(query.anyOf);
  const types = selection && necessaryTypes(selection);
  if (!types) {
    const next: Access['next'] = (after, limit) => database.all(ALL, tenant, after, limit) as [number, Iri][];
    return { next, exact: hasOnly(query) };
  }
  const keys = types.map((type) => dictionary.findName(type)).filter((key) => key !== undefined);
  if (keys.length === 0) return NOTHING;
  const [only, ...others] = keys as [number, ...number[]];
  if (others.length === 0) {
    const next: Access['next'] = (after, limit) => database.all(OF_TYPE, tenant, only, after, limit) as [number, Iri][];
    return { next, exact: query.types?.kind === 'type' && hasOnly(query, 'types') };
  }
  return { next: (after, limit) => ofTypes(database, tenant, keys, after, limit), exact: false };
}

const ALL = 'SELECT key, id FROM entity WHERE tenant = ? AND shape IS NOT NULL AND id > ? ORDER BY id LIMIT ?';
const OF_TYPE = 'SELECT entity, id FROM entity_type WHERE tenant = ? AND type = ? AND id > ? ORDER BY id LIMIT ?';

/** True if the query has no parts but these. Which datasets it looks at does not select entities. */
export function hasOnly(query: EntityQuery, ...parts: readonly (keyof EntityQuery)[]): boolean {
  for (const part in query) {
    const name = part as keyof EntityQuery;
    if (name !== 'datasetIds' && query[name] !== undefined && !parts.includes(name)) return false;
  }
  return true;
}

function listed(ids: readonly Iri[], tenant: number, database: Database, query: EntityQuery): Access {
  const wanted = JSON.stringify([...new Set(ids)]);
  return {
    next: (after, limit) => database.all(LISTED, tenant, wanted, after, limit) as [number, Iri][],
    exact: hasOnly(query, 'ids'),
  };
}
const LISTED =
  'SELECT key, id FROM entity WHERE tenant = ? AND id IN (SELECT value FROM json_each(?)) AND shape IS NOT NULL AND id > ? ORDER BY id LIMIT ?';

function byKeys(keys: readonly number[], tenant: number, database: Database): Access {
  const wanted = JSON.stringify(keys);
  return { next: (after, limit) => database.all(BY_KEYS, wanted, tenant, after, limit) as [number, Iri][], exact: false };
}
const BY_KEYS =
  'SELECT e.key, e.id FROM json_each(?) AS wanted CROSS JOIN entity AS e ON e.key = wanted.value WHERE e.tenant = ? AND e.shape IS NOT NULL AND e.id > ? ORDER BY e.id LIMIT ?';

/** Several types: each index range is in order, so their first `limit` rows hold the first `limit` of all. */
function ofTypes(database: Database, tenant: number, types: readonly number[], after: string, limit: number): [number, Iri][] {
  const branch =
    'SELECT * FROM (SELECT entity, id FROM entity_type WHERE tenant = ? AND type = ? AND id > ? ORDER BY id LIMIT ?)';
  const sql = `SELECT DISTINCT entity, id FROM (${types.map(() => branch).join(' UNION ALL ')}) ORDER BY id LIMIT ?`;
  const values = types.flatMap((type) => [tenant, type, after, limit]);
  return database.all(sql, ...values, limit) as [number, Iri][];
}

/** The types that several selectors ask for together; undefined if one of them does not ask for a type. */
function typesOfAny(selectors: EntityQuery['anyOf']): EntityQuery['types'] {
  const types = selectors?.map((selector) => selector.types).filter((selection) => selection !== undefined);
  return types && types.length === selectors?.length ? { kind: 'any', of: types } : undefined;
}

/** Types of which every match has at least one; undefined if the selection asks for none. */
export function necessaryTypes(selection: NonNullable<EntityQuery['types']>): readonly Iri[] | undefined {
  const types = new Set<Iri>();
  const collect = (of: typeof selection): boolean => {
    switch (of.kind) {
      case 'type':
        types.add(of.type);
        return true;
      case 'any':
        return of.of.every(collect);
      case 'all':
        // One of its parts is enough to find all matches.
        return of.of[0] !== undefined && collect(of.of[0]);
    }
  };
  // SQLite takes at most 500 branches of a compound select.
  return collect(selection) && types.size <= 100 ? [...types] : undefined;
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
  const types = query.types && necessaryTypes(query.types)?.map((type) => dictionary.findName(type));
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
