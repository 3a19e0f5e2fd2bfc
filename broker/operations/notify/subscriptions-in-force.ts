import type { Iri, TenantId } from '../../domain/iri.ts';
import type { JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { compile } from '../../domain/query/evaluate.ts';
import { linkedPaths } from '../../domain/query/linked.ts';
import { type EntityTests, queriesOf, type Subscription } from '../../domain/subscription.ts';
import type { NotificationParams, SubscriptionDocument } from '../../domain/subscription-document.ts';
import { SubscriptionIndex } from '../../domain/subscription-index.ts';
import type { Micros } from '../../domain/time.ts';
import type { DocumentKind, DocumentStore } from '../../ports/document-store.ts';
import { UnsavedStates } from '../unsaved-states.ts';
import type { NotificationState } from './notification-state.ts';
import { type NotificationStyle, notificationStyle } from './render.ts';

/** A subscription, to entities or to registrations, with what every kind of notification needs, prepared once. */
export interface Subscribed {
  readonly id: Iri;
  readonly tenant: TenantId;
  readonly document: SubscriptionDocument;
  readonly subscription: Subscription;
  readonly notification: NotificationParams;
  /** The @context of its notifications. */
  readonly context: Context;
  /** The @context could not be reached since the start: notifications wait. */
  readonly contextMissing: boolean;
  readonly style: NotificationStyle;
  readonly state: NotificationState;
  /** Throttling looks at this: when the last notification was made, sent or not. */
  lastMade?: Micros;
  /** Where a change of the state is noted. */
  readonly unsaved: UnsavedStates;
}

/** A subscription to entities. */
export interface SubscriptionInForce extends Subscribed {
  readonly tests: EntityTests;
  /** Its q goes to linked entities (4.9), which have to be read for every change. */
  readonly looksAtLinked: boolean;
}

/** What happened to a subscription; `loaded`: at start, or its @context was found later. */
export type SubscriptionEvent = 'put' | 'removed' | 'loaded';

/** All subscriptions of one kind, of all tenants, in memory. */
export interface InForce<S extends Subscribed> {
  get(tenant: TenantId, id: string): S | undefined;
  /** In ascending id. */
  of(tenant: TenantId): readonly S[];
  all(): Iterable<S>;
  /** Puts a new or changed subscription into force; the notification state of an earlier version is kept. */
  put(tenant: TenantId, document: SubscriptionDocument): Promise<S>;
  remove(tenant: TenantId, id: string): void;
  /** Reads them all from the store, at start. */
  load(): Promise<void>;
  /** Writes the states that have changed. */
  flush(): Promise<void>;
  /** Tells about every put and removal. */
  onChange(listener: (entry: S, what: SubscriptionEvent) => void): void;
}

/** Subscriptions to entities are found by what a change touches. */
export interface SubscriptionsInForce extends InForce<SubscriptionInForce> {
  readonly index: SubscriptionIndex<SubscriptionInForce>;
}

export interface InForceDependencies {
  readonly documents: DocumentStore;
  readonly resolveContext: (source: JsonValue) => Promise<Context> | Context;
  /** Stands in at start for a @context that cannot be reached; nothing is sent with it. */
  readonly core: Context;
  /** How long a start waits for @contexts that are not at hand, and how often they are tried again. */
  readonly waitMs?: number;
  readonly retryMs?: number;
}

export function subscriptionsInForce(dependencies: InForceDependencies): SubscriptionsInForce {
  const index = new SubscriptionIndex<SubscriptionInForce>();
  const kept = inForce<SubscriptionInForce>({
    ...dependencies,
    kinds: { document: 'subscription', state: 'subscription-state' },
    complete(entry) {
      const queries = queriesOf(entry.subscription);
      const { where } = entry.subscription;
      return {
        ...entry,
        tests: { selectors: queries.selectors.map((query) => compile(query)), conditions: compile(queries.conditions) },
        looksAtLinked: where !== undefined && linkedPaths(where).length > 0,
      };
    },
    added: (entry) => index.add(entry),
    dropped: (entry) => index.remove(entry),
  });
  return { index, ...kept };
}

/** @param options.complete adds what this kind of subscription needs beside; `added` and `dropped` hear of every version of an entry */
export function inForce<S extends Subscribed>({
  documents,
  resolveContext,
  core,
  waitMs = 1000,
  retryMs = 30_000,
  kinds,
  complete,
  added = () => {},
  dropped = () => {},
}: InForceDependencies & {
  readonly kinds: { readonly document: DocumentKind; readonly state: DocumentKind };
  readonly complete: (entry: Subscribed) => S;
  readonly added?: (entry: S) => void;
  readonly dropped?: (entry: S) => void;
}): InForce<S> {
  const byTenant = new Map<TenantId, Map<string, S>>();
  const listeners: ((entry: S, what: SubscriptionEvent) => void)[] = [];

  const get = (tenant: TenantId, id: string) => byTenant.get(tenant)?.get(id);
  const unsaved = new UnsavedStates(documents, kinds.state, (tenant, id) => get(tenant, id)?.state);
  const tell = (entry: S, what: SubscriptionEvent) => {
    for (const listener of listeners) listener(entry, what);
  };

  function drop(tenant: TenantId, id: string): S | undefined {
    const entry = get(tenant, id);
    if (!entry) return undefined;
    byTenant.get(tenant)?.delete(id);
    dropped(entry);
    return entry;
  }

  function put(
    tenant: TenantId,
    document: SubscriptionDocument,
    context: Context | undefined,
    what: SubscriptionEvent,
    state?: NotificationState,
  ): S {
    const style = notificationStyle(document, context ?? core, tenant);
    const earlier = drop(tenant, document.id);
    const notified = earlier?.lastMade ?? state?.lastNotification;
    const entry = complete({
      id: document.id,
      tenant,
      document,
      subscription: document.subscription,
      notification: document.notification,
      context: context ?? core,
      contextMissing: context === undefined,
      style,
      state: earlier?.state ?? state ?? { timesSent: 0, timesFailed: 0 },
      unsaved,
      ...(notified === undefined ? {} : { lastMade: notified }),
    });
    const tenantMap = byTenant.get(tenant) ?? new Map<string, S>();
    byTenant.set(tenant, tenantMap);
    tenantMap.set(document.id, entry);
    added(entry);
    tell(entry, what);
    return entry;
  }

  /** The @context is there: unless the subscription was changed meanwhile, it speaks now. */
  function supply(tenant: TenantId, document: SubscriptionDocument, context: Context): void {
    const entry = get(tenant, document.id);
    if (entry?.document === document && entry.contextMissing) put(tenant, document, context, 'loaded');
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
    get,
    of: (tenant) => [...(byTenant.get(tenant)?.values() ?? [])].sort((a, b) => (a.id < b.id ? -1 : 1)),
    *all() {
      for (const tenantMap of byTenant.values()) yield* tenantMap.values();
    },
    put: async (tenant, document) => put(tenant, document, await resolveContext(document.notificationContext), 'put'),
    remove(tenant, id) {
      const entry = drop(tenant, id);
      if (entry) tell(entry, 'removed');
    },
    async load() {
      const states = new Map(
        (await documents.list(kinds.state, undefined)).map((stored) => [
          `${stored.tenant} ${stored.id}`,
          stored.body as unknown as NotificationState,
        ]),
      );
      const loading = (await documents.list(kinds.document, undefined)).map((stored) => {
        const document = stored.body as unknown as SubscriptionDocument;
        const state = states.get(`${stored.tenant} ${stored.id}`);
        const context = resolveContext(document.notificationContext);
        if (!(context instanceof Promise)) return void put(stored.tenant, document, context, 'loaded', state);
        // In force at once, so that it misses no change; a dead server of @contexts delays its notifications and nothing else.
        put(stored.tenant, document, undefined, 'loaded', state);
        return context.then(
          (found) => supply(stored.tenant, document, found),
          () => retry(stored.tenant, document),
        );
      });
      await Promise.race([Promise.all(loading), new Promise((wake) => setTimeout(wake, waitMs).unref())]);
    },
    flush: () => unsaved.flush(),
    onChange: (listener) => void listeners.push(listener),
  };
}
