import { badRequest } from '../../errors.ts';
import { planarDistance, planarLength, relatePattern } from '../../geometry/planar.ts';
import { SPAN_RELATIONS } from './compare.ts';
import { asGeometry, asSpan, asText, isKind, jsonOperand, spanValue, type Value } from './value.ts';

/** What a function may ask for beside its operands. */
export interface Surroundings {
  /** Micros since 1970, the same for the whole request. */
  readonly now: number;
}

interface Function {
  /** Least and most operands. */
  readonly arity: readonly [number, number];
  readonly apply: (operands: readonly Value[], surroundings: Surroundings) => Value;
}

const DAY = 86_400_000_000;

/** On texts: numbers and others are cast, because ids and JSON members are asked like this. */
const onTexts = (arity: number, apply: (...texts: string[]) => Value): Function => ({
  arity: [arity, arity],
  apply: (operands) => {
    const texts = operands.map(asText);
    return texts.some((text) => text === null) ? null : apply(...(texts as string[]));
  },
});
const onNumber = (apply: (number: number) => number): Function => ({
  arity: [1, 1],
  apply: ([operand]) => (typeof operand === 'number' ? apply(operand) : null),
});
/** A part of the moment (of an interval: its start) in UTC. */
const partOf = (apply: (date: Date, micros: number) => Value): Function => ({
  arity: [1, 1],
  apply: ([operand = null]) => {
    const span = asSpan(operand);
    return span === undefined ? null : apply(new Date(Math.floor(span.from / 1000)), span.from);
  },
});
const ofGeometries = (apply: (a: NonNullable<ReturnType<typeof asGeometry>>, b: typeof a) => Value): Function => ({
  arity: [2, 2],
  apply: ([a = null, b = null]) => {
    const [left, right] = [asGeometry(a), asGeometry(b)];
    return left === undefined || right === undefined ? null : apply(left, right);
  },
});
const related = (pattern: string | readonly string[]): Function =>
  ofGeometries((a, b) => [pattern].flat().some((one) => relatePattern(a, b, one)));
const constant = (apply: (surroundings: Surroundings) => Value): Function => ({
  arity: [0, 0],
  apply: (_, surroundings) => apply(surroundings),
});

const indexOf = (hay: string, needle: string): number => {
  const at = hay.indexOf(needle);
  return at < 0 ? -1 : [...hay.slice(0, at)].length;
};
const contains = (hay: string, needle: string): boolean => hay.includes(needle);
const INTERSECTS = ['T********', '*T*******', '***T*****', '****T****'];

const TABLE: Readonly<Record<string, Function>> = {
  substringof: onTexts(2, (needle = '', hay = '') => contains(hay, needle)),
  contains: onTexts(2, (hay = '', needle = '') => contains(hay, needle)),
  startswith: onTexts(2, (text = '', start = '') => text.startsWith(start)),
  endswith: onTexts(2, (text = '', end = '') => text.endsWith(end)),
  length: onTexts(1, (text = '') => [...text].length),
  indexof: onTexts(2, (hay = '', needle = '') => indexOf(hay, needle)),
  tolower: onTexts(1, (text = '') => text.toLowerCase()),
  toupper: onTexts(1, (text = '') => text.toUpperCase()),
  trim: onTexts(1, (text = '') => text.trim()),
  concat: onTexts(2, (a = '', b = '') => a + b),
  substring: {
    arity: [2, 3],
    apply: ([text = null, from = null, length]) => {
      const whole = asText(text);
      if (whole === null || typeof from !== 'number' || (length !== undefined && typeof length !== 'number')) return null;
      const characters = [...whole];
      return characters
        .slice(Math.max(0, from), length === undefined ? undefined : Math.max(0, from) + Math.max(0, length))
        .join('');
    },
  },
  round: onNumber((number) => Math.sign(number) * Math.round(Math.abs(number))),
  floor: onNumber(Math.floor),
  ceiling: onNumber(Math.ceil),
  year: partOf((date) => date.getUTCFullYear()),
  month: partOf((date) => date.getUTCMonth() + 1),
  day: partOf((date) => date.getUTCDate()),
  hour: partOf((date) => date.getUTCHours()),
  minute: partOf((date) => date.getUTCMinutes()),
  second: partOf((date) => date.getUTCSeconds()),
  fractionalseconds: partOf((_, micros) => (((micros % 1_000_000) + 1_000_000) % 1_000_000) / 1_000_000),
  date: partOf((_, micros) => spanValue(Math.floor(micros / DAY) * DAY)),
  time: partOf((_, micros) => ({ kind: 'timeOfDay', micros: ((micros % DAY) + DAY) % DAY })),
  totaloffsetminutes: partOf(() => 0),
  now: constant(({ now }) => spanValue(now)),
  mindatetime: constant(() => spanValue(Date.UTC(1, 0, 1) * 1000)),
  maxdatetime: constant(() => spanValue(Date.UTC(9999, 11, 31, 23, 59, 59, 999) * 1000)),
  'geo.distance': ofGeometries(planarDistance),
  'geo.length': {
    arity: [1, 1],
    apply: ([line = null]) => {
      const geometry = asGeometry(line);
      return geometry === undefined ? null : planarLength(geometry);
    },
  },
  'geo.intersects': related(INTERSECTS),
  st_intersects: related(INTERSECTS),
  st_disjoint: ofGeometries((a, b) => !INTERSECTS.some((pattern) => relatePattern(a, b, pattern))),
  st_equals: related('T*F**FFF*'),
  st_within: related('T*F**F***'),
  st_contains: related('T*****FF*'),
  st_touches: related(['FT*******', 'F**T*****', 'F***T****']),
  st_overlaps: related(['T*T***T**', '1*T***T**']),
  st_crosses: related(['T*T******', 'T*****T**', '0********']),
  st_relate: {
    arity: [3, 3],
    apply: ([a = null, b = null, pattern = null]) => {
      const [left, right] = [asGeometry(a), asGeometry(b)];
      if (typeof pattern !== 'string' || !/^[TF*012]{9}$/i.test(pattern)) {
        throw badRequest(`st_relate takes a pattern of nine of T, F, *, 0, 1 and 2, not ${JSON.stringify(asText(pattern))}`);
      }
      return left === undefined || right === undefined ? null : relatePattern(left, right, pattern.toUpperCase());
    },
  },
};

export const FUNCTIONS: ReadonlyMap<string, Function> = new Map([
  ...Object.entries(TABLE),
  ...Object.entries(SPAN_RELATIONS).map(([name, relation]): [string, Function] => [
    name,
    {
      arity: [2, 2],
      apply: ([a = null, b = null]) => {
        const [left, right] = [asSpan(a), asSpan(b)];
        if (name === 'during' && right !== undefined && right.to === undefined) {
          throw badRequest('The second operand of during must be an interval, not an instant');
        }
        return left === undefined || right === undefined ? null : relation(left, right);
      },
    },
  ]),
]);

/** a OPERATOR b; null where it means nothing. */
export function calculate(operator: 'add' | 'sub' | 'mul' | 'div' | 'mod', a: Value, b: Value): Value {
  if (typeof a === 'number' && typeof b === 'number') return calculateNumbers(operator, a, b);
  const sign = operator === 'add' ? 1 : operator === 'sub' ? -1 : 0;
  if (sign !== 0 && isKind(b, 'duration')) {
    if (isKind(a, 'duration')) return { kind: 'duration', micros: a.micros + sign * b.micros };
    const span = asSpan(a);
    if (span === undefined) return null;
    const shift = sign * b.micros;
    return spanValue(span.from + shift, span.to === undefined ? undefined : span.to + shift);
  }
  if (sign === 1 && isKind(a, 'duration') && asSpan(b) !== undefined) return calculate('add', b, a);
  if (sign === -1) {
    const [left, right] = [asSpan(a), asSpan(b)];
    const instants = left !== undefined && right !== undefined && left.to === undefined && right.to === undefined;
    return instants ? { kind: 'duration', micros: left.from - right.from } : null;
  }
  if (isKind(a, 'duration') && typeof b === 'number' && (operator === 'mul' || operator === 'div')) {
    const micros = Math.round(calculateNumbers(operator, a.micros, b) ?? Number.NaN);
    return Number.isFinite(micros) ? { kind: 'duration', micros } : null;
  }
  return null;
}

function calculateNumbers(operator: 'add' | 'sub' | 'mul' | 'div' | 'mod', a: number, b: number): number | null {
  const result =
    operator === 'add' ? a + b : operator === 'sub' ? a - b : operator === 'mul' ? a * b : operator === 'div' ? a / b : a % b;
  return Number.isFinite(result) ? result : null;
}

export const toOperand = jsonOperand;
