import { badRequest } from '../errors.ts';
import type { Iri } from '../iri.ts';
import { linkDepth } from './parse/path.ts';
import { isSystemMember } from './path.ts';
import type { AttributePath, Condition, EntityQuery } from './query.ts';

/**
 * 5.7.2.4 and 5.7.4.4: a query must select by type, by an attribute that is no system member, by q on such an attribute, or by place. Ids, patterns of
 * ids and scopes alone are too wide, unless the operation looks at local entities only.
 * @throws DomainError BadRequestData
 */
export function refuseTooWide(query: EntityQuery, local: boolean): void {
  if (local || selects(query)) return;
  throw badRequest(
    'The query is too wide: it needs one of type, attrs, q or georel, and one that does not only name system attributes, or local=true',
  );
}

function selects(query: EntityQuery): boolean {
  if (query.types !== undefined) return true;
  if (query.anyAttribute?.some((name) => !isSystemMember(name)) === true) return true;
  if (query.where !== undefined && namesAttribute(query.where)) return true;
  return query.anyOf?.every((selector) => selector.types !== undefined) === true;
}

function namesAttribute(condition: Condition): boolean {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.of.some(namesAttribute);
    case 'not':
      return namesAttribute(condition.of);
    case 'geo':
      return true;
    default:
      return !isSystemMember(condition.path.names[0] as Iri);
  }
}

/**
 * 5.7.2.4: paths may lead to linked entities only as deep as the request joins them.
 * @param depth how many Relationships the request follows; 0 if it joins nothing
 * @throws DomainError BadRequestData
 */
export function refuseTooDeep(condition: Condition | undefined, depth: number): void {
  if (condition === undefined) return;
  const deepest = Math.max(0, ...pathsOf(condition).map(linkDepth));
  if (deepest > depth) {
    throw badRequest(
      depth === 0
        ? 'The query goes to linked entities, which needs the parameter join'
        : `The query goes to linked entities over ${deepest} relationships, but joinLevel is ${depth}`,
    );
  }
}

/** Every attribute path of a condition. */
export function pathsOf(condition: Condition): readonly AttributePath[] {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.of.flatMap(pathsOf);
    case 'not':
      return pathsOf(condition.of);
    case 'geo':
      return [];
    default:
      return [condition.path];
  }
}
