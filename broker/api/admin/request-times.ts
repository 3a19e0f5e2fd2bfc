import type { FastifyInstance } from 'fastify';

declare module 'fastify' {
  interface FastifyRequest {
    /** Another process of the broker answers it. */
    passedOn?: boolean;
    /** Where its route keeps its times, by status. */
    times?: Map<number, RequestSeries>;
  }
}

/** Upper bounds, in seconds. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const NAME = 'mizar_http_request_seconds';

/** Requests of one method, route and status. */
export interface RequestSeries {
  readonly labels: string;
  /** Requests by the first bucket that holds them; the last is beyond all bounds. */
  readonly counts: Float64Array;
  sum: number;
}

/**
 * How long requests take, by method, route and status, as a Prometheus histogram. Every request passes here, so it is a few additions instead
 * of a metrics library's look-up of labels.
 */
export function requestTimes(): {
  observe(app: FastifyInstance): void;
  /** As they are now, to be added to those of another process. */
  series(): readonly RequestSeries[];
  /** @param others of other processes that serve, which count as one with this */
  text(others?: readonly RequestSeries[]): string;
} {
  const series = new Map<string, RequestSeries>();

  function seriesOf(method: string, route: string, status: number): RequestSeries {
    const labels = `method="${method}",route="${route.replaceAll('"', '')}",status="${status}"`;
    let found = series.get(labels);
    if (!found) {
      found = { labels, counts: new Float64Array(BUCKETS.length + 1), sum: 0 };
      series.set(labels, found);
    }
    return found;
  }

  return {
    observe(app) {
      // What fastify tells of a request's route it puts together anew whenever it is asked, so each route leaves its own place with its requests.
      app.decorateRequest('times');
      app.addHook('onRoute', (route) => {
        if (Array.isArray(route.method)) return;
        const times = new Map<number, RequestSeries>();
        route.onRequest = [
          (request, _reply, done) => {
            request.times = times;
            done();
          },
          ...[route.onRequest ?? []].flat(),
        ];
      });
      app.addHook('onResponse', (request, reply, done) => {
        // Another process answered, and counts it.
        if (request.passedOn === true) {
          done();
          return;
        }
        const { statusCode } = reply;
        let found = request.times?.get(statusCode);
        if (!found) {
          found = seriesOf(request.method, request.routeOptions.url ?? 'unknown', statusCode);
          request.times?.set(statusCode, found);
        }
        const seconds = reply.elapsedTime / 1000;
        let bucket = 0;
        while (bucket < BUCKETS.length && seconds > BUCKETS[bucket]!) bucket++;
        found.counts[bucket]!++;
        found.sum += seconds;
        done();
      });
    },
    series: () => [...series.values()],
    text(others = []) {
      const lines = [`# HELP ${NAME} Time from a request's arrival to the last byte of its answer`, `# TYPE ${NAME} histogram`];
      for (const { labels, counts, sum } of summed([...series.values(), ...others])) {
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

function summed(all: readonly RequestSeries[]): Iterable<RequestSeries> {
  const byLabels = new Map<string, RequestSeries>();
  for (const one of all) {
    const known = byLabels.get(one.labels);
    const sum = (known?.sum ?? 0) + one.sum;
    const counts = one.counts.map((count, at) => count + (known?.counts[at] ?? 0));
    byLabels.set(one.labels, { labels: one.labels, counts, sum });
  }
  return byLabels.values();
}
