import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '../../domain/access.ts';
import { badRequest, DomainError } from '../../domain/errors.ts';
import { isIri } from '../../domain/iri.ts';
import type { JsonObject, JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { SNAPSHOT_LIMITS, snapshotBody, snapshotTest } from '../../domain/snapshot.ts';
import type { Snapshot, SnapshotOperations, SnapshotQueries } from '../../operations/snapshots.ts';
import { accepted, JSON_TYPE, LD_JSON, sendBody, withContext } from '../http/negotiation.ts';
import { onwardCallerIn } from '../http/onward.ts';
import { toProblem } from '../http/problem.ts';
import { contextOf, iriParameter, objectOf, parameter, pathSegment } from '../http/request.ts';
import { readQueryBody, selectionOf } from './query-parameters.ts';
import { representationOf } from './representation-parameters.ts';
import { readTemporalQueryFor } from './temporal-query.ts';

const BASE = '/ngsi-ld/v1/snapshots';

/** Resources snapshots/, snapshots/{snapshotId} and snapshots/{snapshotId}/clone: 6.36 to 6.38. */
export const snapshotRoutes =
  (operations: SnapshotOperations, queryLimit = SNAPSHOT_LIMITS.queries): FastifyPluginAsync =>
  async (app) => {
    app.post('/snapshots', { config: { clause: '5.16.1', query: [] } }, async (request, reply) => {
      const body = objectOf(request);
      const context = await contextOf(request);
      accepted(request);
      const queries = snapshotQueries(body, context, queryLimit);
      return created(reply, await operations.createSnapshot(onwardCallerIn(request, context), body, context, queries));
    });

    app.post('/snapshots/:snapshotId/clone', { config: { clause: '5.16.2', query: [] } }, async (request, reply) => {
      const id = iriParameter(request, 'snapshotId');
      await contextOf(request);
      return created(reply, await operations.cloneSnapshot(request.caller, id, objectOf(request)));
    });

    app.get('/snapshots/:snapshotId', { config: { clause: '5.16.3', query: [] } }, async (request, reply) => {
      const id = iriParameter(request, 'snapshotId');
      return send(request, reply, await operations.retrieveSnapshot(request.caller, id));
    });

    app.patch('/snapshots/:snapshotId', { config: { clause: '5.16.4', query: [] } }, async (request, reply) => {
      const id = iriParameter(request, 'snapshotId');
      await contextOf(request);
      return send(request, reply, await operations.updateSnapshot(request.caller, id, objectOf(request)));
    });

    app.delete('/snapshots/:snapshotId', { config: { clause: '5.16.5', query: [] } }, async (request, reply) => {
      await operations.deleteSnapshot(request.caller, iriParameter(request, 'snapshotId'));
      return reply.code(204).send();
    });

    app.delete('/snapshots', { config: { clause: '5.16.7', query: ['q'] } }, async (request, reply) => {
      const q = parameter(request, 'q');
      if (q === undefined) throw badRequest('Which Snapshots are to be purged must be said with q');
      const picks = snapshotTest(q, await contextOf(request));
      const { success, errors } = await operations.purgeSnapshots(request.caller, picks);
      if (errors.length === 0) return reply.code(204).send();
      const problems = errors.map(({ entityId, error }) => ({ entityId, error: toProblem(error) }));
      return reply
        .code(207)
        .header('content-type', JSON_TYPE)
        .send(JSON.stringify({ success, errors: problems }));
    });
  };

/**
 * The caller of a request that names a Snapshot (6.3.22). Snapshots themselves are not inside one.
 * @throws DomainError BadRequestData, ResourceNotFound
 */
export async function snapshotCaller(operations: SnapshotOperations, request: FastifyRequest, name: string): Promise<Caller> {
  if (request.url.startsWith(BASE) || !request.url.startsWith('/ngsi-ld/')) return request.caller;
  // 5.5.15: everything is local there, so context sources have no part in it.
  if (request.url.startsWith('/ngsi-ld/v1/csource')) {
    throw new DomainError('OperationNotSupported', 'A Snapshot has no context source registrations');
  }
  if (!isIri(name)) throw badRequest(`The header NGSILD-Snapshot must be the URI of a Snapshot, not ${JSON.stringify(name)}`);
  return operations.onSnapshot(request.caller, name);
}

/** The queries of 5.2.41, each read as 6.23 or 6.24 would. @throws DomainError BadRequestData naming the query */
export function snapshotQueries(body: JsonObject, context: Context, limit = SNAPSHOT_LIMITS.queries): SnapshotQueries {
  const present = listOf(body, 'snapshotQueries');
  const past = listOf(body, 'snapshotTemporalQueries');
  if (present.length + past.length === 0) throw badRequest('A Snapshot needs snapshotQueries or snapshotTemporalQueries');
  if (present.length + past.length > limit) throw badRequest(`A Snapshot has ${limit} queries at most`);
  // Nothing of it depends on how an answer would look.
  const media = JSON_TYPE;
  return {
    queries: present.map((item, at) => {
      const query = readQueryBody(item);
      if (query.temporalQ !== undefined || query.aggrParams !== undefined) {
        throw badRequest(`snapshotQueries[${at}] must not have temporalQ: it belongs into snapshotTemporalQueries`);
      }
      const { query: what, local, join, order } = selectionOf(query, context, undefined);
      if (order !== undefined) throw badRequest(`snapshotQueries[${at}]: what is queried for a Snapshot has no order`);
      const representation = representationOf({ ...query, options: [] }, context, media, join?.level);
      return { body: item, request: { query: what, local, joinLevel: join?.level ?? 0 }, representation, join };
    }),
    temporalQueries: past.map((item, at) => {
      const query = readQueryBody(item);
      if (query.temporalQ === undefined) throw badRequest(`snapshotTemporalQueries[${at}] must have temporalQ`);
      const shape = { ...query, options: [] };
      const { asked } = readTemporalQueryFor({ media, local: undefined }, context, query, shape, query.temporalQ);
      return { body: item, request: asked };
    }),
  };
}

function listOf(body: JsonObject, name: string): readonly JsonValue[] {
  const value = body[name];
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length === 0) throw badRequest(`${name} must be an array of queries that is not empty`);
  return value as JsonValue[];
}

function created(reply: FastifyReply, id: string): FastifyReply {
  return reply
    .code(201)
    .header('location', `${BASE}/${pathSegment(id)}`)
    .send();
}

async function send(request: FastifyRequest, reply: FastifyReply, snapshot: Snapshot): Promise<FastifyReply> {
  const media = accepted(request);
  const context = await contextOf(request);
  const text = JSON.stringify(snapshotBody(snapshot));
  return sendBody(request, reply, { media, context, body: media === LD_JSON ? withContext(text, context) : text });
}
