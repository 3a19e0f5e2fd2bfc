import { type AttributeInstance, instanceValue, VALUE_MEMBER } from './attribute.ts';
import type { AttributeChange, Change } from './change.ts';
import type { EntityFragment } from './entity.ts';
import { type Iri, NGSILD_NULL } from './iri.ts';
import { isObject, type JsonObject, type JsonValue } from './json.ts';
import type { Context } from './jsonld/context.ts';
import { expandEntity, requireWhole } from './jsonld/expand.ts';
import { type Instant, parseInstant } from './time.ts';

/** What happened to an entity at another broker: a change without a place in the log of this one. */
export type NotifiedChange = Pick<Change, 'id' | 'kind' | 'types' | 'entity' | 'attributes' | 'at'>;

/**
 * What one entity of a notification tells (5.3.1, 5.8.6): the entity as it is, and what was deleted (NGSI-LD Nulls, `deletedAt`) or was different before
 * (`previousValue` and its like). Read in this way it can be tested and written on like a change of this broker.
 * @param body an entity as notified, normalized or concise
 * @param at   when it was notified, unless the entity says when it was deleted
 * @throws DomainError BadRequestData if it is no entity
 */
export function notifiedChange(body: JsonObject, context: Context, at: Instant): NotifiedChange {
  const { deletedAt: deleted, ...members } = body;
  const now = expandEntity(mapped(members, withoutPrevious), context, { nulls: 'members' });
  requireWhole(now);
  // The same entity with the values that it had: of what says nothing about them it has those of now.
  const earlier = Object.values(members).some((value) => listOf(value).some(hasPrevious))
    ? expandEntity(mapped(members, asBefore), context, { nulls: 'members' })
    : now;
  const gone = parseInstant(deleted);
  const sent = new Map(
    Object.entries(members).map(([name, value]) => [name.startsWith('@') ? name : context.expand(name), listOf(value)]),
  );
  const attributes: Record<Iri, readonly AttributeInstance[]> = {};
  const changes: AttributeChange[] = [];
  for (const [name, instances] of Object.entries(now.attributes) as [Iri, readonly AttributeInstance[]][]) {
    const kept: AttributeInstance[] = [];
    for (const [index, read] of instances.entries()) {
      const raw = sent.get(name)?.[index];
      const instance = { ...read, ...times(raw) };
      const before = { ...(earlier.attributes[name]?.[index] ?? read), ...times(raw) };
      const dataset = instance.datasetId === undefined ? {} : { datasetId: instance.datasetId };
      const isNull = instanceValue(instance) === NGSILD_NULL;
      if (isNull) changes.push({ name, ...dataset, kind: 'deleted', before });
      else if (hasPrevious(raw)) changes.push({ name, ...dataset, kind: 'updated', before, after: instance });
      // The entity of a deletion is the entity as it was.
      if (gone !== undefined) kept.push(before);
      else if (!isNull) kept.push(instance);
    }
    if (kept.length > 0) attributes[name] = kept;
  }
  return {
    id: now.id,
    kind: gone === undefined ? 'updated' : 'deleted',
    types: now.types,
    entity: { ...wholeOf(now, body, at), attributes },
    attributes: changes,
    at: gone ?? deletionOf(sent) ?? at,
  };
}

function wholeOf(fragment: EntityFragment, body: JsonObject, at: Instant): Omit<Change['entity'], 'attributes'> {
  const { id, types, scopes, expiresAt } = fragment;
  return {
    id: id as Iri,
    types: types ?? [],
    createdAt: parseInstant(body['createdAt']) ?? at,
    modifiedAt: parseInstant(body['modifiedAt']) ?? at,
    ...(scopes ? { scopes } : {}),
    ...(expiresAt ? { expiresAt } : {}),
    // Never stored here, so never compared.
    stamp: { at: 0, origin: '' },
  };
}

const listOf = (value: JsonValue): readonly JsonValue[] => (Array.isArray(value) ? value : [value]);

/** The entity with every instance of its attributes changed. */
function mapped(members: JsonObject, change: (instance: JsonValue) => JsonValue): JsonObject {
  const of = (value: JsonValue) => (Array.isArray(value) ? value.map(change) : change(value));
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [name, name.startsWith('@') ? value : of(value)]));
}

function times(sent: JsonValue | undefined): { createdAt?: Instant; modifiedAt?: Instant } {
  if (!isObject(sent)) return {};
  const createdAt = parseInstant(sent['createdAt']);
  const modifiedAt = parseInstant(sent['modifiedAt']);
  return { ...(createdAt ? { createdAt } : {}), ...(modifiedAt ? { modifiedAt } : {}) };
}

/** When an attribute was deleted. */
function deletionOf(sent: ReadonlyMap<string, readonly JsonValue[]>): Instant | undefined {
  for (const instances of sent.values()) {
    for (const one of instances) {
      const found = isObject(one) ? parseInstant(one['deletedAt']) : undefined;
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** `previousValue` and its like, and the members they stand for (Tables 5.2.5-1 to 5.2.38-1). */
const PREVIOUS: ReadonlyMap<string, string> = new Map(
  Object.values(VALUE_MEMBER).map((member) => [`previous${member.slice(0, 1).toUpperCase()}${member.slice(1)}`, member]),
);

function hasPrevious(value: JsonValue | undefined): boolean {
  if (isObject(value)) for (const name of PREVIOUS.keys()) if (value[name] !== undefined) return true;
  return false;
}

function withoutPrevious(value: JsonValue): JsonValue {
  if (!hasPrevious(value)) return value;
  return Object.fromEntries(Object.entries(value as JsonObject).filter(([name]) => !PREVIOUS.has(name)));
}

function asBefore(value: JsonValue): JsonValue {
  if (!hasPrevious(value)) return value;
  const before = withoutPrevious(value) as Record<string, JsonValue>;
  for (const [name, earlier] of Object.entries(value as JsonObject)) {
    const member = PREVIOUS.get(name);
    if (member !== undefined) before[member] = earlier;
  }
  return before;
}
