import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Model } from '../../domain/sta/model.ts';
import type { StaOperations } from '../../operations/sta/operations.ts';
import { parseJsonBody } from '../http/json-body.ts';
import { handleBatch } from './batch/batch.ts';
import { staErrors } from './errors.ts';
import { handle, type StaReply } from './handle.ts';
import { serviceRoot } from './service-root.ts';
import { targetOf } from './target.ts';

export interface StaRouteSettings {
  readonly model: Model;
  /** Path of the root without tenant: "/sta/v1.1". */
  readonly prefix: string;
  /** What others reach; empty: what the client used. */
  readonly publicUrl: string;
  readonly jsonDepth: number;
  /** Conformance classes beyond those that every root has, with their settings. @param url of the root */
  readonly conformance: (url: string) => Readonly<Record<string, unknown>>;
  /** The rules of this root as a text for people, at `{root}/$rules`; absent: it has none. */
  readonly rules?: string;
}

const JSON_TYPE = 'application/json; charset=UTF-8';
const TAGS = ['SensorThings'];

/** OGC SensorThings 1.1 (18-088) below one service root; for whoever can send no headers also with the tenant in front. */
export const staRoutes =
  (operations: StaOperations, settings: StaRouteSettings): FastifyPluginAsync =>
  async (app) => {
    staErrors(app);
    // Clients say all sorts of things of bodies that are JSON, and of bodies that are not there: what a body is, its route knows.
    app.addContentTypeParser('*', { parseAs: 'string' }, (_request, text, done) => done(null, text === '' ? undefined : text));
    // SensorThings clients in browsers come from anywhere, and need the address of what they made.
    app.addHook('onRequest', async (request, reply) => {
      reply.header('access-control-allow-origin', '*').header('access-control-expose-headers', 'Location');
      if (request.method === 'OPTIONS') {
        reply
          .header('access-control-allow-methods', 'GET, POST, PATCH, PUT, DELETE, OPTIONS')
          .header('access-control-allow-headers', String(request.headers['access-control-request-headers'] ?? 'content-type'))
          .header('access-control-max-age', '600');
        await reply.code(204).send();
      }
    });

    const target = (request: FastifyRequest) => targetOf(request, settings.model, settings.prefix, settings.publicUrl);
    const schema = (summary: string) => ({ schema: { summary, tags: TAGS } });
    for (const base of [settings.prefix, `/:tenant${settings.prefix}`]) {
      app.get(base, schema('Service root'), (request, reply) => {
        const { model, url } = target(request);
        return send(reply, { status: 200, json: serviceRoot({ model, url, more: settings.conformance(url) }) });
      });
      app.post(`${base}/$batch`, schema('Several requests in one'), async (request, reply) =>
        send(
          reply,
          await handleBatch(operations, target(request), request.body, request.headers['content-type'], settings.jsonDepth),
        ),
      );
      const { rules } = settings;
      if (rules !== undefined) {
        app.get(`${base}/$rules`, schema('Who may change what, in words'), (_request, reply) =>
          send(reply, { status: 200, text: { type: 'text/plain; charset=UTF-8', content: rules } }),
        );
      }
      for (const [method, summary] of METHODS) {
        app.route({
          method,
          url: `${base}/*`,
          ...schema(summary),
          handler: async (request, reply) => {
            const { body } = request;
            const parsed = typeof body === 'string' ? parseJsonBody(body, settings.jsonDepth) : body;
            const contentType = request.headers['content-type'];
            return send(reply, await handle(operations, { method, target: target(request), body: parsed, contentType }));
          },
        });
      }
      app.options(`${base}/*`, schema('What a browser may do here'), async () => undefined);
    }
  };

const METHODS = [
  ['GET', 'Read an entity, a collection or a property'],
  ['POST', 'Create an entity, or many Observations'],
  ['PATCH', 'Change an entity'],
  ['PUT', 'Replace an entity'],
  ['DELETE', 'Delete an entity'],
] as const;

function send(reply: FastifyReply, { status, json, text, location }: StaReply): FastifyReply {
  reply.code(status);
  if (location !== undefined) reply.header('location', location);
  if (text !== undefined) return reply.header('content-type', text.type).send(text.content);
  if (json === undefined) return reply.send();
  return reply.header('content-type', JSON_TYPE).send(Buffer.from(JSON.stringify(json)));
}
