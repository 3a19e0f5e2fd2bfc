import type { Entity } from '../../domain/entity.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import type { Predicate } from '../../domain/query/evaluate.ts';
import type { Follow } from '../../domain/query/path.ts';
import { keyOf } from './collections.ts';
import type { EntityRow } from './entity-row.ts';
import type { Rows } from './rows.ts';

/**
 * A test of candidates whose conditions may go on at linked entities (4.9 EXAMPLE 13). A predicate follows links at once, and the database answers later:
 * where a link leads to an entity that is not at hand, those are fetched together, and the candidates are asked again.
 */
export function followed(
  rows: Rows,
  tenant: TenantId,
  compile: (follow: Follow) => Predicate,
): (candidates: readonly (EntityRow | undefined)[]) => Promise<readonly EntityRow[]> {
  const known = new Map<Iri, Entity | undefined>();
  const wanted = new Set<Iri>();
  const predicate = compile((id) => {
    if (!known.has(id)) wanted.add(id);
    return known.get(id);
  });
  return async (candidates) => {
    const there = candidates.filter((row) => row !== undefined);
    for (;;) {
      const matches = there.filter((row) => predicate(row.entity));
      if (wanted.size === 0) return matches;
      const ids = [...wanted];
      wanted.clear();
      const found = await rows.byKeys(ids.map((id) => keyOf(tenant, id)));
      for (const id of ids) known.set(id, rows.current(found.get(keyOf(tenant, id)))?.entity);
    }
  };
}
