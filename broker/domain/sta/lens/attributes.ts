import { type AttributeInstance, type Attributes, instanceValue } from '../../attribute.ts';
import type { Entity } from '../../entity.ts';
import { badRequest, DomainError } from '../../errors.ts';
import { type Geometry, parseGeometry } from '../../geometry.ts';
import { type Iri, isIri } from '../../iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../json.ts';
import { geometryIn } from '../filter/value.ts';
import type { PropertyModel, TypeModel } from '../model.ts';
import { canonicalTime } from '../time.ts';
import { LOCATION, localName, term, VERBATIM_LOCATION } from './vocabulary.ts';

/** The value of an attribute's default (else first) instance, whatever its kind. Of a languageMap: its text without a language, or its first. */
export function attributeValue(entity: Entity, name: Iri): JsonValue | undefined {
  const instances = entity.attributes[name];
  const instance = instances?.find(({ datasetId }) => datasetId === undefined) ?? instances?.[0];
  return instance === undefined ? undefined : plainValue(instance);
}

export function plainValue(instance: AttributeInstance): JsonValue {
  if (instance.type !== 'LanguageProperty') return instanceValue(instance);
  const text = instance.languageMap['@none'] ?? Object.values(instance.languageMap)[0];
  return (typeof text === 'string' ? text : text?.[0]) ?? '';
}

/** Text of the attribute whose short name this is, in whatever vocabulary. */
export function textNamed(entity: Entity, short: string): string | undefined {
  const own = attributeValue(entity, term(short));
  if (typeof own === 'string') return own;
  for (const name of Object.keys(entity.attributes) as Iri[]) {
    const value = localName(name) === short ? attributeValue(entity, name) : undefined;
    if (typeof value === 'string') return value;
  }
  return undefined;
}

/** The entities that a Relationship of any of these short names leads to. */
export function targetsNamed(entity: Entity, ...shorts: readonly string[]): readonly Iri[] {
  for (const name of Object.keys(entity.attributes) as Iri[]) {
    if (!shorts.includes(localName(name))) continue;
    const found = (entity.attributes[name] ?? []).flatMap((instance) => {
      if (instance.type === 'Relationship') return [instance.object].flat() as Iri[];
      // Some models write ids as texts.
      return instance.type === 'Property' && isIri(instance.value) ? [instance.value] : [];
    });
    if (found.length > 0) return found;
  }
  return [];
}

export function targetsOf(entity: Entity, name: Iri): readonly Iri[] {
  return (entity.attributes[name] ?? []).flatMap((instance) =>
    instance.type === 'Relationship' ? ([instance.object].flat() as Iri[]) : [],
  );
}

/** The geometry that the entity has as its place. */
export function placeOf(entity: Entity): Geometry | undefined {
  const value = attributeValue(entity, LOCATION);
  return geometryIn(value);
}

export const relationship = (object: Iri | readonly Iri[]): AttributeInstance =>
  ({ type: 'Relationship', object: Array.isArray(object) && object.length === 1 ? object[0] : object }) as AttributeInstance;

/** JSON as an attribute: what NGSI-LD has a kind for as that, everything else word for word. */
export function jsonInstance(value: JsonValue): AttributeInstance {
  return typeof value === 'object' ? { type: 'JsonProperty', json: value } : { type: 'Property', value };
}

/** What a companion stores of one of its properties. `null` is not stored. */
export function encodeProperty({ name, kind }: PropertyModel, value: JsonValue): Attributes {
  if (kind !== 'geometry') return { [term(name)]: [jsonInstance(value)] } as Attributes;
  const geometry = checkedGeometry(value);
  const plain = geometry !== undefined && isObject(value) && value['type'] === geometry.type && Object.keys(value).length === 2;
  return {
    ...(geometry === undefined ? {} : { [LOCATION]: [{ type: 'GeoProperty', value: geometry }] }),
    ...(plain ? {} : { [VERBATIM_LOCATION]: [jsonInstance(value)] }),
  } as Attributes;
}

/** Attributes that hold a property: all of them go when it is written anew. */
export function attributesOfProperty({ name, kind }: PropertyModel): readonly Iri[] {
  return kind === 'geometry' ? [LOCATION, VERBATIM_LOCATION] : [term(name)];
}

/** The geometry if NGSI-LD can carry it. */
function checkedGeometry(value: JsonValue): Geometry | undefined {
  const geometry = geometryIn(value);
  if (geometry === undefined) return undefined;
  try {
    return parseGeometry(geometry, '');
  } catch (error) {
    if (error instanceof DomainError) return undefined;
    throw error;
  }
}

/** The property of a companion, as it was sent. */
export function decodeProperty(entity: Entity, { name, kind }: PropertyModel): JsonValue | undefined {
  if (kind === 'geometry') return attributeValue(entity, VERBATIM_LOCATION) ?? attributeValue(entity, LOCATION);
  return attributeValue(entity, term(name));
}

/**
 * Checks a body's properties against the model, and writes times in one form.
 * @param partial mandatory ones may be absent, as in a PATCH
 * @returns properties to store; those that were sent as null with null
 * @throws DomainError BadRequestData that names the property
 */
export function checkProperties(type: TypeModel, body: JsonObject, partial: boolean): Record<string, JsonValue> {
  const checked: Record<string, JsonValue> = {};
  for (const property of type.properties) {
    const { name, mandatory, computed } = property;
    const value = body[name];
    if (computed) continue;
    if (value === undefined || value === null) {
      if (mandatory && (value === null || !partial)) throw badRequest(`${type.type} lacks the mandatory property "${name}"`);
      if (value === null) checked[name] = null;
      continue;
    }
    checked[name] = checkProperty(type, property, value);
  }
  for (const name of Object.keys(body)) {
    // Annotations come back with what clients read.
    if (name.includes('@') || type.links.some((link) => link.name === name)) continue;
    if (!type.properties.some((property) => property.name === name)) {
      throw badRequest(`${type.type} has no property or link "${name}"`);
    }
  }
  return checked;
}

/** A value that is there. @returns it as it is stored. @throws DomainError BadRequestData that names the property */
export function checkProperty(type: TypeModel, { name, kind, values }: PropertyModel, value: JsonValue): JsonValue {
  const checked = checkedValue(type.type, name, kind, value);
  if (values !== undefined && !values.includes(String(value))) {
    throw badRequest(
      `"${name}" of ${type.type} must be one of ${values.join(', ')}, not ${JSON.stringify(value).slice(0, 100)}`,
    );
  }
  return checked;
}

function checkedValue(type: string, name: string, kind: PropertyModel['kind'], value: JsonValue): JsonValue {
  const wrong = (wanted: string): never => {
    throw badRequest(`"${name}" of ${type} must be ${wanted}, not ${JSON.stringify(value).slice(0, 100)}`);
  };
  switch (kind) {
    case 'text':
      return typeof value === 'string' ? value : wrong('a text');
    case 'object':
      return isObject(value) ? value : wrong('an object');
    case 'unit':
      return isObject(value) ? value : wrong('an object with name, symbol and definition');
    case 'units':
      return Array.isArray(value) && value.every(isObject)
        ? value
        : wrong('an array of objects with name, symbol and definition');
    case 'texts':
      return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : wrong('an array of texts');
    case 'instant':
    case 'time':
    case 'interval':
      return canonicalTime(value, `"${name}" of ${type}`, kind);
    case 'geometry':
      return typeof value === 'object' || typeof value === 'string' ? value : wrong('a GeoJSON geometry, an object or a text');
    case 'json':
      return value;
  }
}
