import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { entityMapBody } from '../../domain/entity-map.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import type { DistributedReads } from '../../operations/distributed/reads.ts';
import type { EntityMap, EntityMapOperations, IdsAt } from '../../operations/entity-maps.ts';
import type { HistoryOperations } from '../../operations/history.ts';
import type { QueryOperations } from '../../operations/query.ts';
import { accepted, LD_JSON, sendBody, withContext } from '../http/negotiation.ts';
import { onwardCallerIn, warn, warningCaller } from '../http/onward.ts';
import { bodyOf, contextOf, iriParameter, objectOf, optionsOf, parameter } from '../http/request.ts';
import { type EntityMapText, entityMapText, readEntityMapText, sendEntityMapLocation } from './entity-map-use.ts';
import { entityIdsAt, findEverywhere, madeFor } from './mapped-query.ts';
import {
  localOf,
  readQueryBody,
  SELECTION_PARAMETERS,
  type SelectionText,
  selectionOf,
  selectionText,
} from './query-parameters.ts';
import {
  REPRESENTATION_OPTIONS,
  REPRESENTATION_PARAMETERS,
  type RepresentationText,
  representationOf,
  representationText,
} from './representation-parameters.ts';
import { TEMPORAL_OPTIONS, temporalText } from './temporal-parameters.ts';
import { evolutionIdsAt, readTemporalQuery, TEMPORAL_QUERY_PARAMETERS } from './temporal-query.ts';

/** The same parameters as for Query Entities; some of them mean nothing here (5.14.4.3). */
const QUERY = [...new Set(['limit', 'offset', 'count', ...SELECTION_PARAMETERS, ...REPRESENTATION_PARAMETERS])];

/** Resources entityMaps/, entityMaps/{entityMapId} and temporal/entityMaps/: 6.32, 6.34, 6.35. */
export const entityMapRoutes =
  (
    maps: EntityMapOperations,
    queries: QueryOperations,
    history: HistoryOperations,
    distributed?: DistributedReads,
  ): FastifyPluginAsync =>
  async (app) => {
    app.get('/entityMaps', { config: { clause: '5.14.4', query: QUERY } }, async (request, reply) => {
      const shape = representationText(request, optionsOf(request, REPRESENTATION_OPTIONS));
      return create(request, reply, await contextOf(request), selectionText(request), shape, entityMapText(request));
    });

    app.post(
      '/entityMaps',
      { config: { clause: '5.14.4', query: ['options', 'format', 'lang', 'local'] } },
      async (request, reply) => {
        const context = await contextOf(request);
        const body = readQueryBody(bodyOf(request));
        const shape = { ...body, options: optionsOf(request, REPRESENTATION_OPTIONS), format: parameter(request, 'format') };
        return create(request, reply, context, body, shape, readEntityMapText(true, body.entityMapLifetime));
      },
    );

    async function create(
      request: FastifyRequest,
      reply: FastifyReply,
      context: Context,
      text: SelectionText,
      shape: RepresentationText,
      { lifetime }: EntityMapText,
    ): Promise<FastifyReply> {
      const media = accepted(request, true);
      const { query, local, join, order } = selectionOf(text, context, localOf(request));
      const representation = representationOf(shape, context, media, join?.level);
      const asked = {
        query,
        local,
        joinLevel: join?.level ?? 0,
        page: { limit: 0, ...(order === undefined ? {} : { order }) },
      };
      const caller = onwardCallerIn(request, context);
      const find = findEverywhere(queries, distributed, caller, representation, (warnings) => warn(reply, warnings));
      const idsAt = entityIdsAt(find, asked);
      return created(
        request,
        reply,
        context,
        await maps.createEntityMap(request.caller, idsAt, madeFor(query, local), lifetime),
      );
    }

    app.get(
      '/temporal/entityMaps',
      { config: { clause: '5.14.5', query: TEMPORAL_QUERY_PARAMETERS } },
      async (request, reply) => {
        const context = await contextOf(request);
        const shape = representationText(request, optionsOf(request, TEMPORAL_OPTIONS));
        const read = readTemporalQuery(request, context, selectionText(request), shape, temporalText(request));
        const idsAt = evolutionIdsAt(history, warningCaller(request, reply, context), read);
        return createTemporal(
          request,
          reply,
          context,
          idsAt,
          madeFor(read.asked.query, read.asked.local),
          entityMapText(request),
        );
      },
    );

    app.post(
      '/temporal/entityMaps',
      { config: { clause: '5.14.5', query: ['options', 'format', 'lang', 'local'] } },
      async (request, reply) => {
        const context = await contextOf(request);
        const body = readQueryBody(bodyOf(request));
        const shape = { ...body, options: optionsOf(request, TEMPORAL_OPTIONS), format: parameter(request, 'format') };
        const read = readTemporalQuery(request, context, body, shape, { ...body.temporalQ, ...body.aggrParams });
        const idsAt = evolutionIdsAt(history, warningCaller(request, reply, context), read);
        const text = readEntityMapText(true, body.entityMapLifetime);
        return createTemporal(request, reply, context, idsAt, madeFor(read.asked.query, read.asked.local), text);
      },
    );

    async function createTemporal(
      request: FastifyRequest,
      reply: FastifyReply,
      context: Context,
      idsAt: IdsAt,
      query: string,
      { lifetime }: EntityMapText,
    ): Promise<FastifyReply> {
      return created(request, reply, context, await maps.createEntityMap(request.caller, idsAt, query, lifetime));
    }

    const one = (clause: string) => ({ config: { clause, query: ['local'] } });
    app.get('/entityMaps/:entityMapId', one('5.14.1'), async (request, reply) => {
      const context = await contextOf(request);
      const map = await maps.retrieveEntityMap(request.caller, iriParameter(request, 'entityMapId'));
      return send(request, reply, context, map, 200);
    });

    app.patch('/entityMaps/:entityMapId', one('5.14.2'), async (request, reply) => {
      const id = iriParameter(request, 'entityMapId');
      await contextOf(request);
      await maps.updateEntityMap(request.caller, id, objectOf(request));
      return reply.code(204).send();
    });

    app.delete('/entityMaps/:entityMapId', one('5.14.3'), async (request, reply) => {
      await maps.deleteEntityMap(request.caller, iriParameter(request, 'entityMapId'));
      return reply.code(204).send();
    });
  };

function created(request: FastifyRequest, reply: FastifyReply, context: Context, map: EntityMap): FastifyReply {
  sendEntityMapLocation(request, reply, map);
  return send(request, reply, context, map, 201);
}

function send(request: FastifyRequest, reply: FastifyReply, context: Context, map: EntityMap, status: number): FastifyReply {
  const media = accepted(request);
  const text = JSON.stringify(entityMapBody(map));
  return sendBody(request, reply, { media, context, status, body: media === LD_JSON ? withContext(text, context) : text });
}
