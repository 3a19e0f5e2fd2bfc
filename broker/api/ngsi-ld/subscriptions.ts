import type { FastifyPluginAsync } from 'fastify';
import { badRequest } from '../../domain/errors.ts';
import { type Iri, isIri } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { printTypes } from '../../domain/query/parse/types.ts';
import type { EntitySelector } from '../../domain/subscription.ts';
import { fromMicros } from '../../domain/time.ts';
import type { SubscriptionOperations, SubscriptionView } from '../../operations/subscriptions.ts';
import { accepted, LD_JSON, type MediaType, sendBody, withContext } from '../http/negotiation.ts';
import { pagingHeaders, pagingOf } from '../http/paging.ts';
import { bodyOf, contextOf, iriParameter, pathSegment } from '../http/request.ts';

const BASE = '/ngsi-ld/v1/subscriptions';

/** Resources subscriptions/ and subscriptions/{subscriptionId}, 6.10 and 6.11. */
export const subscriptionRoutes =
  (operations: SubscriptionOperations): FastifyPluginAsync =>
  async (app) => {
    const create = { config: { clause: '5.8.1', query: ['local'] } };
    app.post('/subscriptions', create, async (request, reply) => {
      const body = objectBody(bodyOf(request));
      if (body['id'] !== undefined && !isIri(body['id'])) {
        throw badRequest(`The id of a Subscription must be a URI, not ${JSON.stringify(body['id'])}`);
      }
      const id = await operations.createSubscription(request.caller, body, await contextOf(request));
      return reply
        .code(201)
        .header('location', `${BASE}/${pathSegment(id)}`)
        .send();
    });

    const query = {
      config: { clause: '5.8.4', query: ['limit', 'offset', 'count', 'options', 'local'] },
    };
    app.get('/subscriptions', query, async (request, reply) => {
      const paging = pagingOf(request);
      const media = accepted(request);
      const context = await contextOf(request);
      const all = await operations.querySubscriptions(request.caller);
      const shown = all.slice(paging.offset, paging.offset + paging.limit);
      const more = paging.offset + shown.length < all.length;
      pagingHeaders(request, reply, paging, paging.count ? { more, count: all.length } : { more }, media);
      const texts = shown.map((view) => bodyText(view, context, media));
      return sendBody(request, reply, { media, context, body: `[${texts.join(',')}]` });
    });

    const retrieve = {
      config: { clause: '5.8.3', query: ['options', 'local'] },
    };
    app.get('/subscriptions/:subscriptionId', retrieve, async (request, reply) => {
      const media = accepted(request);
      const context = await contextOf(request);
      const view = await operations.retrieveSubscription(request.caller, iriParameter(request, 'subscriptionId'));
      return sendBody(request, reply, { media, context, body: bodyText(view, context, media) });
    });

    const update = { config: { clause: '5.8.2', query: ['local'] } };
    app.patch('/subscriptions/:subscriptionId', update, async (request, reply) => {
      const id = iriParameter(request, 'subscriptionId');
      const fragment = objectBody(bodyOf(request));
      await operations.updateSubscription(request.caller, id, fragment, await contextOf(request));
      return reply.code(204).send();
    });

    const remove = { config: { clause: '5.8.5', query: ['local'] } };
    app.delete('/subscriptions/:subscriptionId', remove, async (request, reply) => {
      await operations.deleteSubscription(request.caller, iriParameter(request, 'subscriptionId'));
      return reply.code(204).send();
    });
  };

function objectBody(body: JsonValue): JsonObject {
  if (!isObject(body)) throw badRequest('The body must be a JSON object: a Subscription');
  return body;
}

function bodyText(view: SubscriptionView, context: Context, media: MediaType): string {
  const text = JSON.stringify(subscriptionBody(view, context));
  return media === LD_JSON ? withContext(text, context) : text;
}

/** A subscription as 5.2.12 shows it, in the terms of `context`. */
export function subscriptionBody({ document, status, state, jsonldContext }: SubscriptionView, context: Context): JsonObject {
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
    notificationTrigger: [...subscription.triggers],
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
    ...(jsonldContext === undefined ? {} : { jsonldContext }),
  };
}

function selectorBody(selector: EntitySelector, received: JsonObject | undefined, context: Context): JsonObject {
  return {
    ...received,
    type: selector.types ? printTypes(selector.types, (type: string) => context.compact(type as Iri)) : '*',
  };
}
