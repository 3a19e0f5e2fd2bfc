import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { badRequest } from '../../domain/errors.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { parseQ } from '../../domain/query/parse/q.ts';
import { attributesOf } from '../../domain/registration.ts';
import type { RegistrationOperations, RegistrationSelection } from '../../operations/registrations.ts';
import { registrationBody } from '../../operations/registry/representation.ts';
import { sendObject, sendPage } from '../http/listing.ts';
import { sendCreated } from '../http/negotiation.ts';
import { contextOf, idOf, iriParameter, objectOf, optionsOf, parameter, pathSegment } from '../http/request.ts';
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
      const body = objectOf(request);
      idOf(body, 'context source registration');
      const id = await operations.registerContextSource(request.caller, body, await contextOf(request));
      return sendCreated(reply, `/ngsi-ld/v1/csourceRegistrations/${pathSegment(id)}`);
    });

    const query = {
      config: { clause: '5.10.2', query: QUERY },
      schema: { summary: 'Query Context Source Registrations', tags },
    };
    app.get('/csourceRegistrations', query, (request, reply) => {
      const sysAttrs = optionsOf(request, ['sysAttrs']).includes('sysAttrs');
      return sendPage(
        request,
        reply,
        (context) => operations.queryRegistrations(request.caller, registrationSelection(request, context)),
        // 5.10.2.5 would like the matching information only; registrants' own clients look for all of it, which it allows.
        ({ entry }, context) => registrationBody(entry, context, { sysAttrs }),
      );
    });

    const retrieve = {
      config: { clause: '5.10.1', query: ['options', 'lang'] },
      schema: { summary: 'Retrieve Context Source Registration', tags },
    };
    app.get('/csourceRegistrations/:registrationId', retrieve, (request, reply) => {
      const sysAttrs = optionsOf(request, ['sysAttrs']).includes('sysAttrs');
      return sendObject(request, reply, async () => {
        const entry = await operations.retrieveRegistration(request.caller, iriParameter(request, 'registrationId'));
        return (context) => registrationBody(entry, context, { sysAttrs });
      });
    });

    const update = { config: { clause: '5.9.3', query: [] }, schema: { summary: 'Update Context Source Registration', tags } };
    app.patch('/csourceRegistrations/:registrationId', update, async (request, reply) => {
      const id = iriParameter(request, 'registrationId');
      await operations.updateRegistration(request.caller, id, objectOf(request), await contextOf(request));
      return reply.code(204).send();
    });

    const remove = { config: { clause: '5.9.4', query: [] }, schema: { summary: 'Delete Context Source Registration', tags } };
    app.delete('/csourceRegistrations/:registrationId', remove, async (request, reply) => {
      await operations.deleteRegistration(request.caller, iriParameter(request, 'registrationId'));
      return reply.code(204).send();
    });
  };

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
