import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { EntityFragment } from '../../domain/entity.ts';
import { badRequest, DomainError } from '../../domain/errors.ts';
import { type Iri, isIri } from '../../domain/iri.ts';
import { isObject, type JsonValue } from '../../domain/json.ts';
import { type ExpandOptions, expandEntity, requireWhole, type WholeEntity } from '../../domain/jsonld/expand.ts';
import type { BatchItem, BatchOperations, BatchResult } from '../../operations/batch.ts';
import { refuseLinkBesideJsonLd } from '../http/negotiation.ts';
import { onwardCaller } from '../http/onward.ts';
import { toProblem } from '../http/problem.ts';
import { bodyOf, contextOf, optionsOf } from '../http/request.ts';
import { sendPlainJson } from './entities.ts';
import { EXAMPLE_ENTITY, EXAMPLE_FRAGMENT, entityBody } from './examples.ts';

const tags = ['Batch operations'];
const example = { id: EXAMPLE_ENTITY.id, ...EXAMPLE_FRAGMENT };

/** Resources entityOperations/create, upsert, update, merge and delete (6.14 to 6.17, 6.31). */
export const batchRoutes =
  (operations: BatchOperations, limits: { readonly batchLimit: number }): FastifyPluginAsync =>
  async (app) => {
    const { batchLimit } = limits;

    app.post(
      '/entityOperations/create',
      {
        config: { clause: '5.6.7', query: ['local'] },
        schema: { summary: 'Batch Entity Creation', tags, body: entityBody([EXAMPLE_ENTITY]) },
      },
      async (request, reply) => {
        const items = await itemsOf(request, batchLimit, {}, whole);
        const result = await operations.create(await onwardCaller(request), items);
        return result.errors.length === 0 ? sendPlainJson(reply, 201, result.success) : partial(reply, result);
      },
    );

    app.post(
      '/entityOperations/upsert',
      {
        config: { clause: '5.6.8', query: ['options', 'local'] },
        schema: { summary: 'Batch Entity Creation or Update (Upsert)', tags, body: entityBody([EXAMPLE_ENTITY]) },
      },
      async (request, reply) => {
        const options = optionsOf(request, ['replace', 'update']);
        if (options.includes('replace') && options.includes('update'))
          throw badRequest('replace and update exclude each other');
        const mode = options.includes('update') ? 'update' : 'replace';
        const items = await itemsOf(request, batchLimit, mode === 'update' ? { nulls: 'members' } : {}, identified);
        const result = await operations.upsert(await onwardCaller(request), items, mode);
        if (result.errors.length > 0) return partial(reply, result);
        return result.created.length > 0 ? sendPlainJson(reply, 201, [...new Set(result.created)]) : reply.code(204).send();
      },
    );

    app.post(
      '/entityOperations/update',
      {
        config: { clause: '5.6.9', query: ['options', 'local'] },
        schema: { summary: 'Batch Entity Update', tags, body: entityBody([example]) },
      },
      async (request, reply) => {
        const overwrite = !optionsOf(request, ['noOverwrite']).includes('noOverwrite');
        const items = await itemsOf(request, batchLimit, { nulls: 'members' }, identified);
        return done(reply, await operations.update(await onwardCaller(request), items, overwrite));
      },
    );

    app.post(
      '/entityOperations/merge',
      {
        config: { clause: '5.6.20', query: ['options', 'local'] },
        schema: { summary: 'Batch Entity Merge', tags, body: entityBody([example]) },
      },
      async (request, reply) => {
        optionsOf(request, []);
        const items = await itemsOf(request, batchLimit, { nulls: 'everywhere', partial: true }, identified);
        return done(reply, await operations.merge(await onwardCaller(request), items, {}));
      },
    );

    app.post(
      '/entityOperations/delete',
      {
        config: { clause: '5.6.10', query: ['local'] },
        schema: { summary: 'Batch Entity Delete', tags, body: { type: 'array', examples: [[EXAMPLE_ENTITY.id]] } },
      },
      async (request, reply) => {
        const items = arrayOf(request, batchLimit).map((id, index): BatchItem<Iri> => {
          if (isIri(id)) return { id, content: id };
          return { id: nameOf(id, index), error: badRequest(`Item ${index} is not the id of an entity: an absolute IRI`) };
        });
        return done(reply, await operations.delete(await onwardCaller(request), items));
      },
    );
  };

/** The elements of the body. @throws DomainError BadRequestData: not an array, empty, a null in it; PayloadTooLarge */
function arrayOf(request: FastifyRequest, batchLimit: number): readonly JsonValue[] {
  const body = bodyOf(request);
  if (!Array.isArray(body)) throw badRequest('The body of a batch operation is a JSON array');
  if (body.length === 0) throw badRequest('The array is empty');
  if (body.includes(null)) throw badRequest(`Item ${body.indexOf(null)} of the array is null`);
  if (body.length > batchLimit) {
    throw new DomainError('PayloadTooLarge', `${body.length} items are more than the ${batchLimit} that one batch can have`);
  }
  return body;
}

/** Every element expanded with its own @context; what is wrong with one, or with its @context, concerns only that one. */
async function itemsOf<T>(
  request: FastifyRequest,
  batchLimit: number,
  options: ExpandOptions,
  finish: (fragment: EntityFragment) => T,
): Promise<readonly BatchItem<T>[]> {
  const bodies = arrayOf(request, batchLimit);
  refuseLinkBesideJsonLd(request);
  const items: BatchItem<T>[] = [];
  for (const [index, body] of bodies.entries()) {
    try {
      // Most often known already: then no element waits for another.
      const context = contextOf(request, body);
      const fragment = expandEntity(body, context instanceof Promise ? await context : context, options);
      items.push({ id: fragment.id ?? nameOf(body, index), content: finish(fragment) });
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      items.push({ id: nameOf(body, index), error: new DomainError(error.type, `Item ${index}: ${error.message}`) });
    }
  }
  return items;
}

function whole(fragment: EntityFragment): WholeEntity {
  requireWhole(fragment);
  return fragment;
}

function identified(fragment: EntityFragment): EntityFragment & { id: Iri } {
  if (fragment.id === undefined) throw badRequest('The entity has no id');
  return fragment as EntityFragment & { id: Iri };
}

/** What a result calls an element that could not be read: its id as far as it has one, otherwise its place. */
function nameOf(body: JsonValue, index: number): string {
  const id = isObject(body) ? (body['id'] ?? body['@id']) : body;
  return typeof id === 'string' ? id : `urn:ngsi-ld:batch:item:${index}`;
}

const done = (reply: FastifyReply, result: BatchResult): FastifyReply =>
  result.errors.length === 0 ? reply.code(204).send() : partial(reply, result);

/** 207 with a BatchOperationResult (5.2.16). */
function partial(reply: FastifyReply, { success, errors }: BatchResult): FastifyReply {
  return sendPlainJson(reply, 207, {
    success,
    errors: errors.map(({ entityId, error, registrationId }) => ({
      entityId,
      error: toProblem(error),
      ...(registrationId && { registrationId }),
    })),
  });
}
