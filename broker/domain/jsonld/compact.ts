import {
  type AttributeInstance,
  type Attributes,
  instanceValue,
  type ListRelationship,
  linkTargets,
  type Relationship,
  VALUE_MEMBER,
} from '../attribute.ts';
import { isGeometryType } from '../geometry.ts';
import type { Iri } from '../iri.ts';
import { isObject, type JsonValue } from '../json.ts';
import { chooseLanguage, type LanguagePreferences } from '../language.ts';
import type { Context } from './context.ts';
import { looksLikeAttribute } from './expand-attribute.ts';

/** How attribute instances are written (4.5.2 to 4.5.4). */
export interface InstanceStyle {
  readonly context: Context;
  readonly format: 'normalized' | 'concise' | 'simplified';
  /** Write createdAt, modifiedAt and expiresAt (6.3.11). */
  readonly sysAttrs: boolean;
  /** Turn each LanguageProperty into a Property in the best of these languages (4.15). */
  readonly languages?: LanguagePreferences | undefined;
  /** Write instanceId and deletedAt: the temporal representation (4.5.7). */
  readonly temporal?: boolean;
  /** The entity to write beside or instead of an id that a top-level Relationship names; undefined for none (4.5.23.2). */
  readonly embed?: ((target: Iri) => JsonValue | undefined) | undefined;
}

type Json = Record<string, JsonValue>;

/** All instances of one name: the object or value for one, an array for several, and by datasetId in the simplified format (4.5.4, 4.5.5). */
export function compactInstances(instances: readonly AttributeInstance[], style: InstanceStyle): JsonValue {
  const only = instances.length === 1 ? instances[0] : undefined;
  if (style.format === 'simplified') {
    if (only !== undefined) return simplifiedValue(only, style);
    const dataset: Json = {};
    for (const instance of instances) dataset[instance.datasetId ?? '@none'] = simplifiedValue(instance, style);
    return { dataset };
  }
  if (only === undefined) return instances.map((instance) => compactInstance(instance, style));
  if (style.format === 'concise') {
    const bare = bareValue(only, style);
    if (bare !== undefined) return bare;
  }
  return compactInstance(only, style);
}

/** One instance as an object, with its sub-attributes. */
export function compactInstance(instance: AttributeInstance, style: InstanceStyle): JsonValue {
  const { context } = style;
  const concise = style.format === 'concise';
  const language = style.languages !== undefined && instance.type === 'LanguageProperty';
  const out: Json = {};
  if (!concise) out['type'] = language ? 'Property' : instance.type;
  else if (instance.type === 'Property' && looksLikeGeometry(instance.value)) out['type'] = 'Property';
  if (language) {
    const tag = chooseLanguage(instance.languageMap, style.languages ?? []);
    out['value'] = tag === undefined ? '' : (instance.languageMap[tag] as JsonValue);
    if (tag !== undefined) out['lang'] = tag;
  } else {
    out[VALUE_MEMBER[instance.type]] = compactValue(instance, style);
  }
  switch (instance.type) {
    case 'Property':
    case 'ListProperty':
      if (instance.unitCode !== undefined) out['unitCode'] = instance.unitCode;
      if (instance.valueType !== undefined) out['valueType'] = context.compact(instance.valueType);
      break;
    case 'Relationship':
    case 'ListRelationship':
      if (style.embed !== undefined) embedTargets(instance, style.embed, out);
      if (instance.objectType !== undefined)
        out['objectType'] = oneOrAll(instance.objectType.map((type) => context.compact(type)));
      break;
    default:
  }
  if (instance.type === 'Property' && instance.entityIdSealed !== undefined) out['entityIdSealed'] = instance.entityIdSealed;
  if (instance.type === 'Property' && instance.entityTypeSealed !== undefined)
    out['entityTypeSealed'] = oneOrAll(instance.entityTypeSealed.map((type) => context.compact(type)));
  if (instance.datasetId !== undefined) out['datasetId'] = instance.datasetId;
  if (instance.observedAt !== undefined) out['observedAt'] = instance.observedAt;
  if (style.temporal === true) {
    if (instance.instanceId !== undefined) out['instanceId'] = instance.instanceId;
    if (instance.deletedAt !== undefined) out['deletedAt'] = instance.deletedAt;
  }
  if (style.sysAttrs) {
    if (instance.createdAt !== undefined) out['createdAt'] = instance.createdAt;
    if (instance.modifiedAt !== undefined) out['modifiedAt'] = instance.modifiedAt;
    if (instance.expiresAt !== undefined) out['expiresAt'] = instance.expiresAt;
  }
  const below: Attributes | undefined = instance.attributes;
  if (below !== undefined) {
    if (style.embed !== undefined) style = { ...style, embed: undefined };
    for (const name in below) out[context.compact(name as Iri)] = compactInstances(below[name as Iri] ?? [], style);
  }
  return out;
}

/** 4.5.2.3: a Property or GeoProperty that consists of a value only is written as that value, if it could not be read as anything else. */
function bareValue(instance: AttributeInstance, style: InstanceStyle): JsonValue | undefined {
  if (instance.type !== 'Property' && instance.type !== 'GeoProperty') return undefined;
  for (const member in instance) {
    if (member === 'type' || member === 'value' || member === 'stamp') continue;
    const hidden = member === 'createdAt' || member === 'modifiedAt' || member === 'expiresAt';
    if (hidden ? style.sysAttrs : (instance as unknown as Json)[member] !== undefined) return undefined;
  }
  const value = instance.value as JsonValue;
  if (instance.type === 'GeoProperty') return value;
  if (Array.isArray(value)) return value.some((item) => typeof item === 'object') ? undefined : value;
  const ambiguous = looksLikeAttribute(value) || (isObject(value) && KEYWORDS.some((member) => Object.hasOwn(value, member)));
  return ambiguous ? undefined : value;
}

/** A bare object with one of these is not read as a plain value either. */
const KEYWORDS = ['type', '@type', '@context'];

function looksLikeGeometry(value: JsonValue): boolean {
  return isObject(value) && isGeometryType(value['type']);
}

function simplifiedValue(instance: AttributeInstance, style: InstanceStyle): JsonValue {
  switch (instance.type) {
    case 'LanguageProperty': {
      if (style.languages === undefined) return { languageMap: instance.languageMap as JsonValue };
      const tag = chooseLanguage(instance.languageMap, style.languages);
      return tag === undefined ? '' : (instance.languageMap[tag] as JsonValue);
    }
    case 'VocabProperty':
      return { vocab: compactValue(instance, style) };
    case 'JsonProperty':
      return { json: instance.json };
    case 'Relationship':
    case 'ListRelationship':
      return style.embed === undefined ? compactValue(instance, style) : replaceTargets(instanceValue(instance), style.embed);
    default:
      return compactValue(instance, style);
  }
}

/** `entity` (5.2.6) and `entityList` (5.2.37): one entity for one object, an array for several, in their order. */
function embedTargets(
  instance: Relationship | ListRelationship,
  embed: (target: Iri) => JsonValue | undefined,
  out: Json,
): void {
  const found: JsonValue[] = [];
  for (const target of linkTargets(instance)) {
    const entity = embed(target);
    if (entity !== undefined) found.push(entity);
  }
  if (found.length === 0) return;
  if (instance.type === 'ListRelationship') out['entityList'] = found;
  else out['entity'] = Array.isArray(instance.object) ? found : (found[0] as JsonValue);
}

/** 4.5.4: in the simplified representation the entity stands where its id did; an id without an entity stays. */
function replaceTargets(value: JsonValue, embed: (target: Iri) => JsonValue | undefined): JsonValue {
  if (typeof value === 'string') return embed(value as Iri) ?? value;
  return Array.isArray(value) ? value.map((item: JsonValue) => replaceTargets(item, embed)) : value;
}

/** The instance's value: terms of a vocabulary shortened, objects of a list wrapped in the normalized format (4.5.22.2). */
export function compactValue(instance: AttributeInstance, style: InstanceStyle): JsonValue {
  if (instance.type === 'VocabProperty') {
    const { vocab } = instance;
    return typeof vocab === 'string'
      ? style.context.compact(vocab)
      : (vocab as readonly Iri[]).map((one) => style.context.compact(one));
  }
  if (instance.type === 'ListRelationship' && style.format === 'normalized' && Array.isArray(instance.objectList)) {
    return (instance.objectList as readonly JsonValue[]).map((object) => ({ object }));
  }
  return instanceValue(instance);
}

/** One value alone, several as an array. */
export function oneOrAll<T extends JsonValue>(values: readonly T[]): JsonValue {
  return values.length === 1 ? (values[0] as T) : values;
}
