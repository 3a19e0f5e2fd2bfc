import { DEFAULT_TENANT, type TenantId } from '../../domain/iri.ts';
import { isSnapshotTenant } from '../../domain/snapshot.ts';
import type { Collections } from './collections.ts';

/** The tenants that ever were written to (4.14). */
export class Tenants {
  readonly #tenants: Collections['tenants'];
  readonly #known = new Set<TenantId>();

  constructor({ tenants }: Collections) {
    this.#tenants = tenants;
  }

  async load(): Promise<void> {
    for (const { _id } of await this.#tenants.find().toArray()) this.#known.add(_id as TenantId);
  }

  has(tenant: TenantId): boolean {
    return tenant === DEFAULT_TENANT || this.#known.has(tenant);
  }

  /** Resolves when they exist. */
  async make(tenants: Iterable<TenantId>): Promise<void> {
    for (const tenant of tenants) {
      if (this.has(tenant)) continue;
      await this.#tenants.updateOne({ _id: tenant }, { $setOnInsert: { _id: tenant } }, { upsert: true });
      this.#known.add(tenant);
    }
  }

  list(): readonly TenantId[] {
    return [...new Set([DEFAULT_TENANT, ...[...this.#known].filter((tenant) => !isSnapshotTenant(tenant))])].sort();
  }
}
