import type { Entity } from '../entity.ts';
import type { Geometry } from '../geometry.ts';
import { isObject } from '../json.ts';
import { compileComparison, type ValueTest } from './compare.ts';
import { compileGeo } from './geo.ts';
import { compilePath, type Follow, innermost } from './path.ts';
import { compilePattern } from './pattern.ts';
import type { Condition, EntityQuery, GeoCondition } from './query.ts';
import { scopesMatch } from './scope.ts';
import { typesMatch } from './types.ts';

/** Is a query true of this entity? */
export type Predicate = (entity: Entity) => boolean;

/**
 * What a query means, made once and asked of many entities. All parts of the query must hold; a query without parts holds for everything.
 * @param follow finds the entities that linked paths lead to; without it such a path leads nowhere
 * @throws DomainError BadRequestData if a pattern of the query is not a regular expression
 */
export function compile(query: EntityQuery, follow?: Follow): Predicate {
  const tests: Predicate[] = [];
  if (query.ids !== undefined) {
    const ids = new Set<string>(query.ids);
    tests.push((entity) => ids.has(entity.id));
  }
  const { types, scopes, anyAttribute, idPattern, where } = query;
  if (types?.kind === 'type') {
    const type = types.type;
    tests.push((entity) => entity.types.includes(type));
  } else if (types !== undefined) tests.push((entity) => typesMatch(types, entity.types));
  if (idPattern !== undefined) {
    const pattern = compilePattern(idPattern);
    tests.push((entity) => pattern(entity.id));
  }
  if (query.anyOf !== undefined) tests.push(anyOf(query.anyOf.map((selector) => compile(selector))));
  if (scopes !== undefined) tests.push((entity) => scopesMatch(scopes, entity.scopes));
  if (anyAttribute !== undefined) {
    tests.push((entity) => anyAttribute.some((name) => entity.attributes[name] !== undefined));
  }
  if (where !== undefined) {
    const datasets = query.datasetIds === undefined ? undefined : new Set<string>(query.datasetIds);
    tests.push(compileCondition(where, datasets, follow));
  }
  return allOf(tests);
}

/** {@link compile} for a single use. */
export function matches(query: EntityQuery, entity: Entity, follow?: Follow): boolean {
  return compile(query, follow)(entity);
}

/** A condition alone, for those that select by id, type and scope through an index of their own. */
export function compileCondition(
  condition: Condition,
  datasets?: ReadonlySet<string> | undefined,
  follow?: Follow | undefined,
): Predicate {
  switch (condition.kind) {
    case 'and':
      return allOf(condition.of.map((one) => compileCondition(one, datasets, follow)));
    case 'or':
      return anyOf(condition.of.map((one) => compileCondition(one, datasets, follow)));
    case 'not': {
      const test = compileCondition(condition.of, datasets, follow);
      return (entity) => !test(entity);
    }
    case 'exists': {
      const path = compilePath(condition.path, datasets, follow);
      return (entity) => path(entity, isThere);
    }
    case 'compare': {
      const path = compilePath(condition.path, datasets, follow);
      const test = compileComparison(condition.operator, condition.value, innermost(condition.path).expanded);
      return (entity) => path(entity, test);
    }
    case 'geo':
      return compileGeoCondition(condition, datasets);
  }
}

const isThere: ValueTest = () => true;

function compileGeoCondition(condition: GeoCondition, datasets: ReadonlySet<string> | undefined): Predicate {
  const test = compileGeo(condition);
  const name = condition.property;
  return (entity) => {
    const instances = entity.attributes[name];
    if (instances === undefined) return false;
    for (const instance of instances) {
      if (datasets !== undefined && !datasets.has(instance.datasetId ?? '@none')) continue;
      if (instance.type === 'GeoProperty' && isObject(instance.value) && test(instance.value as unknown as Geometry))
        return true;
    }
    return false;
  };
}

function allOf(tests: readonly Predicate[]): Predicate {
  const [first, second] = tests;
  if (first === undefined) return () => true;
  if (second === undefined) return first;
  if (tests.length === 2) return (entity) => first(entity) && second(entity);
  return (entity) => tests.every((test) => test(entity));
}

function anyOf(tests: readonly Predicate[]): Predicate {
  const [first, second] = tests;
  if (first === undefined) return () => false;
  if (second === undefined) return first;
  if (tests.length === 2) return (entity) => first(entity) || second(entity);
  return (entity) => tests.some((test) => test(entity));
}
