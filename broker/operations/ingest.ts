import { type AccessFunction, demand } from '../domain/access.ts';
import { DomainError } from '../domain/errors.ts';
import type { Iri } from '../domain/iri.ts';
import { ingestFragment } from '../domain/patch.ts';
import type { Clock } from '../ports/clock.ts';
import type { EntityStore, Write } from '../ports/entity-store.ts';
import type { Fragment, Ingest, Refusal } from '../ports/ingest.ts';

/** The ingest port: every fragment is one write in the order of the batch, all of them one commit. What is refused is said by its index. */
export function ingest(dependencies: {
  readonly entities: EntityStore;
  readonly clock: Clock;
  readonly access: AccessFunction;
}): Ingest {
  const { entities, clock, access } = dependencies;
  return {
    async accept(batch) {
      const refused: Refusal[] = [];
      const writes: Write[] = [];
      const indexes: number[] = [];
      batch.forEach((fragment, index) => {
        const refusal = refusalOf(access, fragment);
        if (refusal !== undefined) refused.push({ index, reason: refusal });
        else {
          indexes.push(index);
          writes.push({
            tenant: fragment.caller.tenant,
            id: fragment.id,
            decide: (current) => ingestFragment(current, fragment, { at: clock.now(), stamp: clock.stamp() }),
          });
        }
      });
      const outcomes = writes.length > 0 ? await entities.commit(writes) : [];
      outcomes.forEach((outcome, at) => {
        if (outcome.kind === 'refused') refused.push({ index: indexes[at] as number, reason: outcome.error.message });
      });
      return { accepted: batch.length - refused.length, refused: refused.sort((a, b) => a.index - b.index) };
    },
  };
}

/** Why this caller may not write this; undefined if it may. */
function refusalOf(access: AccessFunction, { caller, id, types, attributes }: Fragment): string | undefined {
  try {
    demand(access, caller, {
      operation: 'ingest',
      effect: 'write',
      ids: [id],
      types,
      attributes: Object.keys(attributes) as Iri[],
    });
    return undefined;
  } catch (error) {
    if (error instanceof DomainError) return error.message;
    throw error;
  }
}
