import { type AttributeInstance, type Attributes, type AttributeType, VALUE_MEMBER } from '../attribute.ts';
import type { ChangeDraft } from '../change.ts';
import type { Entity, EntityFragment } from '../entity.ts';
import { badRequest } from '../errors.ts';
import { parseGeometry } from '../geometry.ts';
import { type Iri, isIri, NGSILD_NULL } from '../iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../json.ts';
import type { Context } from '../jsonld/context.ts';
import type { Instant } from '../time.ts';
import { asksForDeletion, EntityEdit, type Moment, withoutNulls } from './edit.ts';
import { existing } from './entity.ts';

export interface MergeOptions {
  /** The language of texts that are given as plain strings for a LanguageProperty. */
  readonly lang?: string;
  /** For merged instances that had an observedAt, and are not given another one. */
  readonly observedAt?: Instant;
  /** Expands the terms of a VocabProperty that is given as plain text. */
  readonly context?: Pick<Context, 'expand' | 'source'>;
}

/**
 * Merge Entity (5.6.17.4, 5.5.12): the fragment is merged into the entity at every depth, also inside compound values; NGSI-LD Nulls
 * delete what they stand for. An attribute keeps its kind: a plain value given for it becomes a value of that kind.
 * @throws DomainError ResourceNotFound if there is no such entity; BadRequestData if a value does not suit the attribute's kind
 */
export function mergeEntity(
  current: Entity | undefined,
  id: Iri,
  fragment: EntityFragment,
  options: MergeOptions,
  moment: Moment,
): ChangeDraft | undefined {
  const edit = new EntityEdit(existing(current, id), moment);
  for (const key in fragment.attributes) {
    const name = key as Iri;
    for (const part of fragment.attributes[name] ?? []) {
      if (asksForDeletion(part)) {
        edit.remove(name, part.datasetId);
        continue;
      }
      const before = edit.get(name, part.datasetId);
      edit.put(name, before === undefined ? added(part, name) : mergeInstance(before, part, name, options));
    }
  }
  edit.addTypes(fragment.types);
  if (fragment.scopes !== undefined) edit.setScopes(fragment.scopes);
  if (fragment.expiresAt !== undefined) edit.setExpiry(fragment.expiresAt);
  return edit.draft(id);
}

/** An instance that the entity did not have. */
function added(part: AttributeInstance, name: Iri): AttributeInstance {
  const clean = withoutNulls(part);
  if (clean.type === undefined || (clean as unknown as JsonObject)[VALUE_MEMBER[clean.type]] === undefined) {
    throw badRequest(`${name} does not exist yet, and has no value: there is nothing to merge with`);
  }
  return clean;
}

function mergeInstance(
  before: AttributeInstance,
  part: AttributeInstance,
  name: Iri,
  options: MergeOptions,
): AttributeInstance {
  const { attributes, ...members } = asKindOf(before, part, name, options);
  const after: Record<string, unknown> = { ...before };
  const valueMember = VALUE_MEMBER[before.type];
  for (const [member, value] of Object.entries(members)) {
    if (value === NGSILD_NULL) delete after[member];
    else if (member === valueMember) after[member] = mergeValue(after[member] as JsonValue, value as JsonValue, before.type);
    else after[member] = value;
  }
  if (options.observedAt !== undefined && before.observedAt !== undefined && part.observedAt === undefined) {
    after['observedAt'] = options.observedAt;
  }
  if (attributes !== undefined) {
    const inner = mergeAttributes(before.attributes ?? {}, attributes, options);
    if (Object.keys(inner).length > 0) after['attributes'] = inner;
    else delete after['attributes'];
  }
  return after as unknown as AttributeInstance;
}

function mergeAttributes(before: Attributes, parts: Attributes, options: MergeOptions): Attributes {
  const after: Record<Iri, readonly AttributeInstance[]> = { ...before };
  for (const key in parts) {
    const name = key as Iri;
    for (const part of parts[name] ?? []) {
      const old = after[name]?.find(({ datasetId }) => datasetId === part.datasetId);
      const others = (after[name] ?? []).filter((instance) => instance !== old);
      const left = asksForDeletion(part)
        ? others
        : [...others, old === undefined ? added(part, name) : mergeInstance(old, part, name, options)];
      if (left.length > 0) after[name] = left;
      else delete after[name];
    }
  }
  return after;
}

/** RFC 7396 with the NGSI-LD Null in the place of null; only compound values of these kinds are merged, others replaced. */
function mergeValue(before: JsonValue | undefined, patch: JsonValue, type: AttributeType): JsonValue {
  const deep = type === 'Property' || type === 'LanguageProperty' || type === 'JsonProperty';
  if (!deep || !isObject(patch)) return patch;
  // A typed value is one value, not an object with members (4.6.3).
  if (patch['@value'] !== undefined) return patch;
  const merged: Record<string, JsonValue> = isObject(before) ? { ...before } : {};
  for (const [key, member] of Object.entries(patch)) {
    if (member === NGSILD_NULL) delete merged[key];
    else merged[key] = mergeValue(Object.hasOwn(merged, key) ? merged[key] : undefined, member, type);
  }
  return merged;
}

/**
 * The part as an instance of the same kind: a plain value, which reads as a Property, takes the kind of what is there (5.6.17.4).
 * @throws DomainError BadRequestData if it cannot
 */
function asKindOf(before: AttributeInstance, part: AttributeInstance, name: Iri, options: MergeOptions): AttributeInstance {
  if (part.type === undefined || part.type === before.type) return part;
  if (part.type !== 'Property' && !(part.type === 'GeoProperty' && before.type === 'JsonProperty')) {
    throw badRequest(`${name} is a ${before.type}; a merge cannot make it a ${part.type}, replacing the attribute can`);
  }
  const { type: _, value, ...rest } = part;
  if (value === undefined) return rest as unknown as AttributeInstance;
  const suited = suitedValue(before.type, value as JsonValue, name, options);
  return { ...rest, [VALUE_MEMBER[before.type]]: suited } as unknown as AttributeInstance;
}

function suitedValue(type: AttributeType, value: JsonValue, name: Iri, { lang, context }: MergeOptions): JsonValue {
  const refuse = (wanted: string) => badRequest(`${name} is a ${type}, so its value must be ${wanted}`);
  switch (type) {
    case 'Relationship':
      if (isIri(value) || (Array.isArray(value) && value.length > 0 && value.every(isIri))) return value;
      throw refuse('an IRI or an array of IRIs');
    case 'ListRelationship':
      if (Array.isArray(value) && value.every(isIri)) return value;
      throw refuse('an array of IRIs');
    case 'GeoProperty':
      return parseGeometry(value, name) as unknown as JsonValue;
    case 'LanguageProperty':
      if (typeof value === 'string' || (Array.isArray(value) && value.every((item) => typeof item === 'string'))) {
        return { [lang ?? '@none']: value };
      }
      if (isObject(value)) return value;
      throw refuse('text');
    case 'VocabProperty':
      if (typeof value === 'string') return context?.expand(value) ?? value;
      if (Array.isArray(value) && value.every((item) => typeof item === 'string'))
        return value.map((item) => context?.expand(item) ?? item);
      throw refuse('a term or an array of terms');
    case 'ListProperty':
      if (Array.isArray(value)) return value;
      throw refuse('an array');
    default:
      return value;
  }
}
