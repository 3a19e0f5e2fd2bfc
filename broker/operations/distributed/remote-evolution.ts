import type { AttributeInstance } from '../../domain/attribute.ts';
import { DomainError } from '../../domain/errors.ts';
import type { TemporalEvolution } from '../../domain/history.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { expandTemporalEntity } from '../../domain/jsonld/expand-temporal.ts';
import { type Instant, parseInstant } from '../../domain/time.ts';

/** An evolution as a source sent it, with the system members that tell instances apart. undefined: it is none. */
export function remoteEvolution(body: JsonValue, context: Context): TemporalEvolution | undefined {
  if (!isObject(body)) return undefined;
  try {
    // What the source says about its own keeping is read below; as content it would be refused or lost.
    const { id, types, scopes, attributes } = expandTemporalEntity(body, context);
    if (id === undefined || types === undefined) return undefined;
    const given = new Map(
      Object.entries(body).map(([name, value]) => [name === 'id' || name === 'type' ? name : context.expand(name), value]),
    );
    const timed: Record<Iri, readonly AttributeInstance[]> = {};
    for (const [name, instances] of Object.entries(attributes) as [Iri, readonly AttributeInstance[]][]) {
      const sent = [given.get(name) ?? []].flat() as readonly JsonValue[];
      timed[name] = instances.map((instance, at) => ({ ...instance, ...systemMembers(sent[at]) }));
    }
    const createdAt = parseInstant(body['createdAt']) ?? EPOCH;
    return {
      id,
      types,
      attributes: timed,
      createdAt,
      modifiedAt: parseInstant(body['modifiedAt']) ?? createdAt,
      ...(scopes ? { scopes } : {}),
    };
  } catch (error) {
    // What is no evolution is not made part of one.
    if (error instanceof DomainError) return undefined;
    throw error;
  }
}

const EPOCH = '1970-01-01T00:00:00Z' as Instant;

function systemMembers(sent: JsonValue | undefined): { createdAt?: Instant; modifiedAt?: Instant; instanceId?: Iri } {
  if (!isObject(sent)) return {};
  const found: { createdAt?: Instant; modifiedAt?: Instant } = {};
  for (const name of ['createdAt', 'modifiedAt'] as const) {
    const at = parseInstant((sent as JsonObject)[name]);
    if (at) found[name] = at;
  }
  return typeof sent['instanceId'] === 'string' ? { ...found, instanceId: sent['instanceId'] as Iri } : found;
}
