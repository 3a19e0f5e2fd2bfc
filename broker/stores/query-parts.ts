import type { Iri } from '../domain/iri.ts';
import type { EntityQuery, TypeSelection } from '../domain/query/query.ts';

/** True if the query has no parts but these. Which datasets it looks at does not select entities. */
export function hasOnly(query: EntityQuery, ...parts: readonly (keyof EntityQuery)[]): boolean {
  for (const part in query) {
    const name = part as keyof EntityQuery;
    if (name !== 'datasetIds' && query[name] !== undefined && !parts.includes(name)) return false;
  }
  return true;
}

/** Types of which every match has at least one. */
export function necessaryTypes(selection: TypeSelection): readonly Iri[] {
  switch (selection.kind) {
    case 'type':
      return [selection.type];
    case 'any':
      return [...new Set(selection.of.flatMap(necessaryTypes))];
    case 'all':
      // One of its parts is enough to find all matches.
      return selection.of[0] === undefined ? [] : necessaryTypes(selection.of[0]);
  }
}
