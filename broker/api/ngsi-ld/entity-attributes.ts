import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { badRequest } from '../../domain/errors.ts';
import { isIri } from '../../domain/iri.ts';
import { type ExpandOptions, expandAttributeBody, expandAttributeName } from '../../domain/jsonld/expand.ts';
import type { DistributedEntityOperations } from '../../operations/distributed/entities.ts';
import type { PartialWrite } from '../../operations/distributed/writes.ts';
import { onwardCallerIn } from '../http/onward.ts';
import { contextOf, flag, objectOf, optionsOf, parameter } from '../http/request.ts';
import { fragmentOf, targetOf } from './entities.ts';
import { EXAMPLE_ATTRIBUTE, EXAMPLE_FRAGMENT, entityBody } from './examples.ts';
import { sendPartialUpdate } from './partial.ts';

const tags = ['Attributes'];

/** Resources entities/{entityId}/attrs/ (6.6) and entities/{entityId}/attrs/{attrId} (6.7). */
export const attributeRoutes =
  (operations: DistributedEntityOperations): FastifyPluginAsync =>
  async (app) => {
    app.post(
      '/entities/:id/attrs',
      {
        config: { clause: '5.6.3', query: ['options', 'type', 'local'] },
        schema: { summary: 'Append Attributes', tags, body: entityBody(EXAMPLE_FRAGMENT) },
      },
      async (request, reply) => {
        const overwrite = !optionsOf(request, ['noOverwrite']).includes('noOverwrite');
        const context = await contextOf(request);
        const target = targetOf(request, context);
        const fragment = fragmentOf(request, context, target.id);
        return updated(reply, await operations.appendAttributes(onwardCallerIn(request, context), target, fragment, overwrite));
      },
    );

    app.patch(
      '/entities/:id/attrs',
      {
        config: { clause: '5.6.2', query: ['options', 'type', 'local'] },
        schema: { summary: 'Update Attributes', tags, body: entityBody(EXAMPLE_FRAGMENT) },
      },
      async (request, reply) => {
        optionsOf(request, []);
        const context = await contextOf(request);
        const target = targetOf(request, context);
        const fragment = fragmentOf(request, context, target.id, { nulls: 'members' });
        return updated(reply, await operations.updateAttributes(onwardCallerIn(request, context), target, fragment));
      },
    );

    app.patch(
      '/entities/:id/attrs/:attribute',
      {
        config: { clause: '5.6.4', query: ['type', 'local'] },
        schema: { summary: 'Partial Attribute Update', tags, body: entityBody(EXAMPLE_ATTRIBUTE) },
      },
      async (request, reply) => {
        const { caller, target, name, instance } = await attributeRequest(request, { partial: true, nulls: 'members' });
        return updated(reply, await operations.partialUpdate(caller, target, name, instance));
      },
    );

    app.put(
      '/entities/:id/attrs/:attribute',
      {
        config: { clause: '5.6.19', query: ['type', 'local'] },
        schema: { summary: 'Replace Attribute', tags, body: entityBody({ type: 'Property', ...EXAMPLE_ATTRIBUTE }) },
      },
      async (request, reply) => {
        const { caller, target, name, instance } = await attributeRequest(request, {});
        return updated(reply, await operations.replaceAttribute(caller, target, name, instance));
      },
    );

    app.delete(
      '/entities/:id/attrs/:attribute',
      {
        config: { clause: '5.6.5', query: ['datasetId', 'deleteAll', 'type', 'local'] },
        schema: { summary: 'Delete Attribute', tags },
      },
      async (request, reply) => {
        const context = await contextOf(request);
        const target = targetOf(request, context);
        const term = attributeTerm(request);
        const name = term === 'scope' ? context.expand(term) : expandAttributeName(term, context);
        const datasetId = parameter(request, 'datasetId');
        if (datasetId !== undefined && datasetId !== '@none' && !isIri(datasetId)) {
          throw badRequest('The parameter datasetId must be an absolute IRI, or @none for the default instance');
        }
        const partial = await operations.deleteAttribute(onwardCallerIn(request, context), target, name, {
          deleteAll: flag(request, 'deleteAll'),
          ...(isIri(datasetId) && { datasetId }),
        });
        return updated(reply, partial);
      },
    );
  };

/** What a request about one attribute names and brings. */
async function attributeRequest(request: FastifyRequest, options: ExpandOptions) {
  const context = await contextOf(request);
  const target = targetOf(request, context);
  const term = attributeTerm(request);
  const name = expandAttributeName(term, context);
  if (term === 'scope' || name.endsWith('/ngsi-ld/scope')) {
    throw badRequest('scope is not an attribute: it is changed with the entity, or deleted');
  }
  return {
    caller: onwardCallerIn(request, context),
    target,
    name,
    instance: expandAttributeBody(objectOf(request), term, context, options),
  };
}

const attributeTerm = (request: FastifyRequest): string => (request.params as { attribute: string }).attribute;

/** 204, or 207 with an UpdateResult (5.2.18). */
const updated = (reply: FastifyReply, partial: PartialWrite | undefined): FastifyReply =>
  partial ? sendPartialUpdate(reply, partial) : reply.code(204).send();
