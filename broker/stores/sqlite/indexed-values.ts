import type { Entity } from '../../domain/entity.ts';
import { isObject, type JsonValue } from '../../domain/json.ts';
import { parseTimeOfDay, type TargetKind, unwrapped } from '../../domain/query/compare.ts';
import type { PathTest } from '../../domain/query/path.ts';
import type { Comparison, Operand } from '../../domain/query/query.ts';
import { parseInstant, toMicros } from '../../domain/time.ts';
import type { Value } from './database.ts';

/**
 * What an index of values keeps apart, so that most queries need no second look at what it finds:
 * - plain: the entity has one target value under the path, a scalar that has an order. A condition is true of it exactly if it is true of the row.
 * - item: one of several values, of an array, or what a Relationship names. Equality is exact, order is not.
 * - rough: stands for a value that it does not hold exactly (an integer beyond 2^53, a long text). Finds too much, never too little.
 */
export const SLOT = {
  number: 0, numberItem: 1, numberRough: 2, text: 3, textItem: 4, textRough: 5, boolean: 6, moment: 7, momentItem: 8, time: 9, timeItem: 10,
} as const; // biome-ignore format: a list to be read as one

/** Slots of one index: its number times this, plus the slot. */
export const SLOTS = 16;

/** Longer texts are indexed by their beginning. */
const TEXT_CHARS = 128;

export type IndexedValue = readonly [slot: number, value: string | number];

/** A part of one slot that holds every match of a condition. */
export interface Span {
  readonly slot: number;
  readonly from?: Value;
  readonly to?: Value;
  readonly fromOpen?: boolean;
  readonly toOpen?: boolean;
  /** Everything in it is a match. */
  readonly exact: boolean;
}

/** The rows of an entity in an index. @param path as compiled by domain/query/path.ts, without datasets and links */
export function valuesOf(path: PathTest, entity: Entity): readonly IndexedValue[] {
  const found: [number, string | number][] = [];
  let targets = 0;
  let plain = false;
  path(entity, (value, kind) => {
    targets++;
    plain = collect(value, kind, found);
    return false;
  });
  if (found.length === 0) return NONE;
  if (targets === 1 && plain) return found;
  const rows = new Map<string, IndexedValue>();
  for (const [slot, value] of found) {
    const row: IndexedValue = [ITEM_OF[slot] ?? slot, value];
    rows.set(`${row[0]} ${typeof value === 'number' ? 'n' : 't'}${value}`, row);
  }
  return [...rows.values()];
}

const NONE: readonly IndexedValue[] = [];

/** The slot of a value that is not the only one. */
const ITEM_OF: Readonly<Record<number, number>> = {
  [SLOT.number]: SLOT.numberItem,
  [SLOT.text]: SLOT.textItem,
  [SLOT.moment]: SLOT.momentItem,
  [SLOT.time]: SLOT.timeItem,
};

/** @returns false if the target is a list of values or a link */
function collect(value: JsonValue, kind: TargetKind, into: [number, string | number][]): boolean {
  if (!Array.isArray(value)) {
    scalar(value, into);
    return kind !== 'Relationship' && kind !== 'ListRelationship';
  }
  for (const item of value as readonly JsonValue[]) {
    if (kind === 'ListRelationship' && Array.isArray(item))
      for (const inner of item as readonly JsonValue[]) scalar(inner, into);
    else scalar(item, into);
  }
  return false;
}

function scalar(wrapped: JsonValue, into: [number, string | number][]): void {
  const value = isObject(wrapped) ? unwrapped(wrapped) : wrapped;
  if (typeof value === 'number') into.push([Number.isFinite(value) ? SLOT.number : SLOT.numberRough, value]);
  else if (typeof value === 'bigint') into.push([SLOT.numberRough, Number(value)]);
  else if (typeof value === 'boolean') into.push([SLOT.boolean, value ? 1 : 0]);
  else if (typeof value === 'string') {
    into.push(isRough(value) ? [SLOT.textRough, sortable(value)] : [SLOT.text, value]);
    if (!BEGINS_WITH_DIGITS.test(value)) return;
    const moment = parseInstant(value);
    const micros = moment === undefined ? Number.NaN : toMicros(moment);
    if (!Number.isNaN(micros)) into.push([SLOT.moment, micros]);
    const time = parseTimeOfDay(value);
    if (time !== undefined) into.push([SLOT.time, time]);
  }
}

const BEGINS_WITH_DIGITS = /^\d\d/;

const BEYOND_PLAIN = /[\0\ud800-\uffff]/;

/** SQLite orders text by its UTF-8 bytes, which from U+D800 on is another order than that of code units (4.9, RFC 8259). */
function isRough(text: string): boolean {
  return text.length > TEXT_CHARS || BEYOND_PLAIN.test(text);
}

/** A text that SQLite orders as the code units of the beginning of `text` are ordered. */
function sortable(text: string): string {
  const start = text.slice(0, TEXT_CHARS);
  if (!BEYOND_PLAIN.test(start)) return start;
  let out = '';
  for (let at = 0; at < start.length; at++) {
    const unit = start.charCodeAt(at);
    // Half a pair becomes a character of its own, and what comes behind the pairs goes to plane 15, behind those. NUL and U+0001 share a place.
    if (unit >= 0xe000) out += String.fromCodePoint(0xf0000 + unit - 0xe000);
    else if (unit >= 0xd800) out += String.fromCharCode(0xe000 + unit - 0xd800);
    else out += unit === 0 ? '\u0001' : start[at];
  }
  return out;
}

/**
 * Where the matches of some comparisons lie that all look at one path and must all hold.
 * @returns undefined if an index cannot tell; `covered`: those comparisons that the spans answer, if all of them are exact
 */
export function spansOf(
  comparisons: readonly Comparison[],
): { readonly spans: readonly Span[]; readonly covered: readonly Comparison[] } | undefined {
  const equal = comparisons.find(({ operator }) => operator === '==');
  if (equal) {
    const spans = equality(equal);
    if (spans) return { spans, covered: [equal] };
  }
  const lower = comparisons.find((one) => (one.operator === '>' || one.operator === '>=') && sortOf(one.value) !== undefined);
  const upper = comparisons.find(
    (one) =>
      (one.operator === '<' || one.operator === '<=') &&
      sortOf(one.value) !== undefined &&
      (lower === undefined || sortOf(one.value) === sortOf(lower.value)),
  );
  const covered = [lower, upper].filter((one) => one !== undefined);
  if (covered.length === 0 || covered.some(({ path }) => path.expanded !== undefined)) return undefined;
  const from = lower && { value: lower.value, open: lower.operator === '>' };
  const to = upper && { value: upper.value, open: upper.operator === '<' };
  return { spans: between(from, to, false), covered };
}

interface End {
  readonly value: Operand;
  readonly open: boolean;
}

function equality({ path, value }: Comparison): readonly Span[] | undefined {
  const spans = equalTo(value);
  if (path.expanded === undefined || spans === undefined) return spans;
  const expanded = equalTo(path.expanded);
  return expanded && [...spans, ...expanded].map((span) => ({ ...span, exact: false }));
}

function equalTo(operand: Operand): readonly Span[] | undefined {
  switch (operand.kind) {
    case 'list': {
      const parts = operand.of.map(equalTo);
      return parts.every((part) => part !== undefined) ? parts.flat() : undefined;
    }
    case 'range': {
      const sort = sortOf(operand.from);
      if (sort === undefined || sort !== sortOf(operand.to)) return undefined;
      return between({ value: operand.from, open: false }, { value: operand.to, open: false }, true);
    }
    case 'uri':
      return equalText(operand.value);
    case 'literal':
      if (typeof operand.value === 'string') return equalText(operand.value);
      if (typeof operand.value === 'boolean') return [point(SLOT.boolean, operand.value ? 1 : 0, true)];
      return between({ value: operand, open: false }, { value: operand, open: false }, true);
    case 'date':
      return equalText(operand.value);
    case 'dateTime':
    case 'time':
      return between({ value: operand, open: false }, { value: operand, open: false }, true);
    default:
      return undefined;
  }
}

const point = (slot: number, value: Value, exact: boolean): Span => ({ slot, from: value, to: value, exact });

/** Equal texts are rough alike. */
function equalText(text: string): readonly Span[] {
  if (isRough(text)) return [point(SLOT.textRough, sortable(text), false)];
  return [point(SLOT.text, text, true), point(SLOT.textItem, text, true)];
}

/** What kind of order an operand has; undefined: none. */
function sortOf(operand: Operand): 'number' | 'text' | 'date' | 'moment' | 'time' | undefined {
  switch (operand.kind) {
    case 'literal':
      return typeof operand.value === 'string' ? 'text' : typeof operand.value === 'boolean' ? undefined : 'number';
    case 'date':
    case 'time':
      return operand.kind;
    case 'dateTime':
      return 'moment';
    default:
      return undefined;
  }
}

/**
 * Both ends are of one sort.
 * @param each true: one value lies between both ends (a range of `==`). False: one value may lie beyond the first end and another one
 *   before the second (`speed>5;speed<3` is true of a speed with the instances 1 and 10), so that of several values only one end can be used
 */
function between(from: End | undefined, to: End | undefined, each: boolean): readonly Span[] {
  const sort = sortOf((from ?? (to as End)).value);
  const one = each ? { from, to } : from ? { from, to: undefined } : { from: undefined, to };
  switch (sort) {
    case 'number':
      return [
        span(SLOT.number, from, to, numberOf, true),
        span(SLOT.numberItem, one.from, one.to, numberOf, each),
        span(SLOT.numberRough, one.from, one.to, numberOf, false),
      ];
    case 'text':
      return [
        span(SLOT.text, from, to, textOf, true),
        span(SLOT.textItem, one.from, one.to, textOf, each),
        span(SLOT.textRough, one.from, one.to, textOf, false),
      ];
    case 'date':
      // Among the texts between two dates there may be others.
      return [span(SLOT.text, from, to, textOf, false), span(SLOT.textItem, one.from, one.to, textOf, false)];
    case 'moment':
      return [span(SLOT.moment, from, to, momentOf, true), span(SLOT.momentItem, one.from, one.to, momentOf, each)];
    default:
      return [span(SLOT.time, from, to, timeOf, true), span(SLOT.timeItem, one.from, one.to, timeOf, each)];
  }
}

/** The value of an end as it is in the index, and whether that is exactly it. */
type EndValue = (operand: Operand) => readonly [value: Value, exact: boolean];

const numberOf: EndValue = (operand) => {
  const value = (operand as { readonly value: number | bigint }).value;
  return [Number(value), typeof value === 'number'];
};
const textOf: EndValue = (operand) => {
  const text = (operand as { readonly value: string }).value;
  return isRough(text) ? [sortable(text), false] : [text, true];
};
// What is no moment compares with nothing: NULL in SQL does the same.
const momentOf: EndValue = (operand) => {
  const moment = parseInstant((operand as { readonly value: string }).value);
  const micros = moment === undefined ? Number.NaN : toMicros(moment);
  return [Number.isNaN(micros) ? null : micros, true];
};
const timeOf: EndValue = (operand) => [parseTimeOfDay((operand as { readonly value: string }).value) ?? null, true];

function span(slot: number, from: End | undefined, to: End | undefined, endOf: EndValue, exact: boolean): Span {
  const low = from && endOf(from.value);
  const high = to && endOf(to.value);
  const isExact = exact && low?.[1] !== false && high?.[1] !== false;
  return {
    slot,
    exact: isExact,
    ...(low && { from: low[0], fromOpen: isExact && from.open }),
    ...(high && { to: high[0], toOpen: isExact && to.open }),
  };
}
