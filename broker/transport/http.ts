import type { Socket } from 'node:net';
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyListenOptions,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import type { Logger } from 'pino';
import { documentation } from '../api/http/documentation.ts';
import { parseJsonBody } from '../api/http/json-body.ts';
import { PAGING_LIMITS, type PagingLimits } from '../api/http/paging.ts';
import { refusals, refuse } from '../api/http/refusals.ts';
import { callerOf, type ResolveContext, refuseUnknownParameters } from '../api/http/request.ts';
import type { Caller } from '../domain/access.ts';
import { DomainError, invalidRequest } from '../domain/errors.ts';
import { answerTogether } from './answer-together.ts';

/** What one request may cost. */
export interface HttpLimits {
  readonly bodyLimitBytes: number;
  /** Request line and headers together. */
  readonly headerLimitBytes: number;
  /** Path and query, as sent. */
  readonly urlLimitChars: number;
  /** Objects and arrays inside each other in a JSON body. */
  readonly jsonDepth: number;
  /** How long a client may take to send one request. */
  readonly requestTimeoutMs: number;
  /** How long an idle connection is kept. */
  readonly keepAliveTimeoutMs: number;
}

export const HTTP_LIMITS: HttpLimits = {
  bodyLimitBytes: 10 * 1024 * 1024,
  headerLimitBytes: 32 * 1024,
  urlLimitChars: 16 * 1024,
  jsonDepth: 64,
  requestTimeoutMs: 60_000,
  keepAliveTimeoutMs: 72_000,
};

export interface HttpServerOptions {
  readonly logger: Logger;
  readonly limits?: Partial<HttpLimits>;
  /** Turns what a request names as @context into a table (operations/contexts.ts). */
  readonly resolveContext: ResolveContext;
  /** Whether a tenant has context source registrations (operations/registry). Default: none has. */
  readonly hasSources?: (tenant: string) => boolean;
  /** Route modules by path prefix: `{ '/ngsi-ld/v1': [entityRoutes(…)], '': [healthRoutes(…)] }`. */
  readonly routes: Readonly<Record<string, readonly FastifyPluginAsync[]>>;
  readonly paging?: Partial<PagingLimits>;
  /** Who a caller is that names a Snapshot (6.3.22). Without it there are none, and the header means nothing. */
  readonly onSnapshot?: (request: FastifyRequest, snapshot: string) => Promise<Caller>;
  /** Takes over a request before anything else looks at it, if it is for another process: @returns true if it did. */
  readonly elsewhere?: (request: FastifyRequest, reply: FastifyReply) => boolean;
  /** Called before any route is added, for hooks that see every request: counting and timing. */
  readonly observe?: (app: FastifyInstance) => void;
  /** The broker's version, for the documentation. */
  readonly version?: string;
  /** Serve /openapi.json and /docs. Default true. */
  readonly documentation?: boolean;
}

/**
 * The HTTP server, ready to `listen` or `inject`. `close()` stops accepting, ends idle connections, and resolves when requests under way
 * are answered; meanwhile new requests on old connections get 503.
 *
 * The price of one request matters here: no async hooks, no child logger per request, no request log at all (metrics tell how many).
 */
export async function httpServer(options: HttpServerOptions): Promise<FastifyInstance> {
  const limits = { ...HTTP_LIMITS, ...options.limits };
  const app: FastifyInstance = fastify({
    loggerInstance: options.logger as FastifyBaseLogger,
    childLoggerFactory: (logger) => logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.bodyLimitBytes,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    forceCloseConnections: 'idle',
    http: { maxHeaderSize: limits.headerLimitBytes },
    // Clients write resources both as `entities` and as `entities/`.
    routerOptions: { maxParamLength: limits.urlLimitChars, ignoreTrailingSlash: true },
    clientErrorHandler: refuseConnection,
    // What a schema says is for the documentation: our own parsing has better errors, and a second check would cost every request.
    schemaController: {
      compilersFactory: { buildValidator: () => () => undefined as never, buildSerializer: () => () => JSON.stringify },
    },
    frameworkErrors: (error, request, reply) => void refuse(error, request, reply),
  });
  answerTogether(app);
  app.decorate('resolveContext', options.resolveContext);
  app.decorate('hasSources', options.hasSources ?? (() => false));
  app.decorate('pagingLimits', { ...PAGING_LIMITS, ...options.paging });
  app.decorateRequest('caller');
  acceptJson(app, limits);

  app.addHook('onRequest', (request, reply, done) => {
    if (options.elsewhere?.(request, reply)) return;
    const tenant = request.headers['ngsild-tenant'];
    try {
      request.caller = callerOf(request.headers);
    } catch (error) {
      done(error as Error);
      return;
    }
    // 6.3.14: what the client named comes back, with errors too.
    if (tenant !== undefined) reply.header('NGSILD-Tenant', String(tenant));
    if (request.url.length > limits.urlLimitChars) {
      refuse(
        new DomainError('InvalidRequest', 'The URL is longer than this broker accepts', { status: 414 }),
        request,
        reply.code(414),
      );
      return;
    }
    const snapshot = request.headers['ngsild-snapshot'];
    if (snapshot === undefined || options.onSnapshot === undefined) {
      done();
      return;
    }
    // 6.3.22.
    reply.header('NGSILD-Snapshot', String(snapshot));
    options.onSnapshot(request, String(snapshot)).then((caller) => {
      request.caller = caller;
      done();
    }, done);
  });
  options.observe?.(app);
  checkByRoute(app);
  refusals(app);

  if (options.documentation ?? true) documentation(app, options.version ?? '0.0.0');
  for (const [prefix, modules] of Object.entries(options.routes)) {
    for (const routes of modules) await app.register(routes, { prefix });
  }
  await app.ready();
  return app;
}

/** @param shared other processes listen on the port as well, and the system spreads connections over them */
export function listenOn(host: string, port: number, shared: boolean): FastifyListenOptions & { readonly reusePort?: boolean } {
  return { host, port, ...(shared && { reusePort: true }) };
}

/** The media types of 6.3.4, all parsed alike; what a route makes of an @context inside depends on the type. */
function acceptJson(app: FastifyInstance, limits: HttpLimits): void {
  app.removeContentTypeParser('application/json');
  const types = ['application/json', 'application/ld+json', 'application/merge-patch+json'];
  app.addContentTypeParser(types, { parseAs: 'string' }, (request, text, done) => {
    try {
      // RFC 7396 is for PATCH only.
      if (request.method !== 'PATCH' && request.headers['content-type']?.startsWith('application/merge-patch')) {
        throw new DomainError('UnsupportedMediaType', 'application/merge-patch+json goes with PATCH only');
      }
      done(null, parseJsonBody(text as string, limits.jsonDepth));
    } catch (error) {
      done(error as Error);
    }
  });
}

/** Gives each route the checks that its configuration asks for, so that a request pays for no others. */
function checkByRoute(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    const { clause, query } = route.config ?? {};
    const allowed = query === undefined ? undefined : new Set(query);
    const withBody = [route.method].flat().some((method) => method === 'POST' || method === 'PUT' || method === 'PATCH');
    const lengthRequired = withBody && clause !== undefined;
    if (allowed === undefined && !lengthRequired) return;
    route.onRequest = [
      ...[route.onRequest ?? []].flat(),
      (request, reply, done) => {
        if (lengthRequired && request.headers['content-length'] === undefined) {
          // 6.3.4: just the status. The body that may follow is not read, so the connection cannot go on.
          reply.code(411).header('connection', 'close').send();
          return;
        }
        try {
          if (allowed !== undefined) refuseUnknownParameters(request, allowed);
          done();
        } catch (error) {
          done(error as Error);
        }
      },
    ];
  });
}

/**
 * Of our own, because to import node:http into a module evaluates all that it exports, WebSocket and fetch among it: 40 ms of a start and 16 MB.
 */
const TITLES = { 400: 'Bad Request', 408: 'Request Timeout', 431: 'Request Header Fields Too Large' } as const;

/** What never became a request: headers too large, not HTTP, or too slow. */
function refuseConnection(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable) return;
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  const title = TITLES[status];
  const refusal = invalidRequest(`The request could not be read: ${title}`);
  const body = JSON.stringify({
    type: 'https://uri.etsi.org/ngsi-ld/errors/InvalidRequest',
    title,
    status,
    detail: refusal.message,
  });
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
