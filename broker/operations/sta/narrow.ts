import type { CompareOperator, Expression } from '../../domain/sta/filter/expression.ts';
import { asSpan } from '../../domain/sta/filter/value.ts';
import type { NumberBound } from '../../ports/series-store.ts';
import type { Bounds } from './collections.ts';

const FLIPPED: Record<CompareOperator, CompareOperator> = { eq: 'eq', ne: 'ne', gt: 'lt', ge: 'le', lt: 'gt', le: 'ge' };

const SIGNS: Record<Exclude<CompareOperator, 'ne'>, NumberBound['operator']> = {
  eq: '=',
  gt: '>',
  ge: '>=',
  lt: '<',
  le: '<=',
};

/** Conditions all of which must hold. */
export function conjuncts(filter: Expression | undefined): readonly Expression[] {
  if (filter === undefined) return [];
  return filter.kind === 'and' ? filter.of.flatMap(conjuncts) : [filter];
}

/** What a condition compares a single-step or linked path with: `["Datastream", "id"] eq 7`. */
export function comparison(expression: Expression) {
  if (expression.kind !== 'compare') return undefined;
  const { left, right, operator } = expression;
  const [path, literal, seen] =
    left.kind === 'path' ? [left, right, operator] : right.kind === 'path' ? [right, left, FLIPPED[operator]] : [];
  if (path?.kind !== 'path' || literal?.kind !== 'literal' || seen === undefined) return undefined;
  if (path.steps.some(({ indexes }) => indexes.length > 0)) return undefined;
  return { path: path.steps.map(({ name }) => name), operator: seen, value: literal.value };
}

/**
 * Bounds of phenomenonTime that every match of a filter lies in, and of results that are numbers: so a series is read from an index. An interval counts by its start, which all of these
 * comparisons bound as well.
 */
export function narrowed(filter: Expression | undefined): Bounds {
  let from: number | undefined;
  let to: number | undefined;
  const numbers: NumberBound[] = [];
  for (const condition of conjuncts(filter)) {
    const found = comparison(condition);
    if (found === undefined || found.path.length !== 1) continue;
    if (found.path[0] === 'result' && typeof found.value === 'number' && found.operator !== 'ne') {
      numbers.push({ operator: SIGNS[found.operator], value: found.value });
    }
    if (found.path[0] !== 'phenomenonTime') continue;
    const span = asSpan(found.value);
    if (span === undefined) continue;
    const { operator } = found;
    if (operator === 'ge' || operator === 'gt' || operator === 'eq') from = Math.max(from ?? span.from, span.from);
    if (operator === 'le' || operator === 'lt' || operator === 'eq') {
      const end = operator === 'eq' ? span.from : (span.to ?? span.from);
      to = Math.min(to ?? end, end);
    }
  }
  return {
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(numbers.length === 0 ? {} : { numbers }),
  };
}

/** The id that a filter on Observations fixes: that of the Observation, or of its Datastream. */
export function fixedIds(filter: Expression | undefined): { readonly id?: number; readonly datastream?: number } {
  const fixed: { id?: number; datastream?: number } = {};
  for (const condition of conjuncts(filter)) {
    const found = comparison(condition);
    if (found?.operator !== 'eq') continue;
    const id = Number(found.value);
    if (!Number.isSafeInteger(id) || typeof found.value === 'boolean' || found.value === null) continue;
    const [first, second, ...more] = found.path;
    const isId = (name: string | undefined) => name === 'id' || name === '@iot.id';
    if (isId(first) && second === undefined) fixed.id = id;
    if (first === 'Datastream' && (second === undefined || isId(second)) && more.length === 0) fixed.datastream = id;
  }
  return fixed;
}
