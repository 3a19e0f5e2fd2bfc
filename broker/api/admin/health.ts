import type { FastifyPluginAsync } from 'fastify';

/** One thing that the broker depends on, or a figure that an operator wants to see. Never a secret. */
export interface HealthReport {
  readonly status: 'ok' | 'degraded' | 'failing';
  readonly version: string;
  readonly brokerId: string;
  readonly uptimeS: number;
  /** That serve HTTP: how many there are, and how many there shall be (MIZAR_PROCESSES). */
  readonly processes: { readonly running: number; readonly wanted: number };
  readonly checks: Readonly<Record<string, { readonly status: 'ok' | 'failing'; readonly detail?: string }>>;
  /** Limits in force, so that a client can find out why it was refused. */
  readonly limits: Readonly<Record<string, number>>;
}

/** One index of the values of an attribute, made because queries asked for it or the configuration did. */
export interface IndexReport {
  readonly tenant: string;
  /** The attribute's IRI; behind a space those of attributes inside it; in brackets members of its value. */
  readonly path: string;
  readonly state: 'building' | 'ready' | 'dropping';
  /** About how many values it holds. */
  readonly rows: number;
  /** Since the broker started: queries that it answered, and entities that these did not have to look at because of it. */
  readonly uses: number;
  readonly entitiesSaved: number;
  /** Since the broker started: what it cost those who write. */
  readonly rowsChanged: number;
  /** Microseconds since 1970. */
  readonly lastUsed: number;
}

export interface Operator {
  health(): Promise<HealthReport>;
  /** The indexes of attribute values that there are. */
  indexes(): readonly IndexReport[];
  /** True while requests are welcome: after start-up is complete and before draining. */
  ready(): boolean;
  /** Prometheus text format. */
  metrics(): Promise<{ readonly contentType: string; readonly body: string }>;
}

/** For orchestrators, probes and Prometheus: no authentication, no secrets. */
export const operatorRoutes =
  (operator: Operator): FastifyPluginAsync =>
  async (app) => {
    // Somebody who opens the address in a browser wants to know what this is.
    app.get('/', { schema: { hide: true } }, async (_request, reply) => reply.redirect('/docs/'));
    app.get(
      '/health',
      { schema: { summary: 'State of the broker and of what it depends on', tags: ['Operations'] } },
      async (_request, reply) => {
        const report = await operator.health();
        return reply.code(report.status === 'failing' ? 503 : 200).send(report);
      },
    );
    app.get(
      '/ready',
      { schema: { summary: 'Whether requests are welcome', tags: ['Operations'] } },
      async (_request, reply) => {
        const ready = operator.ready();
        return reply.code(ready ? 200 : 503).send({ ready });
      },
    );
    app.get(
      '/admin/indexes',
      {
        schema: { summary: 'Indexes of attribute values: what they save queries, what they cost writes', tags: ['Operations'] },
      },
      async (_request, reply) =>
        reply.send(
          operator
            .indexes()
            .map(({ lastUsed, ...report }) => ({ ...report, lastUsedAt: new Date(Math.floor(lastUsed / 1000)).toISOString() })),
        ),
    );
    app.get('/metrics', { schema: { summary: 'Figures for Prometheus', tags: ['Operations'] } }, async (_request, reply) => {
      const { contentType, body } = await operator.metrics();
      return reply.header('content-type', contentType).send(body);
    });
  };
