import type { Iri, TenantId } from '../../domain/iri.ts';
import type { JsonObject, JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { compile } from '../../domain/query/evaluate.ts';
import { linkedPaths } from '../../domain/query/linked.ts';
import { type EntityTests, queriesOf, type Subscription } from '../../domain/subscription.ts';
import type { NotificationParams, SubscriptionDocument } from '../../domain/subscription-document.ts';
import { SubscriptionIndex } from '../../domain/subscription-index.ts';
import type { Micros } from '../../domain/time.ts';
import type { DocumentStore } from '../../ports/document-store.ts';
import { type NotificationStyle, notificationStyle } from './render.ts';

/** What became of the notifications of one subscription (5.2.14.2). Changed in place; written to the store every few seconds. */
export interface NotificationState {
  timesSent: number;
  timesFailed: number;
  lastNotification?: Micros;
  lastSuccess?: Micros;
  lastFailure?: Micros;
  status?: 'ok' | 'failed';
}

/** A subscription with everything that notifying needs, prepared once. */
export interface SubscriptionInForce {
  readonly id: Iri;
  readonly tenant: TenantId;
  readonly document: SubscriptionDocument;
  readonly subscription: Subscription;
  readonly notification: NotificationParams;
  readonly tests: EntityTests;
  /** Its q goes to linked entities (4.9), which have to be read for every change. */
  readonly looksAtLinked: boolean;
  /** The @context of its notifications. */
  readonly context: Context;
  /** The @context could not be reached since the start: notifications wait. */
  readonly contextMissing: boolean;
  readonly style: NotificationStyle;
  readonly state: NotificationState;
  /** Throttling looks at this: when the last notification was made, sent or not. */
  lastMade?: Micros;
  /** The state has changed since it was written. */
  stateChanged: boolean;
}

/** All subscriptions of all tenants, in memory, found by what a change touches. */
export interface SubscriptionsInForce {
  readonly index: SubscriptionIndex<SubscriptionInForce>;
  get(tenant: TenantId, id: string): SubscriptionInForce | undefined;
  of(tenant: TenantId): readonly SubscriptionInForce[];
  all(): Iterable<SubscriptionInForce>;
  /** Puts a new or changed subscription into force; the notification state of an earlier version is kept. */
  put(tenant: TenantId, document: SubscriptionDocument): Promise<SubscriptionInForce>;
  remove(tenant: TenantId, id: string): void;
  /** Reads them all from the store, at start. */
  load(): Promise<void>;
  /** Writes the states that have changed. */
  flush(): Promise<void>;
  /** Tells about every put and removal. */
  onChange(listener: (entry: SubscriptionInForce, what: 'put' | 'removed') => void): void;
}

export function subscriptionsInForce(dependencies: {
  readonly documents: DocumentStore;
  readonly resolveContext: (source: JsonValue) => Promise<Context> | Context;
  /** Stands in at start for a @context that cannot be reached; nothing is sent with it. */
  readonly core: Context;
  /** How long a start waits for @contexts that are not at hand, and how often they are tried again. */
  readonly waitMs?: number;
  readonly retryMs?: number;
}): SubscriptionsInForce {
  const { documents, resolveContext, core, waitMs = 1000, retryMs = 30_000 } = dependencies;
  const index = new SubscriptionIndex<SubscriptionInForce>();
  const byTenant = new Map<TenantId, Map<string, SubscriptionInForce>>();
  const listeners: ((entry: SubscriptionInForce, what: 'put' | 'removed') => void)[] = [];

  const get = (tenant: TenantId, id: string) => byTenant.get(tenant)?.get(id);

  function drop(tenant: TenantId, id: string): SubscriptionInForce | undefined {
    const entry = get(tenant, id);
    if (!entry) return undefined;
    byTenant.get(tenant)?.delete(id);
    index.remove(entry);
    return entry;
  }

  function put(
    tenant: TenantId,
    document: SubscriptionDocument,
    context: Context | undefined,
    state?: NotificationState,
  ): SubscriptionInForce {
    const queries = queriesOf(document.subscription);
    const earlier = drop(tenant, document.id);
    const notified = earlier?.lastMade ?? state?.lastNotification;
    const entry: SubscriptionInForce = {
      id: document.id,
      tenant,
      document,
      subscription: document.subscription,
      notification: document.notification,
      tests: { selectors: queries.selectors.map((query) => compile(query)), conditions: compile(queries.conditions) },
      looksAtLinked: document.subscription.where !== undefined && linkedPaths(document.subscription.where).length > 0,
      context: context ?? core,
      contextMissing: context === undefined,
      style: notificationStyle(document, context ?? core, tenant),
      state: earlier?.state ?? state ?? { timesSent: 0, timesFailed: 0 },
      stateChanged: false,
      ...(notified === undefined ? {} : { lastMade: notified }),
    };
    const tenantMap = byTenant.get(tenant) ?? new Map<string, SubscriptionInForce>();
    byTenant.set(tenant, tenantMap);
    tenantMap.set(document.id, entry);
    index.add(entry);
    for (const listener of listeners) listener(entry, 'put');
    return entry;
  }

  /** The @context is there: unless the subscription was changed meanwhile, it speaks now. */
  function supply(tenant: TenantId, document: SubscriptionDocument, context: Context): void {
    const entry = get(tenant, document.id);
    if (entry?.document === document && entry.contextMissing) put(tenant, document, context);
  }

  function retry(tenant: TenantId, document: SubscriptionDocument): void {
    setTimeout(() => {
      if (get(tenant, document.id)?.document !== document) return;
      Promise.resolve(resolveContext(document.notificationContext)).then(
        (found) => supply(tenant, document, found),
        () => retry(tenant, document),
      );
    }, retryMs).unref();
  }

  return {
    index,
    get,
    of: (tenant) => [...(byTenant.get(tenant)?.values() ?? [])].sort((a, b) => (a.id < b.id ? -1 : 1)),
    *all() {
      for (const tenantMap of byTenant.values()) yield* tenantMap.values();
    },
    put: async (tenant, document) => put(tenant, document, await resolveContext(document.notificationContext)),
    remove(tenant, id) {
      const entry = drop(tenant, id);
      if (entry) for (const listener of listeners) listener(entry, 'removed');
    },
    async load() {
      const states = new Map(
        (await documents.list('subscription-state', undefined)).map((stored) => [
          `${stored.tenant} ${stored.id}`,
          stored.body as unknown as NotificationState,
        ]),
      );
      const loading = (await documents.list('subscription', undefined)).map((stored) => {
        const document = stored.body as unknown as SubscriptionDocument;
        const state = states.get(`${stored.tenant} ${stored.id}`);
        const context = resolveContext(document.notificationContext);
        if (!(context instanceof Promise)) return void put(stored.tenant, document, context, state);
        // In force at once, so that it misses no change; a dead server of @contexts delays its notifications and nothing else.
        put(stored.tenant, document, undefined, state);
        return context.then(
          (found) => supply(stored.tenant, document, found),
          () => retry(stored.tenant, document),
        );
      });
      await Promise.race([Promise.all(loading), new Promise((wake) => setTimeout(wake, waitMs).unref())]);
    },
    async flush() {
      for (const entry of this.all()) {
        if (!entry.stateChanged) continue;
        entry.stateChanged = false;
        await documents.put('subscription-state', entry.tenant, entry.id, { ...entry.state } as unknown as JsonObject);
      }
    },
    onChange: (listener) => void listeners.push(listener),
  };
}
