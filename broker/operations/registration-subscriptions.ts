import type { AccessFunction } from '../domain/access.ts';
import type { TemporalFilter } from '../domain/history.ts';
import type { Iri } from '../domain/iri.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { Context } from '../domain/jsonld/context.ts';
import type { Clock } from '../ports/clock.ts';
import type { DocumentStore } from '../ports/document-store.ts';
import { type InForce, type InForceDependencies, inForce } from './notify/subscriptions-in-force.ts';
import { type RegistrationNotifications, type RegistrationSubscription, selectionFor } from './registry/notify.ts';
import { operationsOn, type SubscriptionOperations } from './subscriptions.ts';

const KINDS = { document: 'registration-subscription', state: 'registration-subscription-state' } as const;

/** All subscriptions to registrations. @param temporalFilter reads `temporalQ` (5.2.21). @throws DomainError BadRequestData */
export function registrationSubscriptionsInForce(
  dependencies: InForceDependencies & { readonly temporalFilter: (temporalQ: JsonObject) => TemporalFilter },
): InForce<RegistrationSubscription> {
  const { temporalFilter } = dependencies;
  return inForce<RegistrationSubscription>({
    ...dependencies,
    kinds: KINDS,
    complete: (entry) => ({ ...entry, selection: selectionFor(entry.document, temporalFilter) }),
  });
}

/** Subscriptions to context source registrations (5.11.2 to 5.11.6). */
export function registrationSubscriptionOperations(dependencies: {
  readonly documents: DocumentStore;
  readonly subscriptions: InForce<RegistrationSubscription>;
  readonly notifications: RegistrationNotifications;
  readonly resolveContext: (source: JsonValue) => Promise<Context> | Context;
  readonly temporalFilter: (temporalQ: JsonObject) => TemporalFilter;
  readonly clock: Clock;
  readonly access: AccessFunction;
  readonly newId: () => Iri;
}): SubscriptionOperations {
  const { notifications, temporalFilter } = dependencies;
  return operationsOn({
    ...dependencies,
    noun: 'context source registration subscription',
    operation: (name) => name.replace('Subscription', 'RegistrationSubscription'),
    kinds: KINDS,
    check: (document) => void selectionFor(document, temporalFilter),
    afterPut: notifications.notifyAll,
    afterDelete: notifications.forget,
  });
}
