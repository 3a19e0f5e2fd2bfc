import type { FastifyReply, FastifyRequest } from 'fastify';
import { isBefore, OUR_VERSION, parseVersion, type Version } from '../../domain/conformance.ts';
import { badRequest, DomainError, invalidRequest } from '../../domain/errors.ts';
import { isObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';

export const JSON_TYPE = 'application/json';
export const LD_JSON = 'application/ld+json';
export const GEO_JSON = 'application/geo+json';
export type MediaType = typeof JSON_TYPE | typeof LD_JSON | typeof GEO_JSON;

const PLAIN: readonly MediaType[] = [JSON_TYPE, LD_JSON];
const WITH_GEO: readonly MediaType[] = [JSON_TYPE, LD_JSON, GEO_JSON];
const CONTEXT_RELATION = 'http://www.w3.org/ns/json-ld#context';

/**
 * The media type to answer with (6.3.4): the one with the highest weight, and of equals the first of application/json,
 * application/ld+json, application/geo+json, whatever their order in the header. No Accept header: application/json.
 * @param geo the operation can answer in GeoJSON (Retrieve Entity and Query Entities only)
 * @throws DomainError NotAcceptable (406) listing what is available
 */
export function accepted(request: FastifyRequest, geo = false): MediaType {
  const header = request.headers.accept;
  if (header === undefined || header === JSON_TYPE || header === '*/*') return JSON_TYPE;
  if (header === LD_JSON) return LD_JSON;
  const available = geo ? WITH_GEO : PLAIN;
  let best: MediaType | undefined;
  let bestWeight = 0;
  const ranges = mediaRanges(header);
  for (const candidate of available) {
    const weight = weightOf(candidate, ranges);
    if (weight > bestWeight) {
      best = candidate;
      bestWeight = weight;
    }
  }
  if (best === undefined) {
    throw new DomainError('NotAcceptable', `None of the representations that exist here is acceptable by "${header}"`, {
      availableRepresentations: available,
    });
  }
  return best;
}

interface MediaRange {
  readonly type: string;
  readonly weight: number;
}

function mediaRanges(header: string): readonly MediaRange[] {
  return header.split(',').map((part) => {
    const [type = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase());
    const q = parameters.find((parameter) => parameter.startsWith('q='));
    const weight = q === undefined ? 1 : Number(q.slice(2));
    // A weight that is none decides nothing (RFC 9110, 12.4.2 knows only numbers from 0 to 1).
    return { type, weight: weight >= 0 && weight <= 1 ? weight : 1 };
  });
}

/** RFC 9110, 12.5.1: the most specific range that matches decides. */
function weightOf(candidate: MediaType, ranges: readonly MediaRange[]): number {
  for (const pattern of [candidate, `${candidate.slice(0, candidate.indexOf('/'))}/*`, '*/*']) {
    const matching = ranges.filter((range) => range.type === pattern);
    if (matching.length > 0) return Math.max(...matching.map((range) => range.weight));
  }
  return 0;
}

/** The URL of the @context that the Link header names (6.3.5), if it names one. @throws DomainError BadRequestData if it names several */
export function linkedContext(request: FastifyRequest): string | undefined {
  const links = request.headers.link;
  if (links === undefined) return undefined;
  const header = String(links);
  if (!header.includes(CONTEXT_RELATION)) return undefined;
  const urls: string[] = [];
  // A comma separates links only outside of "<…>" and quotes.
  for (const [, url, parameters] of header.matchAll(/<([^>]*)>((?:[^,"<]|"[^"]*")*)/g)) {
    const relation = /;\s*rel\s*=\s*(?:"([^"]*)"|([^;,\s]+))/i.exec(parameters ?? '');
    if ((relation?.[1] ?? relation?.[2] ?? '').split(/\s+/).includes(CONTEXT_RELATION) && url) urls.push(url.trim());
  }
  if (urls.length > 1) throw badRequest('The Link header names more than one @context; exactly one is possible');
  return urls[0];
}

/** @throws DomainError BadRequestData if the body brings its own @context, and the Link header names another one (6.3.5) */
export function refuseLinkBesideJsonLd(request: FastifyRequest): void {
  if (bodyIsJsonLd(request) && linkedContext(request) !== undefined) {
    throw badRequest('A body of type application/ld+json carries its own @context: the Link header must not name another one');
  }
}

/** True if the body of this request brings its own @context (Content-Type application/ld+json). */
export function bodyIsJsonLd(request: FastifyRequest): boolean {
  const type = request.headers['content-type'];
  return type?.startsWith(LD_JSON) === true && (type.length === LD_JSON.length || /[;\s]/.test(type.charAt(LD_JSON.length)));
}

/**
 * The @context that a request means (6.3.5), not resolved yet; undefined: the core context. `body` is the document that would carry it:
 * the request's body, or one element of a batch.
 * @throws DomainError BadRequestData if Link header and body are mixed, or application/ld+json comes without @context
 */
export function contextSource(request: FastifyRequest, body: unknown): JsonValue | undefined {
  const linked = linkedContext(request);
  const { method } = request;
  if (method === 'GET' || method === 'HEAD' || method === 'DELETE' || body === undefined) return linked;
  if (!isObject(body) && bodyIsJsonLd(request)) throw invalidRequest('A JSON-LD document is a JSON object');
  const inside = isObject(body) ? body['@context'] : undefined;
  if (!bodyIsJsonLd(request)) {
    if (inside !== undefined) {
      throw badRequest(
        'The body contains an @context, but its Content-Type is application/json: send it as application/ld+json',
      );
    }
    return linked;
  }
  refuseLinkBesideJsonLd(request);
  if (inside === undefined || inside === null) throw badRequest('The body is application/ld+json, but contains no @context');
  return inside;
}

/** The Link header that points to the @context of an application/json answer (6.3.6). Made once per context. */
export function contextLink(context: Context): string {
  let link = LINKS.get(context);
  if (link === undefined) {
    link = `<${context.link}>; rel="${CONTEXT_RELATION}"; type="application/ld+json"`;
    LINKS.set(context, link);
  }
  return link;
}
const LINKS = new WeakMap<Context, string>();

/** True if a GeoJSON answer shall carry its @context in a header instead of its body (6.3.6, `Prefer: body=json`). */
export function prefersContextInHeader(request: FastifyRequest): boolean {
  return preference(request, 'body')?.toLowerCase() === 'json';
}

/** True if the client wants to know which sources an answer is made of. */
export function prefersSources(request: FastifyRequest): boolean {
  return preference(request, 'sources') !== undefined;
}

/** A preference with its value; parameters behind it do not change which it is (RFC 7240, clause 2). */
const PREFERENCES =
  /\s*([^\s,;="]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*)))?(?:\s*;(?:[^,"]|"(?:[^"\\]|\\.)*")*)?\s*(?:,|$)/gy;

/** The value of a preference of the Prefer header, whose names have no case; of several the first holds. */
function preference(request: FastifyRequest, name: string): string | undefined {
  const header = request.headers['prefer'];
  if (header === undefined) return undefined;
  for (const [, token, quoted, bare] of String(header).matchAll(PREFERENCES)) {
    if (token?.toLowerCase() === name) return quoted ?? bare ?? '';
  }
  return undefined;
}

/** The version of NGSI-LD that the client understands (6.3.6, `Prefer: ngsi-ld=1.5`); undefined if it says none, or nothing that is one. */
export function preferredVersion(request: FastifyRequest): Version | undefined {
  const text = preference(request, 'ngsi-ld');
  return text === undefined ? undefined : parseVersion(text.trim());
}

/**
 * Sends a finished body with the headers of 6.3.6. `body` is complete JSON text: for application/ld+json, and GeoJSON unless
 * {@link prefersContextInHeader}, it already contains the @context (see {@link contextMember}).
 */
export function sendBody(
  request: FastifyRequest,
  reply: FastifyReply,
  answer: {
    readonly media: MediaType;
    readonly context: Context;
    readonly body: string | Buffer;
    readonly status?: number;
    /** False: the body is as it is now, also for clients that prefer an earlier version (4.3.6.8). */
    readonly fallbacks?: false;
  },
): FastifyReply {
  if (answer.status !== undefined) reply.code(answer.status);
  if (answer.media === JSON_TYPE || (answer.media === GEO_JSON && prefersContextInHeader(request))) {
    if (answer.context.link !== undefined) appendLink(reply, contextLink(answer.context));
  }
  const wanted = preferredVersion(request);
  if (wanted !== undefined) {
    const conformant = answer.fallbacks !== false && isBefore(wanted, OUR_VERSION) ? wanted : OUR_VERSION;
    reply.header('preference-applied', `ngsi-ld=${conformant.join('.')}`);
  }
  // A buffer goes out as it is. Text too if fastify is told that it is serialized already (it would add a charset, which JSON does not have);
  // node then writes header and text in one piece, which for small answers is faster than a buffer.
  if (typeof answer.body === 'string') reply.serializer(asItIs);
  return reply.header('content-type', answer.media).send(answer.body);
}

/** 201 with the place of what was created. Set below fastify, which writes all names in lower case: clients are known that look for "Location" literally. */
export function sendCreated(reply: FastifyReply, location: string): FastifyReply {
  reply.raw.setHeader('Location', location);
  return reply.code(201).send();
}

const asItIs = (payload: unknown): string => payload as string;

/** Adds one link to those that the reply already has (@context, next and previous page). */
export function appendLink(reply: FastifyReply, link: string): void {
  const before = reply.getHeader('link');
  reply.header('link', before === undefined ? link : `${before}, ${link}`);
}

/** `"@context":…`, ready to be put behind the opening brace of an application/ld+json document. Printed once per context. */
export function contextMember(context: Context): string {
  let text = MEMBERS.get(context);
  if (text === undefined) {
    text = `"@context":${JSON.stringify(context.source)}`;
    MEMBERS.set(context, text);
  }
  return text;
}
const MEMBERS = new WeakMap<Context, string>();

/** The same JSON object text, with the @context as its first member. */
export function withContext(objectText: string, context: Context): string {
  return objectText === '{}' ? `{${contextMember(context)}}` : `{${contextMember(context)},${objectText.slice(1)}`;
}
