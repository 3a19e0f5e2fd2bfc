import type { FastifyPluginAsync } from 'fastify';
import type { CopyOperations } from '../../operations/copies/operator.ts';
import { parameter } from '../http/request.ts';

const tags = ['Operations'];

/** Copies of subscriptions at context sources, of the tenant that the request names. */
export const copyRoutes =
  (operations: CopyOperations): FastifyPluginAsync =>
  async (app) => {
    app.get(
      '/admin/subscription-copies',
      { config: { query: ['subscription'] }, schema: { summary: 'List copies of subscriptions at context sources', tags } },
      async (request, reply) => reply.send(operations.subscriptionCopies(request.caller, parameter(request, 'subscription'))),
    );
    app.delete(
      '/admin/subscription-copies/:id',
      { config: { query: [] }, schema: { summary: 'Give up deleting one', tags } },
      async (request, reply) => {
        await operations.forgetCopy(request.caller, (request.params as { id: string }).id);
        return reply.code(204).send();
      },
    );
  };
