import type { Iri, TenantId } from '../../domain/iri.ts';
import { hasExpired, isTemporal, type Registration } from '../../domain/registration.ts';
import type { RegistrationDocument } from '../../domain/registration-document.ts';
import type { Micros } from '../../domain/time.ts';
import type { DocumentStore } from '../../ports/document-store.ts';
import { UnsavedStates } from '../unsaved-states.ts';

/** What became of the requests to one source (Table 5.2.9-2). Changed in place; written to the store every few seconds. */
export interface RegistrationState {
  timesSent: number;
  timesFailed: number;
  lastSuccess?: Micros;
  lastFailure?: Micros;
  status?: 'ok' | 'failed';
}

export interface RegistrationInForce {
  readonly id: Iri;
  readonly tenant: TenantId;
  readonly document: RegistrationDocument;
  readonly registration: Registration;
  readonly state: RegistrationState;
  /** Where a change of the state is noted. */
  readonly unsaved: Pick<UnsavedStates, 'mark'>;
}

/** What happened to a registration; `before` and `after` are both present if it was updated. */
export interface RegistrationChange {
  readonly tenant: TenantId;
  readonly before?: RegistrationInForce;
  readonly after?: RegistrationInForce;
}

/** All registrations of all tenants, in memory, found by the operation that their sources offer. */
export interface RegistrationsInForce {
  get(tenant: TenantId, id: string): RegistrationInForce | undefined;
  /** In ascending id. */
  of(tenant: TenantId): readonly RegistrationInForce[];
  /** False: no source of this tenant has to be thought of, whatever is asked. Costs one look-up. */
  any(tenant: TenantId): boolean;
  /** Those that offer one of these operations (undefined: all), unexpired or not. `temporal`: also those of temporal information. */
  offering(tenant: TenantId, operations: readonly string[] | undefined, temporal: boolean): readonly RegistrationInForce[];
  put(tenant: TenantId, document: RegistrationDocument): RegistrationInForce;
  remove(tenant: TenantId, id: string): RegistrationInForce | undefined;
  /** Those whose time is over. */
  expired(now: Micros): readonly RegistrationInForce[];
  /** Reads them all from the store, at start. */
  load(): Promise<void>;
  /** Writes the states that have changed. */
  flush(): Promise<void>;
}

interface OfTenant {
  readonly byId: Map<string, RegistrationInForce>;
  /** Made anew when something changes, which is rare. */
  readonly byOperations: Map<string, readonly RegistrationInForce[]>;
}

export function registrationsInForce(documents: DocumentStore): RegistrationsInForce {
  const tenants = new Map<TenantId, OfTenant>();
  const unsaved = new UnsavedStates(documents, 'registration-state', (tenant, id) => tenants.get(tenant)?.byId.get(id)?.state);

  function put(tenant: TenantId, document: RegistrationDocument, state?: RegistrationState): RegistrationInForce {
    let known = tenants.get(tenant);
    if (known === undefined) {
      known = { byId: new Map(), byOperations: new Map() };
      tenants.set(tenant, known);
    }
    const entry: RegistrationInForce = {
      id: document.id,
      tenant,
      document,
      registration: document.registration,
      state: known.byId.get(document.id)?.state ?? state ?? { timesSent: 0, timesFailed: 0 },
      unsaved,
    };
    known.byId.set(document.id, entry);
    known.byOperations.clear();
    return entry;
  }

  const ordered = (known: OfTenant | undefined) => [...(known?.byId.values() ?? [])].sort((a, b) => (a.id < b.id ? -1 : 1));

  return {
    get: (tenant, id) => tenants.get(tenant)?.byId.get(id),
    of: (tenant) => ordered(tenants.get(tenant)),
    any: (tenant) => tenants.has(tenant),
    offering(tenant, operations, temporal) {
      const known = tenants.get(tenant);
      if (known === undefined) return [];
      const key = `${temporal} ${operations?.join()}`;
      let found = known.byOperations.get(key);
      if (found === undefined) {
        found = ordered(known).filter(
          ({ registration }) =>
            (temporal || !isTemporal(registration)) &&
            (operations === undefined || operations.some((name) => registration.operations.includes(name))),
        );
        known.byOperations.set(key, found);
      }
      return found;
    },
    put: (tenant, document) => put(tenant, document),
    remove(tenant, id) {
      const known = tenants.get(tenant);
      const entry = known?.byId.get(id);
      if (known === undefined || entry === undefined) return undefined;
      known.byId.delete(id);
      known.byOperations.clear();
      if (known.byId.size === 0) tenants.delete(tenant);
      return entry;
    },
    expired(now) {
      const found: RegistrationInForce[] = [];
      for (const { byId } of tenants.values()) {
        for (const entry of byId.values()) if (hasExpired(entry.registration, now)) found.push(entry);
      }
      return found;
    },
    async load() {
      const states = new Map(
        (await documents.list('registration-state', undefined)).map((stored) => [
          `${stored.tenant} ${stored.id}`,
          stored.body as unknown as RegistrationState,
        ]),
      );
      for (const stored of await documents.list('registration', undefined)) {
        put(stored.tenant, stored.body as unknown as RegistrationDocument, states.get(`${stored.tenant} ${stored.id}`));
      }
    },
    flush: () => unsaved.flush(),
  };
}
