import { parseVersion, type Version } from './conformance.ts';
import { badRequest } from './errors.ts';
import { type Iri, isIri, NGSILD_NULL } from './iri.ts';
import { isObject, type JsonObject, type JsonValue } from './json.ts';
import type { Context } from './jsonld/context.ts';
import type { Join } from './linked.ts';
import { parseGeoQuery } from './query/parse/georel.ts';
import { parseQ } from './query/parse/q.ts';
import { parseScopes } from './query/parse/scope.ts';
import { parseTypes } from './query/parse/types.ts';
import type { Condition } from './query/query.ts';
import { DEFAULT_TRIGGERS, type EntitySelector, type Subscription, TRIGGERS, type Trigger } from './subscription.ts';
import { instant } from './time.ts';

/** How and where to notify (5.2.14, 5.2.15). Names are IRIs. */
export interface NotificationParams {
  readonly endpoint: {
    readonly uri: string;
    readonly accept: 'application/json' | 'application/ld+json' | 'application/geo+json';
    readonly timeoutMs?: number;
    readonly cooldownMs?: number;
    readonly receiverInfo: Readonly<Record<string, string>>;
    readonly notifierInfo: Readonly<Record<string, string>>;
  };
  readonly format: 'normalized' | 'concise' | 'simplified';
  /** Projection as the subscriber wrote it; read with the subscription's own @context (4.21). */
  readonly attributes?: readonly Iri[];
  readonly pick?: readonly string[];
  readonly omit?: readonly string[];
  /** Linked entities that come with the others (4.5.23). */
  readonly join?: Join;
  readonly sysAttrs: boolean;
  readonly showChanges: boolean;
}

/** A subscription as it is stored: what the subscriber sent, and what it means. Plain JSON. */
export interface SubscriptionDocument {
  readonly id: Iri;
  /** The members of 5.2.12 as received, without id, type, @context and output-only members. */
  readonly members: JsonObject;
  /** The @context by which the names in `members` are read. */
  readonly context: JsonValue;
  /** Members that came with a later fragment, whose names are read by the @context that it came with (5.5.8). */
  readonly contexts?: Readonly<Record<string, JsonValue>>;
  readonly subscription: Subscription;
  readonly notification: NotificationParams;
  /** The @context of notifications: `jsonldContext`, else that of the subscription. */
  readonly notificationContext: JsonValue;
  /** Notifications are amended to conform to this version of the specification (4.3.6.8). */
  readonly conformance?: Version;
  readonly lang?: string;
  /** Which context source registrations count (5.2.12, csf). */
  readonly filter?: Condition;
  /** The brokers that it came through (4.3.6.4), nearest last: they get no copy of it. Absent: it came from a subscriber. */
  readonly via?: readonly string[];
}

/** Output-only members, ignored on input (5.2.12, 5.2.14.2). */
const OUTPUT_ONLY = new Set(['status', 'id', 'type', '@context', '@id', '@type', 'modifiedAt', 'createdAt']);
const MEMBERS = new Set([
  'entities',
  'notification',
  'notificationTrigger',
  'watchedAttributes',
  'q',
  'geoQ',
  'scopeQ',
  'temporalQ',
  'csf',
  'datasetId',
  'description',
  'expandValues',
  'expiresAt',
  'isActive',
  'jsonKeys',
  'jsonldContext',
  'lang',
  'localOnly',
  'ngsildConformance',
  'splitEntities',
  'subscriptionName',
  'throttling',
  'timeInterval',
]);

/**
 * Reads a Subscription (5.2.12).
 * @param body    the members as received; for an update, the stored members with the fragment's put over them (5.5.8)
 * @param context the @context of the request: names are expanded with it (5.5.7)
 * @param id      the subscription's id, given or made
 * @param others  @contexts of members that are read by another one, by member
 * @throws DomainError BadRequestData naming the member that is wrong
 */
export function readSubscription(
  body: JsonObject,
  context: Context,
  id: Iri,
  others: ReadonlyMap<string, Context> = new Map(),
): SubscriptionDocument {
  const by = (member: string) => others.get(member) ?? context;
  const members: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(body)) {
    // What 5.2.12 does not know means nothing here, and is not kept.
    if (MEMBERS.has(name)) members[name] = name === 'notification' && isObject(value) ? withoutState(value) : value;
  }
  const type = body['type'] ?? body['@type'];
  if (type !== 'Subscription')
    throw badRequest(`The type of a Subscription must be "Subscription", not ${JSON.stringify(type)}`);
  if (members['entities'] === undefined && members['watchedAttributes'] === undefined && members['localOnly'] !== true) {
    throw badRequest('A Subscription needs entities or watchedAttributes, unless localOnly is true');
  }
  if (members['timeInterval'] !== undefined) {
    for (const other of ['watchedAttributes', 'throttling']) {
      if (members[other] !== undefined) throw badRequest(`${other} and timeInterval exclude each other`);
    }
  }
  const notification = readNotification(members['notification'], by('notification'));
  const jsonldContext = optionalText(members, 'jsonldContext');
  if (jsonldContext !== undefined && !isIri(jsonldContext)) throw badRequest('jsonldContext must be the URI of a @context');
  const lang = optionalText(members, 'lang');
  for (const name of ['description', 'subscriptionName']) optionalText(members, name);
  const version = optionalText(members, 'ngsildConformance');
  const conformance = version === undefined ? undefined : parseVersion(version);
  if (version !== undefined && conformance === undefined) {
    throw badRequest(`ngsildConformance must be a version of the form major.minor, such as 1.5, not "${version}" (5.2.12)`);
  }
  const csf = optionalText(members, 'csf');
  for (const name of ['localOnly', 'splitEntities']) optionalFlag(members, name);
  return {
    id,
    members,
    context: context.source,
    ...(others.size > 0 ? { contexts: Object.fromEntries([...others].map(([name, { source }]) => [name, source])) } : {}),
    subscription: readConditions(members, by, id),
    notification,
    notificationContext: jsonldContext ?? context.source,
    ...(lang === undefined ? {} : { lang }),
    ...(conformance === undefined ? {} : { conformance }),
    ...(csf === undefined ? {} : { filter: parseQ(csf, by('csf'), { what: 'csf' }) }),
  };
}

/** Output-only members of 5.2.14.2: the broker's to say, not the subscriber's. */
const STATE = new Set(['status', 'timesSent', 'timesFailed', 'lastNotification', 'lastSuccess', 'lastFailure']);
const withoutState = (notification: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(notification).filter(([name]) => !STATE.has(name)));

/** The members of a stored subscription with those of a fragment in their place (5.5.8); an NGSI-LD Null removes a member. */
export function patchMembers(stored: JsonObject, fragment: JsonObject): JsonObject {
  const merged: Record<string, JsonValue> = { ...stored };
  for (const [name, value] of Object.entries(fragment)) {
    if (OUTPUT_ONLY.has(name)) continue;
    if (value === NGSILD_NULL || value === null) delete merged[name];
    else merged[name] = value;
  }
  return merged;
}

function readConditions(members: JsonObject, by: (member: string) => Context, id: Iri): Subscription {
  const entities = members['entities'] === undefined ? undefined : readSelectors(members['entities'], by('entities'));
  const watched = optionalTexts(members, 'watchedAttributes')?.map((name) => by('watchedAttributes').expand(name));
  const triggers = optionalTexts(members, 'notificationTrigger');
  for (const trigger of triggers ?? []) {
    if (!(TRIGGERS as readonly string[]).includes(trigger)) {
      throw badRequest(`notificationTrigger: "${trigger}" is not one of ${TRIGGERS.join(', ')}`);
    }
  }
  const conditions: Condition[] = [];
  const q = optionalText(members, 'q');
  if (q !== undefined) {
    conditions.push(
      parseQ(percentDecoded(q), by('q'), {
        expandValues: names(members, 'expandValues'),
        jsonKeys: names(members, 'jsonKeys'),
      }),
    );
  }
  if (members['geoQ'] !== undefined) conditions.push(readGeoQ(members['geoQ'], by('geoQ')));
  const scopeQ = optionalText(members, 'scopeQ');
  const datasetIds = optionalTexts(members, 'datasetId') as readonly (Iri | '@none')[] | undefined;
  for (const datasetId of datasetIds ?? []) {
    if (datasetId !== '@none' && !isIri(datasetId))
      throw badRequest(`datasetId: ${JSON.stringify(datasetId)} is neither a URI nor "@none"`);
  }
  const expiresAt = members['expiresAt'] === undefined ? undefined : instant(members['expiresAt'], 'expiresAt');
  const throttling = optionalPositive(members, 'throttling');
  const timeInterval = optionalPositive(members, 'timeInterval');
  return {
    id,
    triggers: (triggers as Trigger[] | undefined) ?? DEFAULT_TRIGGERS,
    isActive: optionalFlag(members, 'isActive') ?? true,
    ...(entities ? { entities } : {}),
    ...(watched ? { watchedAttributes: watched } : {}),
    ...(conditions.length === 1
      ? { where: conditions[0]! }
      : conditions.length > 1
        ? { where: { kind: 'and', of: conditions } }
        : {}),
    ...(scopeQ === undefined ? {} : { scopes: parseScopes(scopeQ) }),
    ...(datasetIds ? { datasetIds } : {}),
    ...(expiresAt ? { expiresAt } : {}),
    ...(throttling === undefined ? {} : { throttlingS: throttling }),
    ...(timeInterval === undefined ? {} : { timeIntervalS: timeInterval }),
  };
}

/** Many subscribers copy a q out of a URL, percent-encoded as it was there. What is not so encoded stays as it is. */
function percentDecoded(q: string): string {
  if (!/%[0-9A-Fa-f]{2}/.test(q)) return q;
  try {
    return decodeURIComponent(q);
  } catch {
    return q;
  }
}

function readSelectors(value: JsonValue, context: Context): readonly EntitySelector[] {
  if (!Array.isArray(value) || value.length === 0)
    throw badRequest('entities must be an array with at least one EntitySelector');
  return value.map((selector, at) => {
    const where = `entities[${at}]`;
    if (!isObject(selector)) throw badRequest(`${where} must be an EntitySelector object (5.2.33)`);
    const { id, idPattern, type } = selector;
    if (typeof type !== 'string' || type === '') throw badRequest(`${where}.type must be an entity type selection`);
    const ids = id === undefined ? undefined : Array.isArray(id) ? id : [id];
    if (ids && (ids.length === 0 || !ids.every(isIri))) throw badRequest(`${where}.id must be a URI or an array of URIs`);
    if (idPattern !== undefined && typeof idPattern !== 'string')
      throw badRequest(`${where}.idPattern must be a regular expression`);
    const types = parseTypes(type, context, `${where}.type`);
    return {
      ...(ids ? { ids: ids as Iri[] } : {}),
      // "id takes precedence over idPattern" (5.2.33).
      ...(idPattern !== undefined && !ids ? { idPattern } : {}),
      ...(types ? { types } : {}),
    };
  });
}

function readGeoQ(value: JsonValue, context: Context): Condition {
  if (!isObject(value)) throw badRequest('geoQ must be a GeoQuery object (5.2.13)');
  const { georel, geometry, coordinates, geoproperty } = value;
  for (const [name, given] of Object.entries({ georel, geometry })) {
    if (typeof given !== 'string') throw badRequest(`geoQ.${name} must be a string`);
  }
  if (geoproperty !== undefined && typeof geoproperty !== 'string')
    throw badRequest('geoQ.geoproperty must be an attribute name');
  const found = parseGeoQuery(
    {
      georel: georel as string,
      geometry: geometry as string,
      coordinates,
      ...(geoproperty === undefined ? {} : { geoproperty }),
    },
    context,
  );
  if (!found) throw badRequest('geoQ must have georel, geometry and coordinates');
  return found;
}

function readNotification(value: JsonValue | undefined, context: Context): NotificationParams {
  if (!isObject(value)) throw badRequest('A Subscription needs a notification object with an endpoint (5.2.14)');
  const endpoint = value['endpoint'];
  if (!isObject(endpoint)) throw badRequest('notification.endpoint is missing (5.2.15)');
  const uri = endpoint['uri'];
  if (typeof uri !== 'string' || !URL.canParse(uri))
    throw badRequest(`notification.endpoint.uri must be a URI, not ${JSON.stringify(uri)}`);
  if (!/^(https?|mqtts?):$/.test(new URL(uri).protocol)) {
    throw badRequest(`notification.endpoint.uri must begin with http, https, mqtt or mqtts, not "${new URL(uri).protocol}"`);
  }
  const accept = endpoint['accept'] ?? 'application/json';
  if (accept !== 'application/json' && accept !== 'application/ld+json' && accept !== 'application/geo+json') {
    throw badRequest(
      `notification.endpoint.accept: ${JSON.stringify(accept)} is not application/json, application/ld+json or application/geo+json`,
    );
  }
  const format = value['format'] ?? 'normalized';
  if (format !== 'normalized' && format !== 'concise' && format !== 'simplified' && format !== 'keyValues') {
    throw badRequest(`notification.format: ${JSON.stringify(format)} is not normalized, concise, simplified or keyValues`);
  }
  const attributes = optionalTexts(value, 'attributes', 'notification.');
  const pick = optionalTexts(value, 'pick', 'notification.');
  const omit = optionalTexts(value, 'omit', 'notification.');
  if (attributes && (pick || omit))
    throw badRequest('notification.attributes goes neither with pick nor with omit, whose older form it is');
  const twice = pick?.find((member) => omit?.includes(member));
  if (twice !== undefined) throw badRequest(`notification: "${twice}" is in pick and in omit`);
  const join = readJoin(value);
  const showChanges = optionalFlag(value, 'showChanges', 'notification.') ?? false;
  if (showChanges && (format === 'simplified' || format === 'keyValues')) {
    throw badRequest('notification.showChanges cannot be true with the simplified format (5.2.14.1)');
  }
  const timeoutMs = optionalPositive(endpoint, 'timeout', 'notification.endpoint.');
  const cooldownMs = optionalPositive(endpoint, 'cooldown', 'notification.endpoint.');
  const notifierInfo = pairs(endpoint['notifierInfo'], 'notifierInfo');
  checkNotifierInfo(notifierInfo);
  return {
    endpoint: {
      uri,
      accept,
      receiverInfo: pairs(endpoint['receiverInfo'], 'receiverInfo'),
      notifierInfo,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(cooldownMs === undefined ? {} : { cooldownMs }),
    },
    format: format === 'keyValues' ? 'simplified' : format,
    sysAttrs: optionalFlag(value, 'sysAttrs', 'notification.') ?? false,
    showChanges,
    ...(join ? { join } : {}),
    ...(attributes ? { attributes: attributes.map((name) => context.expand(name)) } : {}),
    ...(pick ? { pick } : {}),
    ...(omit ? { omit } : {}),
  };
}

/** `join` and `joinLevel` (5.2.14.1). */
function readJoin({ join = '@none', joinLevel = 1 }: JsonObject): Join | undefined {
  if (typeof joinLevel !== 'number' || !Number.isInteger(joinLevel) || joinLevel < 1) {
    throw badRequest(`notification.joinLevel must be a whole number of 1 or more, not ${JSON.stringify(joinLevel)}`);
  }
  if (join === '@none') return undefined;
  if (join !== 'inline' && join !== 'flat') {
    throw badRequest(`notification.join must be flat, inline or @none, not ${JSON.stringify(join)}`);
  }
  return { form: join, level: joinLevel, containedBy: [] };
}

/** Table 7.2-1. */
function checkNotifierInfo(info: Readonly<Record<string, string>>): void {
  const qos = info['MQTT-QoS'];
  if (qos !== undefined && !['0', '1', '2'].includes(qos))
    throw badRequest(`notifierInfo: MQTT-QoS must be 0, 1 or 2, not "${qos}"`);
  const version = info['MQTT-Version'];
  if (version !== undefined && version !== 'mqtt3.1.1' && version !== 'mqtt5.0') {
    throw badRequest(`notifierInfo: MQTT-Version must be mqtt3.1.1 or mqtt5.0, not "${version}"`);
  }
}

/** 5.2.22: an array of {key, value}, both strings. */
function pairs(value: JsonValue | undefined, name: string): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  if (!Array.isArray(value)) throw badRequest(`notification.endpoint.${name} must be an array of {key, value} objects`);
  const found: Record<string, string> = {};
  for (const pair of value) {
    if (!isObject(pair) || typeof pair['key'] !== 'string' || pair['key'] === '' || typeof pair['value'] !== 'string') {
      throw badRequest(
        `notification.endpoint.${name} must be an array of {key, value} objects whose key and value are strings`,
      );
    }
    const text = pair['value'];
    if (name === 'receiverInfo' && (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(pair['key']) || /[\r\n\0]/.test(text))) {
      throw badRequest(`receiverInfo: "${pair['key']}" cannot be sent as an HTTP header`);
    }
    found[pair['key']] = text;
  }
  return found;
}

function optionalText(from: JsonObject, name: string): string | undefined {
  const value = from[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value === '') throw badRequest(`${name} must be a string that is not empty`);
  return value;
}

function optionalTexts(from: JsonObject, name: string, prefix = ''): readonly string[] | undefined {
  const value = from[name];
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.length === 0 || !value.every((item) => typeof item === 'string' && item !== '')) {
    throw badRequest(`${prefix}${name} must be an array of strings that is not empty`);
  }
  return value as string[];
}

function optionalFlag(from: JsonObject, name: string, prefix = ''): boolean | undefined {
  const value = from[name];
  if (value !== undefined && typeof value !== 'boolean') throw badRequest(`${prefix}${name} must be true or false`);
  return value;
}

function optionalPositive(from: JsonObject, name: string, prefix = ''): number | undefined {
  const value = from[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !(value > 0)) throw badRequest(`${prefix}${name} must be a number greater than 0`);
  return value;
}

function names(members: JsonObject, member: string): readonly string[] {
  const text = optionalText(members, member);
  return text === undefined ? [] : text.split(',').map((name) => name.trim());
}
