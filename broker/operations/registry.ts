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
import type { Notifier } from '../ports/notifier.ts';
import { type Sources, sources } from './distributed/sources.ts';
import { type RegistrationSubscriptionOperations, registrationSubscriptionOperations } from './registration-subscriptions.ts';
import { type RegistrationOperations, registrationOperations } from './registrations.ts';
import { registrationNotifications } from './registry/notify.ts';
import { registrationsInForce } from './registry/registrations-in-force.ts';

/** The registry of context sources (5.9 to 5.12), and asking them (4.3.6). */
export interface Registry {
  readonly registrations: RegistrationOperations;
  readonly subscriptions: RegistrationSubscriptionOperations;
  readonly sources: Sources;
  /** Whether a tenant has any registration. Costs one look-up. */
  hasSources(tenant: string): boolean;
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
  readonly notificationTimeoutMs: number;
  readonly source: ContextSource;
  readonly sourceTimeoutMs: number;
  readonly brokerId: string;
  /** Reads `temporalQ` (5.2.21). @throws DomainError BadRequestData */
  readonly temporalFilter: (temporalQ: JsonObject) => TemporalFilter;
}): Registry {
  const { documents, notifier, clock, source } = dependencies;
  const registrations = registrationsInForce(documents);
  const notifications = registrationNotifications({
    registrations,
    notifier,
    clock,
    timeoutMs: dependencies.notificationTimeoutMs,
  });
  const operations = registrationOperations({
    ...dependencies,
    registrations,
    newId: () => `urn:ngsi-ld:ContextSourceRegistration:${randomUUID()}` as Iri,
    onChange: notifications.changed,
  });
  const subscriptions = registrationSubscriptionOperations({
    ...dependencies,
    notifications,
    newId: () => `urn:ngsi-ld:Subscription:${randomUUID()}` as Iri,
  });
  return {
    registrations: operations,
    subscriptions,
    sources: sources({ ...dependencies, registrations, timeoutMs: dependencies.sourceTimeoutMs }),
    hasSources: (tenant) => registrations.any(tenant as TenantId),
    async load() {
      await registrations.load();
      await subscriptions.load();
    },
    async sweep() {
      await operations.sweepExpired();
      await registrations.flush();
    },
    async stop() {
      notifications.stop();
      await registrations.flush();
      await source.close();
    },
  };
}
