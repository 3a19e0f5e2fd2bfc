import type { Iri } from '../../domain/iri.ts';
import type { JsonObject, JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import type { EntityInfo, RegistrationInfo } from '../../domain/registration.ts';
import { fromMicros } from '../../domain/time.ts';
import type { RegistrationInForce } from './registrations-in-force.ts';

/**
 * A registration as 5.2.9 shows it, in the terms of `context`. `information`: only these elements (5.10.2.5); `typeLists`: entity types always as a list, one
 * of the two forms of 5.2.8, instead of as they were given.
 */
export function registrationBody(
  { document, registration, state }: Pick<RegistrationInForce, 'document' | 'registration' | 'state'>,
  context: Context,
  {
    information,
    sysAttrs = false,
    typeLists = false,
  }: { information?: readonly RegistrationInfo[]; sysAttrs?: boolean; typeLists?: boolean } = {},
): JsonObject {
  const members: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(document.members)) {
    members[name.includes(':') ? context.compact(name as Iri) : name] = value;
  }
  const received = document.members['information'] as readonly JsonObject[];
  const shown = registration.information.flatMap((info, at) =>
    information === undefined || information.includes(info) ? [infoBody(info, received[at] ?? {}, context, typeLists)] : [],
  );
  return {
    id: document.id,
    type: 'ContextSourceRegistration',
    ...members,
    information: shown,
    ...(state.status ? { status: state.status } : {}),
    ...(state.timesSent > 0 ? { timesSent: state.timesSent } : {}),
    ...(state.timesFailed > 0 ? { timesFailed: state.timesFailed } : {}),
    ...(state.lastSuccess === undefined ? {} : { lastSuccess: fromMicros(state.lastSuccess) }),
    ...(state.lastFailure === undefined ? {} : { lastFailure: fromMicros(state.lastFailure) }),
    ...(sysAttrs ? { createdAt: document.createdAt, modifiedAt: document.modifiedAt } : {}),
  };
}

function infoBody(info: RegistrationInfo, received: JsonObject, context: Context, typeLists: boolean): JsonObject {
  const properties = (received['propertyNames'] as string[] | undefined)?.length ?? 0;
  const names = (info.attributes ?? []).map((iri) => context.compact(iri));
  return {
    ...(info.entities
      ? { entities: info.entities.map((entity, at) => entityBody(entity, received, at, context, typeLists)) }
      : {}),
    ...(received['propertyNames'] ? { propertyNames: names.slice(0, properties) } : {}),
    ...(received['relationshipNames'] ? { relationshipNames: names.slice(properties) } : {}),
  };
}

function entityBody(entity: EntityInfo, received: JsonObject, at: number, context: Context, typeLists: boolean): JsonObject {
  const given = (received['entities'] as JsonObject[])[at];
  const types = entity.types?.map((type) => context.compact(type));
  return { ...given, ...(types ? { type: typeLists || Array.isArray(given?.['type']) ? types : (types[0] ?? '') } : {}) };
}
