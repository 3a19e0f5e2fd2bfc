import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '../../domain/access.ts';
import { conformTo } from '../../domain/conformance.ts';
import type { Entity } from '../../domain/entity.ts';
import { inUse } from '../../domain/entity-map.ts';
import { badRequest, DomainError, notFound } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import { type JsonValue, parseExact } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { parseTypes } from '../../domain/query/parse/types.ts';
import type { DistributedReads } from '../../operations/distributed/reads.ts';
import type { EntityMapOperations } from '../../operations/entity-maps.ts';
import type { EntityPage, QueryOperations } from '../../operations/query.ts';
import {
  accepted,
  GEO_JSON,
  LD_JSON,
  type MediaType,
  preferredVersion,
  prefersContextInHeader,
  sendBody,
  withContext,
} from '../http/negotiation.ts';
import { onwardCallerIn, tellSources, warn, warningCaller } from '../http/onward.ts';
import { PAGING_LIMITS, type PagingLimits, pagingHeaders, pagingOf } from '../http/paging.ts';
import { bodyOf, contextOf, iriParameter, listParameter, optionsOf, parameter } from '../http/request.ts';
import { entityMapText, mappedRetrieval, readEntityMapText, referredMap } from './entity-map-use.ts';
import { findEverywhere, mappedEntities } from './mapped-query.ts';
import {
  keyOf,
  type Prepared,
  type PreparedQuery,
  type PreparedRetrieve,
  pageText,
  prepare,
  prepareWriting,
  retrievalKeyOf,
} from './prepared.ts';
import { joinOf, localOf, readQueryBody, SELECTION_PARAMETERS, selectionOf, selectionText } from './query-parameters.ts';
import { remember, sentPages } from './remembered.ts';
import type { RenderingCache } from './rendering.ts';
import {
  REPRESENTATION_OPTIONS,
  REPRESENTATION_PARAMETERS,
  type RepresentationText,
  representationOf,
  representationText,
} from './representation-parameters.ts';

const PAGING = ['limit', 'offset', 'count'] as const;
const RETRIEVE = [
  ...REPRESENTATION_PARAMETERS,
  'type',
  'local',
  'join',
  'joinLevel',
  'containedBy',
  'entityMap',
  'entityMapLifetime',
];

/** Reading a URL costs more than answering it, and clients ask the same again and again. */
const REMEMBERED_REQUESTS = 2_000;

/** Whole pages that are kept as they went out. */
const REMEMBERED_PAGE_BYTES = 16 * 1024 * 1024;

/**
 * Reading entities: `GET entities/` (6.4.3.2), `GET entities/{id}` (6.5.3.1) and `POST entityOperations/query` (6.23).
 * The text of each entity comes from the cache; a page is joined from texts and sent as one buffer.
 */
export const entityQueryRoutes =
  (
    operations: QueryOperations,
    cache: RenderingCache,
    limits: PagingLimits = PAGING_LIMITS,
    distributed?: DistributedReads,
    /** Without them no EntityMap is ever in use (5.5.14). */
    entityMaps?: EntityMapOperations,
  ): FastifyPluginAsync =>
  async (app) => {
    const queries = remember<PreparedQuery>(REMEMBERED_REQUESTS);
    const retrievals = remember<PreparedRetrieve>(REMEMBERED_REQUESTS);
    const pages = sentPages(REMEMBERED_PAGE_BYTES);

    const query = ['limit', 'offset', 'count', ...SELECTION_PARAMETERS, ...REPRESENTATION_PARAMETERS];
    app.get('/entities', { config: { clause: '5.7.2', query: [...new Set(query)] } }, (request, reply) => {
      const context = contextOf(request);
      return context instanceof Promise
        ? context.then((found) => answer(request, reply, found))
        : answer(request, reply, context);
    });

    function answer(request: FastifyRequest, reply: FastifyReply, context: Context): Promise<FastifyReply> {
      const media = accepted(request, true);
      const prepared = queries(keyOf(request, media, context), () => {
        const selection = selectionOf(selectionText(request), context, localOf(request));
        const representation = representationOf(
          representationText(request, optionsOf(request, REPRESENTATION_OPTIONS)),
          context,
          media,
          selection.join?.level,
        );
        return prepare(request, media, context, representation, selection, pagingOf(request, limits), entityMapText(request));
      });
      return answerPrepared(request, reply, prepared);
    }

    function answerPrepared(request: FastifyRequest, reply: FastifyReply, prepared: PreparedQuery): Promise<FastifyReply> {
      const caller = onwardCallerIn(request, prepared.context);
      if (entityMaps !== undefined && usesMap(request, prepared))
        return answerMapped(request, reply, prepared, caller, entityMaps);
      if (caller.onward !== undefined) return answerFromAll(request, reply, prepared, caller);
      return answerLocally(request, reply, prepared);
    }

    const usesMap = (request: FastifyRequest, { mapped }: Prepared): boolean =>
      mapped.entityMap || request.headers['ngsild-entitymap'] !== undefined;

    /** The page of an EntityMap (5.5.9.3), with its entities checked against the query again, wherever they are. */
    async function answerMapped(
      request: FastifyRequest,
      reply: FastifyReply,
      prepared: PreparedQuery,
      caller: Caller,
      maps: EntityMapOperations,
    ): Promise<FastifyReply> {
      const { media, context, rendering, paging, joined, mapped, representation } = prepared;
      const find = findEverywhere(operations, distributed, caller, representation, (warnings) => warn(reply, warnings));
      const page = await mappedEntities(request, reply, maps, mapped, prepared.request, paging, find);
      const texts = joined
        ? await joinedTexts(request, reply, prepared, page.items, joined)
        : page.items.map((entity) => rendering.write(entity)).filter((text) => text !== '{}');
      pagingHeaders(request, reply, paging, page, media);
      return sendEntities(request, reply, { media, context, body: pageText(request, media, context, texts.join(',')) });
    }

    function answerLocally(request: FastifyRequest, reply: FastifyReply, prepared: PreparedQuery): Promise<FastifyReply> {
      return operations
        .queryEntities(request.caller, prepared.request)
        .then((page) =>
          prepared.joined === undefined
            ? sendPage(request, reply, prepared, page)
            : sendJoinedPage(request, reply, prepared, page, prepared.joined),
        );
    }

    /** The tenant has context sources: those that are concerned take part. */
    async function answerFromAll(
      request: FastifyRequest,
      reply: FastifyReply,
      prepared: PreparedQuery,
      caller: Caller,
    ): Promise<FastifyReply> {
      const gathered = await distributed?.queryEntities(caller, prepared.request, prepared.representation);
      if (gathered === undefined) return answerLocally(request, reply, prepared);
      const { media, context, rendering, paging, joined } = prepared;
      warn(reply, gathered.warnings);
      tellSources(request, reply, gathered.madeOf);
      const { entities } = gathered.found;
      const texts = joined
        ? await joinedTexts(request, reply, prepared, entities, joined)
        : entities.map((entity) => rendering.write(entity)).filter((text) => text !== '{}');
      pagingHeaders(request, reply, paging, gathered.found, media);
      return sendEntities(request, reply, {
        media,
        context,
        body: pageText(request, media, context, texts.join(',')),
      });
    }

    app.post(
      '/entityOperations/query',
      {
        config: {
          clause: '5.7.2',
          query: [...PAGING, 'options', 'format', 'lang', 'local', 'geometryProperty', 'splitEntities'],
        },
      },
      async (request, reply) => {
        const context = await contextOf(request);
        const media = accepted(request, true);
        const body = readQueryBody(bodyOf(request));
        if (body.temporalQ !== undefined || body.aggrParams !== undefined) {
          throw badRequest('temporalQ and aggrParams are for temporal/entityOperations/query only (5.2.23)');
        }
        const selection = selectionOf(body, context, localOf(request));
        const text: RepresentationText = {
          ...body,
          lang: body.lang ?? parameter(request, 'lang'),
          format: parameter(request, 'format'),
          geometryProperty: parameter(request, 'geometryProperty'),
          options: optionsOf(request, REPRESENTATION_OPTIONS),
        };
        const representation = representationOf(text, context, media, selection.join?.level);
        const mapped = readEntityMapText(body.entityMap === true, body.entityMapLifetime);
        const prepared = prepare(request, media, context, representation, selection, pagingOf(request, limits), mapped);
        return answerPrepared(request, reply, prepared);
      },
    );

    app.get('/entities/:id', { config: { clause: '5.7.1', query: RETRIEVE } }, (request, reply) => {
      const context = contextOf(request);
      return context instanceof Promise
        ? context.then((found) => retrieve(request, reply, found))
        : retrieve(request, reply, context);
    });

    function retrieve(request: FastifyRequest, reply: FastifyReply, context: Context): Promise<FastifyReply> {
      const media = accepted(request, true);
      const prepared = retrievals(retrievalKeyOf(request, media, context), () => {
        const join = joinOf({
          join: parameter(request, 'join'),
          joinLevel: parameter(request, 'joinLevel'),
          containedBy: listParameter(request, 'containedBy'),
        });
        const representation = representationOf(
          representationText(request, optionsOf(request, REPRESENTATION_OPTIONS)),
          context,
          media,
          join?.level,
        );
        const type = parameter(request, 'type');
        const types = type === undefined ? undefined : parseTypes(type, context);
        return { ...prepareWriting(request, media, context, representation, join, entityMapText(request)), types };
      });
      const id = iriParameter(request, 'id');
      if (entityMaps !== undefined && usesMap(request, prepared))
        return retrieveMapped(request, reply, prepared, id, entityMaps);
      const caller = onwardCallerIn(request, context);
      if (caller.onward !== undefined) return retrieveFromAll(request, reply, prepared, id, caller);
      return operations
        .retrieveEntity(request.caller, id, prepared.types, prepared.representation)
        .then((stored) =>
          prepared.joined === undefined
            ? sendEntity(request, reply, prepared, id, cache.text(prepared.rendering, stored))
            : sendJoinedEntity(request, reply, prepared, stored.entity, prepared.joined),
        );
    }

    /** The texts of some entities and of those linked by them, in the form that was asked for. */
    async function joinedTexts(
      request: FastifyRequest,
      reply: FastifyReply,
      { media, context, representation }: Prepared,
      roots: readonly Entity[],
      { join, write }: NonNullable<Prepared['joined']>,
    ): Promise<readonly string[]> {
      const linked = await operations.linkedEntities(warningCaller(request, reply, context), roots, representation, join);
      const texts = write(roots, linked).map((object) => JSON.stringify(object));
      const shown = texts.filter((text) => text !== '{}');
      return media === LD_JSON ? shown.map((text) => withContext(text, context)) : shown;
    }

    async function sendJoinedPage(
      request: FastifyRequest,
      reply: FastifyReply,
      prepared: PreparedQuery,
      page: EntityPage,
      joined: NonNullable<Prepared['joined']>,
    ): Promise<FastifyReply> {
      const { media, context, paging } = prepared;
      const roots = page.entities.map(({ entity }) => entity);
      const texts = await joinedTexts(request, reply, prepared, roots, joined);
      pagingHeaders(request, reply, paging, page, media);
      return sendEntities(request, reply, { media, context, body: pageText(request, media, context, texts.join(',')) });
    }

    async function sendJoinedEntity(
      request: FastifyRequest,
      reply: FastifyReply,
      prepared: Prepared,
      root: Entity,
      joined: NonNullable<Prepared['joined']>,
    ): Promise<FastifyReply> {
      const { media, context } = prepared;
      const texts = await joinedTexts(request, reply, prepared, [root], joined);
      if (texts.length === 0) throw notFound(`Entity ${root.id} has none of the members that were asked for`);
      // 4.5.23.3: the flattened form is an array, also of one.
      if (joined.join.form === 'flat') {
        return sendEntities(request, reply, { media, context, body: pageText(request, media, context, texts.join(',')) });
      }
      const [only] = texts as [string];
      const body = media === GEO_JSON && !prefersContextInHeader(request) ? withContext(only, context) : only;
      return sendEntities(request, reply, { media, context, body });
    }

    /** 5.7.1.4: an answer that names the EntityMap. What there is not gets none. */
    async function retrieveMapped(
      request: FastifyRequest,
      reply: FastifyReply,
      prepared: PreparedRetrieve,
      id: Iri,
      maps: EntityMapOperations,
    ): Promise<FastifyReply> {
      const { types, representation, rendering, joined, mapped } = prepared;
      const caller = onwardCallerIn(request, prepared.context);
      const { onward } = caller;
      const map = await referredMap(request, maps);
      const through = onward && map ? { ...caller, onward: { ...onward, entityMap: inUse(map, [id]) } } : caller;
      const gathered = onward && (await distributed?.retrieveEntity(through, id, types, representation));
      if (gathered !== undefined) warn(reply, gathered.warnings);
      const found = gathered?.found ?? (await operations.retrieveEntity(request.caller, id, types, representation)).entity;
      if (found instanceof DomainError) throw found;
      await mappedRetrieval(request, reply, maps, mapped, id, map, gathered?.heldBy);
      if (joined) return sendJoinedEntity(request, reply, prepared, found, joined);
      return sendEntity(request, reply, prepared, id, rendering.write(found));
    }

    async function retrieveFromAll(
      request: FastifyRequest,
      reply: FastifyReply,
      prepared: PreparedRetrieve,
      id: Iri,
      caller: Caller,
    ): Promise<FastifyReply> {
      const { types, representation, rendering, joined } = prepared;
      const gathered = await distributed?.retrieveEntity(caller, id, types, representation);
      if (gathered === undefined) {
        const stored = await operations.retrieveEntity(request.caller, id, types, representation);
        return joined
          ? sendJoinedEntity(request, reply, prepared, stored.entity, joined)
          : sendEntity(request, reply, prepared, id, cache.text(rendering, stored));
      }
      warn(reply, gathered.warnings);
      tellSources(request, reply, gathered.madeOf);
      if (gathered.found instanceof DomainError) throw gathered.found;
      if (joined) return sendJoinedEntity(request, reply, prepared, gathered.found, joined);
      return sendEntity(request, reply, prepared, id, rendering.write(gathered.found));
    }

    function sendPage(request: FastifyRequest, reply: FastifyReply, prepared: PreparedQuery, page: EntityPage): FastifyReply {
      const { media, context, rendering, paging } = prepared;
      // GeoJSON and versions of the specification depend on the Prefer header as well.
      const repeatable = request.method === 'GET' && media !== GEO_JSON && request.headers['prefer'] === undefined;
      if (repeatable) {
        const sent = pages.get(page);
        if (sent !== undefined) return reply.headers(sent.headers).send(sent.body);
      }
      const { entities } = page;
      // 4.21: an entity of which pick and omit leave nothing is not in the answer.
      const texts = cache
        .texts(rendering, entities)
        .filter((text) => text !== '{}')
        .join(',');
      const text = pageText(request, media, context, texts);
      pagingHeaders(request, reply, paging, page, media);
      if (!repeatable || !pages.sentBefore(page)) return sendEntities(request, reply, { media, context, body: text });
      const body = Buffer.from(text);
      sendEntities(request, reply, { media, context, body });
      pages.keep(page, body, reply);
      return reply;
    }

    function sendEntity(request: FastifyRequest, reply: FastifyReply, prepared: Prepared, id: Iri, text: string): FastifyReply {
      const { media, context } = prepared;
      let body = text;
      // 4.21: nothing is left of it, as if it were not there.
      if (body === '{}') throw notFound(`Entity ${id} has none of the members that were asked for`);
      if (media === GEO_JSON && !prefersContextInHeader(request)) body = withContext(body, context);
      return sendEntities(request, reply, { media, context, body });
    }
  };

/** 4.3.6.8, 5.7.1.4, 5.7.2.4: to a client that prefers an earlier version go entities as that has them; 203 says that they were altered. */
function sendEntities(
  request: FastifyRequest,
  reply: FastifyReply,
  answer: { readonly media: MediaType; readonly context: Context; readonly body: string | Buffer },
): FastifyReply {
  const wanted = typeof answer.body === 'string' ? preferredVersion(request) : undefined;
  if (wanted === undefined) return sendBody(request, reply, answer);
  const payload = parseExact(answer.body as string) as JsonValue;
  const conformant = conformTo(payload, wanted);
  if (conformant === payload) return sendBody(request, reply, answer);
  return sendBody(request, reply, { ...answer, body: JSON.stringify(conformant), status: 203 });
}
