import { type AttributeInstance, linkTargets } from '../attribute.ts';
import type { Entity } from '../entity.ts';
import type { Iri } from '../iri.ts';
import type { AttributePath, Condition } from './query.ts';

/** The paths of a condition that continue at linked entities (4.9). Asked for every change, so the answer is remembered. */
export function linkedPaths(condition: Condition): readonly AttributePath[] {
  let found = known.get(condition);
  if (found === undefined) {
    found = collect(condition);
    known.set(condition, found);
  }
  return found;
}

const known = new WeakMap<Condition, readonly AttributePath[]>();

function collect(condition: Condition): readonly AttributePath[] {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.of.flatMap(collect);
    case 'not':
      return collect(condition.of);
    case 'geo':
      return [];
    default:
      return condition.path.linked === undefined ? [] : [condition.path];
  }
}

/** The ids that the names of a path lead to, from some entities. */
export function linksAlong({ names }: AttributePath, from: readonly Entity[]): readonly Iri[] {
  let holders: readonly (Entity | AttributeInstance)[] = from;
  for (const name of names) holders = holders.flatMap((holder) => holder.attributes?.[name] ?? []);
  return holders.flatMap((holder) => linkTargets(holder as AttributeInstance));
}
