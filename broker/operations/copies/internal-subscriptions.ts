import type { Caller } from '../../domain/access.ts';
import { DomainError } from '../../domain/errors.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
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
  const uri = (tenant: TenantId) => (isSnapshotTenant(tenant) ? undefined : endpoint());

  /** The one with this id, if it is one of these. */
  function internal(caller: Caller, id: Iri): SubscriptionView | undefined {
    const at = uri(caller.tenant);
    const entry = id.endsWith(SUFFIX) ? subscriptions.get(caller.tenant, id.slice(0, -SUFFIX.length)) : undefined;
    return at === undefined || entry === undefined || isLocal(entry) ? undefined : viewOf(entry, at);
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
    if (internal(caller, id) === undefined) return;
    const owner = id.slice(0, -SUFFIX.length);
    throw new DomainError(
      'OperationNotSupported',
      `${id} belongs to the subscription ${owner}, with which it changes and ends (5.8.1.4)`,
    );
  }

  return {
    ...operations,
    async updateSubscription(caller, id, fragment, context) {
      refuse(caller, id);
      await operations.updateSubscription(caller, id, fragment, context);
    },
    async retrieveSubscription(caller, id) {
      const found = internal(caller, id);
      if (found === undefined) return operations.retrieveSubscription(caller, id);
      // Whether the caller may is for the others to say.
      await operations.querySubscriptions(caller);
      return found;
    },
    async querySubscriptions(caller) {
      const given = await operations.querySubscriptions(caller);
      const at = uri(caller.tenant);
      if (at === undefined) return given;
      const own = subscriptions.of(caller.tenant).flatMap((entry) => (isLocal(entry) ? [] : [viewOf(entry, at)]));
      return [...given, ...own].sort((a, b) => (a.document.id < b.document.id ? -1 : 1));
    },
    async deleteSubscription(caller, id) {
      refuse(caller, id);
      await operations.deleteSubscription(caller, id);
    },
  };
}

const SUFFIX = ':registrations';
const isLocal = ({ document }: SubscriptionInForce): boolean => document.members['localOnly'] === true;

/** The members that select registrations (5.11.2.4). */
const SHOWN = ['entities', 'watchedAttributes', 'q', 'geoQ', 'scopeQ', 'csf', 'datasetId', 'expiresAt', 'isActive'];
