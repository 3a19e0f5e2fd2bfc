import { createHash } from 'node:crypto';
import { type AttributeInstance, instanceValue, VALUE_MEMBER } from '../../domain/attribute.ts';
import type { Change, Position } from '../../domain/change.ts';
import { conformTo } from '../../domain/conformance.ts';
import type { Entity } from '../../domain/entity.ts';
import { badRequest } from '../../domain/errors.ts';
import { type Iri, NGSILD_NULL, type TenantId } from '../../domain/iri.ts';
import type { JsonObject, JsonValue } from '../../domain/json.ts';
import { compactInstance, compactValue } from '../../domain/jsonld/compact.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { type Join, type JoinedWriter, joinedWriter, type LinkedEntities } from '../../domain/linked.ts';
import { parseProjection, projectionDepth } from '../../domain/query/parse/projection.ts';
import {
  type EntityWriter,
  entityWriter,
  LOCATION,
  type Representation,
  representationKey,
} from '../../domain/representation.ts';
import { tenantAndSnapshot } from '../../domain/snapshot.ts';
import { hearsAttribute } from '../../domain/subscription.ts';
import type { NotificationParams, SubscriptionDocument } from '../../domain/subscription-document.ts';
import { fromMicros, type Instant, type Micros } from '../../domain/time.ts';
import type { OutgoingNotification } from '../../ports/notifier.ts';
import type { SubscriptionInForce } from './subscriptions-in-force.ts';

/** How the notifications of one subscription are written; prepared once. */
export interface NotificationStyle {
  readonly representation: Representation;
  /** Subscriptions with equal keys get the same text for the same change. */
  readonly key: string;
  readonly write: EntityWriter;
  /** Makes entities what an earlier version of the specification would have (5.8.6, ngsildConformance). */
  readonly amend: (entity: JsonObject) => JsonObject;
  /** Linked entities come with the others (4.5.23). */
  readonly joined: { readonly join: Join; readonly write: JoinedWriter } | undefined;
  /** Whether an attribute is part of the notification (attributes, pick, omit). */
  readonly shows: (name: Iri) => boolean;
  readonly headers: Readonly<Record<string, string>>;
  /** Text in front of the entities, from behind `notifiedAt`, and behind them. */
  readonly open: string;
  readonly close: string;
  /** `"@context":…` to put into each entity, for application/ld+json. */
  readonly contextMember: string;
}

const CONTEXT_RELATION = 'http://www.w3.org/ns/json-ld#context';

/** @param context the @context of the notifications, resolved */
export function notificationStyle(document: SubscriptionDocument, context: Context, tenant: TenantId): NotificationStyle {
  const { notification, lang, subscription, conformance } = document;
  const { endpoint } = notification;
  const geo = endpoint.accept === 'application/geo+json';
  const { join } = notification;
  const projection = notificationProjection(document.notification, context);
  const { pick, omit } = projection;
  const representation: Representation = {
    format: notification.format,
    ...(geo ? { geometryProperty: LOCATION } : {}),
    sysAttrs: notification.sysAttrs,
    ...(lang === undefined ? {} : { lang }),
    ...(notification.attributes ? { attrs: notification.attributes } : {}),
    ...projection,
    ...(subscription.datasetIds ? { datasetIds: subscription.datasetIds } : {}),
  };
  const of = tenantAndSnapshot(tenant);
  const contextText = JSON.stringify(context.source);
  const contextInBody = geo && !/\bbody=json\b/.test(endpoint.receiverInfo['Prefer'] ?? '');
  const linked = endpoint.accept === 'application/json' || (geo && !contextInBody);
  const attrs = notification.attributes && new Set(notification.attributes);
  return {
    representation,
    key: `${context.key} ${conformance?.join('.') ?? ''} ${representationKey(representation)}`,
    write: entityWriter(context, representation),
    amend: conformance === undefined ? (entity) => entity : (entity) => conformTo(entity, conformance) as JsonObject,
    joined: join && { join, write: joinedWriter(context, representation, join) },
    shows: (name) => (attrs?.has(name) ?? true) && (pick?.has(name) ?? true) && !omit?.has(name),
    headers: {
      'Content-Type': endpoint.accept,
      ...(linked && context.link !== undefined
        ? { Link: `<${context.link}>; rel="${CONTEXT_RELATION}"; type="application/ld+json"` }
        : {}),
      ...(of.tenant === '' ? {} : { 'NGSILD-Tenant': of.tenant }),
      // 6.3.22.
      ...(of.snapshot === undefined ? {} : { 'NGSILD-Snapshot': of.snapshot }),
      ...endpoint.receiverInfo,
    },
    open: geo ? '{"type":"FeatureCollection","features":[' : '[',
    close: geo ? (contextInBody ? `],"@context":${contextText}}` : ']}') : ']',
    contextMember: endpoint.accept === 'application/ld+json' ? `"@context":${contextText}` : '',
  };
}

/** What pick and omit of a subscription mean. @throws DomainError BadRequestData if they name members of entities that are not joined */
function notificationProjection({ pick, omit, join }: NotificationParams, context: Context) {
  const projection = parseProjection({ pick: pick?.join(','), omit: omit?.join(',') }, context, 'notification.');
  if (projectionDepth(projection) > (join?.level ?? 0)) {
    throw badRequest('notification: pick or omit names members of linked entities that join and joinLevel do not reach');
  }
  return projection;
}

/** The notification of one change to one subscriber (5.3.1, 5.8.6). The same change gives the same id, however often it is sent. */
export function notificationOf(
  to: SubscriptionInForce,
  change: Change,
  timeoutMs: number,
  linked?: LinkedEntities,
): OutgoingNotification {
  const entities = linked === undefined ? entityText(to, change) : joinedText(to, change, linked);
  return envelope(to, `${change.position}`, change.position, change.at, entities, timeoutMs);
}

/** The notification of a time interval: all entities that match now. */
export function periodicNotificationOf(
  to: SubscriptionInForce,
  entities: readonly Entity[],
  now: Micros,
  timeoutMs: number,
  linked?: LinkedEntities,
): OutgoingNotification {
  const { style } = to;
  const written =
    linked === undefined || style.joined === undefined
      ? entities.map((entity) => style.write(entity))
      : style.joined.write(entities, linked);
  const texts = written.map((object) => entityJson(object, style));
  return envelope(to, `t${now}`, undefined, fromMicros(now), texts.join(','), timeoutMs);
}

/**
 * What another broker notified, for the subscriber here (5.8.6).
 * @param occasion names the notification that was received, so that this one has the same id whenever it is sent
 */
export function relayedNotificationOf(
  to: SubscriptionInForce,
  occasion: string,
  notifiedAt: Instant,
  changes: readonly Change[],
  timeoutMs: number,
  linked?: LinkedEntities,
): OutgoingNotification {
  const entities = changes.map((change) =>
    linked === undefined || change.kind === 'deleted' ? entityText(to, change) : joinedText(to, change, linked),
  );
  return envelope(to, occasion, undefined, notifiedAt, entities.join(','), timeoutMs);
}

function envelope(
  to: SubscriptionInForce,
  occasion: string,
  sequence: Position | undefined,
  notifiedAt: string,
  entities: string,
  timeoutMs: number,
): OutgoingNotification {
  const { style, notification } = to;
  const id = `urn:ngsi-ld:Notification:${occasion}:${digest(to.id)}`;
  return {
    uri: notification.endpoint.uri,
    headers: sequence === undefined ? style.headers : { ...style.headers, 'Mizar-Sequence': String(sequence) },
    body: `{"id":"${id}","type":"Notification","subscriptionId":${JSON.stringify(to.id)},"notifiedAt":"${notifiedAt}","data":${style.open}${entities}${style.close}}`,
    notifierInfo: notification.endpoint.notifierInfo,
    timeoutMs: Math.min(notification.endpoint.timeoutMs ?? timeoutMs, timeoutMs),
  };
}

const digests = new Map<string, string>();
/** Tells the notifications of two subscriptions about one change apart. */
function digest(id: string): string {
  let found = digests.get(id);
  if (found === undefined) {
    if (digests.size > 100_000) digests.clear();
    found = createHash('sha256').update(id).digest('hex').slice(0, 12);
    digests.set(id, found);
  }
  return found;
}

/** Subscriptions that want the same text share it; it lives as long as the change is on its way. */
const texts = new WeakMap<Change, Map<string, string>>();

function entityText(to: SubscriptionInForce, change: Change): string {
  const { style, notification } = to;
  if (change.kind === 'deleted' || hasDeleted(change) || notification.showChanges) {
    const entity = change.kind === 'deleted' ? { ...change.entity, attributes: {} } : change.entity;
    return entityJson(changedEntity(to, change, style.write(entity)), style);
  }
  let known = texts.get(change);
  if (!known) {
    known = new Map();
    texts.set(change, known);
  }
  const key = `${style.key} ${style.contextMember}`;
  let text = known.get(key);
  if (text === undefined) {
    text = entityJson(style.write(change.entity), style);
    known.set(key, text);
  }
  return text;
}

const hasDeleted = (change: Change) => change.attributes.some((attribute) => attribute.kind === 'deleted');

/** With linked entities the text depends on more than the change, so that no one else can use it. */
function joinedText(to: SubscriptionInForce, change: Change, linked: LinkedEntities): string {
  const { style, notification } = to;
  const [entity = {}, ...others] = style.joined?.write([change.entity], linked) ?? [];
  const told = hasDeleted(change) || notification.showChanges ? changedEntity(to, change, entity) : entity;
  return [told, ...others].map((object) => entityJson(object, style)).join(',');
}

const entityJson = (entity: JsonObject, style: NotificationStyle): string =>
  withMember(JSON.stringify(style.amend(entity)), style.contextMember);

const withMember = (object: string, member: string) =>
  member === '' ? object : object === '{}' ? `{${member}}` : `{${member},${object.slice(1)}`;

/**
 * The entity with what was deleted as NGSI-LD Null, and with previous values if the subscriber wants them (5.8.6).
 * @param written the entity as it is written otherwise; changed in place
 */
function changedEntity(to: SubscriptionInForce, change: Change, written: JsonObject): JsonObject {
  const { style, subscription, notification } = to;
  const { representation } = style;
  const gone = change.kind === 'deleted';
  const whole = written as Record<string, JsonValue>;
  const members = (representation.geometryProperty ? whole['properties'] : whole) as Record<string, JsonValue>;
  if (gone) {
    members['deletedAt'] = change.at;
    const showsAttributes = notification.showChanges || hearsAttribute(subscription, 'deleted');
    if (!showsAttributes) return whole;
  }
  const changes: readonly Pick<Change['attributes'][number], 'name' | 'datasetId' | 'before' | 'kind'>[] = gone
    ? Object.entries(change.entity.attributes).flatMap(([name, instances]) =>
        instances.map((before) => ({
          name: name as Iri,
          kind: 'deleted' as const,
          before,
          ...(before.datasetId ? { datasetId: before.datasetId } : {}),
        })),
      )
    : change.attributes;
  const concerned = changes.filter(
    (one) =>
      style.shows(one.name) &&
      (one.kind === 'deleted' || (notification.showChanges && one.kind === 'updated')) &&
      (!gone || (subscription.watchedAttributes?.includes(one.name) ?? true)),
  );
  for (const name of new Set(concerned.map((one) => one.name))) {
    const rest = gone ? [] : (change.entity.attributes[name] ?? []);
    const ofName = concerned.filter((one) => one.name === name);
    members[to.context.compact(name)] = changedInstances(to, rest, ofName, change.at);
  }
  return whole;
}

type InstanceChange = Pick<Change['attributes'][number], 'datasetId' | 'before' | 'kind'>;

function changedInstances(
  to: SubscriptionInForce,
  rest: readonly AttributeInstance[],
  changes: readonly InstanceChange[],
  at: string,
): JsonValue {
  const { format, sysAttrs } = to.notification;
  const { showChanges } = to.notification;
  const style = { context: to.context, format, sysAttrs };
  if (format === 'simplified') {
    const deleted = changes.filter((one) => one.kind === 'deleted');
    if (rest.length === 0) return NGSILD_NULL;
    const dataset: Record<string, JsonValue> = {};
    for (const instance of rest) dataset[instance.datasetId ?? '@none'] = compactValue(instance, style);
    for (const one of deleted) dataset[one.datasetId ?? '@none'] = NGSILD_NULL;
    return { dataset };
  }
  const written: JsonValue[] = rest.map((instance) => {
    const changed = changes.find((one) => one.kind === 'updated' && one.datasetId === instance.datasetId);
    const object = compactInstance(instance, style);
    return changed?.before ? { ...(object as JsonObject), ...previous(changed.before, style) } : object;
  });
  // When no instance is left, the attribute is deleted: one Null says so.
  const told = rest.length === 0 ? changes.slice(0, 1).map(({ datasetId: _, ...one }) => one) : changes;
  for (const one of told as readonly InstanceChange[]) {
    if (one.kind !== 'deleted' || !one.before) continue;
    const { before } = one;
    // The name alone is enough, unless more has to be said (5.8.6).
    if (
      !sysAttrs &&
      !showChanges &&
      one.datasetId === undefined &&
      changes.length === 1 &&
      rest.length === 0 &&
      format === 'concise'
    )
      return NGSILD_NULL;
    const nothing: JsonValue = before.type === 'LanguageProperty' ? { '@none': NGSILD_NULL } : NGSILD_NULL;
    written.push({
      type: before.type,
      [VALUE_MEMBER[before.type]]: nothing,
      ...(one.datasetId ? { datasetId: one.datasetId } : {}),
      ...(sysAttrs && before.createdAt ? { createdAt: before.createdAt } : {}),
      ...(sysAttrs && before.modifiedAt ? { modifiedAt: before.modifiedAt } : {}),
      ...(sysAttrs ? { deletedAt: at } : {}),
      ...(showChanges ? previous(before, style) : {}),
    });
  }
  return written.length === 1 ? written[0]! : written;
}

/** `previousValue`, `previousObject`, `previousLanguageMap` … (Tables 5.2.5-1 to 5.2.38-1). */
function previous(
  before: AttributeInstance,
  style: { context: Context; format: 'normalized' | 'concise' | 'simplified'; sysAttrs: boolean },
): JsonObject {
  const member = VALUE_MEMBER[before.type];
  // Another broker told that it is gone, and not what it was.
  if (instanceValue(before) === NGSILD_NULL) return {};
  return { [`previous${member[0]!.toUpperCase()}${member.slice(1)}`]: compactValue(before, style) };
}
