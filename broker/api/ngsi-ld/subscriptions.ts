import type { FastifyPluginAsync } from 'fastify';
import { badRequest } from '../../domain/errors.ts';
import { type Iri, isIri } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { printTypeSelection } from '../../domain/query/types.ts';
import type { EntitySelector } from '../../domain/subscription.ts';
import { fromMicros } from '../../domain/time.ts';
import type { SubscriptionOperations, SubscriptionView } from '../../operations/subscriptions.ts';
import { jsonAnswer } from '../http/negotiation.ts';
import { pageHeaders, pageOf } from '../http/paging.ts';
import { bodyOf, contextOf, iriParameter } from '../http/request.ts';

const BASE = '/ngsi-ld/v1/subscriptions';

/** Resources subscriptions/ and subscriptions/{subscriptionId}, 6.10 and 6.11. */
export const subscriptionRoutes =
  (operations: SubscriptionOperations): FastifyPluginAsync =>
  async (app) => {
    app.post(
      '/subscriptions',
      { config: { clause: '5.8.1', query: ['local'] }, schema: { summary: 'Create Subscription', tags: ['Subscriptions'] } },
      async (request, reply) => {
        const body = objectBody(bodyOf(request));
        if (body['id'] !== undefined && !isIri(body['id']))
          throw badRequest(`The id of a Subscription must be a URI, not ${JSON.stringify(body['id'])}`);
        const id = await operations.createSubscription(request.caller, body, await contextOf(request));
        return reply
          .code(201)
          .header('location', `${BASE}/${encodeURIComponent(id)}`)
          .send();
      },
    );

    app.get(
      '/subscriptions',
      {
        config: { clause: '5.8.4', query: ['limit', 'offset', 'count', 'options', 'local'] },
        schema: { summary: 'Query Subscriptions', tags: ['Subscriptions'] },
      },
      async (request, reply) => {
        const page = pageOf(request);
        const context = await contextOf(request);
        const all = await operations.querySubscriptions(request.caller);
        const shown = all.slice(page.offset, page.offset + page.limit);
        pageHeaders(request, reply, page, { more: page.offset + shown.length < all.length, count: all.length });
        return jsonAnswer(
          request,
          reply,
          shown.map((view) => subscriptionBody(view, context)),
          context,
        );
      },
    );

    app.get(
      '/subscriptions/:subscriptionId',
      {
        config: { clause: '5.8.3', query: ['options', 'local'] },
        schema: { summary: 'Retrieve Subscription', tags: ['Subscriptions'] },
      },
      async (request, reply) => {
        const context = await contextOf(request);
        const view = await operations.retrieveSubscription(request.caller, iriParameter(request, 'subscriptionId'));
        return jsonAnswer(request, reply, subscriptionBody(view, context), context);
      },
    );

    app.patch(
      '/subscriptions/:subscriptionId',
      { config: { clause: '5.8.2', query: ['local'] }, schema: { summary: 'Update Subscription', tags: ['Subscriptions'] } },
      async (request, reply) => {
        const id = iriParameter(request, 'subscriptionId');
        await operations.updateSubscription(request.caller, id, objectBody(bodyOf(request)), await contextOf(request));
        return reply.code(204).send();
      },
    );

    app.delete(
      '/subscriptions/:subscriptionId',
      { config: { clause: '5.8.5', query: ['local'] }, schema: { summary: 'Delete Subscription', tags: ['Subscriptions'] } },
      async (request, reply) => {
        await operations.deleteSubscription(request.caller, iriParameter(request, 'subscriptionId'));
        return reply.code(204).send();
      },
    );
  };

function objectBody(body: JsonValue): JsonObject {
  if (!isObject(body)) throw badRequest('The body must be a JSON object: a Subscription');
  return body;
}

/** A subscription as 5.2.12 shows it, in the terms of `context`. */
export function subscriptionBody({ document, status, state }: SubscriptionView, context: Context): JsonObject {
  const { subscription, notification, members } = document;
  const names = (iris: readonly Iri[]) => iris.map((iri) => context.compact(iri));
  const received = members['notification'] as JsonObject;
  return {
    id: document.id,
    type: 'Subscription',
    ...members,
    ...(subscription.entities
      ? {
          entities: subscription.entities.map((selector, at) =>
            selectorBody(selector, (members['entities'] as JsonObject[])[at], context),
          ),
        }
      : {}),
    ...(subscription.watchedAttributes ? { watchedAttributes: names(subscription.watchedAttributes) } : {}),
    isActive: subscription.isActive,
    status,
    notification: {
      ...received,
      ...(notification.attributes ? { attributes: names(notification.attributes) } : {}),
      ...(state.status ? { status: state.status } : {}),
      ...(state.timesSent > 0 ? { timesSent: state.timesSent } : {}),
      ...(state.timesFailed > 0 ? { timesFailed: state.timesFailed } : {}),
      ...(state.lastNotification === undefined ? {} : { lastNotification: fromMicros(state.lastNotification) }),
      ...(state.lastSuccess === undefined ? {} : { lastSuccess: fromMicros(state.lastSuccess) }),
      ...(state.lastFailure === undefined ? {} : { lastFailure: fromMicros(state.lastFailure) }),
    },
    ...(typeof document.notificationContext === 'string' ? { jsonldContext: document.notificationContext } : {}),
  };
}

function selectorBody(selector: EntitySelector, received: JsonObject | undefined, context: Context): JsonObject {
  return { ...received, type: selector.types ? printTypeSelection(selector.types, context) : '*' };
}
