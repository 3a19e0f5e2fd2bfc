import type { AttributeInstance } from '../domain/attribute.ts';
import type { Iri, TenantId } from '../domain/iri.ts';
import type { Micros } from '../domain/time.ts';

/** The instances of one attribute with one datasetId (undefined: the default instances) over time. */
export interface Series {
  readonly id: Iri;
  readonly name: Iri;
  readonly datasetId?: Iri | undefined;
}

/** An attribute instance of the temporal evolution, and where it is. */
export interface NumberedInstance {
  /** Above 0 and below 2^52. No other instance of this store ever had it; what is recorded later has a larger one, unless it was reserved before. */
  readonly number: number;
  readonly id: Iri;
  readonly name: Iri;
  /** observedAt, or modifiedAt of an instance without it. */
  readonly at: Micros;
  readonly instance: AttributeInstance;
}

/** How far a series reaches. */
export interface SeriesExtent {
  readonly from: Micros;
  readonly to: Micros;
  /** Smallest and largest text of each sub-attribute's value that was asked for and that some instance has. */
  readonly texts: ReadonlyMap<Iri, { readonly least: string; readonly greatest: string }>;
}

/**
 * What history-store.ts keeps, seen as series of numbered instances: for whoever pages through them one by one (SensorThings). Instances that
 * say "deleted here" and those that have expired are in no answer.
 */
export interface SeriesStore {
  /** Numbers for instances that will be recorded; they are lost if they are not. @returns the first of `count` numbers in a row */
  reserve(count: number): Promise<number>;
  instanceId(number: number): Iri;
  /** undefined: not an instance of this store. */
  numberOf(instanceId: Iri): number | undefined;
  /**
   * One series in order of (at, number), or the reverse of it.
   * @param page `from` and `to` are included; `after` is excluded
   */
  read(tenant: TenantId, series: Series, page: SeriesPage): Promise<readonly NumberedInstance[]>;
  /** In the order asked for; undefined: there is none, or it is another tenant's. */
  numbered(tenant: TenantId, numbers: readonly number[]): Promise<readonly (NumberedInstance | undefined)[]>;
  /** Instances of all attributes of all entities, by ascending (or descending) number, at most `limit` of those behind `after`. */
  walk(
    tenant: TenantId,
    page: { readonly after?: number; readonly limit: number; readonly descending?: boolean },
  ): Promise<readonly NumberedInstance[]>;
  /**
   * Instances of the attributes with these names, of all entities of the tenant, in order of (at, number), or the reverse of it. Absent: the store has no such
   * order, and {@link walk} is all there is.
   * @param page `from` and `to` are included; `after` is excluded; `numbers` leaves out instances whose value is a number outside these bounds
   * @returns at most `limit`, perhaps none although there are more, and where to go on; `next` undefined: there are no more
   */
  across?(
    tenant: TenantId,
    names: readonly Iri[],
    page: SeriesPage & { readonly numbers?: readonly NumberBound[] },
  ): Promise<{ readonly found: readonly NumberedInstance[]; readonly next: SeriesPage['after'] }>;
  /** How many instances a series has, bounds included. */
  count(tenant: TenantId, series: Series, bounds?: { readonly from?: Micros; readonly to?: Micros }): Promise<number>;
  /**
   * undefined: the series has no instance. Where its ends are costs the same however long it is; with `texts` every instance is looked at.
   * @param texts sub-attributes whose values are texts to be compared by code point
   */
  extent(tenant: TenantId, series: Series, texts: readonly Iri[]): Promise<SeriesExtent | undefined>;
}

/** What a number must be to count. */
export interface NumberBound {
  readonly operator: '<' | '<=' | '>' | '>=' | '=';
  readonly value: number;
}

export interface SeriesPage {
  readonly from?: Micros;
  readonly to?: Micros;
  readonly after?: { readonly at: Micros; readonly number: number };
  readonly limit: number;
  readonly descending?: boolean;
}
