import type { EntityQuery } from '../../domain/query/query.ts';
import { fewTypes } from './compile-query.ts';
import type { Database } from './database.ts';
import type { Dictionary } from './dictionary.ts';

/**
 * Candidates of a query in order of their numbers, which are the keys of their rows: those of the types that it asks for, or all of the tenant.
 * @returns keys behind (descending: before) one, at most `limit`; what is found must pass the query's own test
 */
export function byNumber(
  query: EntityQuery,
  tenant: number,
  { database, dictionary }: { readonly database: Database; readonly dictionary: Dictionary },
  descending: boolean,
): (from: number, limit: number) => number[] {
  const [beyond, direction] = descending ? ['<', 'DESC'] : ['>', 'ASC'];
  const all = (sql: string, ...values: (string | number)[]) => database.all(sql, ...values).map(([key]) => key as number);
  if (query.ids !== undefined) {
    const sql = `SELECT key FROM entity WHERE tenant = ? AND id IN (SELECT value FROM json_each(?)) AND shape IS NOT NULL AND key ${beyond} ? ORDER BY key ${direction} LIMIT ?`;
    const wanted = JSON.stringify(query.ids);
    return (from, limit) => all(sql, tenant, wanted, from, limit);
  }
  const types = query.types && fewTypes(query.types);
  if (types === undefined) {
    const sql = `SELECT key FROM entity WHERE tenant = ? AND shape IS NOT NULL AND key ${beyond} ? ORDER BY key ${direction} LIMIT ?`;
    // Rows lie in order of their keys, and nearly all of them are of one tenant: an index would be read as well as the rows.
    return (from, limit) => all(sql.replace('tenant = ?', '+tenant = ?'), tenant, from, limit);
  }
  const keys = types.map((type) => dictionary.findName(type)).filter((key) => key !== undefined);
  if (keys.length === 0) return () => [];
  const branch = `SELECT * FROM (SELECT entity FROM entity_type INDEXED BY entity_type_by_key WHERE tenant = ? AND type = ? AND entity ${beyond} ? ORDER BY entity ${direction} LIMIT ?)`;
  if (keys.length === 1) return (from, limit) => all(branch, tenant, keys[0] as number, from, limit);
  const sql = `SELECT DISTINCT entity FROM (${keys.map(() => branch).join(' UNION ALL ')}) ORDER BY entity ${direction} LIMIT ?`;
  return (from, limit) => all(sql, ...keys.flatMap((key) => [tenant, key, from, limit]), limit);
}
