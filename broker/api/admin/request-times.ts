import type { FastifyInstance } from 'fastify';

/** Upper bounds, in seconds. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const NAME = 'mizar_http_request_seconds';

interface Series {
  readonly labels: string;
  /** Requests by the first bucket that holds them; the last is beyond all bounds. */
  readonly counts: Float64Array;
  sum: number;
}

/**
 * How long requests take, by method, route and status, as a Prometheus histogram. Every request passes here, so it is a few additions instead
 * of a metrics library's look-up of labels.
 */
export function requestTimes(): { observe(app: FastifyInstance): void; text(): string } {
  const series = new Map<string, Series>();
  return {
    observe(app) {
      app.addHook('onResponse', (request, reply, done) => {
        const route = request.routeOptions.url ?? 'unknown';
        const key = `${request.method}${reply.statusCode}${route}`;
        let found = series.get(key);
        if (!found) {
          const labels = `method="${request.method}",route="${route.replaceAll('"', '')}",status="${reply.statusCode}"`;
          found = { labels, counts: new Float64Array(BUCKETS.length + 1), sum: 0 };
          series.set(key, found);
        }
        const seconds = reply.elapsedTime / 1000;
        let bucket = 0;
        while (bucket < BUCKETS.length && seconds > BUCKETS[bucket]!) bucket++;
        found.counts[bucket]!++;
        found.sum += seconds;
        done();
      });
    },
    text() {
      const lines = [`# HELP ${NAME} Time from a request's arrival to the last byte of its answer`, `# TYPE ${NAME} histogram`];
      for (const { labels, counts, sum } of series.values()) {
        let total = 0;
        for (const [at, bound] of BUCKETS.entries()) {
          total += counts[at]!;
          lines.push(`${NAME}_bucket{${labels},le="${bound}"} ${total}`);
        }
        total += counts[BUCKETS.length]!;
        lines.push(
          `${NAME}_bucket{${labels},le="+Inf"} ${total}`,
          `${NAME}_sum{${labels}} ${sum}`,
          `${NAME}_count{${labels}} ${total}`,
        );
      }
      return `${lines.join('\n')}\n`;
    },
  };
}
