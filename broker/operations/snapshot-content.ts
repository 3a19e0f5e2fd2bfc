import type { Caller } from '../domain/access.ts';
import type { AttributeChange, ChangeDraft } from '../domain/change.ts';
import type { Entity } from '../domain/entity.ts';
import { DomainError } from '../domain/errors.ts';
import type { TemporalEvolution } from '../domain/history.ts';
import type { Iri, TenantId } from '../domain/iri.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { Join } from '../domain/linked.ts';
import { deleteEntity } from '../domain/patch.ts';
import { type Representation, selectedInstances, shownMembers } from '../domain/representation.ts';
import {
  type ExecutionResultDetails,
  SNAPSHOT_LIMITS,
  type Snapshot,
  type SnapshotLimits,
  statusOfResults,
} from '../domain/snapshot.ts';
import type { Instant } from '../domain/time.ts';
import type { Clock } from '../ports/clock.ts';
import type { EntityStore } from '../ports/entity-store.ts';
import type { HistoryStore } from '../ports/history-store.ts';
import type { WholeEvolutions } from './distributed/history.ts';
import type { DistributedReads } from './distributed/reads.ts';
import type { HistoryOperations, TemporalQuery } from './history.ts';
import type { QueryOperations, QueryRequest } from './query.ts';

/** The queries of a Snapshot, read: what its members say, in the order in which they are there. */
export interface SnapshotQueries {
  readonly queries: readonly {
    /** The Query as received, for other context sources. */
    readonly body: JsonValue;
    readonly request: Omit<QueryRequest, 'page'>;
    readonly representation: Representation;
    readonly join: Join | undefined;
  }[];
  readonly temporalQueries: readonly { readonly body: JsonValue; readonly request: Omit<TemporalQuery, 'page'> }[];
}

/** What became of the queries of a Snapshot. */
export type SnapshotResult = Pick<Snapshot, 'snapshotStatus' | 'snapshotQueriesDetails' | 'snapshotTemporalQueriesDetails'>;

/** Entities, evolutions that are handled at once. */
const ENTITIES = 500;
const EVOLUTIONS = 20;
/** Instances of one attribute that a Snapshot keeps of an evolution. */
const MOST_INSTANCES = 1_000_000;
const ALWAYS = { filter: { property: 'modifiedAt' }, limitPerAttribute: MOST_INSTANCES } as const;
export interface SnapshotContentDependencies {
  readonly entities: EntityStore;
  readonly history: HistoryStore;
  readonly queries: QueryOperations;
  /** What other context sources have becomes part of a Snapshot too (5.16.1.4). */
  readonly distributed?: DistributedReads;
  readonly temporal: HistoryOperations;
  /** Evolutions as a whole, with what other context sources have; undefined: none takes part. */
  readonly wholeEvolutions?: WholeEvolutions;
  readonly clock: Clock;
  /** Removes what else was made under the tenant of a Snapshot: subscriptions, for example. */
  forget(tenant: TenantId): Promise<void>;
  onError(error: unknown): void;
  readonly limits?: SnapshotLimits;
}

/** The entities and evolutions of Snapshots, each under a tenant of its own: filled, copied, removed. */
export interface SnapshotContent {
  /** Executes the queries one after the other; each stands alone. */
  prepare(caller: Caller, hidden: TenantId, work: SnapshotQueries): Promise<SnapshotResult>;
  /** @returns whether everything could be copied */
  copy(source: TenantId, target: TenantId): Promise<boolean>;
  empty(hidden: TenantId): Promise<void>;
}

export function snapshotContent(dependencies: SnapshotContentDependencies): SnapshotContent {
  const { entities, history, queries, temporal, clock, onError, limits = SNAPSHOT_LIMITS } = dependencies;

  async function empty(hidden: TenantId): Promise<void> {
    for (;;) {
      const { evolutions } = await history.query(hidden, {}, { ...ALWAYS, limitPerAttribute: 1 }, { limit: ENTITIES });
      const { entities: some } = await entities.query(hidden, {}, { limit: ENTITIES });
      await entities.commit(
        some.map(({ id }) => ({
          tenant: hidden,
          id,
          decide: (current) => current && deleteEntity(current, id, { at: clock.now(), stamp: clock.stamp() }),
        })),
      );
      let removed = some.length;
      for (const { id } of [...evolutions, ...some]) if (await history.deleteEvolution(hidden, id)) removed++;
      if (removed === 0) break;
    }
    await dependencies.forget(hidden);
  }

  async function keep(hidden: TenantId, some: readonly Entity[]): Promise<void> {
    const outcomes = await entities.commit(
      some.map((entity) => ({ tenant: hidden, id: entity.id, decide: (current) => kept(current, entity, clock.now()) })),
    );
    for (const outcome of outcomes) if (outcome.kind === 'refused') throw outcome.error;
  }

  async function keepEvolutions(hidden: TenantId, some: readonly TemporalEvolution[]): Promise<void> {
    for (const { id, types, scopes, attributes } of some) {
      const fragment = { id, types, attributes, ...(scopes === undefined ? {} : { scopes }) };
      await history.append(hidden, id, fragment, clock.now());
    }
  }

  /** Executes one query to its end. @returns how many entities it found */
  async function fill(
    caller: Caller,
    hidden: TenantId,
    asked: SnapshotQueries['queries'][number],
    room: number,
  ): Promise<number> {
    const { request, representation, join, body } = asked;
    let count = 0;
    const { onward } = caller;
    const gathered =
      onward &&
      (await dependencies.distributed?.queryEntities(
        { ...caller, onward: { ...onward, body, query: {} } },
        { ...request, page: { limit: room + 1 } },
        representation,
      ));
    if (gathered !== undefined) {
      const { entities: some } = gathered.found;
      if (some.length > room) throw tooMany(limits);
      return keepFound(caller, hidden, some, representation, join);
    }
    for (let offset = 0; ; offset += ENTITIES) {
      const page = await queries.queryEntities(caller, { ...request, page: { limit: ENTITIES, offset } });
      if (count + page.entities.length > room) throw tooMany(limits);
      const roots = page.entities.map(({ entity }) => entity);
      count += await keepFound(caller, hidden, roots, representation, join);
      if (!page.more) return count;
    }
  }

  /** @returns how many entities were kept, with the linked ones */
  async function keepFound(
    caller: Caller,
    hidden: TenantId,
    roots: readonly Entity[],
    representation: Representation,
    join: Join | undefined,
  ): Promise<number> {
    for (let at = 0; at < roots.length; at += ENTITIES) {
      await keep(
        hidden,
        roots.slice(at, at + ENTITIES).map((entity) => reduced(entity, representation)),
      );
    }
    if (join === undefined || roots.length === 0) return roots.length;
    const { found } = await queries.linkedEntities(caller, roots, representation, join);
    const ids = new Set(roots.map(({ id }) => id));
    const linked = [...found.values()].filter(({ id }) => !ids.has(id));
    await keep(hidden, linked);
    return roots.length + linked.length;
  }

  async function fillEvolutions(
    caller: Caller,
    hidden: TenantId,
    { request: query, body }: SnapshotQueries['temporalQueries'][number],
    room: number,
  ): Promise<number> {
    let count = 0;
    const { onward } = caller;
    const gathered =
      onward &&
      (await dependencies.wholeEvolutions?.(
        { ...caller, onward: { ...onward, body, query: {}, method: 'POST', path: 'temporal/entityOperations/query' } },
        { ...query, page: { limit: room + 1 } },
      ));
    if (gathered !== undefined) {
      if (gathered.length > room) throw tooMany(limits);
      await keepEvolutions(hidden, gathered);
      return gathered.length;
    }
    for (let offset = 0; ; offset += EVOLUTIONS) {
      const page = await temporal.queryTemporal(caller, { ...query, page: { limit: EVOLUTIONS, offset } });
      count += page.evolutions.length;
      if (count > room) throw tooMany(limits);
      let { evolutions } = page;
      if (page.cut !== undefined) {
        // An answer may be cut, a Snapshot is complete.
        const among = { ...query.query, ids: evolutions.map(({ id }) => id) };
        const whole = { ...query.selection, limitPerAttribute: MOST_INSTANCES };
        evolutions = (await history.query(caller.tenant, among, whole, { limit: evolutions.length })).evolutions;
      }
      await keepEvolutions(hidden, evolutions);
      if (!page.more) return count;
    }
  }

  async function result(execute: () => Promise<number>): Promise<ExecutionResultDetails> {
    try {
      return { resultStatus: (await execute()) > 0 ? 'success' : 'empty' };
    } catch (error) {
      if (!(error instanceof DomainError)) onError(error);
      return { resultStatus: 'failure', problemDetails: problemOf(error) };
    }
  }

  async function prepare(caller: Caller, hidden: TenantId, work: SnapshotQueries): Promise<SnapshotResult> {
    let room = limits.entities;
    const counted = async (count: Promise<number>) => {
      room -= await count;
      return count;
    };
    const details: ExecutionResultDetails[] = [];
    for (const query of work.queries) details.push(await result(() => counted(fill(caller, hidden, query, room))));
    const temporalDetails: ExecutionResultDetails[] = [];
    for (const query of work.temporalQueries) {
      temporalDetails.push(await result(() => counted(fillEvolutions(caller, hidden, query, room))));
    }
    return {
      snapshotStatus: statusOfResults([...details, ...temporalDetails]),
      ...(details.length === 0 ? {} : { snapshotQueriesDetails: details }),
      ...(temporalDetails.length === 0 ? {} : { snapshotTemporalQueriesDetails: temporalDetails }),
    };
  }

  async function copy(source: TenantId, target: TenantId): Promise<boolean> {
    const outcome = await result(async () => {
      let after: Iri | undefined;
      for (;;) {
        const page = await entities.query(source, {}, { limit: ENTITIES, ...(after === undefined ? {} : { after }) });
        await keep(
          target,
          page.entities.map(({ entity }) => entity),
        );
        after = page.entities.at(-1)?.id;
        if (!page.more || after === undefined) break;
      }
      after = undefined;
      for (;;) {
        const page = await history.query(source, {}, ALWAYS, { limit: EVOLUTIONS, ...(after === undefined ? {} : { after }) });
        await keepEvolutions(target, page.evolutions);
        after = page.evolutions.at(-1)?.id;
        if (!page.more || after === undefined) return 1;
      }
    });
    return outcome.resultStatus === 'success';
  }

  return { prepare, copy, empty };
}

/** What a query's projection leaves of an entity (4.21): its id and types are there always, or it would be none. */
function reduced(entity: Entity, representation: Representation): Entity {
  const shows = shownMembers(representation);
  const datasets = representation.datasetIds === undefined ? undefined : new Set<string>(representation.datasetIds);
  const attributes: Record<Iri, Entity['attributes'][Iri]> = {};
  for (const name in entity.attributes) {
    if (!shows.attribute(name as Iri)) continue;
    const instances = selectedInstances(entity.attributes[name as Iri] ?? [], datasets);
    if (instances.length > 0) attributes[name as Iri] = instances;
  }
  const { scopes, ...rest } = entity;
  return { ...rest, ...(scopes !== undefined && shows.scope ? { scopes } : {}), attributes };
}

/** The write that puts an entity into a Snapshot as it is, with its times; several queries add up. */
function kept(current: Entity | undefined, entity: Entity, at: Instant): ChangeDraft {
  const attributes: AttributeChange[] = [];
  for (const name in entity.attributes) {
    if (current?.attributes[name as Iri] !== undefined) continue;
    for (const instance of entity.attributes[name as Iri] ?? []) {
      const { datasetId } = instance;
      attributes.push({
        name: name as Iri,
        kind: 'created',
        after: instance,
        ...(datasetId === undefined ? {} : { datasetId }),
      });
    }
  }
  const after = current === undefined ? entity : { ...entity, attributes: { ...entity.attributes, ...current.attributes } };
  return {
    kind: current === undefined ? 'created' : 'updated',
    ...(current && { before: current }),
    after,
    attributes,
    at,
    stamp: entity.stamp,
  };
}

function tooMany({ entities }: SnapshotLimits): DomainError {
  return new DomainError('TooManyResults', `A Snapshot holds ${entities} entities at most: narrow the queries down`);
}

function problemOf(error: unknown): JsonObject {
  const known = error instanceof DomainError ? error : new DomainError('InternalError', 'The query could not be executed');
  return { type: `https://uri.etsi.org/ngsi-ld/errors/${known.type}`, title: known.type, detail: known.message };
}
