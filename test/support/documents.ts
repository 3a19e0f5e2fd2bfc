import type { TenantId } from '../../broker/domain/iri.ts';
import type { JsonObject } from '../../broker/domain/json.ts';
import type { DocumentKind, DocumentStore, StoredDocument } from '../../broker/ports/document-store.ts';

/** A DocumentStore in memory, for what only needs somewhere to keep documents. */
export function documentsInMemory(): DocumentStore {
  const all = new Map<string, StoredDocument>();
  const keyOf = (kind: DocumentKind, tenant: TenantId, id: string) => `${kind}\n${tenant}\n${id}`;
  return {
    get: async (kind, tenant, id) => all.get(keyOf(kind, tenant, id)),
    list: async (kind, tenant) =>
      [...all.values()]
        .filter((document) => document.kind === kind && (tenant === undefined || document.tenant === tenant))
        .sort((a, b) => (a.id < b.id ? -1 : 1)),
    async put(kind, tenant, id, body: JsonObject, expect) {
      const key = keyOf(kind, tenant, id);
      const version = all.get(key)?.version ?? 0;
      if (expect !== undefined && expect !== version) return undefined;
      all.set(key, { kind, tenant, id, version: version + 1, body });
      return version + 1;
    },
    delete: async (kind, tenant, id) => all.delete(keyOf(kind, tenant, id)),
  };
}
