import type { AttributeInstance } from '../attribute.ts';
import type { EntityFragment } from '../entity.ts';
import { badRequest } from '../errors.ts';
import { type Iri, isIri, NGSILD_NULL } from '../iri.ts';
import { isObject, type JsonValue } from '../json.ts';
import { type Instant, instant } from '../time.ts';
import type { Context } from './context.ts';
import { type ExpandOptions, expandInstance, expandInstances, NOT_AN_ATTRIBUTE } from './expand-attribute.ts';
import { shown } from './expand-value.ts';
import { checkProof } from './proof.ts';

export type { ExpandOptions } from './expand-attribute.ts';

const NGSI_LD = 'https://uri.etsi.org/ngsi-ld/';

/** Members of an entity that are not attributes, by their IRI. System members are ignored when a client sends them (5.2.2). */
const MEMBERS: ReadonlyMap<string, 'id' | 'type' | 'scope' | 'expiresAt' | 'ignored'> = new Map([
  ['@id', 'id'],
  ['@type', 'type'],
  [`${NGSI_LD}scope`, 'scope'],
  [`${NGSI_LD}expiresAt`, 'expiresAt'],
  [`${NGSI_LD}createdAt`, 'ignored'],
  [`${NGSI_LD}modifiedAt`, 'ignored'],
  [`${NGSI_LD}deletedAt`, 'ignored'],
]);

/** Attributes that are GeoProperties by definition (5.2.4). */
const GEO: ReadonlySet<string> = new Set(['location', 'observationSpace', 'operationSpace'].map((name) => NGSI_LD + name));

/** 4.18: levels of letters of any script, digits and "_", separated by "/". */
const SCOPE = /^\/?\p{L}[\p{L}\p{N}_]*(?:\/\p{L}[\p{L}\p{N}_]*)*$/u;

/**
 * An entity or a part of one as a client sends it, normalized or concise, into IRIs (5.5.7). Values stay as they are.
 * Members are only checked for what they are; whether id and type must be there is for the operation to say ({@link requireWhole}).
 * @throws DomainError BadRequestData that names the member at fault, by the client's own name for it
 */
export function expandEntity(body: unknown, context: Context, options: ExpandOptions = {}): EntityFragment {
  if (!isObject(body)) throw badRequest(`An entity is a JSON object, not ${shown(body)}`);
  const attributes: Record<Iri, readonly AttributeInstance[]> = {};
  const fragment: { -readonly [K in keyof EntityFragment]: EntityFragment[K] } = { attributes };
  for (const name in body) {
    if (name === '@context') continue;
    const given = body[name] as JsonValue;
    const iri = name === 'id' || name === 'type' ? (`@${name}` as Iri) : context.expand(name);
    const member = MEMBERS.get(iri);
    if (member === undefined) {
      if (NOT_AN_ATTRIBUTE.has(iri) || iri.startsWith('@'))
        throw badRequest(`"${name}" cannot be an attribute of an entity (4.5.1)`);
      if (attributes[iri] !== undefined) throw badRequest(`attribute ${name} is there twice, under different names`);
      attributes[iri] = expandInstances(given, `attribute ${name}`, context, options);
      checkProof(name, iri, attributes[iri], `attribute ${name}`);
      if (GEO.has(iri)) refuseOtherThanGeo(attributes[iri], name);
    } else if (member === 'id') fragment.id = entityId(given);
    else if (member === 'type') fragment.types = entityTypes(given, context);
    else if (member === 'scope') fragment.scopes = scopes(given, options);
    else if (member === 'expiresAt') fragment.expiresAt = expiry(given, options);
  }
  return fragment;
}

/** The whole of an entity, with what makes it one. */
export type WholeEntity = EntityFragment & { readonly id: Iri; readonly types: readonly Iri[] };

/** @throws DomainError BadRequestData if id or type is missing (5.2.4) */
export function requireWhole(fragment: EntityFragment): asserts fragment is WholeEntity {
  if (fragment.id === undefined) throw badRequest('The entity has no id');
  if (fragment.types === undefined) throw badRequest('The entity has no type');
}

/** The IRI of an attribute that a path or parameter names. @throws DomainError BadRequestData if nothing can have this name */
export function expandAttributeName(name: string, context: Context): Iri {
  const iri = context.expand(name);
  if (iri.startsWith('@') || NOT_AN_ATTRIBUTE.has(iri))
    throw badRequest(`"${name}" cannot be an attribute of an entity (4.5.1)`);
  return iri;
}

/**
 * The instance in the body of a request that names its attribute (5.6.4, 5.6.19).
 * @throws DomainError BadRequestData
 */
export function expandAttributeBody(
  body: unknown,
  name: string,
  context: Context,
  options: ExpandOptions = {},
): AttributeInstance {
  if (!isObject(body)) throw badRequest(`attribute ${name}: the body must be a JSON object`);
  const { '@context': _, ...attribute } = body;
  const asked = options.partial ? { ...options, isAttribute: true } : options;
  const instance = expandInstance(attribute, `attribute ${name}`, context, asked);
  checkProof(name, context.expand(name), [instance], `attribute ${name}`);
  return instance;
}

function refuseOtherThanGeo(instances: readonly AttributeInstance[], name: string): void {
  for (const instance of instances) {
    const { type } = instance;
    if (type === undefined || type === 'GeoProperty' || (type === 'Property' && instance.value === NGSILD_NULL)) continue;
    throw badRequest(`attribute ${name} is a GeoProperty by definition (5.2.4), and cannot be a ${type}`);
  }
}

function entityId(given: JsonValue): Iri {
  if (isIri(given) && given !== NGSILD_NULL) return given;
  throw badRequest(`The id of an entity must be an absolute IRI such as urn:ngsi-ld:Vehicle:A4567, not ${shown(given)}`);
}

function entityTypes(given: JsonValue, context: Context): readonly Iri[] {
  const names: readonly JsonValue[] = Array.isArray(given) ? given : [given];
  if (names.length === 0) throw badRequest('The type of an entity must be at least one name');
  const types = names.map((name) => {
    if (typeof name !== 'string' || name === NGSILD_NULL)
      throw badRequest(`The type of an entity must be a name, not ${shown(name)}`);
    const iri = context.expand(name);
    if (iri.startsWith('@')) throw badRequest(`${shown(name)} cannot be the type of an entity`);
    return iri;
  });
  return types.length === 1 ? types : [...new Set(types)];
}

function scopes(given: JsonValue, { nulls = 'refused' }: ExpandOptions): readonly string[] | null {
  if (given === NGSILD_NULL && nulls !== 'refused') return null;
  const list: readonly JsonValue[] = Array.isArray(given) ? given : [given];
  if (list.length === 0) throw badRequest('scope must be at least one scope');
  const found = list.map((scope) => {
    if (typeof scope !== 'string' || !SCOPE.test(scope))
      throw badRequest(`${shown(scope)} is not a scope such as /Madrid/Gardens (4.18)`);
    return scope;
  });
  return [...new Set(found)];
}

function expiry(given: JsonValue, { nulls = 'refused' }: ExpandOptions): Instant | null {
  if (given === NGSILD_NULL && nulls !== 'refused') return null;
  return instant(given, 'expiresAt');
}
