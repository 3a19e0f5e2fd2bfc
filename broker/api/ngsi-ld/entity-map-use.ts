import type { FastifyReply, FastifyRequest } from 'fastify';
import type { MapInUse } from '../../domain/distribution.ts';
import { inUse } from '../../domain/entity-map.ts';
import type { Period } from '../../domain/history.ts';
import type { Iri } from '../../domain/iri.ts';
import { parsePeriod } from '../../domain/period.ts';
import type { EntityMap, EntityMapOperations, IdsAt, MatchesOf } from '../../operations/entity-maps.ts';
import type { Paging } from '../http/paging.ts';
import { flag, parameter, pathSegment } from '../http/request.ts';

/** `entityMap` and `entityMapLifetime` of a URL or of a Query (5.2.23). */
export interface EntityMapText {
  readonly entityMap: boolean;
  readonly lifetime: Period | undefined;
}

/** @throws DomainError BadRequestData */
export function entityMapText(request: FastifyRequest): EntityMapText {
  return readEntityMapText(flag(request, 'entityMap'), parameter(request, 'entityMapLifetime'));
}

/** @throws DomainError BadRequestData if the lifetime is no duration */
export function readEntityMapText(entityMap: boolean, lifetime: string | undefined): EntityMapText {
  return { entityMap, lifetime: lifetime === undefined ? undefined : parsePeriod(lifetime, 'entityMapLifetime') };
}

/** The header that refers to an EntityMap (6.4.3.2); undefined: none is in use. */
export function entityMapReference(request: FastifyRequest): string | undefined {
  const header = request.headers['ngsild-entitymap'];
  return header === undefined ? undefined : String(header);
}

/** Says where the EntityMap is: the client's own words if it named one. */
export function sendEntityMapLocation(request: FastifyRequest, reply: FastifyReply, map: EntityMap, reference?: string): void {
  reply.header(
    'NGSILD-EntityMap',
    reference ?? `${request.url.slice(0, request.url.indexOf('/v1/') + 3)}/entityMaps/${pathSegment(map.id)}`,
  );
}

/** A query over an EntityMap, the one that the request refers to or a new one, which makes the answer a 201 (6.4.3.2). */
export async function mappedQuery<T extends { readonly id: Iri }>(
  request: FastifyRequest,
  reply: FastifyReply,
  operations: EntityMapOperations,
  text: EntityMapText,
  query: {
    readonly paging: Paging;
    readonly idsAt: IdsAt;
    /** @param map what the EntityMap says about context sources, for these ids */
    matchesOf(ids: readonly Iri[], map: MapInUse): ReturnType<MatchesOf<T>>;
    readonly madeFor: string;
    readonly among: readonly Iri[] | undefined;
  },
): Promise<{ readonly items: readonly T[]; readonly more: boolean; readonly nextOffset: number; readonly count?: number }> {
  const reference = entityMapReference(request);
  const known = reference === undefined ? undefined : await operations.referredMap(request.caller, reference);
  const map = known ?? (await operations.createEntityMap(request.caller, query.idsAt, query.madeFor, text.lifetime));
  if (known === undefined) reply.code(201);
  sendEntityMapLocation(request, reply, map, known && reference);
  const matchesOf: MatchesOf<T> = (ids) => query.matchesOf(ids, inUse(map, ids));
  return operations.pageOf(request.caller, map, query.paging, matchesOf, query.madeFor, query.among);
}

/** The EntityMap that a request refers to; undefined: it refers to none, or that has ended. */
export function referredMap(request: FastifyRequest, operations: EntityMapOperations): Promise<EntityMap | undefined> {
  const reference = entityMapReference(request);
  return reference === undefined ? Promise.resolve(undefined) : operations.referredMap(request.caller, reference);
}

/**
 * An EntityMap for the retrieval of one entity (5.7.1.4, 5.7.3.4), if it asks for one or refers to one.
 * @param known  the one that it refers to
 * @param heldBy who has something of the entity, if others took part
 */
export async function mappedRetrieval(
  request: FastifyRequest,
  reply: FastifyReply,
  operations: EntityMapOperations,
  text: EntityMapText,
  id: Iri,
  known?: EntityMap,
  heldBy?: () => readonly string[],
): Promise<void> {
  const reference = entityMapReference(request);
  if (reference === undefined && !text.entityMap) return;
  const alone: IdsAt = async () => ({ ids: [id], more: false, ...(heldBy ? { heldBy } : {}) });
  const map = known ?? (await operations.createEntityMap(request.caller, alone, id, text.lifetime));
  sendEntityMapLocation(request, reply, map, known && reference);
}
