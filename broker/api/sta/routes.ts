import type { FastifyPluginAsync, FastifyReply } from 'fastify';
import { parseJsonBody } from '../http/json-body.ts';
import { staErrors } from './errors.ts';
import type { StaReply } from './handle.ts';
import type { StaService } from './service.ts';

export interface StaRouteSettings {
  /** Path of the root without tenant: "/sta/v1.1". */
  readonly prefix: string;
  readonly jsonDepth: number;
  /** Whether the root has rules as a text for people, at `{root}/$rules`. */
  readonly rules: boolean;
}

const JSON_TYPE = 'application/json; charset=UTF-8';
const TAGS = ['SensorThings'];

/**
 * OGC SensorThings 1.1 (18-088) below one service root; for whoever can send no headers also with the tenant in front.
 * @param open resolves to what answers, which is loaded with the first request
 */
export const staRoutes =
  (open: () => Promise<StaService>, { prefix, jsonDepth, rules }: StaRouteSettings): FastifyPluginAsync =>
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

    const schema = (summary: string) => ({ schema: { summary, tags: TAGS } });
    for (const base of [prefix, `/:tenant${prefix}`]) {
      app.get(base, schema('Service root'), async (request, reply) => send(reply, (await open()).root(request)));
      app.post(`${base}/$batch`, schema('Several requests in one'), async (request, reply) =>
        send(reply, await (await open()).batch(request)),
      );
      if (rules) {
        app.get(`${base}/$rules`, schema('Who may change what, in words'), async (_request, reply) =>
          send(reply, (await open()).rules()),
        );
      }
      for (const [method, summary] of METHODS) {
        app.route({
          method,
          url: `${base}/*`,
          ...schema(summary),
          handler: async (request, reply) => {
            const { body } = request;
            const parsed = typeof body === 'string' ? parseJsonBody(body, jsonDepth) : body;
            return send(reply, await (await open()).resource(request, method, parsed));
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
