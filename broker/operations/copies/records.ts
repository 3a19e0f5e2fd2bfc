import type { Iri, TenantId } from '../../domain/iri.ts';
import { type JsonObject, type JsonValue, jsonEquals } from '../../domain/json.ts';
import type { Registration } from '../../domain/registration.ts';
import type { Micros } from '../../domain/time.ts';
import type { DocumentStore } from '../../ports/document-store.ts';

/**
 * A copy of a subscription at a context source (5.8.1.4): which one, where, and what is known to be there. It is on disk before the source hears of it, and until
 * the source has confirmed that it is gone, so that no copy is forgotten. Plain JSON.
 */
export interface CopyRecord {
  /** The id under which the source knows it; made here, so that asking twice makes one. */
  readonly id: Iri;
  /** Tenant and id of the subscription here. */
  readonly tenant: TenantId;
  readonly subscription: Iri;
  readonly registration: Iri;
  /** How the source is reached, also when the registration is gone. */
  readonly source: Registration;
  /** The @context in which it is written, and in which the source notifies. */
  readonly context: JsonValue;
  /** What the source gives it as id, if that is another one. */
  readonly remoteId?: Iri;
  /** False: it is to be deleted there. */
  readonly wanted: boolean;
  /** The members that the source has accepted; absent: it has not accepted any yet. */
  readonly accepted?: JsonObject;
  /** A change of it was sent, and it is not known whether it was carried out: it has to be told everything. */
  readonly uncertain?: true;
  /** Attempts that failed since the last one that did not, and why. */
  readonly attempts: number;
  readonly reason?: string;
  readonly failedAt?: Micros;
}

/** All copies, in memory and on disk. */
export interface CopyRecords {
  load(): Promise<void>;
  get(id: string): CopyRecord | undefined;
  /** By the id that a source names in its notifications. */
  known(subscriptionId: string): CopyRecord | undefined;
  of(tenant: TenantId, subscription: string): readonly CopyRecord[];
  all(): Iterable<CopyRecord>;
  /** A new one. Resolves when on disk; in memory it counts at once. */
  put(record: CopyRecord): Promise<void>;
  /**
   * Changes one, whatever it has become since it was looked at; if nothing changes, nothing is written. Resolves when on disk.
   * @returns what it is now; undefined if it is gone
   */
  change(id: string, how: (now: CopyRecord) => CopyRecord): Promise<CopyRecord | undefined>;
  remove(record: CopyRecord): Promise<void>;
}

const KIND = 'subscription-copy';

export function copyRecords(documents: DocumentStore): CopyRecords {
  const byId = new Map<string, CopyRecord>();
  const bySubscription = new Map<string, Set<string>>();
  const remoteIds = new Map<string, string>();
  const keyOf = (tenant: TenantId, subscription: string) => `${tenant} ${subscription}`;

  function keep(record: CopyRecord): void {
    byId.set(record.id, record);
    if (record.remoteId !== undefined) remoteIds.set(record.remoteId, record.id);
    const key = keyOf(record.tenant, record.subscription);
    const ids = bySubscription.get(key) ?? new Set();
    bySubscription.set(key, ids.add(record.id));
  }

  return {
    async load() {
      for (const { body } of await documents.list(KIND, undefined)) keep(body as unknown as CopyRecord);
    },
    get: (id) => byId.get(id),
    known: (subscriptionId) => byId.get(remoteIds.get(subscriptionId) ?? subscriptionId),
    of: (tenant, subscription) =>
      [...(bySubscription.get(keyOf(tenant, subscription)) ?? [])].flatMap((id) => byId.get(id) ?? []),
    all: () => byId.values(),
    async put(record) {
      keep(record);
      await documents.put(KIND, record.tenant, record.id, record as unknown as JsonObject);
    },
    async change(id, how) {
      const now = byId.get(id);
      if (now === undefined) return undefined;
      const changed = how(now);
      if (!jsonEquals(changed, now)) await this.put(changed);
      return changed;
    },
    async remove({ id, tenant, subscription, remoteId }) {
      byId.delete(id);
      if (remoteId !== undefined) remoteIds.delete(remoteId);
      const ids = bySubscription.get(keyOf(tenant, subscription));
      ids?.delete(id);
      if (ids?.size === 0) bySubscription.delete(keyOf(tenant, subscription));
      await documents.delete(KIND, tenant, id);
    },
  };
}
