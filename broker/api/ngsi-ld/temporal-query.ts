import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '../../domain/access.ts';
import type { MapInUse } from '../../domain/distribution.ts';
import { inUse } from '../../domain/entity-map.ts';
import { badRequest, notFound } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import type { Representation } from '../../domain/representation.ts';
import { aggregateWriter, evolutionWriter } from '../../domain/temporal-representation.ts';
import { fromMicros, type Micros } from '../../domain/time.ts';
import type { DistributedHistory } from '../../operations/distributed/history.ts';
import type { EntityMapOperations, IdsAt } from '../../operations/entity-maps.ts';
import type { EvolutionSelection, HistoryOperations, TemporalQuery } from '../../operations/history.ts';
import { accepted, LD_JSON, type MediaType, sendBody, withContext } from '../http/negotiation.ts';
import { warningCaller } from '../http/onward.ts';
import { PAGING_LIMITS, type Paging, type PagingLimits, pagingHeaders, pagingOf } from '../http/paging.ts';
import { bodyOf, contextOf, iriParameter, optionsOf, parameter } from '../http/request.ts';
import {
  type EntityMapText,
  entityMapReference,
  entityMapText,
  mappedQuery,
  mappedRetrieval,
  readEntityMapText,
  referredMap,
} from './entity-map-use.ts';
import { madeFor } from './mapped-query.ts';
import {
  localOf,
  readQueryBody,
  SELECTION_PARAMETERS,
  type SelectionText,
  selectionOf,
  selectionText,
} from './query-parameters.ts';
import { type RepresentationText, representationOf, representationText } from './representation-parameters.ts';
import {
  aggregationOf,
  evolutionSelectionOf,
  TEMPORAL_OPTIONS,
  TEMPORAL_PARAMETERS,
  type TemporalText,
  temporalFormOf,
  temporalText,
} from './temporal-parameters.ts';

const SHAPE = ['attrs', 'pick', 'omit', 'lang', 'datasetId', 'format', 'options'] as const;
const PAGING = ['limit', 'offset', 'count'] as const;
/** Not for temporal queries: nothing is joined there (5.7.4.4). */
const JOINS: readonly string[] = ['join', 'joinLevel', 'containedBy'];
export const TEMPORAL_QUERY_PARAMETERS = [
  ...new Set([...SELECTION_PARAMETERS.filter((name) => !JOINS.includes(name)), ...TEMPORAL_PARAMETERS, ...SHAPE, ...PAGING]),
];

/** What a request asks of history, once it is read. */
interface Asked {
  readonly selection: EvolutionSelection;
  readonly representation: Representation;
  readonly form: ReturnType<typeof temporalFormOf>;
  readonly temporal: TemporalText;
}

/** Reading history: `GET temporal/entities/` (6.18.3.2), `GET temporal/entities/{id}` (6.19.3.1), `POST temporal/entityOperations/query` (6.24). */
export const temporalQueryRoutes =
  (
    operations: HistoryOperations,
    limits: PagingLimits = PAGING_LIMITS,
    /** Without them no EntityMap is ever in use (5.5.14). */
    entityMaps?: EntityMapOperations,
  ): FastifyPluginAsync =>
  async (app) => {
    app.get('/temporal/entities', { config: { clause: '5.7.4', query: TEMPORAL_QUERY_PARAMETERS } }, async (request, reply) => {
      const context = await contextOf(request);
      return query(
        request,
        reply,
        context,
        selectionText(request),
        representationText(request, optionsOf(request, TEMPORAL_OPTIONS)),
        temporalText(request),
        entityMapText(request),
      );
    });

    app.post(
      '/temporal/entityOperations/query',
      { config: { clause: '5.7.4', query: [...PAGING, 'options', 'format', 'lang', 'local', 'splitEntities'] } },
      async (request, reply) => {
        const context = await contextOf(request);
        const body = readQueryBody(bodyOf(request));
        const shape: RepresentationText = {
          ...body,
          lang: body.lang ?? parameter(request, 'lang'),
          format: parameter(request, 'format'),
          options: optionsOf(request, TEMPORAL_OPTIONS),
        };
        const mapped = readEntityMapText(body.entityMap === true, body.entityMapLifetime);
        return query(request, reply, context, body, shape, { ...body.temporalQ, ...body.aggrParams }, mapped);
      },
    );

    app.get(
      '/temporal/entities/:id',
      { config: { clause: '5.7.3', query: [...TEMPORAL_PARAMETERS, ...SHAPE, 'local', 'entityMap', 'entityMapLifetime'] } },
      async (request, reply) => {
        const context = await contextOf(request);
        const media = accepted(request);
        const id = iriParameter(request, 'id');
        const mapped = entityMapText(request);
        const asked = read(
          context,
          media,
          representationText(request, optionsOf(request, TEMPORAL_OPTIONS)),
          temporalText(request),
        );
        const { selection, representation, form, temporal } = asked;
        const map = entityMaps && (await referredMap(request, entityMaps));
        const caller = through(warningCaller(request, reply, context), map && inUse(map, [id]));
        if (form === 'aggregatedValues') {
          const found = await operations.aggregateTemporal(caller, id, selection, aggregationOf(temporal));
          if (entityMaps !== undefined) await mappedRetrieval(request, reply, entityMaps, mapped, id, map, found.heldBy);
          return send(request, reply, context, media, textOf(aggregateWriter(context, representation)(found), id));
        }
        const found = await operations.retrieveTemporal(caller, id, selection);
        if (entityMaps !== undefined) await mappedRetrieval(request, reply, entityMaps, mapped, id, map, found.heldBy);
        if (found.cut !== undefined) partial(reply, found.cut, selection);
        return send(
          request,
          reply,
          context,
          media,
          textOf(evolutionWriter(context, representation, form, selection.filter.property)(found), id),
        );
      },
    );

    async function query(
      request: FastifyRequest,
      reply: FastifyReply,
      context: Context,
      text: SelectionText,
      shape: RepresentationText,
      temporal: TemporalText,
      mapped: EntityMapText,
    ): Promise<FastifyReply> {
      const media = accepted(request);
      const paging = pagingOf(request, limits);
      const read = readTemporalQuery(request, context, text, shape, temporal);
      const { form, representation } = read;
      const page = read.descending ? { ...paging, descending: true } : paging;
      const asked: TemporalQuery = { ...read.asked, page };
      const { selection } = asked;
      const caller = warningCaller(request, reply, context);
      if (entityMaps !== undefined && (mapped.entityMap || entityMapReference(request) !== undefined)) {
        return queryMapped(request, reply, context, read, paging, mapped, entityMaps, caller);
      }
      if (form === 'aggregatedValues') {
        const found = await operations.queryAggregated(caller, asked, aggregationOf(temporal));
        pagingHeaders(request, reply, paging, found, media);
        return send(
          request,
          reply,
          context,
          media,
          texts(found.evolutions, aggregateWriter(context, representation), media, context),
        );
      }
      const found = await operations.queryTemporal(caller, asked);
      pagingHeaders(request, reply, paging, found, media);
      if (found.cut !== undefined) partial(reply, found.cut, selection);
      const writer = evolutionWriter(context, representation, form, selection.filter.property);
      return send(request, reply, context, media, texts(found.evolutions, writer, media, context));
    }

    /** The page of an EntityMap (5.5.9.3), with its entities checked against the query again. */
    async function queryMapped(
      request: FastifyRequest,
      reply: FastifyReply,
      context: Context,
      read: ReturnType<typeof readTemporalQuery>,
      paging: Paging,
      mapped: EntityMapText,
      maps: EntityMapOperations,
      caller: Caller,
    ): Promise<FastifyReply> {
      const media = accepted(request);
      const { asked, form, representation, temporal } = read;
      const { query: what, selection, local } = asked;
      const among = (ids: readonly Iri[]): TemporalQuery => ({
        ...asked,
        query: { ...what, ids },
        page: { limit: ids.length },
      });
      const rest = {
        paging,
        idsAt: evolutionIdsAt(operations, caller, read),
        madeFor: madeFor(what, local),
        among: what.ids,
      };
      if (form === 'aggregatedValues') {
        const aggregation = aggregationOf(temporal);
        const page = await mappedQuery(request, reply, maps, mapped, {
          ...rest,
          matchesOf: async (ids, map) =>
            (await operations.queryAggregated(through(caller, map), among(ids), aggregation)).evolutions,
        });
        pagingHeaders(request, reply, paging, page, media);
        return send(
          request,
          reply,
          context,
          media,
          texts(page.items, aggregateWriter(context, representation), media, context),
        );
      }
      let cut: { readonly from: Micros; readonly to: Micros } | undefined;
      const page = await mappedQuery(request, reply, maps, mapped, {
        ...rest,
        matchesOf: async (ids, map) => {
          const found = await operations.queryTemporal(through(caller, map), among(ids));
          if (found.cut !== undefined) {
            cut = {
              from: Math.max(cut?.from ?? found.cut.from, found.cut.from),
              to: Math.min(cut?.to ?? found.cut.to, found.cut.to),
            };
          }
          return found.evolutions;
        },
      });
      pagingHeaders(request, reply, paging, page, media);
      if (cut !== undefined) partial(reply, cut, selection);
      const writer = evolutionWriter(context, representation, form, selection.filter.property);
      return send(request, reply, context, media, texts(page.items, writer, media, context));
    }
  };

/** The caller, with the EntityMap that says who is asked (5.7.4.4). */
const through = (caller: Caller, map: MapInUse | undefined): Caller =>
  caller.onward && map ? { ...caller, onward: { ...caller.onward, entityMap: map } } : caller;

/** A query of 5.7.4 or 5.14.5, read. @throws DomainError BadRequestData */
export function readTemporalQuery(
  request: FastifyRequest,
  context: Context,
  text: SelectionText,
  shape: RepresentationText,
  temporal: TemporalText,
): ReturnType<typeof readTemporalQueryFor> {
  return readTemporalQueryFor({ media: accepted(request), local: localOf(request) }, context, text, shape, temporal);
}

/** {@link readTemporalQuery} without a request. */
export function readTemporalQueryFor(
  { media, local: asked }: { readonly media: MediaType; readonly local: ReturnType<typeof localOf> | undefined },
  context: Context,
  text: SelectionText,
  shape: RepresentationText,
  temporal: TemporalText,
): { readonly asked: Omit<TemporalQuery, 'page'>; readonly descending: boolean } & Omit<Asked, 'selection'> {
  const { selection, representation, form } = read(context, media, shape, temporal);
  const { query, order, local, join } = selectionOf(text, context, asked);
  if (join !== undefined) throw badRequest('Linked entities are not joined to temporal evolutions (5.7.4.4)');
  if (order?.some(({ by }) => by !== 'id')) {
    throw badRequest('Temporal evolutions can only be ordered by id (5.7.4.4)');
  }
  const descending = order?.[0]?.direction === 'desc';
  return { asked: { query, selection, local }, descending, representation, form, temporal };
}

/** Evolutions that are read at once only to learn their ids: they can be large. */
const EVOLUTIONS_AT_ONCE = 50;

/** The ids of the entities whose evolution matches, a part at a time, as an EntityMap wants them (5.14.5). */
export function evolutionIdsAt(
  operations: HistoryOperations & Partial<Pick<DistributedHistory, 'candidates'>>,
  caller: Caller,
  { asked, descending }: Pick<ReturnType<typeof readTemporalQuery>, 'asked' | 'descending'>,
): IdsAt {
  return async (offset, limit) => {
    const candidates = offset === 0 && !descending ? await operations.candidates?.(caller, asked) : undefined;
    if (candidates !== undefined) return { ...candidates, more: false };
    const page = { limit: Math.min(limit, EVOLUTIONS_AT_ONCE), offset, ...(descending ? { descending } : {}) };
    const { evolutions, more } = await operations.queryTemporal(caller, { ...asked, page });
    const held = new Map(evolutions.map(({ id, heldBy }) => [id, heldBy]));
    return { ids: [...held.keys()], more, heldBy: (id) => held.get(id)?.() ?? [] };
  };
}

function read(context: Context, media: MediaType, shape: RepresentationText, temporal: TemporalText): Asked {
  // A Query that says how to aggregate (5.2.44) wants aggregates.
  const form = temporalFormOf(
    shape.format,
    shape.options,
    temporal.aggrMethods === undefined ? 'normalized' : 'aggregatedValues',
  );
  const { format: _, ...rest } = shape;
  const options = shape.options.filter((option) => option === 'sysAttrs');
  const representation = representationOf({ ...rest, options }, context, media);
  return { selection: evolutionSelectionOf(temporal, representation), representation, form, temporal };
}

function texts<T>(evolutions: readonly T[], write: (evolution: T) => object, media: MediaType, context: Context): string {
  const each = evolutions.map((evolution) => JSON.stringify(write(evolution))).filter((text) => text !== '{}');
  return `[${(media === LD_JSON ? each.map((text) => withContext(text, context)) : each).join(',')}]`;
}

/** 4.21: an evolution of which pick and omit leave nothing is as if it were not there. @throws DomainError ResourceNotFound */
function textOf(written: object, id: string): string {
  const text = JSON.stringify(written);
  if (text === '{}') throw notFound(`The temporal evolution of entity ${id} has none of the members that were asked for`);
  return text;
}

function send(request: FastifyRequest, reply: FastifyReply, context: Context, media: MediaType, text: string): FastifyReply {
  return sendBody(request, reply, {
    media,
    context,
    body: media === LD_JSON && text.startsWith('{') ? withContext(text, context) : text,
    fallbacks: false,
  });
}

/** 6.3.10: 206 and the span that is covered; it runs backwards with lastN. */
function partial(
  reply: FastifyReply,
  cut: { readonly from: Micros; readonly to: Micros },
  { lastN }: EvolutionSelection,
): void {
  const [start, end] = lastN === undefined ? [cut.from, cut.to] : [cut.to, cut.from];
  reply.code(206).header('content-range', `DateTime ${fromMicros(start)}-${fromMicros(end)}/${lastN ?? '*'}`);
}
