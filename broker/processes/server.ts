import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import pino, { type Logger } from 'pino';
import { metrics } from '../api/admin/metrics.ts';
import { PAGING_LIMITS } from '../api/http/paging.ts';
import { batchRoutes } from '../api/ngsi-ld/batch.ts';
import { discoveryRoutes } from '../api/ngsi-ld/discovery.ts';
import { entityRoutes } from '../api/ngsi-ld/entities.ts';
import { attributeRoutes } from '../api/ngsi-ld/entity-attributes.ts';
import { entityQueryRoutes } from '../api/ngsi-ld/entity-query.ts';
import { renderingCache } from '../api/ngsi-ld/rendering.ts';
import { temporalProvisionRoutes } from '../api/ngsi-ld/temporal-provision.ts';
import { temporalQueryRoutes } from '../api/ngsi-ld/temporal-query.ts';
import { DEFAULT_TENANT, type TenantId } from '../domain/iri.ts';
import { isObject, type JsonValue } from '../domain/json.ts';
import { databaseFile, foundations } from '../foundations.ts';
import { discoveryOperations } from '../operations/discovery.ts';
import { operationsElsewhere } from '../operations/elsewhere.ts';
import { historyOperations } from '../operations/history.ts';
import { queryOperations } from '../operations/query.ts';
import { requireTenant } from '../operations/tenants.ts';
import type { Clock } from '../ports/clock.ts';
import type { Neighbour } from '../ports/neighbour.ts';
import { documentsWrittenBy, openSqliteReader } from '../stores/sqlite/sqlite-reader.ts';
import { systemClock } from '../stores/system-clock.ts';
import { httpServer, listenOn } from '../transport/http.ts';
import { forwardTo } from './forward.ts';
import { fromData, type OfferedToServers } from './offered.ts';
import type { ServerOperations, ServerStart } from './supervisor.ts';

/** What a server answers itself, unless something about the request says otherwise. Everything else goes to the primary. */
const OURS = /^\/ngsi-ld\/v1\/(?:entities|entityOperations|types|attributes|temporal\/(?:entities|entityOperations))(?:[/?]|$)/;
/** EntityMaps are the primary's. A parameter whose name is percent-encoded might be theirs. */
const OF_AN_ENTITY_MAP = /[?&](?:entityMap|[^=&]*%)/;
const REPORT_MS = 1_000;

/** A process that serves. */
export interface Server {
  readonly app: FastifyInstance;
  readonly operations: ServerOperations;
  listen(): Promise<void>;
}

/**
 * Ties together a process that parses, validates and answers reads from the file that the primary writes, and has the primary carry out writes. What depends
 * on what only the primary knows (registrations, subscriptions, Snapshots, EntityMaps, devices …) is passed on to it as it came.
 */
export async function serverProcess(
  { config, socketPath, brokerId }: ServerStart,
  primary: Neighbour,
  replacements: { readonly clock?: Clock; readonly logger?: Logger } = {},
): Promise<Server> {
  const logger =
    replacements.logger ??
    pino({ level: config.logLevel, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime });
  const offered = <K extends keyof OfferedToServers>(name: K) => operationsElsewhere<OfferedToServers[K]>(primary, name);
  const clock = replacements.clock ?? systemClock(brokerId);
  const reader = openSqliteReader({ file: databaseFile(config), clock, cacheBytes: config.cacheBytes });
  const { entities, history } = reader;
  const contextsOnTheirWay = new Set<Promise<unknown>>();
  const documents = documentsWrittenBy(reader.documents, offered('documents'), (put) => {
    contextsOnTheirWay.add(put);
    put.catch(() => {}).finally(() => contextsOnTheirWay.delete(put));
  });
  const common = await foundations(config, documents, clock);
  const { access, contexts } = common;
  reader.onContexts(common.forgetContexts);

  const demandTenant = (tenant: TenantId) => requireTenant(entities, tenant);
  const joinLimits = { levels: config.joinLevels, entities: config.joinedEntities };
  const queries = queryOperations({ entities, access, joinLimits });
  const temporal = historyOperations({ history, clock, access, demandTenant, instancesPerAttribute: config.temporalLimit });
  const paging = { ...PAGING_LIMITS, maxLimit: config.pageLimit };
  const provision = fromData(offered('entities'));
  const forward = forwardTo(socketPath);

  function passOn(request: FastifyRequest, reply: FastifyReply, body?: string): true {
    request.passedOn = true;
    reply.hijack();
    forward(request.raw, reply.raw, body);
    return true;
  }

  function isOurs({ url, headers }: FastifyRequest): boolean {
    if (!OURS.test(url) || OF_AN_ENTITY_MAP.test(url)) return false;
    if (headers['ngsild-snapshot'] !== undefined || headers['ngsild-entitymap'] !== undefined) return false;
    // Whoever was answered before this request began sees what was answered.
    reader.fresh();
    const tenant = String(headers['ngsild-tenant'] ?? DEFAULT_TENANT) as TenantId;
    // Other sources are asked by the primary, and so are devices.
    return !reader.hasAny('registration', tenant) && !reader.hasAny('lazy-attributes', tenant);
  }

  /** A query in a body can ask for an EntityMap, too. */
  const withoutEntityMaps =
    (routes: FastifyPluginAsync): FastifyPluginAsync =>
    async (app) => {
      app.addHook('preHandler', (request, reply, done) => {
        const body = request.body as JsonValue | undefined;
        if (isObject(body) && body['entityMap'] !== undefined) passOn(request, reply, JSON.stringify(body));
        else done();
      });
      await app.register(routes);
    };

  const figures = metrics();
  const app = await httpServer({
    logger,
    limits: { bodyLimitBytes: config.bodyLimitBytes, jsonDepth: config.jsonDepth, urlLimitChars: config.urlLimitChars },
    paging,
    resolveContext: contexts.resolve,
    elsewhere: (request, reply) => !isOurs(request) && passOn(request, reply),
    observe(app) {
      figures.observe(app);
      onceStored(app, contextsOnTheirWay);
    },
    documentation: false,
    routes: {
      '/ngsi-ld/v1': [
        withoutEntityMaps(entityQueryRoutes(queries, renderingCache(config.cacheBytes), paging)),
        entityRoutes(provision),
        attributeRoutes(provision),
        batchRoutes(offered('batch'), { batchLimit: config.batchLimit }),
        discoveryRoutes(discoveryOperations({ entities, access, demandTenant })),
        temporalProvisionRoutes(offered('temporal')),
        withoutEntityMaps(temporalQueryRoutes(temporal, paging)),
      ],
    },
  });

  const store = offered('store');
  const reporting = setInterval(() => {
    const report = reader.report();
    // What a report does not reach is only slower.
    if (report) store.heard(report).catch(() => {});
  }, REPORT_MS).unref();

  return {
    app,
    operations: {
      async figures() {
        const { user, system } = process.cpuUsage();
        return {
          requests: figures.requests(),
          residentBytes: process.memoryUsage.rss(),
          cpuSeconds: (user + system) / 1e6,
        };
      },
      async drain() {
        clearInterval(reporting);
        await app.close();
        forward.close();
        await common.close();
        reader.close();
      },
    },
    async listen() {
      await app.listen(listenOn(config.host, config.httpPort, true));
    },
  };
}

/** An answer may name a @context that was just made from an inline one (5.13.1): it waits until every process can serve that. */
function onceStored(app: FastifyInstance, contexts: ReadonlySet<Promise<unknown>>): void {
  app.addHook('onSend', (_request, _reply, payload, done) => {
    if (contexts.size === 0) done(null, payload);
    else Promise.allSettled(contexts).then(() => done(null, payload));
  });
}
