import type { Entity } from '../domain/entity.ts';
import type { Iri } from '../domain/iri.ts';

/** Which types and attributes an entity has: the few combinations that occur tell discovery and counts what there is. */
export interface Shape {
  readonly types: readonly Iri[];
  readonly attributes: readonly { readonly name: Iri; readonly kinds: readonly string[] }[];
}

/** Types, then attributes with the kinds that their instances have. Neither IRIs nor kinds contain a space or a line break. */
export function shapeOf(entity: Entity): string {
  const attributes: string[] = [];
  for (const name in entity.attributes) {
    const instances = entity.attributes[name as Iri] ?? [];
    const kinds =
      instances.length === 1 ? instances[0]?.type : [...new Set(instances.map(({ type }) => type))].sort().join(',');
    attributes.push(`${name} ${kinds}`);
  }
  return `${[...entity.types].sort().join(' ')}\n${attributes.sort().join('\n')}`;
}

/** Reads what {@link shapeOf} wrote. */
export function parseShape(text: string): Shape {
  const [types, ...lines] = text.split('\n');
  const attributes = lines
    .filter((line) => line !== '')
    .map((line) => {
      const [name, kinds] = line.split(' ') as [Iri, string];
      return { name, kinds: kinds.split(',') };
    });
  return { types: (types as string).split(' ') as Iri[], attributes };
}
