import type { FastifyPluginAsync } from 'fastify';
import { badRequest } from '../../domain/errors.ts';
import { isIri } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import type { RegistrationSubscriptionOperations } from '../../operations/registration-subscriptions.ts';
import type { SubscriptionView } from '../../operations/subscriptions.ts';
import { accepted, LD_JSON, type MediaType, sendBody, sendCreated, withContext } from '../http/negotiation.ts';
import { pagingHeaders, pagingOf } from '../http/paging.ts';
import { bodyOf, contextOf, iriParameter } from '../http/request.ts';
import { subscriptionBody } from './subscriptions.ts';

const BASE = '/ngsi-ld/v1/csourceSubscriptions';
const tags = ['Context sources'];

/** Resources csourceSubscriptions/ and csourceSubscriptions/{subscriptionId}, 6.12 and 6.13. */
export const registrationSubscriptionRoutes =
  (operations: RegistrationSubscriptionOperations): FastifyPluginAsync =>
  async (app) => {
    const create = { config: { clause: '5.11.2', query: [] }, schema: { summary: 'Create Registration Subscription', tags } };
    app.post('/csourceSubscriptions', create, async (request, reply) => {
      const body = objectBody(bodyOf(request));
      if (body['id'] !== undefined && !isIri(body['id'])) {
        throw badRequest(`The id of a Subscription must be a URI, not ${JSON.stringify(body['id'])}`);
      }
      const id = await operations.createRegistrationSubscription(request.caller, body, await contextOf(request));
      return sendCreated(reply, `${BASE}/${encodeURIComponent(id).replaceAll('%3A', ':')}`);
    });

    const query = {
      config: { clause: '5.11.5', query: ['limit', 'offset', 'count', 'options'] },
      schema: { summary: 'Query Registration Subscriptions', tags },
    };
    app.get('/csourceSubscriptions', query, async (request, reply) => {
      const paging = pagingOf(request);
      const media = accepted(request);
      const context = await contextOf(request);
      const all = await operations.queryRegistrationSubscriptions(request.caller);
      const shown = all.slice(paging.offset, paging.offset + paging.limit);
      const more = paging.offset + shown.length < all.length;
      pagingHeaders(request, reply, paging, paging.count ? { more, count: all.length } : { more }, media);
      const texts = shown.map((view) => bodyText(view, context, media));
      return sendBody(request, reply, { media, context, body: `[${texts.join(',')}]` });
    });

    const retrieve = {
      config: { clause: '5.11.4', query: ['options'] },
      schema: { summary: 'Retrieve Registration Subscription', tags },
    };
    app.get('/csourceSubscriptions/:subscriptionId', retrieve, async (request, reply) => {
      const media = accepted(request);
      const context = await contextOf(request);
      const id = iriParameter(request, 'subscriptionId');
      const view = await operations.retrieveRegistrationSubscription(request.caller, id);
      return sendBody(request, reply, { media, context, body: bodyText(view, context, media) });
    });

    const update = { config: { clause: '5.11.3', query: [] }, schema: { summary: 'Update Registration Subscription', tags } };
    app.patch('/csourceSubscriptions/:subscriptionId', update, async (request, reply) => {
      const id = iriParameter(request, 'subscriptionId');
      const fragment = objectBody(bodyOf(request));
      await operations.updateRegistrationSubscription(request.caller, id, fragment, await contextOf(request));
      return reply.code(204).send();
    });

    const remove = { config: { clause: '5.11.6', query: [] }, schema: { summary: 'Delete Registration Subscription', tags } };
    app.delete('/csourceSubscriptions/:subscriptionId', remove, async (request, reply) => {
      await operations.deleteRegistrationSubscription(request.caller, iriParameter(request, 'subscriptionId'));
      return reply.code(204).send();
    });
  };

function objectBody(body: JsonValue): JsonObject {
  if (!isObject(body)) throw badRequest('The body must be a JSON object: a Subscription');
  return body;
}

function bodyText(view: SubscriptionView, context: Context, media: MediaType): string {
  const { notificationTrigger, jsonldContext, ...body } = subscriptionBody(view, context);
  const { members } = view.document;
  // Triggers are about entities; here they are shown only to who gave them.
  const shown = {
    ...body,
    ...(members['notificationTrigger'] === undefined ? {} : { notificationTrigger }),
    ...(members['jsonldContext'] === undefined ? {} : { jsonldContext }),
  };
  const text = JSON.stringify(shown);
  return media === LD_JSON ? withContext(text, context) : text;
}
