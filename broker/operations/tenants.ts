import { DomainError } from '../domain/errors.ts';
import { DEFAULT_TENANT, type TenantId } from '../domain/iri.ts';
import { isSnapshotTenant } from '../domain/snapshot.ts';
import type { EntityStore } from '../ports/entity-store.ts';

/**
 * Operations that create something create the tenant too; all others ask here first (5.5.10).
 * @throws DomainError NonexistentTenant
 */
export async function requireTenant(entities: EntityStore, tenant: TenantId): Promise<void> {
  if (tenant !== DEFAULT_TENANT && !isSnapshotTenant(tenant) && !(await entities.tenantExists(tenant))) {
    throw new DomainError('NonexistentTenant', `There is no tenant ${tenant}`);
  }
}
