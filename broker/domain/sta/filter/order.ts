import { compareTexts } from './compare.ts';
import { asText, isKind, type Value } from './value.ts';

/** null comes first in ascending order, last in descending. Values of different kinds come in the order of their kinds. */
export function compareKeys(a: Value, b: Value): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? -1 : 1;
  const rank = rankOf(a) - rankOf(b);
  if (rank !== 0) return rank;
  if (typeof a === 'number') return a - (b as number);
  if (typeof a === 'boolean') return Number(a) - Number(b);
  if (isKind(a, 'span') && isKind(b, 'span'))
    return a.span.from - b.span.from || (a.span.to ?? a.span.from) - (b.span.to ?? b.span.from);
  if ((isKind(a, 'duration') || isKind(a, 'timeOfDay')) && (isKind(b, 'duration') || isKind(b, 'timeOfDay')))
    return a.micros - b.micros;
  return compareTexts(asText(a) ?? '', asText(b) ?? '');
}

function rankOf(value: Exclude<Value, null>): number {
  if (typeof value === 'boolean') return 0;
  if (typeof value === 'number') return 1;
  if (typeof value === 'string') return 2;
  return value.kind === 'span' ? 3 : value.kind === 'duration' || value.kind === 'timeOfDay' ? 4 : 5;
}

/** Compares by several keys, each in its direction, and at last by id. */
export function compareOrder(descending: readonly boolean[]) {
  return (a: readonly Value[], aId: number, b: readonly Value[], bId: number): number => {
    for (const [at, down] of descending.entries()) {
      const order = compareKeys(a[at] ?? null, b[at] ?? null);
      if (order !== 0) return down ? -order : order;
    }
    return aId - bId;
  };
}
