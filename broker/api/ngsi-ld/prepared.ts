import type { FastifyRequest } from 'fastify';
import type { Context } from '../../domain/jsonld/context.ts';
import { type Join, type JoinedWriter, joinedWriter } from '../../domain/linked.ts';
import type { TypeSelection } from '../../domain/query/query.ts';
import { entityWriter, type Representation, representationKey } from '../../domain/representation.ts';
import type { QueryRequest } from '../../operations/query.ts';
import { contextMember, GEO_JSON, LD_JSON, type MediaType, prefersContextInHeader, withContext } from '../http/negotiation.ts';
import type { Paging } from '../http/paging.ts';
import type { EntityMapText } from './entity-map-use.ts';
import type { selectionOf } from './query-parameters.ts';
import type { Rendering } from './rendering.ts';

/** A request that was read: what to ask, and how to write the answer. Depends on URL, @context, media type and tenant only. */
export interface Prepared {
  readonly media: MediaType;
  readonly context: Context;
  readonly rendering: Rendering;
  readonly representation: Representation;
  /** Linked entities come with the others (4.5.23); their answers are made anew each time. */
  readonly joined: { readonly join: Join; readonly write: JoinedWriter } | undefined;
  readonly mapped: EntityMapText;
}
export interface PreparedQuery extends Prepared {
  readonly paging: Paging;
  readonly request: QueryRequest;
}
export interface PreparedRetrieve extends Prepared {
  readonly types: TypeSelection | undefined;
}

export function pageText(request: FastifyRequest, media: MediaType, context: Context, texts: string): string {
  if (media !== GEO_JSON) return `[${texts}]`;
  const collection = `{"type":"FeatureCollection","features":[${texts}]`;
  return prefersContextInHeader(request) ? `${collection}}` : `${collection},${contextMember(context)}}`;
}

export function prepare(
  request: FastifyRequest,
  media: MediaType,
  context: Context,
  representation: Representation,
  selection: ReturnType<typeof selectionOf>,
  paging: Paging,
  mapped: EntityMapText,
): PreparedQuery {
  return {
    ...prepareWriting(request, media, context, representation, selection.join, mapped),
    paging,
    request: {
      query: selection.query,
      local: selection.local,
      joinLevel: selection.join?.level ?? 0,
      page: {
        limit: paging.limit,
        offset: paging.offset,
        count: paging.count,
        ...(selection.order === undefined ? {} : { order: selection.order }),
      },
    },
  };
}

export function prepareWriting(
  request: FastifyRequest,
  media: MediaType,
  context: Context,
  representation: Representation,
  join: Join | undefined,
  mapped: EntityMapText,
): Prepared {
  return {
    media,
    context,
    representation,
    rendering: renderingOf(request, media, context, representation),
    joined: join && { join, write: joinedWriter(context, representation, join) },
    mapped,
  };
}

export function renderingOf(
  request: FastifyRequest,
  media: MediaType,
  context: Context,
  representation: Representation,
): Rendering {
  const write = entityWriter(context, representation);
  const inside = media === LD_JSON;
  return {
    key: `${request.caller.tenant} ${context.key} ${inside ? '@' : ''}${representationKey(representation)}`,
    write: inside ? (entity) => withContext(JSON.stringify(write(entity)), context) : (entity) => JSON.stringify(write(entity)),
  };
}

export function keyOf(request: FastifyRequest, media: MediaType, context: Context): string {
  return `${request.caller.tenant} ${context.key} ${media} ${request.url}`;
}

/** Retrieving another entity in the same way is the same preparation. */
export function retrievalKeyOf(request: FastifyRequest, media: MediaType, context: Context): string {
  const at = request.url.indexOf('?');
  return `${request.caller.tenant} ${context.key} ${media} ${at < 0 ? '' : request.url.slice(at)}`;
}
