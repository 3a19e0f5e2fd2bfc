import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { badRequest } from '../../domain/errors.ts';
import { isIri } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { parseQ } from '../../domain/query/parse/q.ts';
import { attributesOf } from '../../domain/registration.ts';
import type { RegistrationOperations, RegistrationSelection } from '../../operations/registrations.ts';
import { registrationBody } from '../../operations/registry/representation.ts';
import { accepted, LD_JSON, sendBody, sendCreated, withContext } from '../http/negotiation.ts';
import { pagingHeaders, pagingOf } from '../http/paging.ts';
import { bodyOf, contextOf, iriParameter, optionsOf, parameter } from '../http/request.ts';
import { selectionOf, selectionText } from './query-parameters.ts';
import { representationOf, representationText } from './representation-parameters.ts';
import { temporalFilterOf, temporalText } from './temporal-parameters.ts';

const tags = ['Context sources'];
const QUERY = [
  'id', 'type', 'idPattern', 'attrs', 'pick', 'omit', 'q', 'csf', 'georel', 'geometry', 'coordinates', 'geoproperty', 'geometryProperty', 'scopeQ', 'lang',
  'datasetId', 'timerel', 'timeAt', 'endTimeAt', 'timeproperty', 'limit', 'offset', 'count', 'options',
]; // biome-ignore format: a list to be read as one

/** Resources csourceRegistrations/ and csourceRegistrations/{registrationId}, 6.8 and 6.9. */
export const registrationRoutes =
  (operations: RegistrationOperations): FastifyPluginAsync =>
  async (app) => {
    const create = { config: { clause: '5.9.2', query: [] }, schema: { summary: 'Register Context Source', tags } };
    app.post('/csourceRegistrations', create, async (request, reply) => {
      const body = objectBody(bodyOf(request));
      if (body['id'] !== undefined && !isIri(body['id'])) {
        throw badRequest(`The id of a context source registration must be a URI, not ${JSON.stringify(body['id'])}`);
      }
      const id = await operations.registerContextSource(request.caller, body, await contextOf(request));
      return sendCreated(reply, `/ngsi-ld/v1/csourceRegistrations/${encodeURIComponent(id).replaceAll('%3A', ':')}`);
    });

    const query = {
      config: { clause: '5.10.2', query: QUERY },
      schema: { summary: 'Query Context Source Registrations', tags },
    };
    app.get('/csourceRegistrations', query, async (request, reply) => {
      const paging = pagingOf(request);
      const media = accepted(request);
      const context = await contextOf(request);
      const sysAttrs = optionsOf(request, ['sysAttrs']).includes('sysAttrs');
      const all = await operations.queryRegistrations(request.caller, registrationSelection(request, context));
      const shown = all.slice(paging.offset, paging.offset + paging.limit);
      const more = paging.offset + shown.length < all.length;
      pagingHeaders(request, reply, paging, paging.count ? { more, count: all.length } : { more }, media);
      // 5.10.2.5 would like the matching information only; registrants' own clients look for all of it, which it allows.
      const texts = shown.map(({ entry }) => {
        const text = JSON.stringify(registrationBody(entry, context, { sysAttrs }));
        return media === LD_JSON ? withContext(text, context) : text;
      });
      return sendBody(request, reply, { media, context, body: `[${texts.join(',')}]` });
    });

    const retrieve = {
      config: { clause: '5.10.1', query: ['options', 'lang'] },
      schema: { summary: 'Retrieve Context Source Registration', tags },
    };
    app.get('/csourceRegistrations/:registrationId', retrieve, async (request, reply) => {
      const media = accepted(request);
      const context = await contextOf(request);
      const sysAttrs = optionsOf(request, ['sysAttrs']).includes('sysAttrs');
      const entry = await operations.retrieveRegistration(request.caller, iriParameter(request, 'registrationId'));
      const text = JSON.stringify(registrationBody(entry, context, { sysAttrs }));
      return sendBody(request, reply, { media, context, body: media === LD_JSON ? withContext(text, context) : text });
    });

    const update = { config: { clause: '5.9.3', query: [] }, schema: { summary: 'Update Context Source Registration', tags } };
    app.patch('/csourceRegistrations/:registrationId', update, async (request, reply) => {
      const id = iriParameter(request, 'registrationId');
      await operations.updateRegistration(request.caller, id, objectBody(bodyOf(request)), await contextOf(request));
      return reply.code(204).send();
    });

    const remove = { config: { clause: '5.9.4', query: [] }, schema: { summary: 'Delete Context Source Registration', tags } };
    app.delete('/csourceRegistrations/:registrationId', remove, async (request, reply) => {
      await operations.deleteRegistration(request.caller, iriParameter(request, 'registrationId'));
      return reply.code(204).send();
    });
  };

function objectBody(body: JsonValue): JsonObject {
  if (!isObject(body)) throw badRequest('The body must be a JSON object: a ContextSourceRegistration');
  return body;
}

/** What the URL selects (5.10.2.4). @throws DomainError BadRequestData */
function registrationSelection(request: FastifyRequest, context: Context): RegistrationSelection {
  const text = selectionText(request);
  const { query } = selectionOf(text, context, undefined);
  const shown = representationOf(representationText(request, []), context, 'application/json');
  const projected = [...(shown.pick ?? [])].filter((name) => !name.startsWith('@'));
  const attributes = [...(query.anyAttribute ?? []), ...projected, ...attributesOf(query.where)];
  const every = text.entities?.some(({ type }) => type === '*') === true;
  if (!query.types && !every && attributes.length === 0)
    throw badRequest('The query is too wide: it needs at least one of type, attrs, q and georel (5.10.2.4)');
  const temporal = parameter(request, 'timerel') === undefined ? undefined : temporalFilterOf(temporalText(request));
  const csf = parameter(request, 'csf');
  return {
    matches: [
      {
        ...(query.ids ? { ids: query.ids } : {}),
        ...(query.idPattern === undefined ? {} : { idPattern: query.idPattern }),
        ...(query.types ? { types: query.types } : {}),
        ...(attributes.length > 0 ? { attributes } : {}),
        ...(query.datasetIds ? { datasetIds: query.datasetIds } : {}),
      },
    ],
    ...(query.where ? { where: query.where } : {}),
    ...(query.scopes ? { scopes: query.scopes } : {}),
    ...(temporal ? { temporal } : {}),
    ...(csf === undefined ? {} : { filter: parseQ(csf, context, { what: 'csf' }) }),
  };
}
