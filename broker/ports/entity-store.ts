import type { ChangeDraft, Position } from '../domain/change.ts';
import type { Entity } from '../domain/entity.ts';
import type { DomainError } from '../domain/errors.ts';
import type { Iri, TenantId } from '../domain/iri.ts';
import type { EntityQuery, Order } from '../domain/query/query.ts';

/** An entity as the store hands it out. Reading `entity` may parse stored text, so callers that have what they need in a cache by
 *  (tenant, id, version) never touch it. */
export interface StoredEntity {
  readonly id: Iri;
  /** The position of the change that wrote it: another state never has the same number. */
  readonly version: Position;
  /** Above 0 and below 2^31; no other entity of this store ever had it, and it is the same again when a deleted id comes back. */
  readonly number: number;
  readonly entity: Entity;
  /** A place for the text that was last made of it, and for the way of writing: whoever has the same object finds it there sooner than in any map. */
  rendered?: string | undefined;
  renderedAs?: string | undefined;
}

export interface PageRequest {
  readonly limit: number;
  /** Entities to pass over. A store may make deep offsets cheap, and must answer them. */
  readonly offset?: number;
  /** Start after this entity, in the query's order: what a link to the next page carries. Wins over `offset`. */
  readonly after?: Iri;
  /** Absent: ascending id. */
  readonly order?: readonly Order[];
  /** Also count all matches. */
  readonly count?: boolean;
}

export interface EntityPage {
  readonly entities: readonly StoredEntity[];
  /** More would have come. */
  readonly more: boolean;
  readonly count?: number;
}

/**
 * One write to one entity. `decide` is called exactly when nothing else can change the entity, with what is stored; it answers with the
 * change to make, or undefined if there is nothing to change, or throws a DomainError to refuse. It must be pure apart from the clock:
 * a store that works optimistically calls it again.
 */
export interface Write {
  readonly tenant: TenantId;
  readonly id: Iri;
  /** `decide` sees the entity as it is stored, with what has expired of it: the sweeper's writes. */
  readonly evenExpired?: true;
  decide(current: Entity | undefined): ChangeDraft | undefined;
}

export type WriteOutcome =
  | { readonly kind: 'committed'; readonly version: Position; readonly change: ChangeDraft }
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'refused'; readonly error: DomainError };

/**
 * Current state, per tenant. Entities and attribute instances whose `expiresAt` has passed are absent from every answer, also in `decide`;
 * their end is a change that the sweeper writes, or whoever writes to the entity before it came.
 * State, history and change log of a write are one atomic step.
 */
export interface EntityStore {
  get(tenant: TenantId, id: Iri): Promise<StoredEntity | undefined>;
  /**
   * The entities that match, by the meaning of domain/query/evaluate.ts. A caller who keeps `query` and `page` and asks with the same objects
   * again may get the same answer object again, which says that nothing has changed.
   * @throws DomainError TooComplexQuery if the query exceeds a limit
   */
  query(tenant: TenantId, query: EntityQuery, page: PageRequest): Promise<EntityPage>;
  /** The entities with these numbers, in the order asked for; undefined: there is none now, or it is another tenant's. */
  numbered(tenant: TenantId, numbers: readonly number[]): Promise<readonly (StoredEntity | undefined)[]>;
  /** The entities that match, by ascending (or descending) number, at most `limit` of those behind `after`. */
  walk(
    tenant: TenantId,
    query: EntityQuery,
    page: { readonly after?: number; readonly limit: number; readonly descending?: boolean },
  ): Promise<readonly StoredEntity[]>;
  /**
   * Applies the writes in order; each stands alone, so that a refused one does not hold back the others. Several writes may concern one
   * entity. Resolves when all that was committed is on disk. Concurrent calls share one transaction where that is faster.
   * @throws DomainError Unavailable if too much is waiting (then nothing was written) or the store is gone
   */
  commit(writes: readonly Write[]): Promise<readonly WriteOutcome[]>;
  /** Like `commit`, but all or nothing: @throws the first refusal, and then nothing was written. */
  commitTogether(writes: readonly Write[]): Promise<readonly WriteOutcome[]>;
  /** Types and attributes that exist, with how many entities have them (5.7.5 to 5.7.10). */
  typeCounts(tenant: TenantId): Promise<readonly TypeCount[]>;
  /** Entities that have expired, or something in them has, and still stored, of any tenant, oldest first: the sweeper writes ordinary changes. */
  expired(limit: number): Promise<readonly { readonly tenant: TenantId; readonly id: Iri }[]>;
  /** The tenants that exist: those that ever were written to (4.14), and the default one. */
  tenants(): Promise<readonly TenantId[]>;
  tenantExists(tenant: TenantId): Promise<boolean>;
}

/** One entity type, how many entities have it, and which attributes (with which kinds) those entities have. */
export interface TypeCount {
  readonly type: Iri;
  readonly entities: number;
  readonly attributes: readonly { readonly name: Iri; readonly kinds: readonly string[]; readonly entities: number }[];
}
