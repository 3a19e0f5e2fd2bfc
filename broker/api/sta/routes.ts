import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { badRequest, DomainError, notFound } from '../../domain/errors.ts';
import type { JsonValue } from '../../domain/json.ts';
import type { Model } from '../../domain/sta/model.ts';
import { type Options, parseOptions } from '../../domain/sta/options.ts';
import { parseResourcePath, type ResourcePath } from '../../domain/sta/resource-path.ts';
import type { Read, StaOperations, UpdateMode } from '../../operations/sta/operations.ts';
import { parseJsonBody } from '../http/json-body.ts';
import { staErrors } from './errors.ts';
import { entityJson, pageJson, refsJson } from './render.ts';
import { serviceRoot } from './service-root.ts';
import { type StaTarget, targetOf } from './target.ts';

export interface StaRouteSettings {
  readonly model: Model;
  /** Path of the root without tenant: "/sta/v1.1". */
  readonly prefix: string;
  /** What others reach; empty: what the client used. */
  readonly publicUrl: string;
  readonly jsonDepth: number;
  /** Conformance classes beyond those that every root has, with their settings. */
  readonly conformance: () => Readonly<Record<string, unknown>>;
}

const JSON_TYPE = 'application/json; charset=UTF-8';
const TAGS = ['SensorThings'];

/** OGC SensorThings 1.1 (18-088) below one service root; for whoever can send no headers also with the tenant in front. */
export const staRoutes =
  (operations: StaOperations, settings: StaRouteSettings): FastifyPluginAsync =>
  async (app) => {
    staErrors(app);
    // Clients say all sorts of things of bodies that are JSON, and of bodies that are not there.
    app.addContentTypeParser('*', { parseAs: 'string' }, (_request, text, done) => {
      try {
        done(null, parseJsonBody(text as string, settings.jsonDepth));
      } catch (error) {
        done(error as Error);
      }
    });
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
        return send(reply, 200, serviceRoot({ model, url, more: settings.conformance() }));
      });
      app.get(`${base}/*`, schema('Read an entity, a collection or a property'), (request, reply) =>
        get(operations, target(request), reply),
      );
      app.post(`${base}/CreateObservations`, schema('Create many Observations'), (request, reply) =>
        postObservations(operations, target(request), request.body, reply),
      );
      app.post(`${base}/*`, schema('Create an entity'), (request, reply) =>
        post(operations, target(request), request.body, reply),
      );
      app.patch(`${base}/*`, schema('Change an entity'), (request, reply) => {
        const mode = request.headers['content-type']?.startsWith('application/json-patch') ? 'json-patch' : 'patch';
        return change(operations, target(request), request.body, mode, reply);
      });
      app.put(`${base}/*`, schema('Replace an entity'), (request, reply) =>
        change(operations, target(request), request.body, 'put', reply),
      );
      app.delete(`${base}/*`, schema('Delete an entity'), (request, reply) => remove(operations, target(request), reply));
      app.options(`${base}/*`, schema('What a browser may do here'), async () => undefined);
    }
  };

async function get(operations: StaOperations, target: StaTarget, reply: FastifyReply): Promise<FastifyReply> {
  const path = parseResourcePath(target.path, target.model);
  const options = optionsOf(target, path);
  const found = await operations.read(target.caller, target, path, options);
  if (found.kind === 'property') return property(reply, path, found.value);
  return send(reply, 200, answerJson(found, path, `${target.url}/${target.path}`));
}

export function answerJson(found: Exclude<Read, { kind: 'property' }>, path: ResourcePath, url: string): unknown {
  const isRef = path.end.kind === 'ref';
  if (found.kind === 'page') return isRef ? refsJson(found.page, url) : pageJson(found.page, url);
  return isRef ? { '@iot.selfLink': found.answer.item.selfLink() } : entityJson(found.answer);
}

/** @throws DomainError BadRequestData for options that mean nothing there */
export function optionsOf({ query, model }: Pick<StaTarget, 'query' | 'model'>, path: ResourcePath): Options {
  const options = parseOptions(query, path.set, model);
  const given = (options.written ?? []).map(([name]) => name);
  if (path.end.kind === 'property' && given.length > 0)
    throw badRequest(`A property takes no query options such as ${given[0]}`);
  if (!path.many) {
    const wrong = given.find((name) => !/^\$(select|expand|resultformat|resultmetadata)$/i.test(name));
    if (wrong !== undefined) throw badRequest(`${wrong} is for collections, and this is one entity`);
  }
  return options;
}

function property(reply: FastifyReply, path: ResourcePath, value: JsonValue | undefined): FastifyReply {
  if (value === undefined || value === null) return reply.code(204).send();
  if (path.end.kind !== 'property') throw notFound('This is no property');
  const { name, inside, raw } = path.end;
  if (!raw) return send(reply, 200, { [inside.at(-1) ?? (name === 'id' ? '@iot.id' : name)]: value });
  if (typeof value === 'object') return send(reply, 200, value);
  return reply.code(200).header('content-type', 'text/plain; charset=UTF-8').send(String(value));
}

async function post(operations: StaOperations, target: StaTarget, body: unknown, reply: FastifyReply): Promise<FastifyReply> {
  const path = parseResourcePath(target.path, target.model);
  refuseOptions(target);
  const item = await operations.create(target.caller, target, path, bodyOf(body));
  reply.header('location', item.selfLink());
  return send(reply, 201, entityJson({ item, options: {}, expanded: new Map() }));
}

async function postObservations(
  operations: StaOperations,
  target: StaTarget,
  body: unknown,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const results = await operations.createObservations(target.caller, target, bodyOf(body));
  const links = results.map((one) => ('number' in one ? `${target.url}/Observations(${one.number})` : `error: ${one.error}`));
  return send(reply, 201, links);
}

async function change(
  operations: StaOperations,
  target: StaTarget,
  body: unknown,
  mode: UpdateMode,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const path = parseResourcePath(target.path, target.model);
  refuseOptions(target);
  await operations.update(target.caller, target, path, bodyOf(body), mode);
  return reply.code(200).send();
}

async function remove(operations: StaOperations, target: StaTarget, reply: FastifyReply): Promise<FastifyReply> {
  const path = parseResourcePath(target.path, target.model);
  refuseOptions(target);
  await operations.remove(target.caller, target, path);
  return reply.code(200).send();
}

function refuseOptions({ query }: StaTarget): void {
  const option = query.split('&').find((pair) => /^(\$|%24)/.test(pair));
  if (option !== undefined) throw badRequest(`${option.split('=', 1)[0]} means nothing in a request that writes`);
}

function bodyOf(body: unknown): JsonValue {
  if (body === undefined || body === null) throw new DomainError('InvalidRequest', 'The request has no body');
  return body as JsonValue;
}

function send(reply: FastifyReply, status: number, body: unknown): FastifyReply {
  return reply
    .code(status)
    .header('content-type', JSON_TYPE)
    .send(Buffer.from(JSON.stringify(body)));
}
