import { type AccessFunction, type Caller, demand } from '../domain/access.ts';
import { alreadyExists, badRequest, DomainError, notFound } from '../domain/errors.ts';
import type { Iri } from '../domain/iri.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { Context } from '../domain/jsonld/context.ts';
import { JOIN_LIMITS } from '../domain/linked.ts';
import { statusOf } from '../domain/subscription.ts';
import { patchMembers, readSubscription, type SubscriptionDocument } from '../domain/subscription-document.ts';
import { toMicros } from '../domain/time.ts';
import type { Clock } from '../ports/clock.ts';
import type { DeliveryStore } from '../ports/delivery-store.ts';
import type { DocumentKind, DocumentStore } from '../ports/document-store.ts';
import type { NotificationState } from './notify/notification-state.ts';
import { notificationStyle } from './notify/render.ts';
import type { InForce, Subscribed, SubscriptionInForce, SubscriptionsInForce } from './notify/subscriptions-in-force.ts';

/** A subscription as it is now, for showing. */
export interface SubscriptionView {
  readonly document: SubscriptionDocument;
  readonly status: 'active' | 'paused' | 'expired';
  readonly state: NotificationState;
  /** The URL of the @context of its notifications; undefined if that one is inline and so has none. */
  readonly jsonldContext: string | undefined;
}

/** Subscriptions to entities (5.8.1 to 5.8.5), or to registrations (5.11.2 to 5.11.6). Names in bodies are short, and are expanded with the context given. */
export interface SubscriptionOperations {
  /** 5.8.1, 5.11.2. @returns the id, given or made. @throws AlreadyExists, BadRequestData, LdContextNotAvailable */
  createSubscription(caller: Caller, body: JsonObject, context: Context): Promise<Iri>;
  /** 5.8.2, 5.11.3. */
  updateSubscription(caller: Caller, id: Iri, fragment: JsonObject, context: Context): Promise<void>;
  /** 5.8.3, 5.11.4. */
  retrieveSubscription(caller: Caller, id: Iri): Promise<SubscriptionView>;
  /** 5.8.4, 5.11.5: in ascending id. */
  querySubscriptions(caller: Caller): Promise<readonly SubscriptionView[]>;
  /** 5.8.5, 5.11.6: what waits for delivery is dropped too. */
  deleteSubscription(caller: Caller, id: Iri): Promise<void>;
}

interface Dependencies {
  readonly documents: DocumentStore;
  readonly resolveContext: (source: JsonValue) => Promise<Context> | Context;
  readonly clock: Clock;
  readonly access: AccessFunction;
  /** A new id for a subscription that was given none. */
  readonly newId: () => Iri;
}

export function subscriptionOperations({
  deliveries,
  subscriptions,
  isLoop = () => false,
  onChange = () => {},
  forget = async () => {},
  joinLevels = JOIN_LIMITS.levels,
  ...dependencies
}: Dependencies & {
  readonly deliveries: DeliveryStore;
  readonly subscriptions: SubscriptionsInForce;
  /** True if the request has been here before (4.3.6.4). */
  readonly isLoop?: (caller: Caller) => boolean;
  /** Hears of every change of a subscription, after it was stored. */
  readonly onChange?: (id: Iri, caller: Caller) => void;
  /** The subscription is gone, and with it what waits for its subscriber. */
  readonly forget?: (entry: SubscriptionInForce) => Promise<void>;
  /** How deep notifications may join linked entities (4.5.23). */
  readonly joinLevels?: number;
}): SubscriptionOperations {
  return operationsOn({
    ...dependencies,
    noun: 'subscription',
    operation: (name) => name,
    subscriptions,
    kinds: { document: 'subscription', state: 'subscription-state' },
    check({ id, notification: { join } }, caller) {
      // Accepted, it would notify whoever asks of what it has from there (6.3.18).
      if (isLoop(caller)) throw new DomainError('LoopDetected', `The subscription ${id} came from here`);
      if (join !== undefined && join.level > joinLevels) {
        throw badRequest(
          `notification.joinLevel is ${join.level}, and linked entities are joined over ${joinLevels} relationships at most`,
        );
      }
    },
    afterPut: async ({ id }, caller) => onChange(id, caller),
    async afterDelete(entry, caller) {
      onChange(entry.id, caller);
      await deliveries.removeSubscription(entry.tenant, entry.id);
      await forget(entry);
    },
  });
}

/** What both kinds of subscription have in common: they are read, kept and shown in the same way (5.11.2.4). */
export function operationsOn<S extends Subscribed>({
  documents,
  resolveContext,
  clock,
  access,
  newId,
  noun,
  operation,
  subscriptions,
  kinds,
  check,
  afterPut,
  afterDelete,
}: Dependencies & {
  /** How messages call it. */
  readonly noun: string;
  /** What the access function knows an operation as. */
  readonly operation: (name: string) => string;
  readonly subscriptions: InForce<S>;
  readonly kinds: { readonly document: DocumentKind; readonly state: DocumentKind };
  /** @throws DomainError if it cannot be accepted */
  readonly check: (document: SubscriptionDocument, caller: Caller) => void;
  readonly afterPut: (entry: S, caller: Caller) => Promise<void>;
  readonly afterDelete: (entry: S, caller: Caller) => Promise<void>;
}): SubscriptionOperations {
  function refusePast(document: SubscriptionDocument): void {
    const { expiresAt } = document.subscription;
    if (expiresAt !== undefined && toMicros(expiresAt) <= clock.micros())
      throw badRequest(`expiresAt ${expiresAt} lies in the past`);
  }

  /** Everything that can be wrong with it is found out here, before it is stored: contexts, too, not at the first notification. */
  async function prepare(caller: Caller, document: SubscriptionDocument): Promise<JsonObject> {
    check(document, caller);
    notificationStyle(document, await resolveContext(document.notificationContext), caller.tenant);
    return document as unknown as JsonObject;
  }

  function existing(caller: Caller, id: Iri): S {
    const found = subscriptions.get(caller.tenant, id);
    if (!found) throw notFound(`There is no ${noun} ${id}`);
    return found;
  }

  const view = (entry: S): SubscriptionView => ({
    document: entry.document,
    status: statusOf(entry.subscription, clock.micros()),
    state: entry.state,
    jsonldContext: entry.context.link,
  });

  return {
    async createSubscription(caller, body, context) {
      demand(access, caller, { operation: operation('createSubscription'), effect: 'write' });
      const id = (body['id'] as Iri | undefined) ?? newId();
      const { via = [] } = caller.onward ?? {};
      const document = { ...readSubscription(body, context, id), ...(via.length > 0 ? { via } : {}) };
      refusePast(document);
      const stored = await prepare(caller, document);
      if ((await documents.put(kinds.document, caller.tenant, id, stored, 0)) === undefined)
        throw alreadyExists(`The ${noun} ${id} already exists`);
      await afterPut(await subscriptions.put(caller.tenant, document), caller);
      return id;
    },

    async updateSubscription(caller, id, fragment, context) {
      demand(access, caller, { operation: operation('updateSubscription'), effect: 'write', ids: [id] });
      if (fragment['type'] !== undefined && fragment['type'] !== 'Subscription')
        throw badRequest(`The type of a ${noun} cannot be changed`);
      for (;;) {
        const { document: before } = existing(caller, id);
        const version = (await documents.get(kinds.document, caller.tenant, id))?.version;
        if (version === undefined) throw notFound(`There is no ${noun} ${id}`);
        const members = patchMembers(before.members, fragment);
        // Names that the fragment brings are read by its @context, and those that it leaves alone by that under which they came (5.5.8).
        const others = new Map<string, Context>();
        for (const name of NAMING) {
          const source = before.contexts?.[name];
          if (fragment[name] !== undefined) others.set(name, context);
          else if (source !== undefined) others.set(name, await resolveContext(source));
        }
        const own = await resolveContext(before.context);
        for (const [name, one] of others) if (one.key === own.key || members[name] === undefined) others.delete(name);
        const read = readSubscription({ type: 'Subscription', ...members }, own, id, others);
        const document = { ...read, ...(before.via ? { via: before.via } : {}) };
        if (fragment['expiresAt'] !== undefined) refusePast(document);
        const stored = await prepare(caller, document);
        // Somebody else changed it meanwhile: look again.
        if ((await documents.put(kinds.document, caller.tenant, id, stored, version)) === undefined) continue;
        await afterPut(await subscriptions.put(caller.tenant, document), caller);
        return;
      }
    },

    async retrieveSubscription(caller, id) {
      demand(access, caller, { operation: operation('retrieveSubscription'), effect: 'read', ids: [id] });
      return view(existing(caller, id));
    },

    async querySubscriptions(caller) {
      demand(access, caller, { operation: operation('querySubscriptions'), effect: 'read' });
      return subscriptions.of(caller.tenant).map(view);
    },

    async deleteSubscription(caller, id) {
      demand(access, caller, { operation: operation('deleteSubscription'), effect: 'write', ids: [id] });
      const entry = existing(caller, id);
      await documents.delete(kinds.document, caller.tenant, id);
      subscriptions.remove(caller.tenant, id);
      await documents.delete(kinds.state, caller.tenant, id);
      await afterDelete(entry, caller);
    },
  };
}

/** Members whose values are read by an @context. */
const NAMING = ['entities', 'watchedAttributes', 'q', 'geoQ', 'csf', 'notification'];
