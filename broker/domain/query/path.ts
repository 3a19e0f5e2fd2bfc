import { type AttributeInstance, type Attributes, instanceValue, linkTargets } from '../attribute.ts';
import type { Entity } from '../entity.ts';
import type { Iri } from '../iri.ts';
import { isObject, type JsonValue } from '../json.ts';
import type { TargetKind, ValueTest } from './compare.ts';
import type { AttributePath } from './query.ts';

/** The entity with this id, if the caller may see it: what a linked path (4.9 EXAMPLE 13) continues at. */
export type Follow = (id: Iri) => Entity | undefined;

/** True if at least one target element of the path passes the test. Without a target the answer is false, whatever the test. */
export type PathTest = (entity: Entity, test: ValueTest) => boolean;

const NGSI_LD = 'https://uri.etsi.org/ngsi-ld/';

/** Members of entities and attribute instances that a path may end with, by the IRI that the core @context gives them. */
const SYSTEM_MEMBERS: ReadonlyMap<string, { readonly member: string; readonly kind: TargetKind }> = new Map([
  [`${NGSI_LD}createdAt`, { member: 'createdAt', kind: 'moment' }],
  [`${NGSI_LD}modifiedAt`, { member: 'modifiedAt', kind: 'moment' }],
  [`${NGSI_LD}observedAt`, { member: 'observedAt', kind: 'moment' }],
  [`${NGSI_LD}expiresAt`, { member: 'expiresAt', kind: 'moment' }],
  [`${NGSI_LD}deletedAt`, { member: 'deletedAt', kind: 'moment' }],
  [`${NGSI_LD}unitCode`, { member: 'unitCode', kind: 'text' }],
  [`${NGSI_LD}datasetId`, { member: 'datasetId', kind: 'uri' }],
  [`${NGSI_LD}instanceId`, { member: 'instanceId', kind: 'uri' }],
  [`${NGSI_LD}hasObjectType`, { member: 'objectType', kind: 'uri' }],
  [`${NGSI_LD}hasValueType`, { member: 'valueType', kind: 'uri' }],
]);

/** True if the name is a member that the broker or the specification defines, not an attribute that somebody modelled. */
export function isSystemMember(name: Iri): boolean {
  return SYSTEM_MEMBERS.has(name);
}

/** @param datasets the datasetIds of top-level instances to consider; undefined: all of them */
export function compilePath(
  path: AttributePath,
  datasets: ReadonlySet<string> | undefined,
  follow: Follow | undefined,
): PathTest {
  const [first, ...rest] = path.names;
  if (first === undefined) return () => false;
  const end = path.linked === undefined ? compileEnd(path.inside) : compileLink(path.linked, follow);
  const system = rest.length === 0 && path.linked === undefined ? SYSTEM_MEMBERS.get(first) : undefined;
  return (entity, test) => {
    const instances = entity.attributes[first];
    if (instances === undefined) {
      return system !== undefined && testMember(entity, system, test);
    }
    for (const instance of instances) {
      if (datasets !== undefined && !datasets.has(instance.datasetId ?? '@none')) continue;
      if (descend(instance, rest, 0, end, test)) return true;
    }
    return false;
  };
}

/** What happens at the instance that the last name leads to. */
type End = (instance: AttributeInstance, test: ValueTest) => boolean;

function descend(instance: AttributeInstance, names: readonly Iri[], at: number, end: End, test: ValueTest): boolean {
  const name = names[at];
  if (name === undefined) return end(instance, test);
  const below = (instance.attributes as Attributes | undefined)?.[name];
  if (below !== undefined) return below.some((one) => descend(one, names, at + 1, end, test));
  const system = at === names.length - 1 ? SYSTEM_MEMBERS.get(name) : undefined;
  return system !== undefined && testMember(instance, system, test);
}

function testMember(
  holder: Entity | AttributeInstance,
  system: { readonly member: string; readonly kind: TargetKind },
  test: ValueTest,
): boolean {
  const value = (holder as unknown as Record<string, JsonValue | undefined>)[system.member];
  return value !== undefined && test(value, system.kind);
}

function compileEnd(inside: readonly string[] | undefined): End {
  if (inside === undefined || inside.length === 0) {
    return (instance, test) =>
      instance.type === 'LanguageProperty'
        ? test(Object.values(instance.languageMap).flat() as JsonValue, 'LanguageProperty')
        : test(instanceValue(instance), instance.type);
  }
  const language = inside.length === 1 ? inside[0] : undefined;
  return (instance, test) => {
    if (instance.type === 'LanguageProperty') {
      if (language === undefined) return false;
      const text = language === '*' ? Object.values(instance.languageMap).flat() : inLanguage(instance.languageMap, language);
      return text !== undefined && test(text as JsonValue, 'LanguageProperty');
    }
    const value = member(instanceValue(instance), inside);
    return value !== undefined && test(value, instance.type);
  };
}

/** Language tags do not distinguish upper and lower case (RFC 5646, 2.1.1). */
function inLanguage(map: Readonly<Record<string, string | readonly string[]>>, language: string) {
  if (Object.hasOwn(map, language)) return map[language];
  const wanted = language.toLowerCase();
  for (const tag of Object.keys(map)) if (tag.toLowerCase() === wanted) return map[tag];
  return undefined;
}

/** A MemberExpression of ECMA 262 in dot notation, over own members of JSON objects (4.9). */
function member(value: JsonValue, path: readonly string[]): JsonValue | undefined {
  let at: JsonValue | undefined = value;
  for (const name of path) {
    if (!isObject(at) || !Object.hasOwn(at, name)) return undefined;
    at = at[name] as JsonValue;
  }
  return at;
}

function compileLink(linked: NonNullable<AttributePath['linked']>, follow: Follow | undefined): End {
  const next = compilePath(linked.path, undefined, follow);
  const types = linked.types;
  return (instance, test) => {
    if (follow === undefined) return false;
    for (const id of linkTargets(instance)) {
      const entity = follow(id);
      if (entity === undefined) continue;
      if (types !== undefined && !types.some((type) => entity.types.includes(type))) continue;
      if (next(entity, test)) return true;
    }
    return false;
  };
}

/** The path that ends at the value: behind every linked entity. */
export function innermost(path: AttributePath): AttributePath {
  let at = path;
  while (at.linked !== undefined) at = at.linked.path;
  return at;
}
