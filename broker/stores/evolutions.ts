import type { AttributeInstance } from '../domain/attribute.ts';
import { cutOf } from '../domain/evolution.ts';
import type { HistorySelection, TemporalEvolution, TemporalFilter } from '../domain/history.ts';
import type { Iri } from '../domain/iri.ts';
import type { Condition, EntityQuery } from '../domain/query/query.ts';
import { type Instant, type Micros, toMicros } from '../domain/time.ts';
import { narrowed, type ScopeSpan, spanOf } from './spans.ts';
import { SCOPE } from './tombstone.ts';

/** An instance and its time by the property that was asked for. */
export interface TimedInstance {
  readonly time: Micros;
  /** Of two instances of one moment the larger is the newer. */
  readonly seq: number;
  readonly instance: AttributeInstance;
}

/** What must be read of each attribute for {@link assembled}. */
export interface Reading {
  readonly filter: TemporalFilter;
  readonly limit: number;
  readonly newest: boolean;
}

/** @param during spans that instances must lie in as well (C.5.16) */
export function readingOf(selection: HistorySelection, during?: readonly ScopeSpan[]): Reading {
  const { limitPerAttribute, lastN, filter } = selection;
  const wanted = Math.min(lastN ?? Number.POSITIVE_INFINITY, limitPerAttribute);
  return {
    filter: during ? narrowed(filter, during) : filter,
    limit: mayCut(selection) ? wanted + 1 : wanted,
    newest: lastN !== undefined,
  };
}

/** One more than is wanted is read then, to know whether there is more. */
const mayCut = ({ lastN, limitPerAttribute }: HistorySelection): boolean => lastN === undefined || lastN > limitPerAttribute;

/** The attributes of an evolution, cut where the first of them reaches its limit (6.3.10). @param read of each attribute, ascending, as {@link readingOf} says */
export function assembled(
  selection: HistorySelection,
  read: readonly (readonly [Iri, TimedInstance[]])[],
  during?: readonly ScopeSpan[],
): Pick<TemporalEvolution, 'attributes' | 'cut'> {
  const { limitPerAttribute, lastN } = selection;
  const backwards = lastN !== undefined;
  const wanted = Math.min(lastN ?? Number.POSITIVE_INFINITY, limitPerAttribute);
  // Where the answer must end for all attributes, because one of them was cut there.
  let edge: number | undefined;
  for (const [, instances] of read) {
    if (instances.length <= wanted) continue;
    if (backwards) instances.shift();
    else instances.pop();
    const last = (backwards ? instances[0] : instances.at(-1))?.time;
    if (last !== undefined) edge = edge === undefined ? last : backwards ? Math.max(edge, last) : Math.min(edge, last);
  }
  const attributes: Record<Iri, readonly AttributeInstance[]> = {};
  let oldest = Number.POSITIVE_INFINITY;
  let newest = Number.NEGATIVE_INFINITY;
  for (const [name, instances] of read) {
    if (instances.length === 0) continue;
    const bound = edge;
    const kept = bound === undefined ? instances : instances.filter(({ time }) => (backwards ? time >= bound : time <= bound));
    if (kept.length === 0) {
      // It has instances, though not before the cut (6.3.10): it is there, and empty.
      attributes[name] = [];
      continue;
    }
    oldest = Math.min(oldest, (kept[0] as TimedInstance).time);
    newest = Math.max(newest, (kept.at(-1) as TimedInstance).time);
    const seen = during ? kept.filter(({ time }) => during.some(({ from, to }) => time >= from && time < to)) : kept;
    if (seen.length > 0) attributes[name] = seen.map(({ instance }) => instance);
  }
  if (during && selection.attributes?.includes(SCOPE) !== false) {
    attributes[SCOPE] = during.flatMap(({ instance }) => (instance ? [instance] : []));
  }
  return { attributes, ...(edge === undefined ? {} : { cut: cutOf(selection, oldest, newest) }) };
}

/**
 * 4.18, C.5.16: the scopes that an entity had in a span, one after the other; a scope holds until it is replaced.
 * @param told the instances of its scope, ascending
 */
export function scopesDuring(
  told: readonly TimedInstance[],
  known: { readonly scopes?: readonly string[]; readonly createdAt: string },
  filter: TemporalFilter,
): ScopeSpan[] {
  const span = spanOf(filter);
  if (told.length === 0) return [{ ...span, scopes: known.scopes ?? [] }];
  // What an entity is created with is true of all that is known of it, also of what was observed before.
  const created = toMicros(known.createdAt as Instant);
  return told
    .map(({ time, instance }, at) => ({
      from: at === 0 && time === created ? Number.NEGATIVE_INFINITY : time,
      to: told[at + 1]?.time ?? Number.POSITIVE_INFINITY,
      scopes: instance.type === 'Property' ? ([instance.value].flat() as readonly string[]) : [],
      instance,
    }))
    .filter(({ from, to }) => from < span.to && to > span.from);
}

/** Attributes of which a temporal query must look at instances. */
export function testedAttributes({ where, anyAttribute }: EntityQuery): ReadonlySet<Iri> {
  return new Set<Iri>([...(where ? attributesOf(where) : []), ...(anyAttribute ?? [])]);
}

/** Attributes that a condition looks at, at the start of its paths. */
function attributesOf(condition: Condition): Iri[] {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.of.flatMap(attributesOf);
    case 'not':
      return attributesOf(condition.of);
    case 'geo':
      return [condition.property];
    case 'exists':
    case 'compare':
      return condition.path.names.slice(0, 1);
  }
}
