import type { FastifyInstance } from 'fastify';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Figures that rooms of the broker keep themselves; read when Prometheus asks. Names end in what they count; totals only grow. */
export type FigureSource = () => Promise<Readonly<Record<string, number>>> | Readonly<Record<string, number>>;

export interface Metrics {
  /** Adds the figures of a room: `mizar_<room>_<name>`. A name that ends in `_total` is a counter, any other a gauge. */
  add(room: string, source: FigureSource, about: Readonly<Record<string, string>>): void;
  /** Counts and times the requests of a server, by route and status. */
  observe(app: FastifyInstance): void;
  text(): Promise<{ readonly contentType: string; readonly body: string }>;
}

export function metrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const durations = new Histogram({
    name: 'mizar_http_request_seconds',
    help: 'Time from the first byte of a request to the last byte of the answer',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  return {
    add(room, source, about) {
      for (const [name, help] of Object.entries(about)) {
        const full = `mizar_${room}_${name}`;
        if (name.endsWith('_total')) {
          let last = 0;
          new Counter({
            name: full,
            help,
            registers: [registry],
            async collect() {
              const now = (await source())[name] ?? 0;
              this.inc(Math.max(0, now - last));
              last = now;
            },
          });
        } else {
          new Gauge({
            name: full,
            help,
            registers: [registry],
            async collect() {
              this.set((await source())[name] ?? 0);
            },
          });
        }
      }
    },
    observe(app) {
      // Looking labels up costs more than counting, so each route and status keeps its own series.
      const series = new Map<string, Histogram.Internal<string>>();
      app.addHook('onResponse', (request, reply, done) => {
        const route = request.routeOptions.url ?? 'unknown';
        const key = `${request.method} ${reply.statusCode} ${route}`;
        let found = series.get(key);
        if (!found) {
          found = durations.labels(request.method, route, String(reply.statusCode));
          series.set(key, found);
        }
        found.observe(reply.elapsedTime / 1000);
        done();
      });
    },
    text: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}
