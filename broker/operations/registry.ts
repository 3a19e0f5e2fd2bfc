import { randomUUID } from 'node:crypto';
import type { AccessFunction } from '../domain/access.ts';
import type { TemporalFilter } from '../domain/history.ts';
import type { Iri, TenantId } from '../domain/iri.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { Context } from '../domain/jsonld/context.ts';
import type { Clock } from '../ports/clock.ts';
import type { ContextSource } from '../ports/context-source.ts';
import type { DocumentStore } from '../ports/document-store.ts';
import type { EntityStore } from '../ports/entity-store.ts';
import type { MessageStore } from '../ports/message-store.ts';
import type { Notifier } from '../ports/notifier.ts';
import { type Sources, sources } from './distributed/sources.ts';
import type { BackOff } from './notify/back-off.ts';
import { registrationSubscriptionOperations, registrationSubscriptionsInForce } from './registration-subscriptions.ts';
import { type RegistrationOperations, registrationOperations } from './registrations.ts';
import { registrationNotifications } from './registry/notify.ts';
import { type RegistrationChange, type RegistrationsInForce, registrationsInForce } from './registry/registrations-in-force.ts';
import type { SubscriptionOperations } from './subscriptions.ts';

/** The registry of context sources (5.9 to 5.12), and asking them (4.3.6). */
export interface Registry {
  readonly registrations: RegistrationOperations;
  readonly subscriptions: SubscriptionOperations;
  readonly sources: Sources;
  /** All registrations, as asking and subscribing need them. */
  readonly inForce: RegistrationsInForce;
  /** Whether a tenant has any registration. Costs one look-up. */
  hasSources(tenant: string): boolean;
  /** Tells of every change of a registration, after it was stored. */
  onChange(listener: (change: RegistrationChange) => void): void;
  /** Deliveries of notifications about registrations were given back to this queue. */
  resume(endpoint: string): void;
  /** Reads what is stored, at start. */
  load(): Promise<void>;
  /** Deletes what has expired, and writes what became of requests: to be called every second or so. */
  sweep(): Promise<void>;
  stop(): Promise<void>;
}

export function contextSourceRegistry(dependencies: {
  readonly documents: DocumentStore;
  readonly entities: EntityStore;
  readonly resolveContext: (source: JsonValue) => Promise<Context> | Context;
  readonly clock: Clock;
  readonly access: AccessFunction;
  readonly notifier: Notifier;
  readonly messages: MessageStore;
  /** The number of the next message. */
  readonly number: () => number;
  readonly backOff: BackOff;
  /** Notifications that may wait for one subscriber. */
  readonly mostWaiting: number;
  readonly onError: (error: unknown) => void;
  /** Stands in for @contexts that cannot be reached yet. */
  readonly core: Context;
  readonly notificationTimeoutMs: number;
  readonly source: ContextSource;
  readonly sourceTimeoutMs: number;
  readonly sourceCacheBytes: number;
  readonly brokerId: string;
  /** Reads `temporalQ` (5.2.21). @throws DomainError BadRequestData */
  readonly temporalFilter: (temporalQ: JsonObject) => TemporalFilter;
}): Registry {
  const { documents, source } = dependencies;
  const registrations = registrationsInForce(documents);
  const subscribed = registrationSubscriptionsInForce(dependencies);
  const notifications = registrationNotifications({
    ...dependencies,
    registrations,
    subscriptions: subscribed,
    timeoutMs: dependencies.notificationTimeoutMs,
  });
  const listeners: ((change: RegistrationChange) => void)[] = [];
  const operations = registrationOperations({
    ...dependencies,
    registrations,
    newId: () => `urn:ngsi-ld:ContextSourceRegistration:${randomUUID()}` as Iri,
    async onChange(change) {
      for (const listener of listeners) listener(change);
      await notifications.changed(change);
    },
  });
  const subscriptions = registrationSubscriptionOperations({
    ...dependencies,
    subscriptions: subscribed,
    notifications,
    newId: () => `urn:ngsi-ld:Subscription:${randomUUID()}` as Iri,
  });
  return {
    registrations: operations,
    subscriptions,
    sources: sources({
      ...dependencies,
      registrations,
      timeoutMs: dependencies.sourceTimeoutMs,
      cacheBytes: dependencies.sourceCacheBytes,
    }),
    inForce: registrations,
    hasSources: (tenant) => registrations.any(tenant as TenantId),
    onChange: (listener) => void listeners.push(listener),
    resume: notifications.resume,
    async load() {
      await registrations.load();
      await subscribed.load();
      await notifications.start();
    },
    async sweep() {
      await operations.sweepExpired();
      await registrations.flush();
      await subscribed.flush();
    },
    async stop() {
      await notifications.stop();
      await subscribed.flush();
      await registrations.flush();
      await source.close();
    },
  };
}
