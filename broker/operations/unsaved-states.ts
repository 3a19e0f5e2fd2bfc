import type { Iri, TenantId } from '../domain/iri.ts';
import type { JsonObject } from '../domain/json.ts';
import type { DocumentKind, DocumentStore } from '../ports/document-store.ts';

interface Named {
  readonly tenant: TenantId;
  readonly id: Iri;
}

/**
 * What became of subscriptions and registrations (counters, times) changes with every message and is written now and then: those that changed, all in
 * one go, however many there are. A crash loses a few seconds of it.
 */
export class UnsavedStates {
  readonly #documents: DocumentStore;
  readonly #kind: DocumentKind;
  readonly #stateOf: (tenant: TenantId, id: Iri) => object | undefined;
  #marked = new Set<Named>();

  /** @param stateOf the state as it is now; undefined if what it belongs to is gone */
  constructor(documents: DocumentStore, kind: DocumentKind, stateOf: (tenant: TenantId, id: Iri) => object | undefined) {
    this.#documents = documents;
    this.#kind = kind;
    this.#stateOf = stateOf;
  }

  /** Its state has changed. */
  mark(entry: Named): void {
    this.#marked.add(entry);
  }

  /** @throws what the store throws; the states are then written with the next flush */
  async flush(): Promise<void> {
    if (this.#marked.size === 0) return;
    const marked = this.#marked;
    this.#marked = new Set();
    try {
      await Promise.all(
        [...marked].map(async ({ tenant, id }) => {
          const state = this.#stateOf(tenant, id);
          if (state !== undefined) await this.#documents.put(this.#kind, tenant, id, { ...state } as JsonObject);
        }),
      );
    } catch (error) {
      for (const entry of marked) this.#marked.add(entry);
      throw error;
    }
  }
}
