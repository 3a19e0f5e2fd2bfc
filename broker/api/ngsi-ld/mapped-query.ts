import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '../../domain/access.ts';
import type { MapInUse } from '../../domain/distribution.ts';
import type { Entity } from '../../domain/entity.ts';
import type { EntityQuery } from '../../domain/query/query.ts';
import type { Representation } from '../../domain/representation.ts';
import type { Candidates } from '../../operations/distributed/candidates.ts';
import type { DistributedReads } from '../../operations/distributed/reads.ts';
import type { EntityMapOperations, IdsAt, MappedPage } from '../../operations/entity-maps.ts';
import type { QueryOperations, QueryRequest } from '../../operations/query.ts';
import type { Paging } from '../http/paging.ts';
import { type EntityMapText, mappedQuery } from './entity-map-use.ts';

/** Executes a query, here or also elsewhere. */
export interface FindEntities {
  /** @param map the EntityMap in use says who is asked */
  entities(asked: QueryRequest, map?: MapInUse): Promise<{ readonly entities: readonly Entity[]; readonly more: boolean }>;
  /** All that there is elsewhere and here, without its content. undefined: nobody else is concerned */
  candidates(asked: QueryRequest): Promise<Candidates | undefined>;
}

/** The ids that a query finds, a part at a time, as an EntityMap wants them (5.14.4). */
export function entityIdsAt(find: FindEntities, asked: QueryRequest): IdsAt {
  const { order } = asked.page;
  return async (offset, limit) => {
    const page = { limit, offset, ...(order === undefined ? {} : { order }) };
    const candidates = offset === 0 && order === undefined ? await find.candidates({ ...asked, page }) : undefined;
    if (candidates !== undefined) return { ...candidates, more: false };
    const { entities, more } = await find.entities({ ...asked, page });
    return { ids: entities.map(({ id }) => id), more };
  };
}

/** A page of an EntityMap: the one that the request refers to, or a new one (5.7.2.4). */
export function mappedEntities(
  request: FastifyRequest,
  reply: FastifyReply,
  maps: EntityMapOperations,
  text: EntityMapText,
  asked: QueryRequest,
  paging: Paging,
  find: FindEntities,
): Promise<MappedPage<Entity>> {
  const { query, local } = asked;
  return mappedQuery(request, reply, maps, text, {
    paging,
    idsAt: entityIdsAt(find, asked),
    matchesOf: async (ids, map) =>
      (await find.entities({ ...asked, query: { ...query, ids }, page: { limit: ids.length } }, map)).entities,
    madeFor: madeFor(query, local),
    among: query.ids,
  });
}

/** Executes a query here, and at the context sources that are concerned if the caller may ask them (5.14.4.4). */
export function findEverywhere(
  operations: QueryOperations,
  distributed: DistributedReads | undefined,
  caller: Caller,
  representation: Representation,
  onWarnings: (warnings: readonly string[]) => void,
): FindEntities {
  const { onward } = caller;
  return {
    async entities(asked, map) {
      const through = onward && map ? { ...caller, onward: { ...onward, entityMap: map } } : caller;
      const gathered = onward && (await distributed?.queryEntities(through, asked, representation));
      if (gathered !== undefined) {
        onWarnings(gathered.warnings);
        return gathered.found;
      }
      const { entities, more } = await operations.queryEntities(caller, asked);
      return { more, entities: entities.map(({ entity }) => entity) };
    },
    async candidates(asked) {
      const gathered = onward && (await distributed?.candidates(caller, asked, representation));
      if (gathered !== undefined) onWarnings(gathered.warnings);
      return gathered?.found;
    },
  };
}

/** Equal for queries that differ in their ids at most (5.5.14). */
export function madeFor({ ids: _, ...query }: EntityQuery, local: boolean): string {
  return JSON.stringify([query, local]);
}
