import type { AttributeInstance } from '../domain/attribute.ts';
import type { EntityFragment } from '../domain/entity.ts';
import type { AggregatedEvolution, Aggregation, HistorySelection, TemporalEvolution } from '../domain/history.ts';
import type { Iri, TenantId } from '../domain/iri.ts';
import type { EntityQuery } from '../domain/query/query.ts';
import type { Instant } from '../domain/time.ts';

/**
 * Attribute instances over time. What the entity store commits is here at the same moment; the methods below are the temporal
 * provision of 5.6.11 to 5.6.16, which leaves current state alone, and its consumption (5.7.3, 5.7.4). History outlives its entity.
 */
export interface HistoryStore {
  /**
   * Adds instances (5.6.11, 5.6.12); every instance gets an instanceId. One with the observedAt of an instance of the same name and datasetId corrects it
   * (4.8, modifiedAt): an attribute has one value at a time. What is there already in the same words is left alone.
   */
  append(tenant: TenantId, id: Iri, fragment: EntityFragment, at: Instant): Promise<'created' | 'updated'>;
  /** 5.7.3. undefined: never heard of this entity. An entity of which nothing matches has no attributes. */
  evolution(tenant: TenantId, id: Iri, selection: HistorySelection): Promise<TemporalEvolution | undefined>;
  /** 5.7.4: evolutions of which at least one instance matches both the query and the selection, in ascending id unless the page says otherwise. */
  query(tenant: TenantId, query: EntityQuery, selection: HistorySelection, page: HistoryPageRequest): Promise<HistoryPage>;
  aggregate(
    tenant: TenantId,
    id: Iri,
    selection: HistorySelection,
    aggregation: Aggregation,
  ): Promise<AggregatedEvolution | undefined>;
  /** 5.6.16. @returns false if there was none; the same for the methods below */
  deleteEvolution(tenant: TenantId, id: Iri): Promise<boolean>;
  /**
   * 4.5.7: records that an attribute was deleted (SCOPE: that the scope was), of an entity that only history knows: its state never was, and it was not
   * deleted. @returns false if this is not such an entity, or has no such instance, or it is deleted already
   */
  endAttribute(tenant: TenantId, id: Iri, name: Iri, which: { datasetId?: Iri; all?: boolean }, at: Instant): Promise<boolean>;
  /** 5.6.13: the instances of one datasetId (undefined: default), or all of them. */
  deleteAttribute(tenant: TenantId, id: Iri, name: Iri, which: { datasetId?: Iri; all?: boolean }): Promise<boolean>;
  /** 5.6.14. */
  modifyInstance(
    tenant: TenantId,
    id: Iri,
    name: Iri,
    instanceId: Iri,
    change: (old: AttributeInstance) => AttributeInstance,
  ): Promise<boolean>;
  /** 5.6.15. */
  deleteInstance(tenant: TenantId, id: Iri, name: Iri, instanceId: Iri): Promise<boolean>;
  /** Removes instances whose `expiresAt` has passed (4.22), of any tenant; they are in no answer before that. @returns how many, at most `limit` */
  deleteExpired(limit: number): Promise<number>;
}

export interface HistoryPageRequest {
  readonly limit: number;
  readonly offset?: number;
  readonly after?: Iri;
  /** Largest id first. */
  readonly descending?: boolean;
  readonly count?: boolean;
}

export interface HistoryPage {
  readonly evolutions: readonly TemporalEvolution[];
  readonly more: boolean;
  readonly count?: number;
}
