import type { Iri, TenantId } from '../../domain/iri.ts';
import type { EntityQuery } from '../../domain/query/query.ts';
import { necessaryTypes } from '../query-parts.ts';
import { keyOf, keysOf } from './collections.ts';
import type { EntityFilter } from './compile-query.ts';
import type { EntityRow } from './entity-row.ts';
import type { Parts } from './parts.ts';
import { READ } from './rows.ts';

/**
 * Entities that a temporal query may mean, those included that only history knows, in order of their ids. All of them must still be tested.
 * @param after    only those behind this one
 * @param descending largest id first
 * @returns a walk over them, some at a time: at first fewer, then more
 */
export function candidatesOverTime(
  { collections, reader, rows }: Parts,
  tenant: TenantId,
  query: EntityQuery,
  after: Iri | undefined,
  descending: boolean,
): (first: number, atOnce: number) => AsyncGenerator<readonly EntityRow[], void, undefined> {
  const { $gt, $lt } = keysOf(tenant);
  const asked: EntityFilter[] = [{ t: tenant, ev: true }];
  if (query.ids !== undefined) asked.push({ _id: { $in: [...new Set(query.ids)].map((id) => keyOf(tenant, id)) } });
  const types = query.types && necessaryTypes(query.types);
  // Types that a temporal provision added, or that a deleted entity had, are told apart from those of the state.
  if (types) asked.push({ $or: [{ y: { $in: [...types] } }, { z: { $in: [...types] } }] });
  return async function* (first, atOnce) {
    let from = after === undefined ? undefined : keyOf(tenant, after);
    for (let step = Math.max(1, first); ; step = atOnce) {
      const bounds = descending ? { $gt, $lt: from ?? $lt } : { $gt: from ?? $gt, $lt };
      const keep = rows.reading();
      const filter = { $and: [...asked, { _id: bounds }] } as EntityFilter;
      const some = { projection: READ, sort: { _id: descending ? -1 : 1 }, limit: step } as const;
      const documents = await reader.some(collections.entities, filter, some);
      if (documents.length > 0) yield documents.map(keep);
      if (documents.length < step) return;
      from = documents.at(-1)?._id;
    }
  };
}
