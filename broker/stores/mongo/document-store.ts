import { MongoServerError } from 'mongodb';
import type { TenantId } from '../../domain/iri.ts';
import { fromStoredText, type JsonObject, storedText } from '../../domain/json.ts';
import type { DocumentKind, DocumentStore, StoredDocument } from '../../ports/document-store.ts';
import type { Collections, StoredBody } from './collections.ts';

const keyOf = (kind: DocumentKind, tenant: TenantId, id: string): string => `${kind} ${tenant} ${id}`;

export class MongoDocumentStore implements DocumentStore {
  readonly #documents: Collections['documents'];
  readonly #known: (tenant: TenantId) => Promise<void>;

  /** @param known makes a tenant exist */
  constructor({ documents }: Collections, known: (tenant: TenantId) => Promise<void>) {
    this.#documents = documents;
    this.#known = known;
  }

  async get(kind: DocumentKind, tenant: TenantId, id: string): Promise<StoredDocument | undefined> {
    const found = await this.#documents.findOne({ _id: keyOf(kind, tenant, id) });
    return found ? restored(found) : undefined;
  }

  async list(kind: DocumentKind, tenant: TenantId | undefined): Promise<readonly StoredDocument[]> {
    const found = await this.#documents
      .find({ k: kind, ...(tenant === undefined ? {} : { t: tenant }) })
      .sort({ k: 1, t: 1, i: 1 })
      .toArray();
    return found.map(restored);
  }

  async put(kind: DocumentKind, tenant: TenantId, id: string, body: JsonObject, expect?: number): Promise<number | undefined> {
    const _id = keyOf(kind, tenant, id);
    const b = storedText(body);
    await this.#known(tenant);
    for (;;) {
      const version = expect ?? (await this.#documents.findOne({ _id }, { projection: { v: 1 } }))?.v ?? 0;
      if (version === 0) {
        const inserted = await this.#insert({ _id, k: kind, t: tenant, i: id, v: 1, b });
        if (inserted) return 1;
      } else {
        const { matchedCount } = await this.#documents.updateOne({ _id, v: version }, { $set: { v: version + 1, b } });
        if (matchedCount === 1) return version + 1;
      }
      if (expect !== undefined) return undefined;
    }
  }

  async #insert(document: StoredBody): Promise<boolean> {
    try {
      await this.#documents.insertOne(document);
      return true;
    } catch (error) {
      if (isDuplicate(error)) return false;
      throw error;
    }
  }

  async delete(kind: DocumentKind, tenant: TenantId, id: string): Promise<boolean> {
    const { deletedCount } = await this.#documents.deleteOne({ _id: keyOf(kind, tenant, id) });
    return deletedCount === 1;
  }
}

/** True if something with this key is there already. */
export const isDuplicate = (error: unknown): boolean => error instanceof MongoServerError && error.code === 11000;

const restored = ({ k, t, i, v, b }: StoredBody): StoredDocument => ({
  kind: k as DocumentKind,
  tenant: t,
  id: i,
  version: v,
  body: fromStoredText(b) as JsonObject,
});
