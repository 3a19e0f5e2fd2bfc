import type { Iri } from '../iri.ts';
import type { TypeSelection } from './query.ts';

/** 4.17: is the selection true of an entity with these types? */
export function typesMatch(selection: TypeSelection, types: readonly Iri[]): boolean {
  switch (selection.kind) {
    case 'type':
      return types.includes(selection.type);
    case 'any':
      return selection.of.some((one) => typesMatch(one, types));
    case 'all':
      return selection.of.every((one) => typesMatch(one, types));
  }
}

/** Every type that the selection names, once each: an entity that matches has at least one of them. */
export function typesNamed(selection: TypeSelection): readonly Iri[] {
  const names = new Set<Iri>();
  const visit = (one: TypeSelection): void => {
    if (one.kind === 'type') names.add(one.type);
    else one.of.forEach(visit);
  };
  visit(selection);
  return [...names];
}
