import type { KnownDevice, LazyAttribute } from '../../domain/device.ts';
import type { TenantId } from '../../domain/iri.ts';
import type { DocumentStore } from '../../ports/document-store.ts';
import type { DeviceListener } from './index.ts';
import type { TargetIndex } from './targets.ts';

/** Says on disk which tenants have devices with lazy attributes: other processes that read the file leave the reads of these to the one that can ask. */
export interface LazyTenants extends DeviceListener {
  /** Resolves when it is on disk that the tenant of this device has some, if it has. */
  said(known: KnownDevice): Promise<void>;
  /** Takes back what was said of tenants that have none any more. */
  tidy(): Promise<void>;
}

export function lazyTenants(
  targets: TargetIndex<LazyAttribute>,
  documents: DocumentStore,
  onError: (error: unknown) => void,
): LazyTenants {
  const told = new Map<TenantId, Promise<unknown>>();

  function tell(tenant: TenantId): Promise<unknown> {
    let telling = told.get(tenant);
    if (telling === undefined) {
      telling = documents.put('lazy-attributes', tenant, 'any', {});
      telling.catch((error: unknown) => {
        told.delete(tenant);
        onError(error);
      });
      told.set(tenant, telling);
    }
    return telling;
  }

  return {
    put(known) {
      targets.put(known);
      if (targets.any(known.tenant)) void tell(known.tenant);
    },
    drop: targets.drop,
    async said(known) {
      if (targets.any(known.tenant)) await tell(known.tenant);
    },
    async tidy() {
      for (const { tenant, id } of await documents.list('lazy-attributes', undefined)) {
        if (targets.any(tenant)) continue;
        told.delete(tenant);
        await documents.delete('lazy-attributes', tenant, id);
      }
    },
  };
}
