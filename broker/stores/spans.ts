import type { AttributeInstance } from '../domain/attribute.ts';
import type { TemporalFilter } from '../domain/history.ts';
import type { Micros } from '../domain/time.ts';

const LONG_AGO = -(2 ** 53);
const NEVER = 2 ** 53;

/** The span that a filter means (4.11): `from` included, `to` excluded. */
export function spanOf({ time }: TemporalFilter): { readonly from: Micros; readonly to: Micros } {
  switch (time?.relation) {
    case 'before':
      return { from: LONG_AGO, to: time.at };
    case 'after':
      return { from: time.at, to: NEVER };
    case 'between':
      return { from: time.at, to: time.end };
    default:
      return { from: LONG_AGO, to: NEVER };
  }
}

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
