import { type AttributeInstance, instanceValue } from './attribute.ts';
import type { AggregatedAttribute, AggregatedValue, Aggregation, AggregationMethod } from './history.ts';
import type { JsonValue } from './json.ts';
import { bucketOf, isWhole, justAfter, type Span } from './period.ts';
import { isCalendarDate, parseTimeOfDay } from './query/compare.ts';
import { compareInstants, fromMicros, type Instant, type Micros, parseInstant } from './time.ts';

/** One data point: an instance, and the moment that the temporal property of the query gives it. */
export interface DataPoint {
  readonly at: Micros;
  readonly instance: AttributeInstance;
}

/**
 * Aggregates the data points of one attribute and datasetId (4.5.19.1). Buckets without a point are left out, and so are methods that the
 * tables of the clause do not define for the values at hand. An instance that says "deleted here" is no data point.
 * @param points in ascending order of time, at least one
 * @param range  the range of the temporal query, as far as it is bounded: buckets start at its lower bound, else at the first point; a period of
 *               zero is one bucket over all of it
 */
export function aggregatePoints(
  points: readonly DataPoint[],
  range: { readonly from?: Micros; readonly to?: Micros },
  aggregation: Aggregation,
): AggregatedAttribute | undefined {
  const data = points.filter((point) => point.instance.deletedAt === undefined);
  const first = data[0];
  const last = data.at(-1);
  if (first === undefined || last === undefined) return undefined;
  const buckets: { readonly span: Span; readonly values: JsonValue[] }[] = [];
  const origin = range.from ?? first.at;
  const whole: Span = { from: origin, to: range.to ?? justAfter(last.at) };
  for (const { at, instance } of data) {
    let bucket = buckets.at(-1);
    if (bucket === undefined || at >= bucket.span.to) {
      const span = isWhole(aggregation.period) ? whole : bucketOf(at, origin, aggregation.period);
      bucket = { span, values: [] };
      buckets.push(bucket);
    }
    bucket.values.push(instanceValue(instance));
  }
  const link = first.instance.type === 'Relationship' || first.instance.type === 'ListRelationship';
  const values: Partial<Record<AggregationMethod, readonly AggregatedValue[]>> = {};
  for (const method of aggregation.methods) {
    const results = buckets.flatMap(({ span, values: inBucket }) => {
      const value = aggregateValues(method, inBucket, link);
      return value === undefined ? [] : [{ value, from: fromMicros(span.from), to: fromMicros(span.to) }];
    });
    values[method] = results;
  }
  const { type, datasetId } = first.instance;
  return datasetId === undefined ? { type, values } : { type, datasetId, values };
}

/**
 * One method over the values of one bucket (Tables 4.5.19.1-1 to -3). Values for which the method is not defined are passed over.
 * `stddev` is that of the whole population.
 * @param link the values are objects of Relationships: only counting is defined
 * @returns undefined if the method is defined for none of the values
 */
export function aggregateValues(method: AggregationMethod, values: readonly JsonValue[], link = false): JsonValue | undefined {
  if (method === 'totalCount') return values.length;
  if (method === 'distinctCount') return new Set(values.map(canonical)).size;
  if (link) return undefined;
  if (method === 'min' || method === 'max') return extreme(method, values);
  const numbers = values.flatMap((value) => numeric(value, method === 'avg' || method === 'sum'));
  if (numbers.length === 0) return method === 'avg' ? averageTime(values) : undefined;
  const sum = numbers.reduce((total, number) => total + number, 0);
  switch (method) {
    case 'sum':
      return sum;
    case 'avg':
      return sum / numbers.length;
    case 'sumsq':
      return numbers.reduce((total, number) => total + number * number, 0);
    case 'stddev': {
      const mean = sum / numbers.length;
      return Math.sqrt(numbers.reduce((total, number) => total + (number - mean) ** 2, 0) / numbers.length);
    }
  }
}

/** Numbers as they are, true as 1 and false as 0, and, where the tables say so, an array as its size. */
function numeric(value: JsonValue, countArrays: boolean): number[] {
  if (typeof value === 'number') return [value];
  if (typeof value === 'bigint') return [Number(value)];
  if (typeof value === 'boolean') return [value ? 1 : 0];
  return countArrays && Array.isArray(value) ? [value.length] : [];
}

function extreme(method: 'min' | 'max', values: readonly JsonValue[]): JsonValue | undefined {
  const numbers = values.flatMap((value) => numeric(value, true));
  if (numbers.length > 0) return numbers.reduce((a, b) => (method === 'min' ? Math.min(a, b) : Math.max(a, b)));
  const texts = values.filter((value): value is string => typeof value === 'string');
  const [first, ...rest] = texts;
  if (first === undefined) return undefined;
  const wins = (order: number): boolean => (method === 'min' ? order < 0 : order > 0);
  return rest.reduce((best, text) => (wins(compareText(text, best)) ? text : best), first);
}

/** Moments by time, everything else, dates and times of day included, in lexicographical order. */
function compareText(a: string, b: string): number {
  const left = parseInstant(a);
  const right = left === undefined ? undefined : parseInstant(b);
  if (left !== undefined && right !== undefined) return compareInstants(left, right);
  return a === b ? 0 : a < b ? -1 : 1;
}

/** Table 4.5.19.1-2: of all text only times of day have an average. */
function averageTime(values: readonly JsonValue[]): string | undefined {
  const seconds = values.flatMap((value) => {
    const time = typeof value === 'string' && !isCalendarDate(value) ? parseTimeOfDay(value) : undefined;
    return time === undefined ? [] : [time];
  });
  if (seconds.length === 0) return undefined;
  const average = seconds.reduce((total, time) => total + time, 0) / seconds.length;
  return (fromMicros(Math.round(average * 1e6)) satisfies Instant).slice(11);
}

/** Equal text for equal JSON values (json.ts, `jsonEquals`). */
function canonical(value: JsonValue): string {
  return JSON.stringify(value, (_, part) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
