import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../../../broker/domain/json.ts';
import { emptySeries, type JudgedValue, remember, seriesFrom, whyBad } from '../../../broker/domain/processing/judge.ts';
import { type BadDataRule, readRule } from '../../../broker/domain/processing/rule.ts';
import { fits } from '../../../broker/domain/processing/select.ts';

const MINUTE = 60e6;
const rule = (when: object, action: JsonValue = 'flag'): BadDataRule => readRule('r', { when, action } as JsonValue);

/** Plays values (minute, value) one after the other. @returns those that are bad */
function tape(one: BadDataRule, values: readonly (readonly [number, JsonValue])[], heardMinute?: number): JsonValue[] {
  const state = emptySeries();
  const bad: JsonValue[] = [];
  for (const [minute, said] of values) {
    const at = minute * MINUTE;
    const why = whyBad(one, said, at, (heardMinute ?? minute) * MINUTE, state);
    if (why !== undefined) bad.push(said);
    // What is discarded is not stored, and so not remembered.
    if (why === undefined || one.action.kind === 'flag') remember(state, { at, said, good: why === undefined }, [one]);
  }
  return bad;
}

describe('bad-data rules on tapes', () => {
  it('range: beyond the bounds, which are in; other than numbers are none of its business', () => {
    expect(
      tape(rule({ range: { min: -40, max: 60 } }), [
        [0, -40],
        [1, 60],
        [2, 60.1],
        [3, -41],
        [4, 'warm'],
        [5, 18],
      ]),
    ).toEqual([60.1, -41]);
  });

  it('rate: against the last good value and the time since, so that a lasting step is accepted after a while', () => {
    const steep = rule({ rate: { maxPerMinute: 2 } });
    expect(
      tape(steep, [
        [0, 18.2],
        [1, 21.9],
        [2, 18.3],
      ]),
    ).toEqual([21.9]);
    expect(
      tape(steep, [
        [0, 18.2],
        [1, 21.9],
        [2, 21.9],
        [3, 22],
      ]),
    ).toEqual([21.9]);
    // A late one is compared with its neighbour in time, not with the newest.
    expect(
      tape(steep, [
        [0, 18],
        [10, 30],
        [1, 19],
        [2, 29],
      ]),
    ).toEqual([29]);
  });

  it('flatline: as soon as it has not moved for so long, and no longer when it moves', () => {
    const stuck = rule({ flatline: { seconds: 180, tolerance: 0.1 } });
    expect(
      tape(stuck, [
        [0, 5],
        [1, 5.1],
        [2, 4.95],
        [3, 5],
        [4, 5.05],
        [5, 6],
        [6, 6],
      ]),
    ).toEqual([5, 5.05]);
    expect(
      tape(rule({ flatline: { seconds: 60 } }), [
        [0, 'on'],
        [1, 'on'],
        [2, 'off'],
      ]),
    ).toEqual(['on']);
  });

  it('duplicate: the same value within so long, and without a time only at the very same moment', () => {
    expect(
      tape(rule({ duplicate: { seconds: 60 } }), [
        [0, 1],
        [1, 1],
        [3, 1],
        [3, { a: 1 }],
        [4, { a: 1 }],
      ]),
    ).toEqual([1, { a: 1 }]);
    expect(
      tape(rule({ duplicate: {} }), [
        [0, 1],
        [0, 1],
        [1, 1],
      ]),
    ).toEqual([1]);
  });

  it('future and late: by when it was heard', () => {
    expect(
      tape(
        rule({ future: { seconds: 60 } }),
        [
          [10, 1],
          [11, 2],
          [11.1, 3],
        ],
        10,
      ),
    ).toEqual([3]);
    expect(
      tape(
        rule({ late: { seconds: 60 } }),
        [
          [10, 1],
          [9, 2],
          [8.9, 3],
        ],
        10,
      ),
    ).toEqual([3]);
  });

  it('outlier: far from the mean of those before; a new level that lasts is accepted', () => {
    const around = [20, 21, 20, 19, 20, 21, 19, 20, 20, 21].map((value, minute) => [minute, value] as const);
    const wild = rule({ outlier: { count: 10, deviations: 4 } }, 'discard');
    expect(tape(wild, [...around, [10, 35], [11, 20.5]])).toEqual([35]);
    // Too few to say anything.
    expect(tape(wild, [...around.slice(0, 9), [10, 35]])).toEqual([]);
    const risen = Array.from({ length: 13 }, (_, minute) => [20 + minute, 40 + (minute % 2)] as const);
    expect(tape(wild, [...around, ...risen])).toHaveLength(10);
    // Equal values have no deviation, and say nothing of others.
    expect(
      tape(
        wild,
        Array.from({ length: 12 }, (_, minute) => [minute, minute === 11 ? 9 : 1] as const),
      ),
    ).toEqual([]);
  });

  it('what is read back from the store judges the next value as what was remembered does', () => {
    const rules = [
      rule({ rate: { maxPerMinute: 2 } }),
      rule({ flatline: { seconds: 120, tolerance: 0.5 } }),
      rule({ duplicate: { seconds: 60 } }),
      rule({ outlier: { count: 5, deviations: 2, minimum: 3 } }),
    ].map((one, index) => ({ ...one, name: `r${index}` }));
    const value = fc.record({ minute: fc.integer({ min: 0, max: 40 }), said: fc.integer({ min: 0, max: 12 }) });
    fc.assert(
      fc.property(fc.array(value, { maxLength: 30 }), value, (said, next) => {
        const live = emptySeries();
        // One value at a time, as the store has it; history is in order of time.
        const stored = new Map<number, JudgedValue>();
        for (const { minute, said: number } of [...said].sort((a, b) => a.minute - b.minute)) {
          const at = minute * MINUTE;
          const good = rules.every((one) => whyBad(one, number, at, at, live) === undefined);
          if (stored.has(at)) continue;
          remember(live, { at, said: number, good }, rules);
          stored.set(at, { at, said: number, good });
        }
        const read = seriesFrom([...stored.values()], rules);
        const at = (40 + next.minute) * MINUTE;
        for (const one of rules) {
          expect(whyBad(one, next.said, at, at, read)).toBe(whyBad(one, next.said, at, at, live));
        }
        expect(read.recent.length).toBeLessThanOrEqual(8);
      }),
      { numRuns: 300 },
    );
  });
});

describe('a rule that cannot be used is refused with the place', () => {
  it.each([
    [{ action: 'flag' }, 'when: must have exactly one of range, rate'],
    [{ when: { range: { min: 1 }, rate: { maxPerMinute: 1 } }, action: 'flag' }, 'when: must have exactly one of'],
    [{ when: { range: {} }, action: 'flag' }, 'when.range: must have min or max'],
    [{ when: { range: { min: 'cold' } }, action: 'flag' }, 'when.range.min: must be a number'],
    [{ when: { range: { min: 3, max: 2 } }, action: 'flag' }, 'when.range.min: is greater than max'],
    [{ when: { rate: {} }, action: 'flag' }, 'when.rate.maxPerMinute: is missing'],
    [{ when: { rate: { maxPerMinute: 0 } }, action: 'flag' }, 'when.rate.maxPerMinute: must be a number above 0'],
    [{ when: { flatline: { seconds: 9, tolerence: 1 } }, action: 'flag' }, 'when.flatline.tolerence: there is no such member'],
    [{ when: { range: { min: 3 } } }, 'action: must be "discard"'],
    [{ when: { rate: { maxPerMinute: 1 } }, action: { replace: 'clamp' } }, 'action.replace: "clamp" needs when.range'],
    [{ when: { missing: { seconds: 9 } }, action: 'flag' }, 'select.attribute: must say which'],
    [{ when: { missing: { seconds: 9 } }, action: 'discard', select: { attribute: 'a' } }, 'action: a value that is missing'],
    [{ select: { types: 'x' }, when: { range: { min: 1 } }, action: 'flag' }, 'select.types: there is no such member'],
    [{ when: { outlier: { count: 5000 } }, action: 'flag' }, 'when.outlier.count: must be a number from 3 up to 200'],
    [{ when: { range: { min: 1 } }, action: 'flag', enabled: 'yes' }, 'enabled: must be true or false'],
  ])('%j', (body, message) => {
    expect(() => readRule('r', body as JsonValue)).toThrow(message);
  });
});

it('patterns of device ids: "*" is any characters, everything else is itself', () => {
  expect(['kit-1', 'kit-', 'kit', 'akit-1'].filter((id) => fits('kit-*', id))).toEqual(['kit-1', 'kit-']);
  expect(['a-b-c', 'a-c', 'ab'].filter((id) => fits('a*-c', id))).toEqual(['a-b-c', 'a-c']);
  expect([fits('*', ''), fits('a.c', 'abc'), fits('ab*ba', 'aba')]).toEqual([true, false, false]);
});
