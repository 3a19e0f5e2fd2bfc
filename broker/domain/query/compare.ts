import type { AttributeType } from '../attribute.ts';
import { isObject, type JsonValue } from '../json.ts';
import { type Instant, parseInstant, toMicros } from '../time.ts';
import { compilePattern } from './pattern.ts';
import type { Comparison, Operand } from './query.ts';

/** What a path ended at: an attribute instance of this kind, or one of its system members. */
export type TargetKind = AttributeType | 'moment' | 'text' | 'uri';

/** Is the comparison true of this target value? */
export type ValueTest = (value: JsonValue, kind: TargetKind) => boolean;

/** Order of a target value relative to the operand: negative before, 0 equal, positive after, NaN if their data types differ. */
type Ordering = (value: JsonValue, kind: TargetKind) => number;

const TIME_OF_DAY = /^([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:[.,](\d{1,6}))?Z$/;
const CALENDAR_DATE = /^\d{4}-\d\d-\d\d$/;

/** Seconds since midnight UTC of a Time (4.6.3): hh:mm:ssZ, with up to six fraction digits; undefined if the text is none. */
export function parseTimeOfDay(text: string): number | undefined {
  const found = TIME_OF_DAY.exec(text);
  if (found === null) return undefined;
  const micros = Number((found[4] ?? '').padEnd(6, '0'));
  return Number(found[1]) * 3600 + Number(found[2]) * 60 + Number(found[3]) + micros / 1e6;
}

/** True if the text is a Date (4.6.3) that exists. */
export function isCalendarDate(text: string): boolean {
  return CALENDAR_DATE.test(text) && parseInstant(`${text}T00:00:00Z`) !== undefined;
}

/**
 * The comparison of 4.9 as a test of one target value. `==` asks that the value, or one member of an array, equals the operand or one of
 * its list or range; `!=` that the value is there and none does. The ordering operators and patterns look at single values, except that of a
 * languageMap with several texts any may match. Different data types are unequal and have no order.
 * @param expanded the operand as the client's @context expands it (`expandValues`): what a VocabProperty is compared with
 */
export function compileComparison(
  operator: Comparison['operator'],
  operand: Operand,
  expanded: Operand | undefined,
): ValueTest {
  if (expanded !== undefined) {
    const plain = compileComparison(operator, operand, undefined);
    const inVocabulary = compileComparison(operator, expanded, undefined);
    return (value, kind) => (kind === 'VocabProperty' ? inVocabulary(value, kind) : plain(value, kind));
  }
  switch (operator) {
    case '==': {
      const equals = compileEquality(operand);
      return (value, kind) => someValue(value, kind, equals);
    }
    case '!=': {
      const equals = compileEquality(operand);
      return (value, kind) => !someValue(value, kind, equals);
    }
    case '~=': {
      const matches = patternOf(operand);
      return (value, kind) => !isLink(kind) && someText(value, kind, matches);
    }
    case '!~=': {
      const matches = patternOf(operand);
      return (value, kind) => !isLink(kind) && someText(value, kind, always) && !someText(value, kind, matches);
    }
    default: {
      const order = compileOrdering(operand);
      const accepts = ACCEPTS[operator];
      return (value, kind) => {
        if (isLink(kind)) return false;
        if (kind !== 'LanguageProperty' || !Array.isArray(value)) return accepts(order(value, kind));
        return (value as readonly JsonValue[]).some((text) => accepts(order(text, kind)));
      };
    }
  }
}

const always = (): boolean => true;

/** NaN, for values of another data type, is refused by each. */
const ACCEPTS: Record<'>' | '>=' | '<' | '<=', (order: number) => boolean> = {
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
};

/** 4.9: with a Relationship or ListRelationship every operator but == and != results in not matching. */
function isLink(kind: TargetKind): boolean {
  return kind === 'Relationship' || kind === 'ListRelationship';
}

function someValue(value: JsonValue, kind: TargetKind, equals: ValueTest): boolean {
  if (!Array.isArray(value)) return equals(value, kind);
  const nested = kind === 'ListRelationship';
  for (const item of value as readonly JsonValue[]) {
    if (nested && Array.isArray(item)) {
      if (item.some((inner: JsonValue) => equals(inner, kind))) return true;
    } else if (equals(item, kind)) return true;
  }
  return false;
}

function someText(value: JsonValue, kind: TargetKind, matches: (text: string) => boolean): boolean {
  const plain = unwrapped(value);
  if (typeof plain === 'string') return matches(plain);
  if (kind !== 'LanguageProperty' || !Array.isArray(plain)) return false;
  return (plain as readonly JsonValue[]).some((text) => typeof text === 'string' && matches(text));
}

function patternOf(operand: Operand): (text: string) => boolean {
  if (operand.kind === 'pattern') return compilePattern(operand.source);
  return compilePattern(operand.kind === 'literal' ? String(operand.value) : '');
}

function compileEquality(operand: Operand): ValueTest {
  if (operand.kind === 'list') {
    const each = operand.of.map(compileEquality);
    return (value, kind) => each.some((equals) => equals(value, kind));
  }
  if (operand.kind === 'range') {
    const from = compileOrdering(operand.from);
    const to = compileOrdering(operand.to);
    return (value, kind) => from(value, kind) >= 0 && to(value, kind) <= 0;
  }
  const order = compileOrdering(operand);
  return (value, kind) => order(value, kind) === 0;
}

function compileOrdering(operand: Operand): Ordering {
  switch (operand.kind) {
    case 'literal':
      return compileLiteral(operand.value);
    case 'uri':
      return compileText(operand.value);
    case 'dateTime':
      return compileMoment(operand.value);
    case 'date': {
      const date = operand.value;
      return (value) => {
        const plain = unwrapped(value);
        return typeof plain === 'string' && isCalendarDate(plain) ? compareText(plain, date) : Number.NaN;
      };
    }
    case 'time': {
      const time = parseTimeOfDay(operand.value) ?? Number.NaN;
      return (value) => {
        const plain = unwrapped(value);
        return (typeof plain === 'string' ? (parseTimeOfDay(plain) ?? Number.NaN) : Number.NaN) - time;
      };
    }
    default:
      // A list, range or pattern has no order: the parser refuses them with these operators.
      return () => Number.NaN;
  }
}

function compileLiteral(literal: string | number | bigint | boolean): Ordering {
  if (typeof literal === 'number' || typeof literal === 'bigint') {
    return (value) => {
      const plain = unwrapped(value);
      if (typeof plain === 'number' && typeof literal === 'number') return plain - literal;
      return typeof plain === 'number' || typeof plain === 'bigint' ? compareNumbers(plain, literal) : Number.NaN;
    };
  }
  if (typeof literal === 'boolean') return (value) => (unwrapped(value) === literal ? 0 : Number.NaN);
  const text = compileText(literal);
  const asMoment = parseInstant(literal) === undefined ? undefined : compileMoment(literal);
  if (asMoment === undefined) return text;
  // createdAt, observedAt and the like are moments, also for a client that quotes its DateTime.
  return (value, kind) => (kind === 'moment' ? asMoment(value, kind) : text(value, kind));
}

function compileText(text: string): Ordering {
  return (value) => {
    const plain = unwrapped(value);
    return typeof plain === 'string' ? compareText(plain, text) : Number.NaN;
  };
}

/** Exact, also between a number and an integer that no number can hold. */
export function compareNumbers(a: number | bigint, b: number | bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** By code units, which RFC 8259, 8.3 recommends for equality. */
function compareText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

function compileMoment(text: string): Ordering {
  const parsed = parseInstant(text);
  const micros = parsed === undefined ? Number.NaN : toMicros(parsed);
  return (value, kind) => {
    if (kind === 'moment') return toMicros(value as Instant) - micros;
    const plain = unwrapped(value);
    const moment = typeof plain === 'string' ? parseInstant(plain) : undefined;
    return moment === undefined ? Number.NaN : toMicros(moment) - micros;
  };
}

/** A JSON-LD typed value ({"@type": "DateTime", "@value": "…"}, 4.6.3) counts as what it wraps. */
export function unwrapped(value: JsonValue): JsonValue {
  return typeof value === 'object' && isObject(value) && value['@value'] !== undefined ? value['@value'] : value;
}
