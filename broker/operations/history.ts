import { type AccessFunction, type Caller, demand } from '../domain/access.ts';
import type { AttributeInstance } from '../domain/attribute.ts';
import type { EntityFragment } from '../domain/entity.ts';
import { badRequest, invalidRequest, notFound } from '../domain/errors.ts';
import { timeOf } from '../domain/evolution.ts';
import type { AggregatedEvolution, Aggregation, HistorySelection, TemporalEvolution } from '../domain/history.ts';
import type { Iri, TenantId } from '../domain/iri.ts';
import type { WholeEntity } from '../domain/jsonld/expand.ts';
import { asksForDeletion } from '../domain/patch.ts';
import type { EntityQuery } from '../domain/query/query.ts';
import { refuseTooDeep, refuseTooWide } from '../domain/query/too-wide.ts';
import type { Instant, Micros } from '../domain/time.ts';
import type { Clock } from '../ports/clock.ts';
import type { HistoryPageRequest, HistoryStore } from '../ports/history-store.ts';
import { concerned } from './query.ts';

/** What a temporal operation selects of each entity's evolution; how many instances of an attribute at most is the operation's to say. */
export type EvolutionSelection = Omit<HistorySelection, 'limitPerAttribute'>;

export interface TemporalQuery {
  readonly query: EntityQuery;
  readonly selection: EvolutionSelection;
  readonly page: HistoryPageRequest;
  /** Only what this broker has itself (5.5.13). */
  readonly local: boolean;
}

/** Several evolutions; if something was cut from one, all end at the same time, so that a client can continue there (6.3.10). */
export interface Evolutions<T> {
  readonly evolutions: readonly T[];
  readonly more: boolean;
  readonly count?: number;
  readonly cut?: { readonly from: Micros; readonly to: Micros };
}

/** 5.6.11 to 5.6.16, 5.7.3 and 5.7.4. All throw DomainError: NonexistentTenant, Forbidden, and what is said with each. */
export interface HistoryOperations {
  /** 5.6.11. */
  createOrUpdateTemporal(caller: Caller, fragment: WholeEntity): Promise<'created' | 'updated'>;
  /** 5.6.12. @throws DomainError ResourceNotFound */
  addTemporalAttributes(caller: Caller, id: Iri, fragment: EntityFragment): Promise<void>;
  /** 5.6.13. @throws DomainError ResourceNotFound */
  deleteTemporalAttribute(caller: Caller, id: Iri, name: Iri, which: { datasetId?: Iri; all?: boolean }): Promise<void>;
  /** 5.6.14: replaces the instance. @throws DomainError ResourceNotFound */
  modifyTemporalInstance(caller: Caller, id: Iri, name: Iri, instanceId: Iri, instance: AttributeInstance): Promise<void>;
  /** 5.6.15. @throws DomainError ResourceNotFound */
  deleteTemporalInstance(caller: Caller, id: Iri, name: Iri, instanceId: Iri): Promise<void>;
  /** 5.6.16. @throws DomainError ResourceNotFound */
  deleteTemporal(caller: Caller, id: Iri): Promise<void>;
  /** 5.7.3. @throws DomainError ResourceNotFound */
  retrieveTemporal(caller: Caller, id: Iri, selection: EvolutionSelection): Promise<TemporalEvolution>;
  /** 5.7.3 with aggregatedValues. @throws DomainError ResourceNotFound, InvalidRequest (a requested attribute cannot be aggregated) */
  aggregateTemporal(
    caller: Caller,
    id: Iri,
    selection: EvolutionSelection,
    aggregation: Aggregation,
  ): Promise<AggregatedEvolution>;
  /** 5.7.4. @throws DomainError BadRequestData: no temporal query, too wide, or to linked entities */
  queryTemporal(caller: Caller, query: TemporalQuery): Promise<Evolutions<TemporalEvolution>>;
  /** 5.7.4 with aggregatedValues. @throws DomainError as above, and InvalidRequest */
  queryAggregated(caller: Caller, query: TemporalQuery, aggregation: Aggregation): Promise<Evolutions<AggregatedEvolution>>;
}

export interface HistoryDependencies {
  readonly history: HistoryStore;
  readonly clock: Clock;
  readonly access: AccessFunction;
  /** Refuses a tenant that does not exist (operations/query.ts). */
  demandTenant(tenant: TenantId): Promise<void>;
  /** More instances of one attribute than this are cut from an answer, which then is partial (6.3.10). */
  readonly instancesPerAttribute: number;
}

export function historyOperations(dependencies: HistoryDependencies): HistoryOperations {
  const { history, clock, access, demandTenant, instancesPerAttribute } = dependencies;
  const limited = (selection: EvolutionSelection): HistorySelection => ({
    ...selection,
    limitPerAttribute: instancesPerAttribute,
  });

  /** For reading and deleting: the tenant must exist. */
  async function missing(caller: Caller, what: string): Promise<never> {
    await demandTenant(caller.tenant);
    throw notFound(what);
  }

  function admitQuery(caller: Caller, { query, selection, local }: TemporalQuery): void {
    if (selection.filter.time === undefined) throw badRequest('A temporal query is needed: timerel and timeAt');
    refuseTooWide(query, local || caller.snapshot !== undefined);
    refuseTooDeep(query.where, 0);
    demand(access, caller, { operation: 'queryTemporal', effect: 'read', ...concerned(query) });
  }

  return {
    async createOrUpdateTemporal(caller, fragment) {
      const { id, types } = fragment;
      demand(access, caller, { operation: 'upsertTemporal', effect: 'write', ids: [id], types, attributes: namesOf(fragment) });
      const now = clock.now();
      return history.append(caller.tenant, id, dated(fragment, now), now);
    },

    async addTemporalAttributes(caller, id, fragment) {
      demand(access, caller, { operation: 'appendAttrsTemporal', effect: 'write', ids: [id], attributes: namesOf(fragment) });
      const known = await history.evolution(caller.tenant, id, { ...EVERYTHING, attributes: [], limitPerAttribute: 1 });
      if (known === undefined) await missing(caller, `There is no temporal evolution of entity ${id}`);
      const now = clock.now();
      await history.append(caller.tenant, id, dated(fragment, now), now);
    },

    async deleteTemporalAttribute(caller, id, name, which) {
      demand(access, caller, { operation: 'deleteAttrsTemporal', effect: 'write', ids: [id], attributes: [name] });
      if (await history.deleteAttribute(caller.tenant, id, name, which)) return;
      await missing(caller, `The temporal evolution of entity ${id} has no such instance of ${name}`);
    },

    async modifyTemporalInstance(caller, id, name, instanceId, instance) {
      demand(access, caller, { operation: 'updateAttrInstanceTemporal', effect: 'write', ids: [id], attributes: [name] });
      if (await history.modifyInstance(caller.tenant, id, name, instanceId, () => instance)) return;
      await missing(caller, `The temporal evolution of entity ${id} has no instance ${instanceId} of ${name}`);
    },

    async deleteTemporalInstance(caller, id, name, instanceId) {
      demand(access, caller, { operation: 'deleteAttrInstanceTemporal', effect: 'write', ids: [id], attributes: [name] });
      if (await history.deleteInstance(caller.tenant, id, name, instanceId)) return;
      await missing(caller, `The temporal evolution of entity ${id} has no instance ${instanceId} of ${name}`);
    },

    async deleteTemporal(caller, id) {
      demand(access, caller, { operation: 'deleteTemporal', effect: 'write', ids: [id] });
      if (!(await history.deleteEvolution(caller.tenant, id)))
        await missing(caller, `There is no temporal evolution of entity ${id}`);
    },

    async retrieveTemporal(caller, id, selection) {
      demand(access, caller, { operation: 'retrieveTemporal', effect: 'read', ids: [id] });
      const found = await history.evolution(caller.tenant, id, limited(selection));
      if (found === undefined) return missing(caller, `There is no temporal evolution of entity ${id}`);
      // 5.7.3.4: an evolution that has nothing of what was asked for is not in the result, so that the result is empty.
      if (Object.keys(found.attributes).length === 0) {
        throw notFound(`The temporal evolution of entity ${id} has no instance of what was asked for`);
      }
      return found;
    },

    async aggregateTemporal(caller, id, selection, aggregation) {
      demand(access, caller, { operation: 'retrieveTemporal', effect: 'read', ids: [id] });
      const found = await history.aggregate(caller.tenant, id, limited(selection), aggregation);
      if (found === undefined) return missing(caller, `There is no temporal evolution of entity ${id}`);
      refuseIneligible(found, selection);
      return found;
    },

    async queryTemporal(caller, request) {
      admitQuery(caller, request);
      const { query, selection, page } = request;
      const found = await history.query(caller.tenant, query, limited(selection), page);
      if (found.evolutions.length === 0) await demandTenant(caller.tenant);
      return endTogether(found, selection);
    },

    async queryAggregated(caller, request, aggregation) {
      admitQuery(caller, request);
      const { query, selection, page } = request;
      const found = await history.query(caller.tenant, query, { ...selection, limitPerAttribute: 1 }, page);
      if (found.evolutions.length === 0) await demandTenant(caller.tenant);
      const evolutions: AggregatedEvolution[] = [];
      for (const { id } of found.evolutions) {
        const aggregated = await history.aggregate(caller.tenant, id, limited(selection), aggregation);
        if (aggregated === undefined) continue;
        refuseIneligible(aggregated, selection);
        evolutions.push(aggregated);
      }
      return { ...found, evolutions };
    },
  };
}

const EVERYTHING: EvolutionSelection = { filter: { property: 'modifiedAt' } };

/** Instances that say "deleted" and not when were deleted now. */
function dated(fragment: EntityFragment, now: Instant): EntityFragment {
  const attributes: Record<Iri, readonly AttributeInstance[]> = {};
  for (const [name, instances] of Object.entries(fragment.attributes)) {
    attributes[name as Iri] = instances.map((instance) =>
      instance.deletedAt === undefined && asksForDeletion(instance) ? { ...instance, deletedAt: now } : instance,
    );
  }
  return { ...fragment, attributes };
}

function namesOf(fragment: EntityFragment): readonly Iri[] {
  return Object.keys(fragment.attributes) as Iri[];
}

/** 5.7.4.4: an attribute that was asked for by name, and has data that no method is defined for, is an error. */
export function refuseIneligible({ attributes }: AggregatedEvolution, { attributes: requested }: EvolutionSelection): void {
  for (const name of requested ?? []) {
    const aggregated = attributes[name];
    if (aggregated?.every(({ values }) => Object.values(values).every((results) => results.length === 0))) {
      throw invalidRequest(`The values of ${name} cannot be aggregated with any of the methods asked for`);
    }
  }
}

/**
 * 6.3.10: if one of the evolutions was cut, the others are cut at the same moment: what the answer covers, it covers completely.
 * Without lastN it is the latest instances that go, with lastN the earliest.
 */
export function endTogether(
  found: { readonly evolutions: readonly TemporalEvolution[]; readonly more: boolean; readonly count?: number },
  selection: EvolutionSelection,
): Evolutions<TemporalEvolution> {
  const cuts = found.evolutions.flatMap(({ cut }) => (cut === undefined ? [] : [cut]));
  if (cuts.length === 0) return found;
  const backwards = selection.lastN !== undefined;
  const from = (backwards ? Math.max : Math.min)(...cuts.map((cut) => cut.from));
  const to = (backwards ? Math.max : Math.min)(...cuts.map((cut) => cut.to));
  const { property } = selection.filter;
  return {
    ...found,
    cut: { from, to },
    evolutions: found.evolutions.map((evolution) => ({
      ...evolution,
      attributes: Object.fromEntries(
        Object.entries(evolution.attributes).map(([name, instances]) => [
          name,
          instances.filter((instance) => {
            const at = timeOf(instance, property);
            return at === undefined || (backwards ? at >= from : at <= to);
          }),
        ]),
      ),
    })),
  };
}
