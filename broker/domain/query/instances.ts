import type { AttributeInstance } from '../attribute.ts';
import type { Entity } from '../entity.ts';
import type { Iri } from '../iri.ts';
import { compileCondition } from './evaluate.ts';
import type { Condition } from './query.ts';

export type InstanceTest = (instance: AttributeInstance) => boolean;

/**
 * 5.7.4.4: an answer about time holds only instances "which meet the temporal, query and geoquery restrictions". What a condition asks of each instance of an
 * attribute by itself: all that must hold (`;`) and that looks at no other attribute. Of alternatives between attributes nothing can be asked of one alone.
 */
export function instanceTests(where: Condition | undefined): ReadonlyMap<Iri, InstanceTest> {
  const tests = new Map<Iri, InstanceTest>();
  for (const [name, condition] of where === undefined ? [] : requirements(where)) {
    const test = compileCondition(condition);
    const before = tests.get(name);
    tests.set(name, (instance) => before?.(instance) !== false && test(alone(name, instance)));
  }
  return tests;
}

function requirements(where: Condition): readonly (readonly [Iri, Condition])[] {
  if (where.kind === 'and') return where.of.flatMap(requirements);
  if (where.kind === 'exists') return [];
  const names = new Set(namesOf(where));
  const [only] = names;
  return names.size === 1 && only !== undefined ? [[only, where]] : [];
}

function namesOf(where: Condition): readonly Iri[] {
  switch (where.kind) {
    case 'and':
    case 'or':
      return where.of.flatMap(namesOf);
    case 'not':
      return namesOf(where.of);
    case 'geo':
      return [where.property];
    default:
      return where.path.names.slice(0, 1);
  }
}

/** Only its attribute is looked at. */
const alone = (name: Iri, instance: AttributeInstance): Entity =>
  ({ types: [], attributes: { [name]: [instance] } }) as unknown as Entity;
