import type { AttributeInstance } from '../../domain/attribute.ts';
import type { HistorySelection, TemporalFilter } from '../../domain/history.ts';
import type { Micros } from '../../domain/time.ts';
import { spanOf } from './instances.ts';

/** How long an entity had its scopes, and the instance that says so. */
export interface ScopeSpan {
  readonly from: Micros;
  readonly to: Micros;
  readonly scopes: readonly string[];
  readonly instance?: AttributeInstance;
}

/** The part of what a filter means that lies in the spans, if they are taken as one. */
export function narrowed(filter: TemporalFilter, during: readonly ScopeSpan[]): TemporalFilter {
  const { from, to } = spanOf(filter);
  const at = Math.max(from, Math.min(...during.map((span) => span.from)));
  const end = Math.min(to, Math.max(...during.map((span) => span.to)));
  return { property: filter.property, time: { relation: 'between', at, end } };
}

/** The span of time that is covered completely (6.3.10): from where was asked to where the first attribute was cut. */
export function cutOf({ filter, lastN }: HistorySelection, oldest: number, newest: number): { from: number; to: number } {
  const { time } = filter;
  if (lastN === undefined) return { from: time && time.relation !== 'before' ? time.at : oldest, to: newest };
  return { from: oldest, to: time?.relation === 'between' ? time.end : time?.relation === 'before' ? time.at : newest };
}
