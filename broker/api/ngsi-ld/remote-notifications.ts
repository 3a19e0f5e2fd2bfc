import type { FastifyPluginAsync } from 'fastify';
import type { JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { linkedContext } from '../http/negotiation.ts';
import { bodyOf } from '../http/request.ts';

/** Where context sources notify this broker of what its copies of subscriptions hear (5.8.1.4: "set to that of the local Broker"). */
export const REMOTE_NOTIFICATIONS = '/ngsi-ld/ex/remote-notify';

/**
 * The id of a copy is known to its source and to this broker; it says whose notification it is, in whatever tenant the source has it (4.14).
 * @param receive takes one in, durably. @throws DomainError ResourceNotFound, BadRequestData, Unavailable
 */
export const remoteNotificationRoutes =
  (receive: (body: JsonValue, linked: Context | undefined) => Promise<void>): FastifyPluginAsync =>
  async (app) => {
    const config = { clause: '5.8.6', query: [] };
    const schema = { summary: 'Take in a notification of another broker', tags: ['Subscriptions'] };
    app.post(REMOTE_NOTIFICATIONS, { config, schema }, async (request, reply) => {
      const link = linkedContext(request);
      const context = link === undefined ? undefined : await request.server.resolveContext(link);
      await receive(bodyOf(request), context);
      return reply.code(200).send();
    });
  };
