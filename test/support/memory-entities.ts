import type { Entity } from '../../broker/domain/entity.ts';
import type { Iri, TenantId } from '../../broker/domain/iri.ts';
import { compile } from '../../broker/domain/query/evaluate.ts';
import { compileOrder } from '../../broker/domain/query/order.ts';
import type { EntityStore, StoredEntity, TypeCount } from '../../broker/ports/entity-store.ts';

export interface MemoryEntities extends EntityStore {
  /** Puts an entity there, as a new version. */
  put(entity: Entity, tenant?: string): void;
}

/** The reading half of the entity store, by the plain meaning of queries: what other stores are compared with. It does not commit. */
export function memoryEntities(...entities: readonly Entity[]): MemoryEntities {
  const tenants = new Map<string, Map<Iri, StoredEntity>>([['', new Map()]]);
  let version = 0;
  const of = (tenant: TenantId | string) => tenants.get(tenant) ?? new Map<Iri, StoredEntity>();
  const refuse = (): never => {
    throw new Error('this store is for reading');
  };
  const store: MemoryEntities = {
    put(entity, tenant = '') {
      version += 1;
      const all = of(tenant);
      all.set(entity.id, { id: entity.id, version, number: all.get(entity.id)?.number ?? version, entity });
      tenants.set(tenant, all);
    },
    get: async (tenant, id) => of(tenant).get(id),
    async query(tenant, query, page) {
      const test = compile(query, (id) => of(tenant).get(id)?.entity);
      const compare = compileOrder(page.order ?? []);
      const found = [...of(tenant).values()].filter(({ entity }) => test(entity)).sort((a, b) => compare(a.entity, b.entity));
      const from = page.after === undefined ? (page.offset ?? 0) : found.findIndex(({ id }) => id === page.after) + 1;
      return {
        entities: found.slice(from, from + page.limit),
        more: found.length > from + page.limit,
        ...(page.count === true ? { count: found.length } : {}),
      };
    },
    numbered: async (tenant, numbers) =>
      numbers.map((number) => [...of(tenant).values()].find((stored) => stored.number === number)),
    async walk(tenant, query, { after, limit, descending = false }) {
      const test = compile(query, (id) => of(tenant).get(id)?.entity);
      const found = [...of(tenant).values()].filter(({ entity }) => test(entity)).sort((a, b) => a.number - b.number);
      if (descending) found.reverse();
      const behind = found.filter(({ number }) => after === undefined || (descending ? number < after : number > after));
      return behind.slice(0, limit);
    },
    commit: refuse,
    commitTogether: refuse,
    async typeCounts(tenant) {
      const counts = new Map<Iri, { entities: number; attributes: Map<Iri, { kinds: Set<string>; entities: number }> }>();
      for (const { entity } of of(tenant).values()) {
        for (const type of entity.types) {
          const count = counts.get(type) ?? { entities: 0, attributes: new Map() };
          count.entities += 1;
          counts.set(type, count);
          for (const [name, instances] of Object.entries(entity.attributes)) {
            const attribute = count.attributes.get(name as Iri) ?? { kinds: new Set<string>(), entities: 0 };
            attribute.entities += 1;
            for (const instance of instances) attribute.kinds.add(instance.type);
            count.attributes.set(name as Iri, attribute);
          }
        }
      }
      return [...counts].map(
        ([type, count]): TypeCount => ({
          type,
          entities: count.entities,
          attributes: [...count.attributes].map(([name, { kinds, entities }]) => ({ name, kinds: [...kinds], entities })),
        }),
      );
    },
    expired: async () => [],
    tenants: async () => [...tenants.keys()] as TenantId[],
    tenantExists: async (tenant) => tenants.has(tenant),
  };
  for (const entity of entities) store.put(entity);
  return store;
}
