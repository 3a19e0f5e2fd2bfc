import type { Caller } from '../../domain/access.ts';
import type { Entity } from '../../domain/entity.ts';
import type { Iri } from '../../domain/iri.ts';
import type { WantedLink } from '../../domain/linked.ts';
import type { DistributedReads } from './reads.ts';

/** Looks for linked entities here and at context sources. What it does not answer for is looked up here alone. */
export type FindLinkedElsewhere = (
  caller: Caller,
  wanted: readonly WantedLink[],
) => Promise<{ readonly found: readonly Entity[]; readonly asked: ReadonlySet<Iri> }>;

/** Ids in one question: they travel in a URL. */
const AT_ONCE = 100;

/**
 * 4.5.23.1: entities that are not stored here are joined if the Relationship says of which type they are (objectType), so that it is known which sources may
 * have them.
 */
export function linkedElsewhere(reads: DistributedReads): FindLinkedElsewhere {
  return async (caller, wanted) => {
    const { onward } = caller;
    const found: Entity[] = [];
    const asked = new Set<Iri>();
    if (onward === undefined) return { found, asked };
    const byTypes = new Map<string, { readonly types: readonly Iri[]; readonly ids: Iri[] }>();
    for (const { id, types } of wanted) {
      if (types === undefined) continue;
      const key = [...types].sort().join(' ');
      const group = byTypes.get(key);
      if (group === undefined) byTypes.set(key, { types, ids: [id] });
      else group.ids.push(id);
    }
    for (const { types, ids } of byTypes.values()) {
      const type = types.map((one) => onward.context.compact(one)).join(',');
      for (let at = 0; at < ids.length; at += AT_ONCE) {
        const some = ids.slice(at, at + AT_ONCE);
        // The question is ours, not the client's: nothing of that travels but who it is and where it has been.
        const { body: _, entityMap: __, ...rest } = onward;
        const question = { ...rest, method: 'GET', path: 'entities', query: { id: some.join(','), type } };
        const query = {
          ids: some,
          types: { kind: 'any' as const, of: types.map((one) => ({ kind: 'type' as const, type: one })) },
        };
        const request = { query, page: { limit: some.length }, local: false, joinLevel: 0 };
        const gathered = await reads.queryEntities({ ...caller, onward: question }, request, {});
        if (gathered === undefined) continue;
        for (const entity of gathered.found.entities) found.push(entity);
        for (const { id } of gathered.found.entities) asked.add(id);
        if (gathered.warnings.length > 0) onward.onWarnings?.(gathered.warnings);
      }
    }
    return { found, asked };
  };
}
