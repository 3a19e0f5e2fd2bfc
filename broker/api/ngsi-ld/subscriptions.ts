import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import type { Iri } from '../../domain/iri.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { printTypes } from '../../domain/query/parse/types.ts';
import type { EntitySelector } from '../../domain/subscription.ts';
import { fromMicros } from '../../domain/time.ts';
import type { SubscriptionOperations, SubscriptionView } from '../../operations/subscriptions.ts';
import { sendObject, sendPage } from '../http/listing.ts';
import { sendCreated } from '../http/negotiation.ts';
import { withRequest } from '../http/onward.ts';
import { contextOf, idOf, iriParameter, objectOf, parameter, pathSegment } from '../http/request.ts';

/** A kind of subscription as a resource: where it is, which clauses say what it does, and which query parameters its routes take. */
interface SubscriptionResource {
  readonly path: string;
  readonly clauses: Readonly<Record<'create' | 'query' | 'retrieve' | 'update' | 'remove', string>>;
  readonly parameters: readonly string[];
  readonly write: (view: SubscriptionView, context: Context) => JsonObject;
}

/** Resources subscriptions/ and subscriptions/{subscriptionId}, 6.10 and 6.11. */
export const SUBSCRIPTIONS: SubscriptionResource = {
  path: '/subscriptions',
  clauses: { create: '5.8.1', update: '5.8.2', retrieve: '5.8.3', query: '5.8.4', remove: '5.8.5' },
  parameters: ['local'],
  write: subscriptionBody,
};

/** Resources csourceSubscriptions/ and csourceSubscriptions/{subscriptionId}, 6.12 and 6.13. */
export const REGISTRATION_SUBSCRIPTIONS: SubscriptionResource = {
  path: '/csourceSubscriptions',
  clauses: { create: '5.11.2', update: '5.11.3', retrieve: '5.11.4', query: '5.11.5', remove: '5.11.6' },
  parameters: [],
  write: registrationSubscriptionBody,
};

export const subscriptionRoutes =
  (operations: SubscriptionOperations, { path, clauses, parameters, write }: SubscriptionResource): FastifyPluginAsync =>
  async (app) => {
    app.post(path, { config: { clause: clauses.create, query: parameters } }, async (request, reply) => {
      const body = objectOf(request);
      idOf(body, 'Subscription');
      const context = await contextOf(request);
      const id = await operations.createSubscription(withRequest(request, context), limited(request, body), context);
      return sendCreated(reply, `/ngsi-ld/v1${path}/${pathSegment(id)}`);
    });

    const query = { config: { clause: clauses.query, query: ['limit', 'offset', 'count', 'options', ...parameters] } };
    app.get(path, query, (request, reply) =>
      sendPage(request, reply, () => operations.querySubscriptions(request.caller), write),
    );

    const retrieve = { config: { clause: clauses.retrieve, query: ['options', ...parameters] } };
    app.get(`${path}/:subscriptionId`, retrieve, (request, reply) =>
      sendObject(request, reply, async () => {
        const view = await operations.retrieveSubscription(request.caller, iriParameter(request, 'subscriptionId'));
        return (context) => write(view, context);
      }),
    );

    app.patch(`${path}/:subscriptionId`, { config: { clause: clauses.update, query: parameters } }, async (request, reply) => {
      const id = iriParameter(request, 'subscriptionId');
      const fragment = objectOf(request);
      const context = await contextOf(request);
      await operations.updateSubscription(withRequest(request, context), id, fragment, context);
      return reply.code(204).send();
    });

    app.delete(`${path}/:subscriptionId`, { config: { clause: clauses.remove, query: parameters } }, async (request, reply) => {
      await operations.deleteSubscription(request.caller, iriParameter(request, 'subscriptionId'));
      return reply.code(204).send();
    });
  };

/** A request that is limited to this broker (6.3.18) is about what is here, as localOnly says it. */
const limited = (request: FastifyRequest, body: JsonObject): JsonObject =>
  parameter(request, 'local') === 'true' ? { ...body, localOnly: true } : body;

/** Triggers and @context are about entities and their notifications; here they are shown only to who gave them. */
function registrationSubscriptionBody(view: SubscriptionView, context: Context): JsonObject {
  const { notificationTrigger, jsonldContext, ...body } = subscriptionBody(view, context);
  const { members } = view.document;
  return {
    ...body,
    ...(members['notificationTrigger'] === undefined || notificationTrigger === undefined ? {} : { notificationTrigger }),
    ...(members['jsonldContext'] === undefined || jsonldContext === undefined ? {} : { jsonldContext }),
  };
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
