import { type AccessFunction, type Caller, demand } from '../domain/access.ts';
import { alreadyExists, badRequest, notFound } from '../domain/errors.ts';
import type { Iri } from '../domain/iri.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { Context } from '../domain/jsonld/context.ts';
import { JOIN_LIMITS } from '../domain/linked.ts';
import { statusOf } from '../domain/subscription.ts';
import { patchMembers, readSubscription, type SubscriptionDocument } from '../domain/subscription-document.ts';
import { toMicros } from '../domain/time.ts';
import type { Clock } from '../ports/clock.ts';
import type { DeliveryStore } from '../ports/delivery-store.ts';
import type { DocumentStore } from '../ports/document-store.ts';
import type { NotificationState, SubscriptionInForce, SubscriptionsInForce } from './notify/subscriptions-in-force.ts';

/** A subscription as it is now, for showing. */
export interface SubscriptionView {
  readonly document: SubscriptionDocument;
  readonly status: 'active' | 'paused' | 'expired';
  readonly state: NotificationState;
  /** The URL of the @context of its notifications; undefined if that one is inline and so has none. */
  readonly jsonldContext: string | undefined;
}

/** 5.8.1 to 5.8.5. Names in bodies are short, and are expanded with the context given. */
export interface SubscriptionOperations {
  /** 5.8.1. @returns the id, given or made. @throws AlreadyExists, BadRequestData, LdContextNotAvailable */
  createSubscription(caller: Caller, body: JsonObject, context: Context): Promise<Iri>;
  /** 5.8.2. */
  updateSubscription(caller: Caller, id: Iri, fragment: JsonObject, context: Context): Promise<void>;
  /** 5.8.3. */
  retrieveSubscription(caller: Caller, id: Iri): Promise<SubscriptionView>;
  /** 5.8.4: in ascending id. */
  querySubscriptions(caller: Caller): Promise<readonly SubscriptionView[]>;
  /** 5.8.5: what waits for delivery is dropped too. */
  deleteSubscription(caller: Caller, id: Iri): Promise<void>;
}

export function subscriptionOperations(dependencies: {
  readonly documents: DocumentStore;
  readonly deliveries: DeliveryStore;
  readonly subscriptions: SubscriptionsInForce;
  readonly resolveContext: (source: JsonValue) => Promise<Context> | Context;
  readonly clock: Clock;
  readonly access: AccessFunction;
  /** A new id for a subscription that was given none. */
  readonly newId: () => Iri;
  /** How deep notifications may join linked entities (4.5.23). */
  readonly joinLevels?: number;
}): SubscriptionOperations {
  const { documents, deliveries, subscriptions, resolveContext, clock, access, newId } = dependencies;

  function refuseTooDeep({ notification: { join } }: SubscriptionDocument): void {
    const { joinLevels = JOIN_LIMITS.levels } = dependencies;
    if (join !== undefined && join.level > joinLevels) {
      throw badRequest(
        `notification.joinLevel is ${join.level}, and linked entities are joined over ${joinLevels} relationships at most`,
      );
    }
  }

  function refusePast(document: SubscriptionDocument): void {
    const { expiresAt } = document.subscription;
    if (expiresAt !== undefined && toMicros(expiresAt) <= clock.micros())
      throw badRequest(`expiresAt ${expiresAt} lies in the past`);
  }

  function existing(caller: Caller, id: Iri): SubscriptionInForce {
    const found = subscriptions.get(caller.tenant, id);
    if (!found) throw notFound(`There is no subscription ${id}`);
    return found;
  }

  const view = (entry: SubscriptionInForce): SubscriptionView => ({
    document: entry.document,
    status: statusOf(entry.subscription, clock.micros()),
    state: entry.state,
    jsonldContext: entry.context.link,
  });

  return {
    async createSubscription(caller, body, context) {
      demand(access, caller, { operation: 'createSubscription', effect: 'write' });
      const id = (body['id'] as Iri | undefined) ?? newId();
      const document = readSubscription(body, context, id);
      refusePast(document);
      refuseTooDeep(document);
      // Unavailable or broken contexts are found out now, not at the first notification.
      await resolveContext(document.notificationContext);
      if ((await documents.put('subscription', caller.tenant, id, document as unknown as JsonObject, 0)) === undefined) {
        throw alreadyExists(`Subscription ${id} already exists`);
      }
      await subscriptions.put(caller.tenant, document);
      return id;
    },

    async updateSubscription(caller, id, fragment, context) {
      demand(access, caller, { operation: 'updateSubscription', effect: 'write', ids: [id] });
      for (;;) {
        const { document: stored } = existing(caller, id);
        const version = (await documents.get('subscription', caller.tenant, id))?.version;
        if (version === undefined) throw notFound(`There is no subscription ${id}`);
        const members = patchMembers(stored.members, fragment);
        // Names that the fragment does not touch were written under the stored @context; only if the fragment brings names of its own does its @context count.
        const fragmentNames = ['entities', 'watchedAttributes', 'q', 'geoQ', 'notification'].some(
          (name) => fragment[name] !== undefined,
        );
        const reading = fragmentNames ? context : await resolveContext(stored.context);
        const document = readSubscription({ type: 'Subscription', ...members }, reading, id);
        if (fragment['type'] !== undefined && fragment['type'] !== 'Subscription')
          throw badRequest('The type of a Subscription cannot be changed');
        if (fragment['expiresAt'] !== undefined) refusePast(document);
        refuseTooDeep(document);
        await resolveContext(document.notificationContext);
        // Somebody else changed it meanwhile: look again.
        if ((await documents.put('subscription', caller.tenant, id, document as unknown as JsonObject, version)) === undefined)
          continue;
        await subscriptions.put(caller.tenant, document);
        return;
      }
    },

    async retrieveSubscription(caller, id) {
      demand(access, caller, { operation: 'retrieveSubscription', effect: 'read', ids: [id] });
      return view(existing(caller, id));
    },

    async querySubscriptions(caller) {
      demand(access, caller, { operation: 'querySubscriptions', effect: 'read' });
      return subscriptions.of(caller.tenant).map(view);
    },

    async deleteSubscription(caller, id) {
      demand(access, caller, { operation: 'deleteSubscription', effect: 'write', ids: [id] });
      existing(caller, id);
      await documents.delete('subscription', caller.tenant, id);
      subscriptions.remove(caller.tenant, id);
      await documents.delete('subscription-state', caller.tenant, id);
      await deliveries.removeSubscription(caller.tenant, id);
    },
  };
}
