import type { Geometry } from './geometry.ts';
import type { Iri } from './iri.ts';
import type { JsonValue } from './json.ts';
import type { Stamp } from './stamp.ts';
import type { Instant } from './time.ts';

/** The kinds of attribute of 1.9.1 (4.5.2, 4.5.3, 4.5.18, 4.5.20 to 4.5.24). */
export const ATTRIBUTE_TYPES = [
  'Property',
  'GeoProperty',
  'Relationship',
  'LanguageProperty',
  'VocabProperty',
  'ListProperty',
  'ListRelationship',
  'JsonProperty',
] as const;
export type AttributeType = (typeof ATTRIBUTE_TYPES)[number];

/** What every attribute instance has in common. Several instances of one name differ in `datasetId` (4.5.5). */
interface Common {
  /** Absent: the default instance. */
  readonly datasetId?: Iri;
  /** When the value was true in the world, not when we heard of it (4.8). */
  readonly observedAt?: Instant;
  /** When the instance stops to exist (4.22). */
  readonly expiresAt?: Instant;
  /** Properties of this property, relationships of this relationship …, by expanded name. */
  readonly attributes?: Attributes;
  /** Set by the broker. Absent on what a client sends (a fragment), present on what is stored. */
  readonly createdAt?: Instant;
  readonly modifiedAt?: Instant;
  /** Present on an instance of the temporal evolution that says "deleted here" (4.8). */
  readonly deletedAt?: Instant;
  /** Identifies one instance of a temporal evolution (4.5.8). */
  readonly instanceId?: Iri;
  /** Present on every stored top-level instance; sub-attributes share the stamp of the instance they belong to. */
  readonly stamp?: Stamp;
}

/** 5.2.5. `value` is any JSON value but null. `unitCode`: UN/CEFACT Common Code, "CEL" is degree Celsius. */
export interface Property extends Common {
  readonly type: 'Property';
  readonly value: JsonValue;
  readonly unitCode?: string;
  readonly valueType?: Iri;
  /** Of `ngsildproof` only (4.5.2.2): the entity whose attribute was signed. */
  readonly entityIdSealed?: string;
  readonly entityTypeSealed?: readonly Iri[];
}
/** 5.2.7. In a fragment `value` may be the NGSI-LD Null. */
export interface GeoProperty extends Common {
  readonly type: 'GeoProperty';
  readonly value: Geometry | string;
}
/** 5.2.6. */
export interface Relationship extends Common {
  readonly type: 'Relationship';
  readonly object: Iri | readonly Iri[];
  readonly objectType?: readonly Iri[];
}
/** 5.2.32: language tag (RFC 5646) to text; "@none" is the text without a language. */
export interface LanguageProperty extends Common {
  readonly type: 'LanguageProperty';
  readonly languageMap: Readonly<Record<string, string | readonly string[]>>;
}
/** 5.2.35: terms of a vocabulary, expanded. */
export interface VocabProperty extends Common {
  readonly type: 'VocabProperty';
  readonly vocab: Iri | readonly Iri[];
}
/** 5.2.36. */
export interface ListProperty extends Common {
  readonly type: 'ListProperty';
  readonly valueList: readonly JsonValue[] | string;
  readonly unitCode?: string;
  readonly valueType?: Iri;
}
/** 5.2.37: members of the list are IRIs, or lists of IRIs. */
export interface ListRelationship extends Common {
  readonly type: 'ListRelationship';
  readonly objectList: readonly JsonValue[] | string;
  readonly objectType?: readonly Iri[];
}
/** 5.2.38: `json` is never expanded. */
export interface JsonProperty extends Common {
  readonly type: 'JsonProperty';
  readonly json: JsonValue;
}

/** One instance of an attribute; every name in it is an IRI. */
export type AttributeInstance =
  | Property
  | GeoProperty
  | Relationship
  | LanguageProperty
  | VocabProperty
  | ListProperty
  | ListRelationship
  | JsonProperty;

/** Attributes by expanded name. A name always has at least one instance, and no two of them the same datasetId. */
export type Attributes = Readonly<Record<Iri, readonly AttributeInstance[]>>;

/** The member that holds an instance's value, by kind (Tables 5.2.5-1 to 5.2.7-1, 5.2.32-1, 5.2.35-1 to 5.2.38-1). */
export const VALUE_MEMBER = {
  Property: 'value',
  GeoProperty: 'value',
  Relationship: 'object',
  LanguageProperty: 'languageMap',
  VocabProperty: 'vocab',
  ListProperty: 'valueList',
  ListRelationship: 'objectList',
  JsonProperty: 'json',
} as const satisfies Record<AttributeType, string>;

/** The instance's value, whatever its kind. */
export function instanceValue(instance: AttributeInstance): JsonValue {
  return (instance as unknown as Record<string, JsonValue>)[VALUE_MEMBER[instance.type]] as JsonValue;
}

/** The entities that a Relationship or ListRelationship names, in its order; none for any other kind. */
export function linkTargets(instance: AttributeInstance): readonly Iri[] {
  if (instance.type === 'Relationship') {
    return typeof instance.object === 'string' ? [instance.object] : (instance.object as readonly Iri[]);
  }
  return instance.type === 'ListRelationship' ? ([instance.objectList].flat(2) as unknown as Iri[]) : [];
}
