import { type AccessFunction, type Caller, demand } from '../domain/access.ts';
import type { Entity } from '../domain/entity.ts';
import { DomainError, notFound } from '../domain/errors.ts';
import { DEFAULT_TENANT, type Iri, type TenantId } from '../domain/iri.ts';
import { JOIN_LIMITS, type Join, type JoinLimits, type LinkedEntities, type WantedLink } from '../domain/linked.ts';
import type { EntityQuery, TypeSelection } from '../domain/query/query.ts';
import { refuseTooDeep, refuseTooWide } from '../domain/query/too-wide.ts';
import { typesMatch, typesNamed } from '../domain/query/types.ts';
import { hasAnyOf, type Representation } from '../domain/representation.ts';
import { isSnapshotTenant } from '../domain/snapshot.ts';
import type { EntityPage, EntityStore, PageRequest, StoredEntity } from '../ports/entity-store.ts';
import type { FindLinkedElsewhere } from './distributed/linked.ts';
import { linkedReader } from './linked.ts';

// The API renders what these operations answer, and sees the store through this file alone.
export type { EntityPage, StoredEntity };

export interface QueryRequest {
  readonly query: EntityQuery;
  readonly page: PageRequest;
  /** Only what this broker has itself (5.5.13); then a query may be as wide as it wants. */
  readonly local: boolean;
  /** How many Relationships deep linked entities are joined (4.5.23) and may be looked at by the query; 0: not at all. */
  readonly joinLevel: number;
}

export interface QueryOperations {
  /**
   * 5.7.2. Entities of the page with their versions; reading their content is left to whoever has no text for the version yet.
   * @throws DomainError BadRequestData (too wide, too deep), NonexistentTenant, TooComplexQuery
   */
  queryEntities(caller: Caller, request: QueryRequest): Promise<EntityPage>;
  /**
   * 5.7.1.
   * @param types if given, the entity must be of these types
   * @param representation if it names attributes (`attrs`), the entity must have one of them
   * @throws DomainError ResourceNotFound, NonexistentTenant
   */
  retrieveEntity(caller: Caller, id: Iri, types?: TypeSelection, representation?: Representation): Promise<StoredEntity>;
  /**
   * 4.5.23: the entities that these link to, as far as the representation shows the Relationships.
   * @throws DomainError TooComplexQuery (joinLevel), TooManyResults
   */
  linkedEntities(caller: Caller, roots: readonly Entity[], representation: Representation, join: Join): Promise<LinkedEntities>;
  /** 4.14: refuses a tenant that was never written to. @throws DomainError NonexistentTenant */
  demandTenant(tenant: TenantId): Promise<void>;
}

export interface QueryDependencies {
  readonly entities: EntityStore;
  readonly access: AccessFunction;
  readonly joinLimits?: JoinLimits;
  /** Looks for linked entities at context sources too (4.5.23.1), if the caller's request may be passed on. */
  readonly linkedElsewhere?: FindLinkedElsewhere;
}

export function queryOperations({
  entities,
  access,
  joinLimits = JOIN_LIMITS,
  linkedElsewhere,
}: QueryDependencies): QueryOperations {
  const reader = linkedReader({ entities, limits: joinLimits });

  /** Only asked when nothing was found, so that it costs nothing where it matters. */
  async function demandTenant(tenant: TenantId): Promise<void> {
    if (tenant !== DEFAULT_TENANT && !isSnapshotTenant(tenant) && !(await entities.tenantExists(tenant))) {
      throw new DomainError('NonexistentTenant', `There is no tenant "${tenant}"`);
    }
  }

  return {
    demandTenant,

    async queryEntities(caller, { query, page, local, joinLevel }) {
      // 5.5.15: a Snapshot is local.
      refuseTooWide(query, local || caller.snapshot !== undefined);
      refuseTooDeep(query.where, joinLevel);
      // 5.7.2.4 refuses an order unless the operation is executed locally. Every one is, as long as no other context source takes part.
      demand(access, caller, { operation: 'queryEntities', effect: 'read', ...concerned(query) });
      const answer = await entities.query(caller.tenant, query, page);
      if (answer.entities.length === 0) await demandTenant(caller.tenant);
      return answer;
    },

    async retrieveEntity(caller, id, types, representation) {
      demand(access, caller, { operation: 'retrieveEntity', effect: 'read', ids: [id] });
      const stored = await entities.get(caller.tenant, id);
      if (stored === undefined) {
        await demandTenant(caller.tenant);
        throw notFound(`Entity ${id} does not exist`);
      }
      if (types !== undefined && !typesMatch(types, stored.entity.types)) {
        throw notFound(`Entity ${id} is not of the type that was asked for`);
      }
      if (representation?.attrs !== undefined && !hasAnyOf(stored.entity, representation)) {
        throw notFound(`Entity ${id} has none of the attributes that were asked for`);
      }
      return stored;
    },

    linkedEntities(caller, roots, representation, join) {
      demand(access, caller, { operation: 'queryEntities', effect: 'read' });
      const elsewhere =
        caller.onward && linkedElsewhere && ((wanted: readonly WantedLink[]) => linkedElsewhere(caller, wanted));
      return reader.linked(caller.tenant, roots, representation, join, elsewhere);
    },
  };
}

/** What the access function hears of a query. */
export function concerned(query: EntityQuery): { ids?: readonly Iri[]; types?: readonly Iri[]; attributes?: readonly Iri[] } {
  return {
    ...(query.ids === undefined ? {} : { ids: query.ids }),
    ...(query.types === undefined ? {} : { types: typesNamed(query.types) }),
    ...(query.anyAttribute === undefined ? {} : { attributes: query.anyAttribute }),
  };
}
