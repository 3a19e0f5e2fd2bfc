import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { badRequest } from '../../domain/errors.ts';
import { CONTEXT_KINDS, type ContextKind, type ContextOperations } from '../../operations/contexts/operations.ts';
import { flag, objectOf, parameter } from '../http/request.ts';
import { sendPlainJson } from './entities.ts';

const tags = ['@contexts'];
const EXAMPLE = { '@context': { pm25: 'https://example.org/ontology/pm25' } };

/** Resources jsonldContexts/ (6.29) and jsonldContexts/{contextId} (6.30). */
export const contextRoutes =
  (operations: ContextOperations): FastifyPluginAsync =>
  async (app) => {
    app.post(
      '/jsonldContexts',
      {
        config: { clause: '5.13.2', query: [] },
        schema: { summary: 'Add @context', tags, body: { type: 'object', examples: [EXAMPLE] } },
      },
      async (request, reply) => {
        const id = await operations.addContext(request.caller, objectOf(request));
        return reply.code(201).header('location', `/ngsi-ld/v1/jsonldContexts/${id}`).send();
      },
    );

    app.get(
      '/jsonldContexts',
      { config: { clause: '5.13.3', query: ['details', 'kind'] }, schema: { summary: 'List @contexts', tags } },
      async (request, reply) => {
        const found = await operations.listContexts(request.caller, kindOf(request));
        return sendPlainJson(reply, 200, flag(request, 'details') ? found : found.map(({ URL }) => URL));
      },
    );

    app.get(
      '/jsonldContexts/:contextId',
      { config: { clause: '5.13.4', query: ['details'] }, schema: { summary: 'Serve @context', tags } },
      async (request, reply) => {
        if (flag(request, 'details'))
          return sendPlainJson(reply, 200, await operations.describeContext(request.caller, idOf(request)));
        const document = await operations.serveContext(request.caller, idOf(request));
        const ldJson = request.headers.accept?.includes('application/ld+json') === true;
        return reply
          .header('content-type', ldJson ? 'application/ld+json' : 'application/json')
          .send(Buffer.from(JSON.stringify(document)));
      },
    );

    app.delete(
      '/jsonldContexts/:contextId',
      { config: { clause: '5.13.5', query: ['reload'] }, schema: { summary: 'Delete and Reload @context', tags } },
      async (request, reply) => {
        await operations.deleteContext(request.caller, idOf(request), flag(request, 'reload'));
        return reply.code(204).send();
      },
    );
  };

const idOf = (request: FastifyRequest): string => (request.params as { contextId: string }).contextId;

function kindOf(request: FastifyRequest): ContextKind | undefined {
  const kind = parameter(request, 'kind');
  if (kind === undefined || CONTEXT_KINDS.includes(kind as ContextKind)) return kind as ContextKind | undefined;
  throw badRequest(`"${kind}" is not a kind of @context; there are: ${CONTEXT_KINDS.join(', ')}`);
}
