import type { FastifyReply, FastifyRequest } from 'fastify';
import type { JsonObject } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { accepted, LD_JSON, type MediaType, sendBody, withContext } from './negotiation.ts';
import { pagingHeaders, pagingOf } from './paging.ts';
import { contextOf } from './request.ts';

/** Answers with one JSON object, its names written in the @context that the request names. */
export async function sendObject(
  request: FastifyRequest,
  reply: FastifyReply,
  find: () => Promise<(context: Context) => JsonObject>,
): Promise<FastifyReply> {
  const media = accepted(request);
  const context = await contextOf(request);
  const write = await find();
  return sendBody(request, reply, { media, context, body: text(write(context), context, media) });
}

/** Answers with the page of a list that the request asks for (6.3.10, 6.3.13); the list as a whole is at hand. */
export async function sendPage<T>(
  request: FastifyRequest,
  reply: FastifyReply,
  find: (context: Context) => Promise<readonly T[]>,
  write: (one: T, context: Context) => JsonObject,
): Promise<FastifyReply> {
  const paging = pagingOf(request);
  const media = accepted(request);
  const context = await contextOf(request);
  const all = await find(context);
  const shown = all.slice(paging.offset, paging.offset + paging.limit);
  const more = paging.offset + shown.length < all.length;
  pagingHeaders(request, reply, paging, paging.count ? { more, count: all.length } : { more }, media);
  const texts = shown.map((one) => text(write(one, context), context, media));
  return sendBody(request, reply, { media, context, body: `[${texts.join(',')}]` });
}

function text(object: JsonObject, context: Context, media: MediaType): string {
  const written = JSON.stringify(object);
  return media === LD_JSON ? withContext(written, context) : written;
}
