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
  const kept = (at < 0 ? [] : request.url.slice(at + 1).split('&')).filter(
    (pair) => pair !== '' && !/^(?:limit|offset)=/.test(pair),
  );
  // In one order and one spelling, so that the same page has the same link whoever wrote the request, and caches know it again.
  const query = [...kept.map(respelled), `limit=${paging.limit}`, `offset=${offset}`].sort().join('&');
  return `<${path}?${query}>; rel="${relation}"; type="${media}"`;
}

/** Percent-encodes what a query, a header or the target of a link cannot hold, or reads as something else, and nothing more. */
function respelled(pair: string): string {
  const text = pair.replaceAll('+', '%20');
  try {
    const [name = '', ...value] = text.split('=');
    return [name, value.join('=')]
      .map((part) => decodeURIComponent(part).replace(/[^\w\-.~:@!$'()*/?=]/gu, encodeURIComponent))
      .join('=');
  } catch {
    return text.replace(/[<>"\s]/g, encodeURIComponent);
  }
}
