import type { Change } from '../../broker/domain/change.ts';
import type { Entity } from '../../broker/domain/entity.ts';
import type { Iri, TenantId } from '../../broker/domain/iri.ts';
import type { TestBroker } from './broker.ts';

/** Where names go that no @context defines. */
export const D = 'https://uri.etsi.org/ngsi-ld/default-context/';
export const ERRORS = 'https://uri.etsi.org/ngsi-ld/errors/';
export const API = '/ngsi-ld/v1';

/** The stored entity. */
export async function storedEntity({ broker }: TestBroker, id: string, tenant = ''): Promise<Entity | undefined> {
  return (await broker.store.entities.get(tenant as TenantId, id as Iri))?.entity;
}

/** All changes that were committed, oldest first. */
export function changesOf({ broker }: TestBroker): Promise<readonly Change[]> {
  return broker.store.feed.read(0, 1000);
}

/** Attribute `name` of a stored entity, without what the broker writes: one instance as itself, several as an array. */
export async function storedAttribute(broker: TestBroker, id: string, name: string, tenant = ''): Promise<unknown> {
  const instances = (await storedEntity(broker, id, tenant))?.attributes[(D + name) as Iri] ?? [];
  const clean = instances.map((instance) =>
    JSON.parse(
      JSON.stringify(instance, (key, value) =>
        key === 'createdAt' || key === 'modifiedAt' || key === 'stamp' ? undefined : value,
      ),
    ),
  );
  return clean.length === 1 ? clean[0] : clean;
}
