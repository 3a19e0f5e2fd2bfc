import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { EntityFragment } from '../../domain/entity.ts';
import { badRequest } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { type ExpandOptions, expandAttributeName, expandEntity, requireWhole } from '../../domain/jsonld/expand.ts';
import type { MergeOptions } from '../../domain/patch.ts';
import { parseTypes } from '../../domain/query/parse/types.ts';
import { instant } from '../../domain/time.ts';
import type { DistributedEntityOperations } from '../../operations/distributed/entities.ts';
import type { PurgeScope, Target } from '../../operations/entities.ts';
import { onwardCallerIn } from '../http/onward.ts';
import { contextOf, iriParameter, listParameter, objectOf, optionsOf, parameter, pathSegment } from '../http/request.ts';
import { EXAMPLE_ENTITY, EXAMPLE_FRAGMENT, entityBody } from './examples.ts';
import { sendPartialWrite } from './partial.ts';
import { localOf, selectionOf, selectionText } from './query-parameters.ts';

const tags = ['Entities'];

/** Resources entities/ (6.4) and entities/{entityId} (6.5), as far as they write. */
export const entityRoutes =
  (operations: DistributedEntityOperations): FastifyPluginAsync =>
  async (app) => {
    app.post(
      '/entities',
      {
        config: { clause: '5.6.1', query: ['local'] },
        schema: { summary: 'Create Entity', tags, body: entityBody(EXAMPLE_ENTITY) },
      },
      async (request, reply) => {
        const context = await contextOf(request);
        const entity = expandEntity(objectOf(request), context);
        requireWhole(entity);
        const partial = await operations.createEntity(onwardCallerIn(request, context), entity);
        if (partial) return sendPartialWrite(reply, partial);
        return reply.code(201).header('location', locationOf(entity.id)).send();
      },
    );

    app.put(
      '/entities/:id',
      {
        config: { clause: '5.6.18', query: ['type', 'local'] },
        schema: { summary: 'Replace Entity', tags, body: entityBody(EXAMPLE_ENTITY) },
      },
      async (request, reply) => {
        const context = await contextOf(request);
        const target = targetOf(request, context);
        const caller = onwardCallerIn(request, context);
        const partial = await operations.replaceEntity(caller, target, fragmentOf(request, context, target.id));
        return partial ? sendPartialWrite(reply, partial) : reply.code(204).send();
      },
    );

    app.patch(
      '/entities/:id',
      {
        config: { clause: '5.6.17', query: ['type', 'format', 'options', 'lang', 'observedAt', 'local'] },
        schema: { summary: 'Merge Entity', tags, body: entityBody(EXAMPLE_FRAGMENT) },
      },
      async (request, reply) => {
        const context = await contextOf(request);
        const target = targetOf(request, context);
        const { expand, merge } = mergeChoices(request, context);
        const fragment = fragmentOf(request, context, target.id, expand);
        const partial = await operations.mergeEntity(onwardCallerIn(request, context), target, fragment, merge);
        return partial ? sendPartialWrite(reply, partial) : reply.code(204).send();
      },
    );

    app.delete(
      '/entities/:id',
      { config: { clause: '5.6.6', query: ['type', 'local'] }, schema: { summary: 'Delete Entity', tags } },
      async (request, reply) => {
        const context = await contextOf(request);
        const target = targetOf(request, context);
        const partial = await operations.deleteEntity(onwardCallerIn(request, context), target);
        return partial ? sendPartialWrite(reply, partial) : reply.code(204).send();
      },
    );

    app.delete(
      '/entities',
      { config: { clause: '5.6.21', query: PURGE }, schema: { summary: 'Purge Entities', tags } },
      async (request, reply) => {
        const context = await contextOf(request);
        const selection = selectionOf(selectionText(request), context, localOf(request));
        const caller = onwardCallerIn(request, context);
        const partial = await operations.purgeEntities(caller, selection, purgeScope(request, context));
        return partial ? sendPartialWrite(reply, partial) : reply.code(204).send();
      },
    );
  };

const PURGE = [
  'id', 'type', 'idPattern', 'q', 'csf', 'georel', 'geometry', 'coordinates', 'geoproperty', 'geometryProperty', 'scopeQ', 'attrs', 'keep', 'drop', 'local',
]; // biome-ignore format: a list to be read as one

/** The relative path of an entity (6.4.3.1). */
export function locationOf(id: Iri): string {
  return `/ngsi-ld/v1/entities/${pathSegment(id)}`;
}

/** The entity that the path names, of the types that the parameter `type` selects. @throws DomainError BadRequestData */
export function targetOf(request: FastifyRequest, context: Context): Target {
  const id = iriParameter(request, 'id');
  const types = parameter(request, 'type');
  return types === undefined ? { id } : { id, types: parseTypes(types, context) };
}

/** The body as a fragment of the entity that the path names. @throws DomainError BadRequestData if it is about another one */
export function fragmentOf(request: FastifyRequest, context: Context, id: Iri, options?: ExpandOptions): EntityFragment {
  const fragment = expandEntity(objectOf(request), context, options);
  if (fragment.id !== undefined && fragment.id !== id) {
    throw badRequest(`The body is about ${fragment.id}, but the path names ${id} (5.4)`);
  }
  return fragment;
}

/** What the parameters of a merge say about its body (Table 6.5.3.4-1): `format` wins over `options`. */
function mergeChoices(
  request: FastifyRequest,
  context: Context,
): { readonly expand: ExpandOptions; readonly merge: MergeOptions } {
  const options = optionsOf(request, ['simplified', 'keyValues', 'normalized', 'concise']);
  const format = parameter(request, 'format') ?? options.at(-1) ?? 'normalized';
  if (!['simplified', 'keyValues', 'normalized', 'concise'].includes(format)) {
    throw badRequest(`"${format}" is not a representation that a body can have; there are: normalized, concise, simplified`);
  }
  const simplified = format === 'simplified' || format === 'keyValues';
  const lang = parameter(request, 'lang');
  const observedAt = parameter(request, 'observedAt');
  return {
    expand: { nulls: 'everywhere', partial: true, simplified },
    merge: {
      context,
      ...(lang !== undefined && { lang }),
      ...(observedAt !== undefined && { observedAt: instant(observedAt, 'The parameter observedAt') }),
    },
  };
}

function purgeScope(request: FastifyRequest, context: Context): PurgeScope {
  const keep = listParameter(request, 'keep');
  const drop = listParameter(request, 'drop');
  if (keep !== undefined && drop !== undefined) throw badRequest('keep and drop exclude each other');
  const names = (list: readonly string[]) =>
    new Set(list.map((name) => (name === 'scope' ? context.expand(name) : expandAttributeName(name, context))));
  if (keep !== undefined) return { kind: 'keep', names: names(keep) };
  return drop === undefined ? { kind: 'entities' } : { kind: 'drop', names: names(drop) };
}

/** For routes that send a finished problem or result as application/json, whatever was asked for (6.3.6). */
export function sendPlainJson(reply: FastifyReply, status: number, body: unknown): FastifyReply {
  return reply
    .code(status)
    .header('content-type', 'application/json')
    .send(Buffer.from(JSON.stringify(body)));
}
