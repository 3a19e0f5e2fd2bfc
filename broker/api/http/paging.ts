import type { FastifyReply, FastifyRequest } from 'fastify';
import { badRequest, DomainError } from '../../domain/errors.ts';
import { appendLink, type MediaType } from './negotiation.ts';
import { flag, parameter } from './request.ts';

declare module 'fastify' {
  interface FastifyInstance {
    readonly pagingLimits: PagingLimits;
  }
}

/** The page that a request asks for (6.3.10, 6.3.13). */
export interface Paging {
  readonly limit: number;
  readonly offset: number;
  readonly count: boolean;
}

export interface PagingLimits {
  /** The limit of a request that names none. */
  readonly defaultLimit: number;
  /** A larger limit is refused, so that one answer cannot exhaust anybody (5.5.6). */
  readonly maxLimit: number;
}

export const PAGING_LIMITS: PagingLimits = { defaultLimit: 20, maxLimit: 1000 };

/**
 * Reads `limit`, `offset` and `count`.
 * @throws DomainError BadRequestData if one is not a number of that kind, or limit is 0 without count; TooManyResults if limit is too large
 */
export function pagingOf(request: FastifyRequest, limits: PagingLimits = request.server.pagingLimits): Paging {
  const limit = wholeNumber(request, 'limit') ?? limits.defaultLimit;
  const count = flag(request, 'count');
  if (limit === 0 && !count) throw badRequest('limit=0 is possible only together with count=true');
  if (limit > limits.maxLimit) {
    throw new DomainError('TooManyResults', `limit=${limit} is more than the ${limits.maxLimit} that one answer can carry`);
  }
  return { limit, offset: wholeNumber(request, 'offset') ?? 0, count };
}

function wholeNumber(request: FastifyRequest, name: string): number | undefined {
  const text = parameter(request, name);
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`The parameter ${name} must be a whole number of 0 or more, not "${text}"`);
  return Number(text);
}

/**
 * Adds NGSILD-Results-Count and the links to the next and previous page. The links are references relative to the host
 * and keep every other parameter of the request.
 * @param page what the answer holds: how many would match in all (if counted), and whether more come after it
 */
export function pagingHeaders(
  request: FastifyRequest,
  reply: FastifyReply,
  paging: Paging,
  page: { readonly more: boolean; readonly count?: number; readonly nextOffset?: number },
  media: MediaType,
): void {
  if (page.count !== undefined) reply.header('NGSILD-Results-Count', String(page.count));
  if (paging.limit === 0) return;
  if (page.more) appendLink(reply, pageLink(request, paging, page.nextOffset ?? paging.offset + paging.limit, 'next', media));
  if (paging.offset > 0) appendLink(reply, pageLink(request, paging, Math.max(0, paging.offset - paging.limit), 'prev', media));
}

function pageLink(
  request: FastifyRequest,
  paging: Paging,
  offset: number,
  relation: 'next' | 'prev',
  media: MediaType,
): string {
  const at = request.url.indexOf('?');
  const path = (at < 0 ? request.url : request.url.slice(0, at)).replace(/\/$/, '');
  const others = at < 0 ? [] : request.url.slice(at + 1).split('&');
  const kept = others.filter((pair) => pair !== '' && !pair.startsWith('limit=') && !pair.startsWith('offset='));
  // ">" ends a link target and '"' would end nothing here, but no header survives a line break: all are percent-encoded.
  const query = [...kept, `limit=${paging.limit}`, `offset=${offset}`].join('&').replace(/[<>"\s]/g, encodeURIComponent);
  return `<${path}?${query}>; rel="${relation}"; type="${media}"`;
}
