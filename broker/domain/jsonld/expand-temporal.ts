import type { AttributeInstance } from '../attribute.ts';
import type { EntityFragment } from '../entity.ts';
import { badRequest } from '../errors.ts';
import type { Iri } from '../iri.ts';
import { isObject, type JsonValue } from '../json.ts';
import { asksForDeletion } from '../patch.ts';
import { instant } from '../time.ts';
import type { Context } from './context.ts';
import { expandAttributeName, expandEntity } from './expand.ts';
import { expandInstance } from './expand-attribute.ts';
import { isNullValue } from './expand-value.ts';
import { checkProof } from './proof.ts';

const NGSI_LD = 'https://uri.etsi.org/ngsi-ld/';
const SCOPE = `${NGSI_LD}scope` as Iri;
/** Members of an entity that are not attributes, beside the JSON-LD keywords. */
const MEMBERS = new Set([SCOPE, ...['expiresAt', 'createdAt', 'modifiedAt', 'deletedAt'].map((term) => NGSI_LD + term)]);

/**
 * An EntityTemporal or a part of one (5.2.20, 4.5.6) into IRIs. Unlike an Entity it has any number of instances of a name with the same datasetId. Its scope may be
 * written like a Property, and then becomes instances as well.
 * @throws DomainError BadRequestData that names the member at fault
 */
export function expandTemporalEntity(body: unknown, context: Context): EntityFragment {
  if (!isObject(body)) throw badRequest('The temporal evolution of an entity is a JSON object');
  const members: Record<string, JsonValue> = {};
  const attributes: Record<Iri, readonly AttributeInstance[]> = {};
  for (const name in body) {
    if (name === '@context') continue;
    const given = body[name] as JsonValue;
    const iri = name === 'id' || name === 'type' ? '@' : context.expand(name);
    if (iri === SCOPE) {
      const instances = scopeInstances(given, context);
      if (instances === undefined) members[name] = given;
      else attributes[SCOPE] = instances;
    } else if (iri.startsWith('@') || MEMBERS.has(iri)) members[name] = given;
    else attributes[expandAttributeName(name, context)] = expandTemporalInstances(given, name, context);
  }
  return { ...expandEntity(members, context), attributes };
}

/** @throws DomainError BadRequestData */
export function expandTemporalInstances(given: JsonValue, name: string, context: Context): readonly AttributeInstance[] {
  const items: readonly JsonValue[] = Array.isArray(given) && given.every(isObject) ? given : [given];
  if (items.length === 0) throw badRequest(`attribute ${name}: an array of instances must not be empty`);
  const instances = items.map((item) => expandTemporalInstance(item, `attribute ${name}`, context));
  checkProof(name, context.expand(name), instances, `attribute ${name}`);
  return instances;
}

/**
 * 4.5.7, 5.5.4: an instance whose value is the NGSI-LD Null says that the attribute was deleted: at its deletedAt, else at its observedAt, else when it is stored.
 */
function expandTemporalInstance(item: JsonValue, what: string, context: Context): AttributeInstance {
  if (!isObject(item)) return expandInstance(item, what, context, {});
  const deletedAt = item['deletedAt'];
  if (deletedAt === undefined && !Object.values(item).some(isNullValue)) return expandInstance(item, what, context, {});
  const instance = expandInstance(item, what, context, { nulls: 'everywhere' });
  if (deletedAt !== undefined) return { ...instance, deletedAt: instant(deletedAt, `${what}: deletedAt`) };
  if (!asksForDeletion(instance)) return expandInstance(item, what, context, {});
  return instance.observedAt === undefined ? instance : { ...instance, deletedAt: instance.observedAt };
}

/**
 * 4.5.6: a scope that is written like a Property, one instance for each time it was set. It is valid from its observedAt on, which is therefore when it
 * was modified. undefined: a plain scope
 */
function scopeInstances(given: JsonValue, context: Context): readonly AttributeInstance[] | undefined {
  const items: readonly JsonValue[] = Array.isArray(given) ? given : [given];
  if (!items.some(isObject)) return undefined;
  return items.map((item) => {
    if (!isObject(item)) throw badRequest('scope must be either scopes or instances with "value", not both');
    const { scopes } = expandEntity({ scope: item['value'] ?? [] }, context);
    const observedAt = item['observedAt'] === undefined ? undefined : instant(item['observedAt'], 'scope: observedAt');
    const times = observedAt === undefined ? {} : { observedAt, createdAt: observedAt, modifiedAt: observedAt };
    return { type: 'Property', value: scopes ?? [], ...times };
  });
}
