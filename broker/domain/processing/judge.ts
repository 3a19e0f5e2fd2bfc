import { type JsonValue, jsonEquals } from '../json.ts';
import { fromMicros, type Micros } from '../time.ts';
import type { BadDataCondition, BadDataRule } from './rule.ts';

/** A value of a series that was stored, as far as rules need to know it. */
export interface JudgedValue {
  readonly at: Micros;
  /** What the device said, also if something else was stored in its place. */
  readonly said: JsonValue;
  /** No rule found anything wrong with it. */
  readonly good: boolean;
}

/**
 * What rules know of one attribute of one entity. All of it can be made again from what is stored ({@link seriesFrom}), except which values of a possible
 * new level were refused.
 */
export interface SeriesState {
  /** Ascending in time, at most as many as some rule looks at. */
  recent: JudgedValue[];
  /** By flatline rule: the value that has not moved since. */
  readonly still: Map<string, { readonly value: JsonValue; readonly since: Micros }>;
  /** By outlier rule: values that were refused one after the other. */
  readonly refused: Map<string, JudgedValue[]>;
}

/** How many values some rule needs before a new one. */
export function memoryOf(rules: readonly BadDataRule[]): number {
  return rules.reduce((most, { when }) => Math.max(most, when.kind === 'outlier' ? when.count : NEIGHBOURS), NEIGHBOURS);
}
/** So many values are remembered for those that come late. */
const NEIGHBOURS = 8;

/** Whether a rule compares a value with others. */
export const needsSeries = ({ when, action }: BadDataRule): boolean =>
  ['rate', 'flatline', 'duplicate', 'outlier'].includes(when.kind) || (action.kind === 'replace' && action.by === 'lastGood');

export function emptySeries(): SeriesState {
  return { recent: [], still: new Map(), refused: new Map() };
}

/** The state after these values. @param values ascending in time */
export function seriesFrom(values: readonly JudgedValue[], rules: readonly BadDataRule[]): SeriesState {
  const state = emptySeries();
  for (const value of values) remember(state, value, rules);
  return state;
}

/** Takes up a value that is being stored. */
export function remember(state: SeriesState, value: JudgedValue, rules: readonly BadDataRule[]): void {
  const { recent } = state;
  const newest = recent.at(-1);
  if (newest === undefined || newest.at <= value.at) {
    for (const rule of rules) {
      if (rule.when.kind === 'flatline') {
        const still = state.still.get(rule.name);
        if (still === undefined || !unmoved(value.said, still.value, rule.when.tolerance))
          state.still.set(rule.name, { value: value.said, since: value.at });
      }
    }
  }
  // One value at a time: a second one corrects it.
  let place = recent.length;
  while (place > 0 && (recent[place - 1] as JudgedValue).at > value.at) place--;
  if (recent[place - 1]?.at === value.at) recent[place - 1] = value;
  else recent.splice(place, 0, value);
  const most = memoryOf(rules);
  if (recent.length > most) recent.splice(0, recent.length - most);
}

/**
 * Why a value is bad by a rule, as the end of a sentence; undefined: it is not.
 * @param heardAt when it came
 */
export function whyBad(
  rule: BadDataRule,
  value: JsonValue,
  at: Micros,
  heardAt: Micros,
  state: SeriesState,
): string | undefined {
  const { when } = rule;
  switch (when.kind) {
    case 'missing':
      return undefined;
    case 'future':
      return at > heardAt + when.seconds * 1e6 ? `its time ${fromMicros(at)} is in the future` : undefined;
    case 'late':
      return at < heardAt - when.seconds * 1e6 ? `it was observed at ${fromMicros(at)}, too long ago` : undefined;
    case 'duplicate': {
      const twin = state.recent.findLast(
        (other) => other.at <= at && at - other.at <= when.seconds * 1e6 && jsonEquals(other.said, value),
      );
      return twin === undefined ? undefined : `it is the same as the value of ${fromMicros(twin.at)}`;
    }
    case 'flatline': {
      const still = state.still.get(rule.name);
      const newest = state.recent.at(-1);
      if (still === undefined || (newest !== undefined && at < newest.at)) return undefined;
      if (!unmoved(value, still.value, when.tolerance) || at - still.since < when.seconds * 1e6) return undefined;
      return `it has not moved since ${fromMicros(still.since)}`;
    }
    default:
      return typeof value === 'number' ? whyBadNumber(rule, when, value, at, state) : undefined;
  }
}

function whyBadNumber(
  rule: BadDataRule,
  when: Extract<BadDataCondition, { kind: 'range' | 'rate' | 'outlier' }>,
  value: number,
  at: Micros,
  state: SeriesState,
): string | undefined {
  switch (when.kind) {
    case 'range':
      if (when.min !== undefined && value < when.min) return `it is below ${when.min}`;
      return when.max !== undefined && value > when.max ? `it is above ${when.max}` : undefined;
    case 'rate': {
      const before = state.recent.findLast((other) => other.good && other.at < at && typeof other.said === 'number');
      if (before === undefined) return undefined;
      const perMinute = Math.abs(value - (before.said as number)) / ((at - before.at) / 60e6);
      return perMinute > when.maxPerMinute
        ? `it moved by ${shown(perMinute)} per minute since ${fromMicros(before.at)}, more than ${when.maxPerMinute}`
        : undefined;
    }
    case 'outlier': {
      const others = state.recent.filter((other) => other.at < at && typeof other.said === 'number').slice(-when.count);
      if (others.length < when.minimum) return undefined;
      const numbers = others.map(({ said }) => said as number);
      const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
      const deviation = Math.sqrt(numbers.reduce((sum, number) => sum + (number - mean) ** 2, 0) / (numbers.length - 1));
      const distance = Math.abs(value - mean);
      // Values that are all the same say nothing about how far others may be.
      if (deviation === 0 || distance <= when.deviations * deviation) {
        state.refused.delete(rule.name);
        return undefined;
      }
      if (isNewLevel(rule, value, at, state, when.count)) return undefined;
      return `it is ${shown(distance / deviation)} standard deviations from the mean ${shown(mean)} of the last ${numbers.length}`;
    }
  }
}

/** What was refused so often in a row is how things are now: from then on it is what others are compared with. */
function isNewLevel(rule: BadDataRule, value: number, at: Micros, state: SeriesState, count: number): boolean {
  if (rule.action.kind === 'flag') return false;
  const refused = [...(state.refused.get(rule.name) ?? []), { at, said: value, good: true }];
  if (refused.length <= count) {
    state.refused.set(rule.name, refused);
    return false;
  }
  state.refused.delete(rule.name);
  state.recent = refused.sort((a, b) => a.at - b.at);
  return true;
}

/** The newest good value before this time; undefined: none is known. */
export function lastGood(state: SeriesState, at: Micros): JsonValue | undefined {
  return state.recent.findLast((other) => other.good && other.at <= at)?.said;
}

function unmoved(value: JsonValue, before: JsonValue, tolerance: number): boolean {
  if (typeof value === 'number' && typeof before === 'number') return Math.abs(value - before) <= tolerance;
  return jsonEquals(value, before);
}

const shown = (number: number): string => String(Number(number.toPrecision(3)));
