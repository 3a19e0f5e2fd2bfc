import { isObject, type JsonObject, type JsonValue } from './json.ts';

/** A version of the NGSI-LD specification, major and minor (4.3.6.8). */
export type Version = readonly [major: number, minor: number];

/** What our answers conform to. */
export const OUR_VERSION: Version = [1, 9];

/** Reads "1.5"; what follows a second dot says nothing here. @returns undefined if it is no version */
export function parseVersion(text: string): Version | undefined {
  const found = /^(\d{1,4})\.(\d{1,4})(?:\.\d+)?$/.exec(text);
  return found ? [Number(found[1]), Number(found[2])] : undefined;
}

export const isBefore = ([major, minor]: Version, [otherMajor, otherMinor]: Version): boolean =>
  major === otherMajor ? minor < otherMinor : major < otherMajor;

/** Kinds that a version does not know, the one they become there, and the member that holds the value (Table 4.3.6.8-1). */
const KINDS: Readonly<Record<string, { since: Version; as: 'Property' | 'Relationship'; member: string }>> = {
  LanguageProperty: { since: [1, 4], as: 'Property', member: 'languageMap' },
  JsonProperty: { since: [1, 8], as: 'Property', member: 'json' },
  VocabProperty: { since: [1, 8], as: 'Property', member: 'vocab' },
  ListProperty: { since: [1, 8], as: 'Property', member: 'valueList' },
  ListRelationship: { since: [1, 8], as: 'Relationship', member: 'objectList' },
};
const KIND_OF_MEMBER = new Map(Object.entries(KINDS).map(([kind, { member }]) => [member, kind]));

/** Members of attributes that a version does not know (Tables 4.3.6.8-2 and -3). */
const MEMBERS: Readonly<Record<string, Version>> = {
  datasetId: [1, 3],
  observedAt: [1, 3],
  unitCode: [1, 3],
  objectType: [1, 8],
  expiresAt: [1, 9],
  valueType: [1, 9],
};
/** Members of attributes that are not attributes themselves, and stay as they are. */
const PLAIN = new Set(['value', 'object', 'type', 'lang', 'createdAt', 'modifiedAt', 'deletedAt', 'instanceId']);
/** Members of entities that are not attributes. */
const OF_ENTITY = new Set(['id', '@context', 'createdAt', 'modifiedAt', 'deletedAt']);

/**
 * The fallbacks of 4.3.6.8: entities as an earlier version of the specification would have them. Takes one entity, an array of them, or GeoJSON, in any
 * representation; temporal evolutions are none of these.
 * @returns the payload itself if it conforms to that version as it is
 */
export function conformTo(payload: JsonValue, version: Version): JsonValue {
  if (!isBefore(version, OUR_VERSION)) return payload;
  return amendEntity(payload, version);
}

function amendEntity(payload: JsonValue, version: Version): JsonValue {
  if (Array.isArray(payload)) return each(payload, (item) => amendEntity(item, version));
  if (!isObject(payload)) return payload;
  if (payload['type'] === 'FeatureCollection') {
    return amended(payload, (name, value) => (name === 'features' ? amendEntity(value, version) : value));
  }
  if (payload['type'] === 'Feature') {
    return amended(payload, (name, value) => (name === 'properties' ? amendEntity(value, version) : value));
  }
  return amended(payload, (name, value) => {
    if (OF_ENTITY.has(name)) return value;
    if (name === 'type') return isBefore(version, [1, 3]) && Array.isArray(value) ? (value[0] as JsonValue) : value;
    if (name === 'scope') return isBefore(version, [1, 4]) ? undefined : value;
    if (name === 'expiresAt') return undefined;
    return amendAttribute(value, version);
  });
}

function amendAttribute(value: JsonValue, version: Version): JsonValue {
  const single = isBefore(version, [1, 3]);
  if (Array.isArray(value)) {
    if (value.length === 0 || !value.every(isAttribute)) return value;
    const first = value.find((instance) => (instance as JsonObject)['datasetId'] === undefined) ?? (value[0] as JsonValue);
    return single ? amendAttribute(first, version) : each(value, (instance) => amendAttribute(instance, version));
  }
  if (!isObject(value)) return value;
  const { dataset } = value;
  if (Object.keys(value).length === 1 && isObject(dataset)) {
    // The simplified representation of several instances (4.5.4).
    const instances = amended(dataset, (_, instance) => amendAttribute(instance, version));
    if (single) return (instances['@none'] ?? Object.values(instances)[0]) as JsonValue;
    return instances === dataset ? value : { dataset: instances };
  }
  return isAttribute(value) ? amendInstance(value as JsonObject, version) : value;
}

/** True for an attribute with members, in any representation. */
function isAttribute(value: JsonValue): boolean {
  if (!isObject(value)) return false;
  const { type } = value;
  if (typeof type === 'string' && (type in KINDS || ATTRIBUTE_TYPES.has(type))) return true;
  return (
    type === undefined && Object.keys(value).some((name) => KIND_OF_MEMBER.has(name) || name === 'value' || name === 'object')
  );
}
const ATTRIBUTE_TYPES = new Set(['Property', 'GeoProperty', 'Relationship']);

function amendInstance(instance: JsonObject, version: Version): JsonValue {
  const [only, ...others] = Object.keys(instance);
  const kindOfOnly = only === undefined || others.length > 0 ? undefined : KIND_OF_MEMBER.get(only);
  if (only !== undefined && kindOfOnly !== undefined && isUnknown(kindOfOnly, version)) {
    // Simplified, or concise, where a bare value is a Property as well.
    const bare = plainValue(only, instance[only] as JsonValue);
    return KINDS[kindOfOnly]?.as === 'Relationship' ? { object: bare } : bare;
  }
  const out: Record<string, JsonValue> = {};
  let changed = false;
  for (const [name, value] of Object.entries(instance)) {
    const [newName, newValue] = amendMember(name, value as JsonValue, version);
    changed ||= newName !== name || newValue !== value;
    if (newName !== undefined) out[newName] = newValue;
  }
  return changed ? out : instance;
}

/** A member of an attribute under its new name; without one it is not known to the version. */
function amendMember(name: string, value: JsonValue, version: Version): readonly [string | undefined, JsonValue] {
  const since = MEMBERS[name];
  if (since !== undefined) return [isBefore(version, since) ? undefined : name, value];
  if (name === 'type' && typeof value === 'string' && isUnknown(value, version)) return [name, KINDS[value]?.as ?? value];
  const previous = name.startsWith('previous');
  const member = previous ? name.charAt(8).toLowerCase() + name.slice(9) : name;
  const kind = KIND_OF_MEMBER.get(member);
  if (kind !== undefined) {
    if (!isUnknown(kind, version)) return [name, value];
    const plain = KINDS[kind]?.as === 'Relationship' ? 'object' : 'value';
    return [previous ? `previous${plain.charAt(0).toUpperCase()}${plain.slice(1)}` : plain, plainValue(member, value)];
  }
  if (name === 'entity' || name === 'entityList') return [name, amendEntity(value, version)];
  return [name, PLAIN.has(name) || previous ? value : amendAttribute(value, version)];
}

/** An array of one Relationship is the array of its URIs (Table 4.3.6.8-1). */
function plainValue(member: string, value: JsonValue): JsonValue {
  if (member !== 'objectList' || !Array.isArray(value)) return value;
  return value.map((item) => (isObject(item) && item['object'] !== undefined ? item['object'] : item) as JsonValue);
}

function isUnknown(kind: string, version: Version): boolean {
  const known = KINDS[kind];
  return known !== undefined && isBefore(version, known.since);
}

/** The same object if `change` leaves every member as it is; members that it makes undefined are left out. */
function amended(object: JsonObject, change: (name: string, value: JsonValue) => JsonValue | undefined): JsonObject {
  const out: Record<string, JsonValue> = {};
  let changed = false;
  for (const [name, value] of Object.entries(object)) {
    const after = change(name, value as JsonValue);
    if (after !== value) changed = true;
    if (after !== undefined) out[name] = after;
  }
  return changed ? out : object;
}

function each(items: readonly JsonValue[], change: (item: JsonValue) => JsonValue): readonly JsonValue[] {
  const after = items.map(change);
  return after.every((item, at) => item === items[at]) ? items : after;
}
