import { badRequest } from './errors.ts';
import { type Geometry, parseGeometry } from './geometry.ts';
import { type Iri, isIri, isTenantName } from './iri.ts';
import { isObject, type JsonObject, type JsonValue } from './json.ts';
import type { Context } from './jsonld/context.ts';
import { addPeriods, parsePeriod } from './period.ts';
import { compilePattern } from './query/pattern.ts';
import {
  AUXILIARY_OPERATIONS,
  type EntityInfo,
  OPERATION_GROUPS,
  OPERATION_NAMES,
  REGISTRATION_MODES,
  type Registration,
  type RegistrationInfo,
  type TimeInterval,
} from './registration.ts';
import { type Instant, instant, toMicros } from './time.ts';

/** A context source registration as it is stored: what the registrant sent, and what it means. Plain JSON. */
export interface RegistrationDocument {
  readonly id: Iri;
  /** The members of 5.2.9 as received, without id, type, @context and output-only members; names of properties that 5.2.9 does not know are IRIs. */
  readonly members: JsonObject;
  /** The @context by which the names in `members` are read. */
  readonly context: JsonValue;
  readonly registration: Registration;
  readonly createdAt: Instant;
  readonly modifiedAt: Instant;
}

/** Table 5.2.9-2, and what identifies the document: ignored on input. */
export const OUTPUT_ONLY: ReadonlySet<string> = new Set([
  'id', 'type', '@context', '@id', '@type', 'status', 'timesSent', 'timesFailed', 'lastSuccess', 'lastFailure', 'createdAt', 'modifiedAt',
]); // biome-ignore format: a list to be read as one

const MEMBERS = new Set([
  'endpoint', 'contextSourceInfo', 'information', 'contextSourceAlias', 'description', 'datasetId', 'expiresAt', 'localOnly', 'location', 'management',
  'managementInterval', 'mode', 'observationInterval', 'observationSpace', 'operations', 'operationSpace', 'refreshRate', 'registrationName', 'scope',
  'tenant',
]); // biome-ignore format: a list to be read as one

/** The first part of an RFC 7230 pseudonym: a token. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z:-]+$/;
const SCOPE = /^\/?[\p{L}][\p{L}\p{N}_-]*(?:\/[\p{L}][\p{L}\p{N}_-]*)*$/u;

/**
 * Reads a CSourceRegistration (5.2.9), its restrictions by mode (4.3.6.3, 5.9.2.4) included.
 * @param body    the members as received; for an update, the stored members with the fragment's put over them (5.5.8)
 * @param context the @context of the request: names are expanded with it (5.5.7)
 * @throws DomainError BadRequestData naming the member that is wrong
 */
export function readRegistration(
  body: JsonObject,
  context: Context,
  id: Iri,
): Pick<RegistrationDocument, 'members' | 'registration'> {
  const type = body['type'] ?? body['@type'];
  if (type !== 'ContextSourceRegistration')
    throw badRequest(
      `The type of a context source registration must be "ContextSourceRegistration", not ${JSON.stringify(type)}`,
    );
  const members: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(body)) {
    if (OUTPUT_ONLY.has(name)) continue;
    if (value === null) throw badRequest(`${name} is null, which is no value`);
    // Context Source Properties (4.9, csf): what the registrant wants to say beyond 5.2.9.
    members[MEMBERS.has(name) ? name : context.expand(name)] = value;
  }
  const endpoint = text(members, 'endpoint');
  if (endpoint === undefined || !URL.canParse(endpoint) || !/^(https?|nats):$/.test(new URL(endpoint).protocol)) {
    throw badRequest('endpoint must be a URI under which the context source can be asked, such as http://example.org:1026');
  }
  for (const name of ['description', 'registrationName']) text(members, name);
  if (members['refreshRate'] !== undefined) parsePeriod(members['refreshRate'], 'refreshRate');
  const mode = members['mode'] ?? 'inclusive';
  const found = REGISTRATION_MODES.find((one) => one === mode);
  if (found === undefined)
    throw badRequest(`mode must be one of ${REGISTRATION_MODES.join(', ')}, not ${JSON.stringify(mode)}`);
  const information = informationOf(members['information'], context);
  if (found === 'exclusive') requireExclusive(information);
  const named = texts(members, 'operations') ?? ['federationOps'];
  if (found === 'auxiliary') requireAuxiliary(members['operations'] === undefined ? ['retrieveOps'] : named);
  const alias = text(members, 'contextSourceAlias');
  if (alias !== undefined && !TOKEN.test(alias))
    throw badRequest('contextSourceAlias must be a pseudonym of RFC 7230: letters, digits and signs, no spaces');
  const tenant = text(members, 'tenant');
  if (tenant !== undefined && !isTenantName(tenant)) throw badRequest(`tenant: ${JSON.stringify(tenant)} cannot be a tenant`);
  const registration: Registration = {
    id,
    endpoint,
    mode: found,
    information,
    operations: operationsOf(members['operations'] === undefined && found === 'auxiliary' ? ['retrieveOps'] : named),
    info: pairsOf(members['contextSourceInfo']),
    ...managementOf(members['management'], members['localOnly']),
    ...(tenant === undefined ? {} : { tenant }),
    ...(alias === undefined ? {} : { alias }),
    ...present('datasetIds', datasetIdsOf(texts(members, 'datasetId'))),
    ...present('scopes', scopesOf(members['scope'])),
    ...present('location', geometryOf(members, 'location')),
    ...present('observationSpace', geometryOf(members, 'observationSpace')),
    ...present('operationSpace', geometryOf(members, 'operationSpace')),
    ...present('observationInterval', intervalOf(members, 'observationInterval')),
    ...present('managementInterval', intervalOf(members, 'managementInterval')),
    ...(members['expiresAt'] === undefined ? {} : { expiresAt: instant(members['expiresAt'], 'expiresAt') }),
  };
  return { members, registration };
}

function present<K extends string, V>(name: K, value: V | undefined): { [P in K]?: V } {
  return (value === undefined ? {} : { [name]: value }) as { [P in K]?: V };
}

function informationOf(value: JsonValue | undefined, context: Context): readonly RegistrationInfo[] {
  if (!Array.isArray(value) || value.length === 0)
    throw badRequest('information must be an array with at least one RegistrationInfo (5.2.10)');
  return value.map((info, at) => {
    const where = `information[${at}]`;
    if (!isObject(info)) throw badRequest(`${where} must be a RegistrationInfo object (5.2.10)`);
    for (const name of Object.keys(info)) {
      if (!['entities', 'propertyNames', 'relationshipNames'].includes(name))
        throw badRequest(`${where}: a RegistrationInfo has no member "${name}"`);
    }
    const entities = info['entities'] === undefined ? undefined : entitiesOf(info['entities'], context, `${where}.entities`);
    const properties = texts(info, 'propertyNames', `${where}.`);
    const relationships = texts(info, 'relationshipNames', `${where}.`);
    if (!entities && !properties && !relationships)
      throw badRequest(`${where} must have entities, propertyNames or relationshipNames`);
    const names = [...(properties ?? []), ...(relationships ?? [])].map((name) => context.expand(name));
    return {
      ...(entities ? { entities } : {}),
      ...(properties || relationships ? { attributes: names } : {}),
    };
  });
}

function entitiesOf(value: JsonValue, context: Context, where: string): readonly EntityInfo[] {
  if (!Array.isArray(value) || value.length === 0) throw badRequest(`${where} must be an array with at least one EntityInfo`);
  return value.map((entity: JsonValue, at) => {
    if (!isObject(entity)) throw badRequest(`${where}[${at}] must be an EntityInfo object (5.2.8)`);
    const { id, idPattern, type } = entity;
    const types = type === undefined ? undefined : Array.isArray(type) ? type : [type];
    if (types && (types.length === 0 || !types.every((one) => typeof one === 'string' && one !== '')))
      throw badRequest(`${where}[${at}].type must be an entity type or an array of them`);
    if (id !== undefined && !isIri(id)) throw badRequest(`${where}[${at}].id must be a URI`);
    if (idPattern !== undefined && typeof idPattern !== 'string')
      throw badRequest(`${where}[${at}].idPattern must be a regular expression`);
    if (idPattern !== undefined) compilePattern(idPattern);
    if (!types && id === undefined && idPattern === undefined)
      throw badRequest(`${where}[${at}] must have a type, an id or an idPattern`);
    return {
      ...(types ? { types: types.map((one) => context.expand(one as string)) } : {}),
      ...(id === undefined ? {} : { id }),
      ...(idPattern === undefined || id !== undefined ? {} : { idPattern }),
    };
  });
}

/** 4.3.6.3: "An exclusive registration shall always relate to specific Attributes found on a single Entity." */
function requireExclusive(information: readonly RegistrationInfo[]): void {
  for (const { entities, attributes } of information) {
    if (!attributes) throw badRequest('An exclusive registration must name attributes (4.3.6.3)');
    if (!entities?.every(({ id }) => id !== undefined))
      throw badRequest('An exclusive registration must name its entity by id: a type or a pattern is not enough (4.3.6.3)');
  }
}

function requireAuxiliary(operations: readonly string[]): void {
  for (const name of operations) {
    if (!AUXILIARY_OPERATIONS.has(name))
      throw badRequest(`An auxiliary source can be asked retrieveOps, retrieveEntity and queryEntity, not "${name}" (5.9.2.4)`);
  }
}

function operationsOf(names: readonly string[]): readonly string[] {
  const operations = new Set<string>();
  for (const name of names) {
    const group = OPERATION_GROUPS[name];
    if (!group && !OPERATION_NAMES.has(name)) throw badRequest(`operations: "${name}" is no operation or group of 4.20`);
    for (const one of group ?? [name]) operations.add(one);
  }
  return [...operations];
}

/** 5.2.22, with the keys of 4.3.6.6 that have a meaning of their own. */
function pairsOf(value: JsonValue | undefined): Registration['info'] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw badRequest('contextSourceInfo must be an array of {key, value} objects');
  return value.map((pair: JsonValue) => {
    if (!isObject(pair) || typeof pair['key'] !== 'string' || pair['key'] === '' || typeof pair['value'] !== 'string')
      throw badRequest('contextSourceInfo must be an array of {key, value} objects, both of them strings (5.2.22)');
    const { key, value: content } = pair as { key: string; value: string };
    if ((key === 'accept' || key === 'contentType') && content !== 'application/json' && content !== 'application/ld+json')
      throw badRequest(`contextSourceInfo: ${key} must be application/json or application/ld+json (4.3.6.6)`);
    if (key === 'jsonldContext' && !isIri(content))
      throw badRequest('contextSourceInfo: jsonldContext must be a URL (4.3.6.6)');
    if (key === 'ngsildConformance' && !/^\d+\.\d+(\.\d+)?$/.test(content))
      throw badRequest('contextSourceInfo: ngsildConformance must be of the form major.minor (4.3.6.6)');
    if (!TOKEN.test(key) || /[\r\n\0]/.test(content))
      throw badRequest(`contextSourceInfo: "${key}" cannot be sent as an HTTP header`);
    return { key, value: content };
  });
}

/** 5.2.34. Registrants also write `localOnly` beside management, where nothing else could be meant by it; then it counts as well. */
function managementOf(
  value: JsonValue | undefined,
  beside: JsonValue | undefined,
): Pick<Registration, 'localOnly' | 'timeoutMs' | 'cooldownMs' | 'cacheMicros'> {
  if (beside !== undefined && typeof beside !== 'boolean') throw badRequest('localOnly must be true or false');
  if (value === undefined) return { localOnly: beside === true };
  if (!isObject(value)) throw badRequest('management must be a RegistrationManagementInfo object (5.2.34)');
  const { localOnly = beside, timeout, cooldown, cacheDuration } = value;
  if (localOnly !== undefined && typeof localOnly !== 'boolean') throw badRequest('management.localOnly must be true or false');
  for (const [name, number] of Object.entries({ timeout, cooldown })) {
    if (number !== undefined && !(typeof number === 'number' && number > 0))
      throw badRequest(`management.${name} must be a number greater than 0`);
  }
  return {
    localOnly: localOnly === true,
    ...(timeout === undefined ? {} : { timeoutMs: timeout as number }),
    ...(cooldown === undefined ? {} : { cooldownMs: cooldown as number }),
    ...(cacheDuration === undefined
      ? {}
      : { cacheMicros: addPeriods(0, parsePeriod(cacheDuration, 'management.cacheDuration'), 1) }),
  };
}

function datasetIdsOf(given: readonly string[] | undefined): readonly (Iri | '@none')[] | undefined {
  for (const one of given ?? []) {
    if (one !== '@none' && !isIri(one)) throw badRequest(`datasetId: ${JSON.stringify(one)} is neither a URI nor "@none"`);
  }
  return given as readonly (Iri | '@none')[] | undefined;
}

function scopesOf(value: JsonValue | undefined): readonly string[] | undefined {
  if (value === undefined) return undefined;
  const scopes = Array.isArray(value) ? value : [value];
  if (scopes.length === 0 || !scopes.every((scope) => typeof scope === 'string' && SCOPE.test(scope)))
    throw badRequest('scope must be a scope such as /Madrid/Centro, or an array of them (4.18)');
  return scopes as readonly string[];
}

function geometryOf(members: JsonObject, name: string): Geometry | undefined {
  return members[name] === undefined ? undefined : parseGeometry(members[name], name);
}

function intervalOf(members: JsonObject, name: string): TimeInterval | undefined {
  const value = members[name];
  if (value === undefined) return undefined;
  if (!isObject(value)) throw badRequest(`${name} must be a TimeInterval object with startAt (5.2.11)`);
  const start = toMicros(instant(value['startAt'], `${name}.startAt`));
  if (value['endAt'] === undefined) return { start };
  const end = toMicros(instant(value['endAt'], `${name}.endAt`));
  if (end < start) throw badRequest(`${name} ends before it starts`);
  return { start, end };
}

function text(from: JsonObject, name: string): string | undefined {
  const value = from[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value === '') throw badRequest(`${name} must be a string that is not empty`);
  return value;
}

function texts(from: JsonObject, name: string, prefix = ''): readonly string[] | undefined {
  const value = from[name];
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.length === 0 || !value.every((item) => typeof item === 'string' && item !== '')) {
    throw badRequest(`${prefix}${name} must be an array of strings that is not empty`);
  }
  return value as string[];
}
