import { type AccessFunction, type Caller, demand } from '../domain/access.ts';
import type { AttributeInstance } from '../domain/attribute.ts';
import type { HistorySelection, TimeProperty } from '../domain/history.ts';
import type { Iri, TenantId } from '../domain/iri.ts';
import type { TransferredDocument, TransferredEntity, TransferredInstance, TransferSummary } from '../domain/transfer.ts';
import { DOCUMENT_KINDS, type DocumentStore } from '../ports/document-store.ts';
import type { EntityStore, StoredEntity } from '../ports/entity-store.ts';
import type { HistoryStore } from '../ports/history-store.ts';
import type { SeriesStore } from '../ports/series-store.ts';

/** What can be had again, or ends by itself: fetched @contexts, EntityMaps, Snapshots. */
const LEFT: ReadonlySet<string> = new Set(['context-cache', 'entity-map', 'snapshot']);
/** Instances of one attribute of one entity that are moved. */
const MOST_INSTANCES = 100_000_000;

/** For operators: everything that the store holds, page by page, while the broker runs. */
export interface TransferOperations {
  summary(caller: Caller): Promise<TransferSummary>;
  /** Entities of a tenant that exist or that history knows, in ascending id, behind one. */
  entities(
    caller: Caller,
    tenant: TenantId,
    page: { readonly after?: Iri; readonly limit: number },
  ): Promise<readonly TransferredEntity[]>;
  /** One of them; undefined: there is no such entity, and never was. */
  entity(caller: Caller, tenant: TenantId, id: Iri): Promise<TransferredEntity | undefined>;
  /** Subscriptions, registrations, contexts, devices … of all tenants or one. What can be had again is not among them. */
  documents(caller: Caller, tenant?: TenantId): Promise<readonly TransferredDocument[]>;
}

export function transferOperations(dependencies: {
  readonly entities: EntityStore;
  readonly history: HistoryStore;
  readonly series: SeriesStore;
  readonly documents: DocumentStore;
  readonly access: AccessFunction;
}): TransferOperations {
  const { entities, history, series, documents, access } = dependencies;
  const demanded = (caller: Caller): void => demand(access, caller, { operation: 'export', effect: 'administer' });

  async function everything(tenant: TenantId, id: Iri, property: TimeProperty): Promise<Evolution | undefined> {
    const selection: HistorySelection = { filter: { property }, limitPerAttribute: MOST_INSTANCES };
    return history.evolution(tenant, id, selection);
  }

  async function whole(tenant: TenantId, id: Iri, stored: StoredEntity | undefined): Promise<TransferredEntity> {
    const [entered, deleted] = await Promise.all([everything(tenant, id, 'modifiedAt'), everything(tenant, id, 'deletedAt')]);
    const instances: TransferredInstance[] = [];
    for (const { attributes } of [entered, deleted].filter((one) => one !== undefined)) {
      for (const name in attributes) {
        for (const { instanceId, ...instance } of attributes[name as Iri] ?? []) {
          const number = instanceId === undefined ? undefined : series.numberOf(instanceId);
          if (number !== undefined) instances.push({ number, name: name as Iri, instance: instance as AttributeInstance });
        }
      }
    }
    const { types, scopes, createdAt, modifiedAt, deletedAt } = entered ?? {};
    return {
      tenant,
      id,
      ...(stored ? { number: stored.number, state: stored.entity } : {}),
      ...(entered
        ? {
            evolution: {
              types: types ?? [],
              ...(scopes ? { scopes } : {}),
              createdAt: createdAt as never,
              modifiedAt: modifiedAt as never,
              ...(deletedAt ? { deletedAt } : {}),
            },
          }
        : {}),
      instances: instances.sort((a, b) => a.number - b.number),
    };
  }

  return {
    async summary(caller) {
      demanded(caller);
      const tenants = await entities.tenants();
      const lasts = await Promise.all(tenants.map((tenant) => entities.walk(tenant, {}, { limit: 1, descending: true })));
      const counts = await Promise.all(tenants.map((tenant) => entities.query(tenant, {}, { limit: 0, count: true })));
      const lastInstance = await series.reserve(1);
      return {
        instancePrefix: series.instanceId(lastInstance).slice(0, -String(lastInstance).length),
        lastEntity: Math.max(0, ...lasts.map(([last]) => last?.number ?? 0)),
        lastInstance,
        tenants: tenants.map((tenant, at) => ({ tenant, entities: counts[at]?.count ?? 0 })),
      };
    },

    async entities(caller, tenant, { after, limit }) {
      demanded(caller);
      const page = { limit, ...(after === undefined ? {} : { after }) };
      const { entities: existing } = await entities.query(tenant, {}, page);
      const known = { filter: { property: 'modifiedAt' }, limitPerAttribute: 1 } as const;
      const ever = await Promise.all([
        history.query(tenant, {}, known, page),
        history.query(tenant, {}, { ...known, filter: { property: 'deletedAt' } }, page),
      ]);
      const byId = new Map(existing.map((one) => [one.id, one]));
      const ids = new Set<Iri>([...byId.keys(), ...ever.flatMap(({ evolutions }) => evolutions.map(({ id }) => id))]);
      const sorted = [...ids].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))).slice(0, limit);
      return Promise.all(sorted.map(async (id) => whole(tenant, id, byId.get(id) ?? (await entities.get(tenant, id)))));
    },

    async entity(caller, tenant, id) {
      demanded(caller);
      const found = await whole(tenant, id, await entities.get(tenant, id));
      return found.state === undefined && found.evolution === undefined ? undefined : found;
    },

    async documents(caller, tenant) {
      demanded(caller);
      const found: TransferredDocument[] = [];
      for (const kind of DOCUMENT_KINDS) {
        if (LEFT.has(kind)) continue;
        for (const { tenant: of, id, body } of await documents.list(kind, tenant)) found.push({ kind, tenant: of, id, body });
      }
      return found;
    },
  };
}

type Evolution = NonNullable<Awaited<ReturnType<HistoryStore['evolution']>>>;
