import type { Iri } from './iri.ts';
import { NGSILD_NULL } from './iri.ts';
import { type JsonObject, type JsonValue, jsonEquals } from './json.ts';
import type { Context } from './jsonld/context.ts';
import { printQ } from './query/parse/q.ts';
import { printTypes } from './query/parse/types.ts';
import { compilePattern } from './query/pattern.ts';
import { attributesOf, type EntityInfo, entityInfoMatches, type Registration, type RegistrationInfo } from './registration.ts';
import type { EntitySelector } from './subscription.ts';
import type { SubscriptionDocument } from './subscription-document.ts';

/** What a copy is made of, beside the subscription itself. */
export interface CopyTerms {
  readonly registration: Registration;
  /** The elements of its `information` that match the subscription. */
  readonly information: readonly RegistrationInfo[];
  /** The @context in which the copy is written. */
  readonly context: Context;
  /** The one by which q, expandValues and jsonKeys of the subscription are read. */
  readonly names: Context;
  /** Where the source sends its notifications: to this broker. */
  readonly endpoint: string;
  /** Entities may be spread over several brokers (5.2.12, splitEntities). */
  readonly split: boolean;
}

/** Conditions on entities, which can only be judged where the entities are whole (5.8.1.4). */
const CONDITIONS = ['q', 'geoQ', 'scopeQ', 'expandValues', 'jsonKeys'];
/** What a copy takes over as it is. What concerns only how this broker notifies its subscriber stays here, the subscriber's endpoint above all. */
const TAKEN = ['notificationTrigger', 'expiresAt', 'isActive', 'timeInterval', 'splitEntities'];
/** Everything that a copy can have. */
const MEMBERS = [
  ...CONDITIONS,
  ...TAKEN,
  'entities',
  'watchedAttributes',
  'notification',
  'datasetId',
  'throttling',
  'localOnly',
];

/**
 * The copy of a subscription that a context source gets: "reduced to what is matched by the registration information" (5.8.1.4), with this broker as the one
 * to notify. It asks for all that is registered of an entity, normalized and with its system times, since what the subscriber sees is settled here.
 * @returns the members of 5.2.12 but id and type; undefined if nothing that happens at the source could concern the subscription
 */
export function copyOf(document: SubscriptionDocument, terms: CopyTerms): JsonObject | undefined {
  const { registration, information, context, endpoint, split } = terms;
  const { subscription, members, notification } = document;
  const registered = registeredAttributes(information);
  const watched = subscription.watchedAttributes;
  const both = watched && registered ? watched.filter((name) => registered.includes(name)) : (watched ?? registered);
  if (both?.length === 0) return undefined;
  const shorten = (names: readonly Iri[]) => names.map((name) => context.compact(name));
  const selectors = selectorsFor(subscription.entities ?? [{}], information);
  const anything = selectors.some(({ ids, idPattern, types }) => !ids && idPattern === undefined && !types);
  const periodic = subscription.timeIntervalS !== undefined;
  const datasetIds = datasetsFor(subscription.datasetIds, registration.datasetIds);
  return {
    ...(anything && both && !periodic ? {} : { entities: selectors.map((selector) => selectorBody(selector, context)) }),
    ...(both && !periodic ? { watchedAttributes: shorten(both) } : {}),
    ...pick(members, TAKEN),
    // Conditions go to a source that has entities as a whole.
    ...(split ? {} : conditionsIn(document, terms.names, context)),
    // Of a source that sends more than is wanted, the wanted ones must not be throttled away by the others.
    ...(split || subscription.throttlingS === undefined || !isExact(document, terms)
      ? {}
      : { throttling: subscription.throttlingS }),
    ...(datasetIds ? { datasetId: datasetIds } : {}),
    ...(registration.localOnly ? { localOnly: true } : {}),
    notification: {
      format: 'normalized',
      sysAttrs: true,
      ...(notification.showChanges ? { showChanges: true } : {}),
      ...(registered ? { attributes: shorten(registered) } : {}),
      endpoint: { uri: endpoint, accept: 'application/json' },
    },
  };
}

/** The changes that make one copy another, as a fragment (5.5.8). @param from undefined: nothing is known of what is there */
export function copyFragment(from: JsonObject | undefined, to: JsonObject): JsonObject {
  const fragment: Record<string, JsonValue> = {};
  for (const name of MEMBERS) {
    const wanted = to[name];
    if (wanted === undefined) {
      if (from === undefined || from[name] !== undefined) fragment[name] = NGSILD_NULL;
    } else if (from === undefined || !jsonEquals(from[name], wanted)) fragment[name] = wanted;
  }
  return fragment;
}

/** Whether what a source notifies can be judged by the conditions of the subscription: all that they look at is part of it. */
export function judgesConditions(document: SubscriptionDocument, information: readonly RegistrationInfo[]): boolean {
  const registered = registeredAttributes(information);
  if (registered === undefined) return true;
  const { where, scopes, datasetIds } = document.subscription;
  return scopes === undefined && datasetIds === undefined && attributesOf(where).every((name) => registered.includes(name));
}

/** The attributes that are registered; undefined: any. */
function registeredAttributes(information: readonly RegistrationInfo[]): readonly Iri[] | undefined {
  if (information.some(({ attributes }) => attributes === undefined)) return undefined;
  return [...new Set(information.flatMap(({ attributes }) => attributes ?? []))];
}

/** Whether the source sends nothing that the subscription does not want. */
function isExact(document: SubscriptionDocument, terms: CopyTerms): boolean {
  const patterns = (document.subscription.entities ?? []).some(({ idPattern }) => idPattern !== undefined);
  return (
    !patterns || terms.information.every(({ entities }) => entities?.every(({ idPattern }) => idPattern === undefined) ?? true)
  );
}

/** The conditions of a subscription in the terms of another @context. @param names the one by which q, expandValues and jsonKeys are read */
export function conditionsIn({ members, subscription }: SubscriptionDocument, names: Context, context: Context): JsonObject {
  const found: Record<string, JsonValue> = pick(members, CONDITIONS);
  const { where } = subscription;
  const property = where && geoPropertyOf(where);
  if (found['geoQ'] !== undefined && property !== undefined)
    found['geoQ'] = { ...(found['geoQ'] as JsonObject), geoproperty: context.compact(property) };
  if (names.key === context.key) return found;
  const q = where?.kind === 'and' && members['geoQ'] !== undefined ? where.of[0] : where;
  if (found['q'] !== undefined && q !== undefined) found['q'] = printQ(q, (name) => context.compact(name));
  for (const list of ['expandValues', 'jsonKeys']) {
    const given = found[list];
    if (typeof given === 'string')
      found[list] = given
        .split(',')
        .map((name) => context.compact(names.expand(name.trim())))
        .join(',');
  }
  return found;
}

function geoPropertyOf(where: NonNullable<SubscriptionDocument['subscription']['where']>): Iri | undefined {
  if (where.kind === 'geo') return where.property;
  return where.kind === 'and' ? where.of.map(geoPropertyOf).find((one) => one !== undefined) : undefined;
}

const pick = (from: JsonObject, names: readonly string[]): Record<string, JsonValue> =>
  Object.fromEntries(names.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]] as const])));

function datasetsFor(
  wanted: readonly (Iri | '@none')[] | undefined,
  registered: readonly (Iri | '@none')[] | undefined,
): readonly string[] | undefined {
  if (wanted === undefined || registered === undefined) return wanted ?? registered;
  return wanted.filter((one) => registered.includes(one));
}

/** Every selector narrowed to every EntityInfo that it matches; each result once. */
function selectorsFor(wanted: readonly EntitySelector[], information: readonly RegistrationInfo[]): readonly EntitySelector[] {
  const found = information.flatMap(({ entities }) =>
    wanted.flatMap((selector) =>
      entities === undefined
        ? [selector]
        : entities.filter((info) => entityInfoMatches(info, selector)).map((info) => narrowed(selector, info)),
    ),
  );
  return [...new Map(found.map((selector) => [JSON.stringify(selector), selector])).values()];
}

/**
 * A request may not go beyond what is registered (4.3.6.1): of two patterns the registered one goes along, and what the other one excludes is left out
 * when it arrives. An entity that has the registered types is selected by them, or they would not match.
 */
function narrowed({ ids, idPattern, types }: EntitySelector, info: EntityInfo): EntitySelector {
  const pattern = info.idPattern ?? idPattern;
  const named = info.id === undefined ? ids : [info.id];
  const possible =
    info.id === undefined && info.idPattern !== undefined ? named?.filter(compilePattern(info.idPattern)) : named;
  const registered = info.types?.map((type) => ({ kind: 'type' as const, type }));
  const selection = registered ? (registered.length === 1 ? registered[0] : { kind: 'all' as const, of: registered }) : types;
  return {
    ...(possible ? { ids: possible } : {}),
    ...(pattern !== undefined && !possible ? { idPattern: pattern } : {}),
    ...(selection ? { types: selection } : {}),
  };
}

function selectorBody({ ids, idPattern, types }: EntitySelector, context: Context): JsonObject {
  return {
    ...(ids ? { id: ids.length === 1 ? (ids[0] as string) : ids } : {}),
    ...(idPattern === undefined ? {} : { idPattern }),
    type: types ? printTypes(types, (type) => context.compact(type as Iri)) : '*',
  };
}
