import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { AttributeInstance } from '../../domain/attribute.ts';
import { badRequest } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { expandAttributeBody, expandAttributeName, requireWhole } from '../../domain/jsonld/expand.ts';
import { expandTemporalEntity, expandTemporalInstances } from '../../domain/jsonld/expand-temporal.ts';
import type { DistributedHistoryProvision } from '../../operations/distributed/history-writes.ts';
import type { PartialWrite } from '../../operations/distributed/writes.ts';
import { onwardCallerIn } from '../http/onward.ts';
import { bodyOf, contextOf, flag, iriParameter, parameter } from '../http/request.ts';
import { sendPartialWrite } from './partial.ts';
import { datasetIdsOf } from './representation-parameters.ts';

const ENTITY = '/temporal/entities/:id';

/** Writing history: temporal/entities/ (6.18, 6.19), its attributes (6.20, 6.21) and their instances (6.22). Current state is left alone. */
export const temporalProvisionRoutes =
  (operations: DistributedHistoryProvision): FastifyPluginAsync =>
  async (app) => {
    app.post('/temporal/entities', { config: { clause: '5.6.11', query: ['local'] } }, async (request, reply) => {
      const context = await contextOf(request);
      const fragment = expandTemporalEntity(bodyOf(request), context);
      requireWhole(fragment);
      const outcome = await operations.createOrUpdateTemporal(onwardCallerIn(request, context), fragment);
      if (typeof outcome !== 'string') return sendPartialWrite(reply, outcome);
      if (outcome === 'updated') return reply.code(204).send();
      return reply.code(201).header('location', `/ngsi-ld/v1/temporal/entities/${fragment.id}`).send();
    });

    app.delete(ENTITY, { config: { clause: '5.6.16', query: ['local'] } }, async (request, reply) => {
      const caller = onwardCallerIn(request, await contextOf(request, undefined));
      return done(reply, await operations.deleteTemporal(caller, iriParameter(request, 'id')));
    });

    app.post(`${ENTITY}/attrs`, { config: { clause: '5.6.12', query: ['local'] } }, async (request, reply) => {
      const id = iriParameter(request, 'id');
      const context = await contextOf(request);
      const fragment = expandTemporalEntity(bodyOf(request), context);
      if (fragment.id !== undefined && fragment.id !== id) throw badRequest('The id in the body is not the one in the path');
      return done(reply, await operations.addTemporalAttributes(onwardCallerIn(request, context), id, fragment));
    });

    app.delete(
      `${ENTITY}/attrs/:attrId`,
      { config: { clause: '5.6.13', query: ['datasetId', 'deleteAll', 'local'] } },
      async (request, reply) => {
        const id = iriParameter(request, 'id');
        const context = await contextOf(request, undefined);
        const name = attributeOf(request, context);
        const dataset = parameter(request, 'datasetId');
        const datasetId = dataset === undefined ? undefined : datasetIdsOf([dataset])[0];
        const which = {
          all: flag(request, 'deleteAll'),
          ...(datasetId === undefined || datasetId === '@none' ? {} : { datasetId }),
        };
        return done(reply, await operations.deleteTemporalAttribute(onwardCallerIn(request, context), id, name, which));
      },
    );

    app.patch(
      `${ENTITY}/attrs/:attrId/:instanceId`,
      { config: { clause: '5.6.14', query: ['local'] } },
      async (request, reply) => {
        const id = iriParameter(request, 'id');
        const instanceId = iriParameter(request, 'instanceId');
        const context = await contextOf(request);
        const name = attributeOf(request, context);
        const instance = instanceIn(bodyOf(request), name, request, context);
        const caller = onwardCallerIn(request, context);
        return done(reply, await operations.modifyTemporalInstance(caller, id, name, instanceId, instance));
      },
    );

    app.delete(
      `${ENTITY}/attrs/:attrId/:instanceId`,
      { config: { clause: '5.6.15', query: ['local'] } },
      async (request, reply) => {
        const id = iriParameter(request, 'id');
        const instanceId = iriParameter(request, 'instanceId');
        const context = await contextOf(request, undefined);
        const name = attributeOf(request, context);
        return done(reply, await operations.deleteTemporalInstance(onwardCallerIn(request, context), id, name, instanceId));
      },
    );
  };

/** 204, or 207 with what was not done (5.2.16). */
const done = (reply: FastifyReply, partial: PartialWrite | undefined): FastifyReply =>
  partial ? sendPartialWrite(reply, partial) : reply.code(204).send();

function attributeOf(request: FastifyRequest, context: Context): Iri {
  return expandAttributeName((request.params as { attrId: string }).attrId, context);
}

/** 5.6.14: the instance alone, or under the attribute's name, also in an array of one. */
function instanceIn(body: JsonValue, name: Iri, request: FastifyRequest, context: Context): AttributeInstance {
  const { attrId } = request.params as { attrId: string };
  if (!isObject(body)) throw badRequest('The body must be the attribute instance that replaces the old one');
  const members = Object.keys(body).filter((member) => member !== '@context');
  const [only] = members;
  if (members.length === 1 && only !== undefined && (only === attrId || only === name)) {
    const [instance, ...others] = expandTemporalInstances(body[only] as JsonValue, attrId, context);
    if (instance === undefined || others.length > 0)
      throw badRequest('The body must hold exactly one instance of the attribute');
    return instance;
  }
  return expandAttributeBody(body, attrId, context);
}
