import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Iri } from '../../domain/iri.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import type { DiscoveryOperations, KnownAttribute } from '../../operations/discovery.ts';
import { accepted, LD_JSON, sendBody, withContext } from '../http/negotiation.ts';
import { onwardCallerIn } from '../http/onward.ts';
import { contextOf, flag } from '../http/request.ts';

/** Which types and attributes exist: types/ (6.25, 6.26) and attributes/ (6.27, 6.28). */
export const discoveryRoutes =
  (operations: DiscoveryOperations): FastifyPluginAsync =>
  async (app) => {
    app.get('/types', { config: { clause: '5.7.5', query: ['details', 'local'] } }, async (request, reply) => {
      const context = await contextOf(request);
      const types = await operations.availableTypes(onwardCallerIn(request, context));
      if (!flag(request, 'details')) {
        const typeList = types.map(({ type }) => context.compact(type));
        return send(request, reply, context, { id: LIST_OF_TYPES, type: 'EntityTypeList', typeList });
      }
      return send(
        request,
        reply,
        context,
        types.map(({ type, attributes }) => ({
          id: type,
          type: 'EntityType',
          typeName: context.compact(type),
          attributeNames: attributes.map(({ name }) => context.compact(name)),
        })),
      );
    });

    app.get('/types/:type', { config: { clause: '5.7.7', query: ['local'] } }, async (request, reply) => {
      const context = await contextOf(request);
      const { type, entities, attributes } = await operations.availableType(
        onwardCallerIn(request, context),
        named(request, 'type', context),
      );
      return send(request, reply, context, {
        id: type,
        type: 'EntityTypeInfo',
        typeName: context.compact(type),
        entityCount: entities,
        attributeDetails: attributes.map(({ name, kinds }) => ({ ...attribute(name, context), attributeTypes: kinds })),
      });
    });

    app.get('/attributes', { config: { clause: '5.7.8', query: ['details', 'local'] } }, async (request, reply) => {
      const context = await contextOf(request);
      const attributes = await operations.availableAttributes(onwardCallerIn(request, context));
      if (!flag(request, 'details')) {
        const attributeList = attributes.map(({ name }) => context.compact(name));
        return send(request, reply, context, { id: LIST_OF_ATTRIBUTES, type: 'AttributeList', attributeList });
      }
      return send(
        request,
        reply,
        context,
        attributes.map(({ name, types }) => ({
          ...attribute(name, context),
          typeNames: types.map((type) => context.compact(type)),
        })),
      );
    });

    app.get('/attributes/:attrId', { config: { clause: '5.7.10', query: ['local'] } }, async (request, reply) => {
      const context = await contextOf(request);
      const found = await operations.availableAttribute(onwardCallerIn(request, context), named(request, 'attrId', context));
      return send(request, reply, context, attributeInfo(found, context));
    });
  };

/** The lists are always the same two things: what exists here, by type and by attribute. */
const LIST_OF_TYPES = 'urn:ngsi-ld:EntityTypeList:local';
const LIST_OF_ATTRIBUTES = 'urn:ngsi-ld:AttributeList:local';

function attribute(name: Iri, context: Context) {
  return { id: name, type: 'Attribute', attributeName: context.compact(name) };
}

function attributeInfo({ name, kinds, entities, types }: KnownAttribute, context: Context): JsonObject {
  return {
    ...attribute(name, context),
    attributeCount: entities,
    attributeTypes: kinds,
    typeNames: types.map((type) => context.compact(type)),
  };
}

/** A name in the path, short or as an IRI. */
function named(request: FastifyRequest, parameter: string, context: Context): Iri {
  return context.expand((request.params as Record<string, string>)[parameter] ?? '');
}

function send(
  request: FastifyRequest,
  reply: FastifyReply,
  context: Context,
  answer: JsonObject | readonly JsonObject[],
): FastifyReply {
  const media = accepted(request);
  const withIt = (object: object) =>
    media === LD_JSON ? withContext(JSON.stringify(object), context) : JSON.stringify(object);
  const body = Array.isArray(answer) ? `[${answer.map(withIt).join(',')}]` : withIt(answer);
  return sendBody(request, reply, { media, context, body });
}
