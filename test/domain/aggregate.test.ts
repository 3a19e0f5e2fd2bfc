import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { aggregatePoints, aggregateValues, type DataPoint } from '../../broker/domain/aggregate.ts';
import type { AttributeInstance } from '../../broker/domain/attribute.ts';
import { addPeriods, bucketOf, parsePeriod } from '../../broker/domain/period.ts';
import { fromMicros, instant, toMicros } from '../../broker/domain/time.ts';

const micros = (text: string) => toMicros(instant(text, 'at'));
const point = (at: string, value: unknown, more: object = {}): DataPoint => ({
  at: micros(at),
  instance: { type: 'Property', value, ...more } as AttributeInstance,
});

describe('4.5.19.1: durations', () => {
  it.each([
    ['PT1H', { months: 0, micros: 3_600_000_000 }],
    ['P1D', { months: 0, micros: 86_400_000_000 }],
    ['P3Y6M4DT12H30M5S', { months: 42, micros: (4 * 86_400 + 12 * 3600 + 30 * 60 + 5) * 1e6 }],
    ['P2W', { months: 0, micros: 14 * 86_400_000_000 }],
    ['PT0.5S', { months: 0, micros: 500_000 }],
    ['PT0S', { months: 0, micros: 0 }],
    ['P0D', { months: 0, micros: 0 }],
  ])('reads %s', (text, expected) => {
    expect(parsePeriod(text)).toEqual(expected);
  });

  it.each(['', 'P', 'PT', 'P1', '1D', 'P1H', 'P1DT', 'P1W2D', 'P-1D', 'PT1.5H', 'P1D ', 5, undefined])('refuses %j', (text) => {
    expect(() => parsePeriod(text)).toThrow(/must be an ISO 8601 duration/);
  });

  it('counts months from the origin, so that short ones do not shift the rest', () => {
    const origin = micros('2026-01-31T10:00:00.000001Z');
    const month = parsePeriod('P1M');
    expect([1, 2, 13].map((times) => fromMicros(addPeriods(origin, month, times)))).toEqual([
      '2026-02-28T10:00:00.000001Z',
      '2026-03-31T10:00:00.000001Z',
      '2027-02-28T10:00:00.000001Z',
    ]);
  });

  it('gives every moment exactly one bucket, which holds it', () => {
    const moment = fc.integer({ min: micros('1990-01-01T00:00:00Z'), max: micros('2090-01-01T00:00:00Z') });
    const period = fc.constantFrom('PT7M', 'PT1H', 'P1D', 'P1M', 'P1Y', 'P1M1DT1S').map((text) => parsePeriod(text));
    fc.assert(
      fc.property(moment, moment, period, (at, origin, length) => {
        const bucket = bucketOf(at, origin, length);
        expect(bucket.from <= at && at < bucket.to).toBe(true);
        expect(bucketOf(bucket.from, origin, length)).toEqual(bucket);
        expect(bucketOf(bucket.to, origin, length).from).toBe(bucket.to);
      }),
    );
  });
});

describe('4.5.19.1: methods', () => {
  it.each([
    ['avg', [1, 2, 6], 3],
    ['sum', [1, true, false], 2],
    ['sumsq', [1, 2, 3], 14],
    ['stddev', [2, 4, 4, 4, 5, 5, 7, 9], 2],
    ['min', [3, 1, 2], 1],
    ['max', ['b', 'a'], 'b'],
    ['max', ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00.5Z'], '2026-01-01T00:00:00.5Z'],
    ['avg', ['08:00:00Z', '10:00:00Z'], '09:00:00Z'],
    ['avg', [[1, 2], []], 1],
    ['max', [[1, 2], []], 2],
    ['sumsq', [[1, 2]], undefined],
    ['avg', ['a'], undefined],
    ['max', [{ a: 1 }], undefined],
    ['distinctCount', [{ a: 1, b: 2 }, { b: 2, a: 1 }, 'x', 'x', 1], 3],
    ['totalCount', [1, 'x', {}], 3],
  ] as const)('%s of %j is %j', (method, values, expected) => {
    expect(aggregateValues(method, values)).toEqual(expected);
  });

  it('only counts Relationships', () => {
    expect(aggregateValues('max', ['urn:a'], true)).toBeUndefined();
    expect(aggregateValues('distinctCount', ['urn:a', 'urn:a'], true)).toBe(1);
  });

  it('puts points into buckets that start at the lower bound, and leaves out deletions and empty buckets', () => {
    const points = [
      point('2026-01-01T00:10:00Z', 1),
      point('2026-01-01T00:59:59.999999Z', 3),
      point('2026-01-01T02:00:00Z', 5),
      point('2026-01-01T02:30:00Z', 'urn:ngsi-ld:null', { deletedAt: '2026-01-01T02:30:00Z' }),
    ];
    const hourly = { methods: ['avg', 'totalCount'] as const, period: parsePeriod('PT1H') };
    expect(aggregatePoints(points, { from: micros('2026-01-01T00:00:00Z') }, hourly)).toEqual({
      type: 'Property',
      values: {
        avg: [
          { value: 2, from: '2026-01-01T00:00:00Z', to: '2026-01-01T01:00:00Z' },
          { value: 5, from: '2026-01-01T02:00:00Z', to: '2026-01-01T03:00:00Z' },
        ],
        totalCount: [
          { value: 2, from: '2026-01-01T00:00:00Z', to: '2026-01-01T01:00:00Z' },
          { value: 1, from: '2026-01-01T02:00:00Z', to: '2026-01-01T03:00:00Z' },
        ],
      },
    });
    const whole = { methods: ['max'] as const, period: parsePeriod('PT0S') };
    const range = { from: micros('2026-01-01T00:00:00Z'), to: micros('2026-01-02T00:00:00Z') };
    expect(aggregatePoints(points, range, whole)?.values.max).toEqual([
      { value: 5, from: '2026-01-01T00:00:00Z', to: '2026-01-02T00:00:00Z' },
    ]);
  });
});
