import type { FastifyRequest } from 'fastify';
import type { Caller } from '../../domain/access.ts';
import { badRequest, DomainError, invalidRequest } from '../../domain/errors.ts';
import { DEFAULT_TENANT, type Iri, isIri, isTenantName, type TenantId } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { principalOf } from '../auth/principal.ts';
import { contextSource } from './negotiation.ts';

/** Turns what a request names as @context into a table; at once if it is known already. operations/contexts.ts. */
export type ResolveContext = (source: JsonValue | undefined) => Context | Promise<Context>;

declare module 'fastify' {
  interface FastifyInstance {
    readonly resolveContext: ResolveContext;
  }
  interface FastifyRequest {
    /** Tenant and principal, known before a route is entered. */
    caller: Caller;
  }
  interface FastifyContextConfig {
    /** The clause of GS CIM 009, or another source, that the route implements. Printed in the documentation. */
    clause?: string;
    /** The query parameters of the route; others are refused (6.3.20). Absent: the route takes what comes. */
    query?: readonly string[];
  }
}

const ANONYMOUS_DEFAULT: Caller = { tenant: DEFAULT_TENANT, principal: { kind: 'anonymous' } };

/** The caller of a request with these headers. @throws DomainError BadRequestData if NGSILD-Tenant (6.3.14) cannot name a tenant; Unauthorized */
export function callerOf(headers: FastifyRequest['headers']): Caller {
  const principal = principalOf(headers);
  const tenant = headers['ngsild-tenant'];
  if (tenant === undefined) return principal.kind === 'anonymous' ? ANONYMOUS_DEFAULT : { tenant: DEFAULT_TENANT, principal };
  return { tenant: tenantNamed(String(tenant)), principal };
}

function tenantNamed(name: string): TenantId {
  if (isTenantName(name)) return name;
  throw badRequest('The header NGSILD-Tenant must be 1 to 64 letters, digits, "_" or "-"');
}

/**
 * The resolved @context that the request means (6.3.5). Not a promise if the context is known, so that a hot path need not wait.
 * `body`: the document that would carry it, if not the whole body (an element of a batch).
 * @throws DomainError BadRequestData (mixed or missing contexts), LdContextNotAvailable
 */
export function contextOf(request: FastifyRequest, body: unknown = request.body): Context | Promise<Context> {
  return request.server.resolveContext(contextSource(request, body));
}

/** The request's body. @throws DomainError InvalidRequest if there is none */
export function bodyOf(request: FastifyRequest): JsonValue {
  if (request.body === undefined) throw invalidRequest('The request has no body');
  return request.body as JsonValue;
}

/**
 * The request's body, which must be a JSON object.
 * @throws DomainError InvalidRequest if there is none; BadRequestData if it is JSON, but not the data type of the operation (5.5.4)
 */
export function objectOf(request: FastifyRequest): JsonObject {
  const body = bodyOf(request);
  if (!isObject(body)) throw badRequest('The body must be a JSON object');
  return body;
}

/** @throws DomainError BadRequestData if the id that a body gives to what is to be created is none */
export function idOf(body: JsonObject, what: string): void {
  const { id } = body;
  if (id !== undefined && !isIri(id)) throw badRequest(`The id of a ${what} must be a URI, not ${JSON.stringify(id)}`);
}

/** One query parameter as text, percent-decoded. @throws DomainError InvalidRequest if it is given twice */
export function parameter(request: FastifyRequest, name: string): string | undefined {
  const value = (request.query as Record<string, string | string[] | undefined>)[name];
  if (Array.isArray(value)) throw invalidRequest(`The parameter ${name} is given ${value.length} times; once is possible`);
  return value;
}

/** A query parameter that is true or false; absent: false. @throws DomainError BadRequestData */
export function flag(request: FastifyRequest, name: string): boolean {
  const text = parameter(request, name);
  if (text === undefined || text === 'false') return false;
  if (text === 'true') return true;
  throw badRequest(`The parameter ${name} must be true or false, not "${text}"`);
}

/** A comma-separated list; absent: undefined. @throws DomainError BadRequestData if an item is empty */
export function listParameter(request: FastifyRequest, name: string): readonly string[] | undefined {
  const text = parameter(request, name);
  if (text === undefined) return undefined;
  const items = text.split(',').map((item) => item.trim());
  if (items.includes('')) throw badRequest(`The parameter ${name} contains an empty item`);
  return items;
}

/**
 * The keywords of `options`, which must be among those that the operation supports.
 * @throws DomainError InvalidRequest naming the first that is not (6.3.20)
 */
export function optionsOf(request: FastifyRequest, supported: readonly string[]): readonly string[] {
  const options = listParameter(request, 'options') ?? [];
  for (const option of options) {
    if (!supported.includes(option)) {
      throw invalidRequest(`The option "${option}" is not supported here; there are: ${supported.join(', ')}`);
    }
  }
  return options;
}

/** A part of the path that must be the IRI of something. @throws DomainError BadRequestData */
export function iriParameter(request: FastifyRequest, name: string): Iri {
  const text = (request.params as Record<string, string>)[name] ?? '';
  if (!isIri(text))
    throw badRequest(`${JSON.stringify(text)} in the path is not an absolute IRI such as urn:ngsi-ld:Vehicle:A4567`);
  return text;
}

/** @throws DomainError InvalidRequest if the query has a parameter that is not in `allowed` (6.3.20) */
export function refuseUnknownParameters(request: FastifyRequest, allowed: ReadonlySet<string>): void {
  for (const name in request.query as object) {
    if (!allowed.has(name)) {
      const known = allowed.size === 0 ? 'it takes none' : `there are: ${[...allowed].join(', ')}`;
      throw new DomainError('InvalidRequest', `This operation has no parameter "${name}"; ${known}`);
    }
  }
}

/** An IRI as the last segment of a path; ":" needs no encoding there, and ids are full of it. */
export function pathSegment(iri: string): string {
  return /^[\w:.~-]+$/.test(iri) ? iri : encodeURIComponent(iri).replaceAll('%3A', ':');
}
