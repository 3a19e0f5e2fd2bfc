import { type AccessFunction, type Caller, demand } from '../domain/access.ts';
import { notFound } from '../domain/errors.ts';
import type { Iri, TenantId } from '../domain/iri.ts';
import type { EntityStore, TypeCount } from '../ports/entity-store.ts';

export type { TypeCount };

/** An attribute, what kinds of it exist, in how many entities, and of which types these are (5.2.28). */
export interface KnownAttribute {
  readonly name: Iri;
  readonly kinds: readonly string[];
  /** Entities that have it; one that is of two types counts once for each. */
  readonly entities: number;
  readonly types: readonly Iri[];
}

/** 5.7.5 to 5.7.10. Counts are exact at the time of the answer. All throw DomainError NonexistentTenant. */
export interface DiscoveryOperations {
  /** 5.7.5, 5.7.6: every type that an entity has, in ascending order. */
  availableTypes(caller: Caller): Promise<readonly TypeCount[]>;
  /** 5.7.7. @throws DomainError ResourceNotFound: no entity is of this type */
  availableType(caller: Caller, type: Iri): Promise<TypeCount>;
  /** 5.7.8, 5.7.9: every attribute that an entity has, in ascending order. */
  availableAttributes(caller: Caller): Promise<readonly KnownAttribute[]>;
  /** 5.7.10. @throws DomainError ResourceNotFound: no entity has this attribute */
  availableAttribute(caller: Caller, name: Iri): Promise<KnownAttribute>;
}

export interface DiscoveryDependencies {
  readonly entities: EntityStore;
  readonly access: AccessFunction;
  /** Refuses a tenant that does not exist (operations/query.ts). */
  demandTenant(tenant: TenantId): Promise<void>;
}

export function discoveryOperations({ entities, access, demandTenant }: DiscoveryDependencies): DiscoveryOperations {
  async function counts(caller: Caller, operation: string): Promise<readonly TypeCount[]> {
    demand(access, caller, { operation, effect: 'read' });
    const found = await entities.typeCounts(caller.tenant);
    if (found.length === 0) await demandTenant(caller.tenant);
    return found;
  }

  return {
    availableTypes: (caller) => counts(caller, 'retrieveEntityTypes'),
    async availableType(caller, type) {
      const found = (await counts(caller, 'retrieveEntityTypeInfo')).find((one) => one.type === type);
      if (found === undefined) throw notFound(`There is no entity of type ${type}`);
      return found;
    },
    availableAttributes: async (caller) => [...byAttribute(await counts(caller, 'retrieveAttrTypes')).values()],
    async availableAttribute(caller, name) {
      const found = byAttribute(await counts(caller, 'retrieveAttrTypeInfo')).get(name);
      if (found === undefined) throw notFound(`There is no entity with an attribute ${name}`);
      return found;
    },
  };
}

function byAttribute(types: readonly TypeCount[]): ReadonlyMap<Iri, KnownAttribute> {
  const known = new Map<Iri, KnownAttribute>();
  for (const { type, attributes } of types) {
    for (const { name, kinds, entities } of attributes) {
      const before = known.get(name) ?? { name, kinds: [], entities: 0, types: [] };
      known.set(name, {
        name,
        kinds: [...new Set([...before.kinds, ...kinds])],
        entities: before.entities + entities,
        types: [...before.types, type],
      });
    }
  }
  return new Map([...known].sort(([a], [b]) => (a < b ? -1 : 1)));
}
