import type { FastifyPluginAsync } from 'fastify';
import type { DeliveryOperations } from '../../operations/deliveries.ts';
import { parameter } from '../http/request.ts';

const tags = ['Operations'];
const query = ['subscription'];

/** The dead-letter list: notifications that were given up, of the tenant that the request names; one subscription's, or all. */
export const deliveryRoutes =
  (operations: DeliveryOperations): FastifyPluginAsync =>
  async (app) => {
    app.get(
      '/admin/deliveries/dead',
      { config: { query }, schema: { summary: 'List notifications that were given up', tags } },
      async (request, reply) => {
        const dead = await operations.deadDeliveries(request.caller, parameter(request, 'subscription'));
        return reply.send(
          dead.map(({ subscription, position, attempts, reason }) => ({ subscription, sequence: position, attempts, reason })),
        );
      },
    );
    app.post(
      '/admin/deliveries/dead/replay',
      { config: { query }, schema: { summary: 'Send them again', tags } },
      async (request, reply) =>
        reply.send({ replayed: await operations.replayDeliveries(request.caller, parameter(request, 'subscription')) }),
    );
    app.delete(
      '/admin/deliveries/dead',
      { config: { query }, schema: { summary: 'Forget them', tags } },
      async (request, reply) =>
        reply.send({ dropped: await operations.dropDeliveries(request.caller, parameter(request, 'subscription')) }),
    );
  };
