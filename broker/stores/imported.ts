import type { Iri } from '../domain/iri.ts';
import type { TransferredEntity } from '../domain/transfer.ts';

/** What only history knows: of an entity that exists, the types that its state has not. */
export function pastOf(
  types: readonly Iri[] | undefined,
  evolution: TransferredEntity['evolution'],
): TransferredEntity['evolution'] {
  if (evolution === undefined || types === undefined) return evolution;
  return evolution.types.every((type) => types.includes(type)) ? undefined : evolution;
}

/** The largest stamp time in a state. */
export function highestStampIn(state: TransferredEntity['state']): number {
  if (state === undefined) return 0;
  const stamps = Object.values(state.attributes).flatMap((all) => all.map(({ stamp }) => stamp?.at ?? 0));
  return Math.max(state.stamp.at, ...stamps);
}
