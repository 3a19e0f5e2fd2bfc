import type { AttributeInstance } from '../../domain/attribute.ts';
import type { Entity } from '../../domain/entity.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { expandEntity, requireWhole } from '../../domain/jsonld/expand.ts';
import { type Instant, parseInstant } from '../../domain/time.ts';

/** An entity as a source sent it, with the system times that decide conflicts (4.5.5.3). @throws DomainError if it is none */
export function remoteEntity(body: JsonValue, context: Context, now: Instant): Entity {
  const fragment = expandEntity(body, context);
  requireWhole(fragment);
  const raw = body as JsonObject;
  const attributes: Record<Iri, readonly AttributeInstance[]> = {};
  const { expiresAt, scopes } = fragment;
  const given = new Map(
    Object.entries(raw).map(([name, value]) => [name === 'id' || name === 'type' ? name : context.expand(name), value]),
  );
  for (const [name, instances] of Object.entries(fragment.attributes) as [Iri, readonly AttributeInstance[]][]) {
    const sent = [given.get(name) ?? []].flat();
    attributes[name] = instances.map((instance, at) => ({ ...instance, ...times(sent[at]) }));
  }
  return {
    id: fragment.id,
    types: fragment.types,
    attributes,
    createdAt: parseInstant(raw['createdAt']) ?? now,
    modifiedAt: parseInstant(raw['modifiedAt']) ?? now,
    ...(scopes ? { scopes } : {}),
    ...(expiresAt ? { expiresAt } : {}),
    // Never stored here, so never compared.
    stamp: { at: 0, origin: '' },
  };
}

function times(sent: JsonValue | undefined): { createdAt?: Instant; modifiedAt?: Instant } {
  if (!isObject(sent)) return {};
  const createdAt = parseInstant(sent['createdAt']);
  const modifiedAt = parseInstant(sent['modifiedAt']);
  return { ...(createdAt ? { createdAt } : {}), ...(modifiedAt ? { modifiedAt } : {}) };
}
