import { type AccessFunction, type Caller, demand } from '../domain/access.ts';
import { alreadyExists, badRequest, notFound } from '../domain/errors.ts';
import type { TemporalFilter } from '../domain/history.ts';
import type { Iri, TenantId } from '../domain/iri.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { Context } from '../domain/jsonld/context.ts';
import { parseQ } from '../domain/query/parse/q.ts';
import { statusOf } from '../domain/subscription.ts';
import { patchMembers, readSubscription, type SubscriptionDocument } from '../domain/subscription-document.ts';
import { toMicros } from '../domain/time.ts';
import type { Clock } from '../ports/clock.ts';
import type { DocumentStore } from '../ports/document-store.ts';
import { matchesOf, type RegistrationSubscription, type registrationNotifications } from './registry/notify.ts';
import type { SubscriptionView } from './subscriptions.ts';

/** 5.11.2 to 5.11.6. Names in bodies are short, and are expanded with the context given. */
export interface RegistrationSubscriptionOperations {
  /** 5.11.2. @returns the id, given or made. @throws AlreadyExists, BadRequestData, LdContextNotAvailable */
  createRegistrationSubscription(caller: Caller, body: JsonObject, context: Context): Promise<Iri>;
  /** 5.11.3. */
  updateRegistrationSubscription(caller: Caller, id: Iri, fragment: JsonObject, context: Context): Promise<void>;
  /** 5.11.4. */
  retrieveRegistrationSubscription(caller: Caller, id: Iri): Promise<SubscriptionView>;
  /** 5.11.5: in ascending id. */
  queryRegistrationSubscriptions(caller: Caller): Promise<readonly SubscriptionView[]>;
  /** 5.11.6. */
  deleteRegistrationSubscription(caller: Caller, id: Iri): Promise<void>;
  /** Reads them all from the store, at start. */
  load(): Promise<void>;
}

const KIND = 'registration-subscription';
/** How long the start waits for the @contexts of all subscriptions, and how long until one that failed is tried again. */
const PATIENCE_MS = 500;
const RETRY_MS = 30_000;

export function registrationSubscriptionOperations(dependencies: {
  readonly documents: DocumentStore;
  readonly notifications: ReturnType<typeof registrationNotifications>;
  readonly resolveContext: (source: JsonValue) => Promise<Context> | Context;
  /** Reads `temporalQ` (5.2.21). @throws DomainError BadRequestData */
  readonly temporalFilter: (temporalQ: JsonObject) => TemporalFilter;
  readonly clock: Clock;
  readonly access: AccessFunction;
  readonly newId: () => Iri;
}): RegistrationSubscriptionOperations {
  const { documents, notifications, resolveContext, temporalFilter, clock, access, newId } = dependencies;
  const known = new Map<TenantId, Map<string, RegistrationSubscription>>();

  function existing(caller: Caller, id: Iri): RegistrationSubscription {
    const found = known.get(caller.tenant)?.get(id);
    if (!found) throw notFound(`There is no context source registration subscription ${id}`);
    return found;
  }

  function refusePast({ subscription: { expiresAt } }: SubscriptionDocument): void {
    if (expiresAt !== undefined && toMicros(expiresAt) <= clock.micros())
      throw badRequest(`expiresAt ${expiresAt} lies in the past`);
  }

  /** Everything that can be wrong with it is found out here, before it is stored. */
  async function prepare(
    tenant: TenantId,
    document: SubscriptionDocument,
    before?: RegistrationSubscription,
  ): Promise<RegistrationSubscription> {
    const { members, subscription } = document;
    const { temporalQ, csf } = members;
    const names = await resolveContext(document.context);
    return {
      id: document.id,
      tenant,
      document,
      context: await resolveContext(document.notificationContext),
      state: before?.state ?? { timesSent: 0, timesFailed: 0 },
      selection: {
        matches: matchesOf(document),
        ...(subscription.where ? { where: subscription.where } : {}),
        ...(subscription.scopes ? { scopes: subscription.scopes } : {}),
        ...(temporalQ === undefined ? {} : { temporal: temporalFilter(temporalQ as JsonObject) }),
        ...(typeof csf === 'string' ? { filter: parseQ(csf, names, { what: 'csf' }) } : {}),
      },
    };
  }

  function putInForce(entry: RegistrationSubscription): void {
    const ofTenant = known.get(entry.tenant) ?? new Map<string, RegistrationSubscription>();
    known.set(entry.tenant, ofTenant);
    const before = ofTenant.get(entry.id);
    if (before) notifications.remove(before);
    ofTenant.set(entry.id, entry);
    notifications.put(entry);
  }

  const view = ({ document, state, context }: RegistrationSubscription): SubscriptionView => ({
    document,
    status: statusOf(document.subscription, clock.micros()),
    state,
    jsonldContext: context.link,
  });

  return {
    async createRegistrationSubscription(caller, body, context) {
      demand(access, caller, { operation: 'createRegistrationSubscription', effect: 'write' });
      const id = (body['id'] as Iri | undefined) ?? newId();
      const document = readSubscription(body, context, id);
      refusePast(document);
      const entry = await prepare(caller.tenant, document);
      if ((await documents.put(KIND, caller.tenant, id, document as unknown as JsonObject, 0)) === undefined)
        throw alreadyExists(`Context source registration subscription ${id} already exists`);
      putInForce(entry);
      return id;
    },

    async updateRegistrationSubscription(caller, id, fragment, context) {
      demand(access, caller, { operation: 'updateRegistrationSubscription', effect: 'write', ids: [id] });
      if (fragment['type'] !== undefined && fragment['type'] !== 'Subscription')
        throw badRequest('The type of a Subscription cannot be changed');
      for (;;) {
        const before = existing(caller, id);
        const version = (await documents.get(KIND, caller.tenant, id))?.version;
        if (version === undefined) throw notFound(`There is no context source registration subscription ${id}`);
        // 5.5.8 replaces members, `notification` as a whole among them.
        const { notification, ...others } = fragment;
        const members = patchMembers(
          notification === undefined ? before.document.members : { ...before.document.members, notification },
          others,
        );
        // Names that the fragment does not touch were written under the stored @context.
        const named = ['entities', 'watchedAttributes', 'q', 'geoQ', 'csf', 'notification'].some(
          (name) => fragment[name] !== undefined,
        );
        const reading = named ? context : await resolveContext(before.document.context);
        const document = readSubscription({ type: 'Subscription', ...members }, reading, id);
        const entry = await prepare(caller.tenant, document, before);
        // Somebody else changed it meanwhile: look again.
        if ((await documents.put(KIND, caller.tenant, id, document as unknown as JsonObject, version)) === undefined) continue;
        putInForce(entry);
        return;
      }
    },

    async retrieveRegistrationSubscription(caller, id) {
      demand(access, caller, { operation: 'retrieveRegistrationSubscription', effect: 'read', ids: [id] });
      return view(existing(caller, id));
    },

    async queryRegistrationSubscriptions(caller) {
      demand(access, caller, { operation: 'queryRegistrationSubscriptions', effect: 'read' });
      return [...(known.get(caller.tenant)?.values() ?? [])].sort((a, b) => (a.id < b.id ? -1 : 1)).map(view);
    },

    async deleteRegistrationSubscription(caller, id) {
      demand(access, caller, { operation: 'deleteRegistrationSubscription', effect: 'write', ids: [id] });
      const entry = existing(caller, id);
      await documents.delete(KIND, caller.tenant, id);
      known.get(caller.tenant)?.delete(id);
      notifications.remove(entry);
    },

    async load() {
      const attempt = async (tenant: TenantId, document: SubscriptionDocument): Promise<void> => {
        try {
          const entry = await prepare(tenant, document);
          // Meanwhile a client may have changed or deleted it.
          if (known.get(tenant)?.has(document.id) !== true && (await documents.get(KIND, tenant, document.id)))
            putInForce(entry);
        } catch {
          setTimeout(() => void attempt(tenant, document), RETRY_MS).unref();
        }
      };
      const stored = await documents.list(KIND, undefined);
      const all = stored.map(({ tenant, body }) => attempt(tenant, body as unknown as SubscriptionDocument));
      // An @context that cannot be had now holds up its subscription, not the start.
      await Promise.race([Promise.all(all), new Promise((go) => setTimeout(go, PATIENCE_MS).unref())]);
    },
  };
}
