import type { AttributeInstance } from './attribute.ts';
import type { Iri } from './iri.ts';
import type { JsonValue } from './json.ts';
import type { Instant, Micros } from './time.ts';

/** The temporal property that a temporal query looks at (4.8, 4.11). */
export type TimeProperty = 'observedAt' | 'createdAt' | 'modifiedAt' | 'deletedAt';

/** 4.11: `before` excludes its bound, `after` includes it, `between` includes the lower and excludes the upper. */
export type TimeRelation =
  | { readonly relation: 'before'; readonly at: Micros }
  | { readonly relation: 'after'; readonly at: Micros }
  | { readonly relation: 'between'; readonly at: Micros; readonly end: Micros };

export interface TemporalFilter {
  readonly property: TimeProperty;
  /** Absent: all of time; instances without the property still do not match. */
  readonly time?: TimeRelation;
}

/** Which part of an entity's temporal evolution is asked for. */
export interface HistorySelection {
  /** Absent: every attribute. */
  readonly attributes?: readonly Iri[];
  readonly datasetIds?: readonly (Iri | '@none')[];
  readonly filter: TemporalFilter;
  /** The newest N instances of each attribute instead of the oldest first. */
  readonly lastN?: number;
  /** At most this many instances of each attribute; what was cut is said in {@link TemporalEvolution.cut} (6.3.10). */
  readonly limitPerAttribute: number;
}

/** An entity over time (5.2.20), expanded. Instances of a name are in ascending order of the selection's time property. */
export interface TemporalEvolution {
  readonly id: Iri;
  readonly types: readonly Iri[];
  readonly scopes?: readonly string[];
  readonly createdAt: Instant;
  readonly modifiedAt: Instant;
  readonly deletedAt?: Instant;
  readonly attributes: Readonly<Record<Iri, readonly AttributeInstance[]>>;
  /** If several brokers took part: the registrations whose sources have something of it; "@none" stands for this broker (5.2.39). */
  heldBy?(): readonly string[];
  /** Present if `limitPerAttribute` cut something: the span of time that the answer covers completely. */
  readonly cut?: { readonly from: Micros; readonly to: Micros };
}

/** 4.5.19.1; `median`, `first`, `last` are ours (docs/conformance.md). */
export const AGGREGATION_METHODS = ['totalCount', 'distinctCount', 'sum', 'avg', 'min', 'max', 'stddev', 'sumsq'] as const;
export type AggregationMethod = (typeof AGGREGATION_METHODS)[number];

/** A duration of ISO 8601: months do not have a fixed length, so they are kept apart. Both zero: one bucket for all of it (4.5.19.1). */
export interface Period {
  readonly months: number;
  readonly micros: Micros;
}

export interface Aggregation {
  readonly methods: readonly AggregationMethod[];
  readonly period: Period;
}

/** One value of one method in one bucket of time; `from` included, `to` excluded. */
export interface AggregatedValue {
  readonly value: JsonValue;
  readonly from: Instant;
  readonly to: Instant;
}

/** 4.5.19: per attribute (and datasetId) and method, the buckets that hold anything, in order of time. */
export interface AggregatedEvolution {
  readonly id: Iri;
  readonly types: readonly Iri[];
  readonly scopes?: readonly string[];
  /** As in {@link TemporalEvolution}. */
  heldBy?(): readonly string[];
  readonly attributes: Readonly<Record<Iri, readonly AggregatedAttribute[]>>;
}

export interface AggregatedAttribute {
  readonly type: AttributeInstance['type'];
  readonly datasetId?: Iri;
  readonly values: Readonly<Partial<Record<AggregationMethod, readonly AggregatedValue[]>>>;
}
