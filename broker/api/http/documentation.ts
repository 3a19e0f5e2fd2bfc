import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify';
import { OPERATIONS } from './clauses.ts';
import { PARAMETERS } from './parameters.ts';

declare module 'fastify' {
  interface FastifySchema {
    /** One line, in the words of the specification. */
    summary?: string;
    description?: string;
    tags?: readonly string[];
    /** Leave this route out of the documentation. */
    hide?: boolean;
  }
}

/**
 * OpenAPI 3.1, made from the routes when it is first asked for: `/openapi.json`, and a page to browse and try it at `/docs`.
 * A route's `schema` is documentation only (bodies are checked by the domain, whose errors say more), `config.query` lists its parameters.
 * Register before any route. The pages are a server of their own, put together with the first visit, so that a start does not pay for them.
 */
export function documentation(app: FastifyInstance, version: string): void {
  const routes: RouteOptions[] = [];
  app.addHook('onRoute', (route) => {
    if (route.schema?.hide !== true && !PAGES.includes(route.url)) routes.push(route);
  });
  let making: Promise<FastifyInstance> | undefined;
  for (const url of PAGES) {
    app.route({
      method: ['GET', 'HEAD'],
      url,
      exposeHeadRoute: false,
      schema: { hide: true },
      async handler(request, reply) {
        making ??= pages(routes, version);
        const server = await making;
        reply.hijack();
        server.routing(request.raw, reply.raw);
      },
    });
  }
  app.addHook('onClose', async () => (await making)?.close());
}

const PAGES = ['/openapi.json', '/docs', '/docs/*'];

/** A server that knows the routes, and serves only what tells about them. */
async function pages(routes: readonly RouteOptions[], version: string): Promise<FastifyInstance> {
  const [{ default: fastify }, { default: swagger }, { default: swaggerUi }] = await Promise.all([
    import('fastify'),
    import('@fastify/swagger'),
    import('@fastify/swagger-ui'),
  ]);
  const app: FastifyInstance = fastify({
    exposeHeadRoutes: true,
    routerOptions: { maxParamLength: 1000, ignoreTrailingSlash: true },
  });
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => JSON.stringify);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Mizar',
        version,
        description: 'Federated linked-data context broker. Clause numbers are those of ETSI GS CIM 009 V1.9.1.',
        license: { name: 'EUPL-1.2', url: 'https://joinup.ec.europa.eu/collection/eupl/eupl-text-eupl-12' },
      },
    },
    transform: ({ schema, url, route }) => ({ url, schema: described(schema, route.config, url) as FastifySchema }),
  });
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) =>
    reply.header('content-type', 'application/json').send(Buffer.from(JSON.stringify(app.swagger()))),
  );
  await app.register(async (documented) => {
    for (const { method, url, schema, config } of routes) {
      documented.route({
        method,
        url,
        ...(schema && { schema }),
        ...(config && { config }),
        exposeHeadRoute: false,
        handler: (_request, reply) => reply.code(404).send(),
      });
    }
  });
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    theme: { title: 'Mizar: APIs', css: [{ filename: 'mizar.css', content: '.swagger-ui .topbar { display: none }' }] },
    uiConfig: { docExpansion: 'list', deepLinking: true, tryItOutEnabled: true },
  });
  await app.ready();
  return app;
}

function described(
  schema: FastifySchema | undefined,
  config: { clause?: string; query?: readonly string[] } | undefined,
  url: string,
): object {
  const { clause, query } = config ?? {};
  const operation = clause === undefined ? undefined : OPERATIONS[clause];
  const own = { ...(operation && { summary: operation.name, tags: [operation.heading] }), ...schema };
  const lines = [own.description, clause === undefined ? undefined : `Clause ${clause}.`].filter((line) => line !== undefined);
  const document: Record<string, unknown> = { ...own, ...(lines.length > 0 && { description: lines.join('\n\n') }) };
  if (query !== undefined && query.length > 0 && own.querystring === undefined) {
    document['querystring'] = {
      type: 'object',
      properties: Object.fromEntries(query.map((name) => [name, documentedParameter(name)])),
    };
  }
  if (url.startsWith('/ngsi-ld/') && own.headers === undefined) document['headers'] = NGSI_LD_HEADERS;
  return document;
}

function documentedParameter(name: string): object {
  const { example, ...known } = PARAMETERS[name] ?? { type: 'string', description: '' };
  return example === undefined ? known : { ...known, examples: [example] };
}

const NGSI_LD_HEADERS = {
  type: 'object',
  properties: {
    'NGSILD-Tenant': { type: 'string', description: 'The tenant; absent: the default tenant (6.3.14).' },
    Link: {
      type: 'string',
      description:
        'The @context of the request (6.3.5); absent: the core context. Not together with a body of application/ld+json.',
      examples: [
        '<https://example.org/context.jsonld>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"',
      ],
    },
  },
};
