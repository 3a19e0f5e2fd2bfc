import type { Iri } from '../domain/iri.ts';
import type { TypeCount } from '../ports/entity-store.ts';
import type { Shape } from './shape.ts';

/** Discovery (5.7.5 to 5.7.10) from the shapes that occur. */
export function countedTypes(shapes: Iterable<readonly [Shape, number]>): readonly TypeCount[] {
  const types = new Map<Iri, { entities: number; attributes: Map<Iri, { kinds: Set<string>; entities: number }> }>();
  for (const [shape, entities] of shapes) {
    for (const type of shape.types) {
      const of = types.get(type) ?? { entities: 0, attributes: new Map() };
      types.set(type, of);
      of.entities += entities;
      for (const { name, kinds } of shape.attributes) {
        const attribute = of.attributes.get(name) ?? { kinds: new Set(), entities: 0 };
        of.attributes.set(name, attribute);
        for (const kind of kinds) attribute.kinds.add(kind);
        attribute.entities += entities;
      }
    }
  }
  const byName = ([a]: [Iri, unknown], [b]: [Iri, unknown]): number => (a < b ? -1 : 1);
  return [...types].sort(byName).map(([type, { entities, attributes }]) => ({
    type,
    entities,
    attributes: [...attributes]
      .sort(byName)
      .map(([name, of]) => ({ name, kinds: [...of.kinds].sort(), entities: of.entities })),
  }));
}
