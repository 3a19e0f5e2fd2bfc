import { jsonEquals } from '../../json.ts';
import type { TimeSpan } from '../time.ts';
import type { CompareOperator } from './expression.ts';
import { asSpan, asText, isKind, type Value } from './value.ts';

/**
 * a OPERATOR b, in three values: null where nobody can say (a side is null, or the two are of kinds that have no order).
 * @param literal which side was written as a literal: it decides what the other side is taken as
 */
export function compareValues(
  operator: CompareOperator,
  a: Value,
  b: Value,
  literal: 'left' | 'right' | undefined,
): boolean | null {
  if (a === null || b === null) {
    // Only who writes null asks for it.
    const asked = literal === 'right' ? b === null : literal === 'left' ? a === null : false;
    if (!asked) return null;
    if (operator === 'eq') return a === b;
    return operator === 'ne' ? a !== b : null;
  }
  if (typeof a === 'number' && typeof b === 'number') return ordered(operator, a - b);
  if (typeof a === 'boolean' && typeof b === 'boolean') return ordered(operator, Number(a) - Number(b));
  if (isKind(a, 'duration') && isKind(b, 'duration')) return ordered(operator, a.micros - b.micros);
  if (isKind(a, 'timeOfDay') && isKind(b, 'timeOfDay')) return ordered(operator, a.micros - b.micros);
  if (isKind(a, 'span') || isKind(b, 'span')) {
    const [left, right] = [asSpan(a), asSpan(b)];
    return left === undefined || right === undefined ? null : compareSpans(operator, left, right);
  }
  if (isKind(a, 'json') && isKind(b, 'json')) {
    if (typeof a.json === 'bigint' || typeof b.json === 'bigint') return bigCompare(operator, a, b);
    const same = jsonEquals(a.json, b.json);
    return operator === 'eq' ? same : operator === 'ne' ? !same : null;
  }
  // A text that was written as one compares texts; otherwise different kinds have nothing to say to each other.
  const texts = typeof a === 'string' && typeof b === 'string';
  const written = (literal === 'left' && typeof a === 'string') || (literal === 'right' && typeof b === 'string');
  if (texts || written) return ordered(operator, compareTexts(asText(a) as string, asText(b) as string));
  return bigCompare(operator, a, b);
}

function bigCompare(operator: CompareOperator, a: Value, b: Value): boolean | null {
  const [left, right] = [a, b].map((value) =>
    isKind(value, 'json') && typeof value.json === 'bigint' ? value.json : typeof value === 'number' ? value : undefined,
  );
  if (left === undefined || right === undefined) return null;
  return ordered(operator, left < right ? -1 : left > right ? 1 : 0);
}

export function ordered(operator: CompareOperator, order: number): boolean {
  switch (operator) {
    case 'eq':
      return order === 0;
    case 'ne':
      return order !== 0;
    case 'gt':
      return order > 0;
    case 'ge':
      return order >= 0;
    case 'lt':
      return order < 0;
    case 'le':
      return order <= 0;
  }
}

/** By code point. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  const left = a[Symbol.iterator]();
  for (const right of b) {
    const { value, done } = left.next();
    if (done) return -1;
    if (value !== right) return (value.codePointAt(0) as number) - (right.codePointAt(0) as number);
  }
  return 1;
}

/** Intervals are half-open; an instant is [t, t], and two instants compare as moments. */
export function compareSpans(operator: CompareOperator, x: TimeSpan, y: TimeSpan): boolean {
  if (x.to === undefined && y.to === undefined) return ordered(operator, x.from - y.from);
  const [a, b, c, d] = [x.from, x.to ?? x.from, y.from, y.to ?? y.from];
  switch (operator) {
    case 'eq':
      return a === c && b === d;
    case 'ne':
      return a !== c || b !== d;
    case 'lt':
      return y.to === undefined ? b <= c : x.to === undefined ? a < c : b <= c;
    case 'gt':
      return y.to === undefined ? a > c : a >= d;
    case 'le':
      return a <= c && b <= d;
    case 'ge':
      return a >= c && b >= d;
  }
}

/** The interval relations of 18-088. */
export const SPAN_RELATIONS: Readonly<Record<string, (x: TimeSpan, y: TimeSpan) => boolean>> = {
  before: (x, y) => compareSpans('lt', x, y),
  after: (x, y) => compareSpans('gt', x, y),
  meets: (x, y) => {
    if (x.to === undefined && y.to === undefined) return x.from === y.from;
    return (x.to ?? x.from) === y.from || (y.to ?? y.from) === x.from;
  },
  during: (x, y) => {
    const end = y.to as number;
    return y.from <= x.from && x.from < end && (x.to ?? x.from) <= end;
  },
  overlaps: (x, y) => {
    if (x.to === undefined && y.to === undefined) return x.from === y.from;
    if (x.to === undefined) return y.from <= x.from && x.from < (y.to as number);
    if (y.to === undefined) return x.from <= y.from && y.from < x.to;
    return x.from < y.to && y.from < x.to;
  },
  starts: (x, y) => x.from === y.from,
  finishes: (x, y) => (x.to ?? x.from) === (y.to ?? y.from),
};
