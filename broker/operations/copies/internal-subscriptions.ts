import type { Caller } from '../../domain/access.ts';
import { DomainError } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import type { JsonObject } from '../../domain/json.ts';
import { isSnapshotTenant } from '../../domain/snapshot.ts';
import { statusOf } from '../../domain/subscription.ts';
import type { Clock } from '../../ports/clock.ts';
import type { SubscriptionInForce, SubscriptionsInForce } from '../notify/subscriptions-in-force.ts';
import type { SubscriptionOperations, SubscriptionView } from '../subscriptions.ts';

/**
 * Each subscription to entities comes with one to the registrations that concern it (5.8.1.4), by which this broker itself learns where copies belong. They are
 * shown with the others; they change and go with their subscription, and not otherwise.
 */
export function withInternalSubscriptions(
  operations: SubscriptionOperations,
  {
    subscriptions,
    clock,
    endpoint,
  }: {
    readonly subscriptions: SubscriptionsInForce;
    readonly clock: Clock;
    /** Where this broker itself is notified; undefined: nobody could reach it, so that it takes part in nothing. */
    readonly endpoint: () => string | undefined;
  },
): SubscriptionOperations {
  const SUFFIX = ':registrations';

  function internal(caller: Caller): readonly SubscriptionView[] {
    const uri = endpoint();
    if (uri === undefined || isSnapshotTenant(caller.tenant)) return [];
    return subscriptions
      .of(caller.tenant)
      .filter(({ document }) => document.members['localOnly'] !== true)
      .map((entry) => viewOf(entry, uri));
  }

  function viewOf({ document, subscription }: SubscriptionInForce, uri: string): SubscriptionView {
    const received = document.members['notification'] as JsonObject;
    const attributes = received['attributes'] === undefined ? {} : { attributes: received['attributes'] };
    const shown = Object.entries(document.members).filter(([name]) => SHOWN.includes(name));
    return {
      document: {
        ...document,
        id: `${document.id}${SUFFIX}` as Iri,
        members: {
          ...Object.fromEntries(shown),
          notification: { ...attributes, endpoint: { uri, accept: 'application/json' } },
        },
      },
      status: statusOf(subscription, clock.micros()),
      state: { timesSent: 0, timesFailed: 0 },
      jsonldContext: undefined,
    };
  }

  function refuse(caller: Caller, id: Iri): void {
    if (internal(caller).some(({ document }) => document.id === id))
      throw new DomainError(
        'OperationNotSupported',
        `${id} belongs to the subscription ${id.slice(0, -SUFFIX.length)}, with which it changes and ends (5.8.1.4)`,
      );
  }

  return {
    ...operations,
    async updateSubscription(caller, id, fragment, context) {
      refuse(caller, id);
      await operations.updateSubscription(caller, id, fragment, context);
    },
    async retrieveSubscription(caller, id) {
      const found = internal(caller).find(({ document }) => document.id === id);
      // Asked in any case, for it asks whether the caller may.
      return found === undefined
        ? operations.retrieveSubscription(caller, id)
        : (await operations.querySubscriptions(caller), found);
    },
    async querySubscriptions(caller) {
      const all = [...(await operations.querySubscriptions(caller)), ...internal(caller)];
      return all.sort((a, b) => (a.document.id < b.document.id ? -1 : 1));
    },
    async deleteSubscription(caller, id) {
      refuse(caller, id);
      await operations.deleteSubscription(caller, id);
    },
  };
}

/** The members that select registrations (5.11.2.4). */
const SHOWN = ['entities', 'watchedAttributes', 'q', 'geoQ', 'scopeQ', 'csf', 'datasetId', 'expiresAt', 'isActive'];
