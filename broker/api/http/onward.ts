import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '../../domain/access.ts';
import type { Contribution } from '../../domain/distribution.ts';
import { isObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { linkedContext, prefersSources } from './negotiation.ts';
import { contextOf, parameter } from './request.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** Whether a tenant has any context source registration. Costs one look-up. */
    readonly hasSources: (tenant: string) => boolean;
  }
}

const BASE = '/ngsi-ld/v1/';

/**
 * The caller, with the request as it may be passed on to other context sources: not with local=true (6.3.18), and not if there are none.
 * @param context the @context of the request; default: the one it means, or that of the first element of its body
 */
export function onwardCaller(request: FastifyRequest, context?: Context): Caller | Promise<Caller> {
  const { caller } = request;
  if (!request.server.hasSources(caller.tenant) || parameter(request, 'local') === 'true') return caller;
  const body = request.body as JsonValue | undefined;
  const known = context ?? (Array.isArray(body) ? contextOfBatch(request, body[0]) : contextOf(request, body));
  return known instanceof Promise ? known.then((found) => withRequest(request, found)) : withRequest(request, known);
}

/** That of the first element. A list of ids has none, and what is wrong with an element concerns only that one. */
function contextOfBatch(request: FastifyRequest, first: JsonValue | undefined): Context | Promise<Context> {
  const { resolveContext } = request.server;
  if (!isObject(first)) return resolveContext(linkedContext(request));
  try {
    const found = contextOf(request, first);
    return found instanceof Promise ? found.catch(() => resolveContext(undefined)) : found;
  } catch {
    return resolveContext(undefined);
  }
}

/** {@link onwardCaller} where the @context is known already. */
export function onwardCallerIn(request: FastifyRequest, context: Context): Caller {
  const { caller } = request;
  if (!request.server.hasSources(caller.tenant) || parameter(request, 'local') === 'true') return caller;
  return withRequest(request, context);
}

/** The caller with all of the request, whether there are sources or not. */
export function withRequest(request: FastifyRequest, context: Context): Caller {
  const { caller, headers, method, url } = request;
  const end = url.indexOf('?');
  const path = (end < 0 ? url : url.slice(0, end)).replace(/\/$/, '');
  const via = headers['via'];
  const onward = {
    context,
    via:
      via === undefined
        ? []
        : String(via)
            .split(',')
            .map((entry) => entry.trim()),
    headers,
    method,
    path: path.startsWith(BASE) ? path.slice(BASE.length) : path,
    query: request.query as Record<string, string>,
    ...(request.body === undefined ? {} : { body: request.body as JsonValue }),
  };
  return { ...caller, onward };
}

/** What was warned of already; an answer can be made of several questions. */
const warned = new WeakMap<FastifyReply, Set<string>>();

/** NGSILD-Warning (6.3.17): one value for each thing that was not as it should be. */
export function warn(reply: FastifyReply, warnings: readonly string[]): void {
  if (warnings.length === 0) return;
  const all = warned.get(reply) ?? new Set<string>();
  for (const one of warnings) all.add(one);
  warned.set(reply, all);
  reply.header('NGSILD-Warning', [...all].join(', '));
}

/** {@link onwardCallerIn} for operations that tell their warnings as they come. */
export function warningCaller(request: FastifyRequest, reply: FastifyReply, context: Context): Caller {
  const caller = onwardCallerIn(request, context);
  if (caller.onward === undefined) return caller;
  return { ...caller, onward: { ...caller.onward, onWarnings: (warnings) => warn(reply, warnings) } };
}

/** A header may not grow without end: the rest is only counted. */
const MOST_CONTRIBUTIONS = 50;

/** `Prefer: sources` asks what the answer is made of; the header Mizar-Sources tells, as JSON, one object for each source (docs/context-sources.md). */
export function tellSources(request: FastifyRequest, reply: FastifyReply, madeOf: () => readonly Contribution[]): void {
  if (!prefersSources(request)) return;
  const all = madeOf();
  const told: unknown[] = all.slice(0, MOST_CONTRIBUTIONS);
  if (all.length > MOST_CONTRIBUTIONS) told.push({ more: all.length - MOST_CONTRIBUTIONS });
  // A header is ASCII; what is not travels escaped, as JSON can.
  const text = JSON.stringify(told).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  reply.header('Mizar-Sources', text).header('preference-applied', 'sources');
}
