import type { FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';
import { type RequestSeries, requestTimes } from './request-times.ts';

/** Figures that rooms of the broker keep themselves; read when Prometheus asks. Names end in what they count; totals only grow. */
export type FigureSource = () => Promise<Readonly<Record<string, number>>> | Readonly<Record<string, number>>;

export interface Metrics {
  /** Adds the figures of a room: `mizar_<room>_<name>`. A name that ends in `_total` is a counter, any other a gauge. */
  add(room: string, source: FigureSource, about: Readonly<Record<string, string>>): void;
  /** Counts and times the requests of a server, by route and status. */
  observe(app: FastifyInstance): void;
  /** Of this process, to be added to those of the one that is asked. */
  requests(): readonly RequestSeries[];
  text(): Promise<{ readonly contentType: string; readonly body: string }>;
}

interface Figure {
  readonly name: string;
  readonly full: string;
  readonly help: string;
  readonly source: FigureSource;
}

/** @param others requests that other processes of this broker have answered */
export function metrics(others: () => Promise<readonly RequestSeries[]> = async () => []): Metrics {
  const figures: Figure[] = [];
  const times = requestTimes();
  // Loaded when it is first asked for: a tenth of the time that a start takes. What the process itself counts begins with that.
  let loading: Promise<Registry> | undefined;
  return {
    add(room, source, about) {
      for (const [name, help] of Object.entries(about)) figures.push({ name, full: `mizar_${room}_${name}`, help, source });
    },
    observe: times.observe,
    requests: times.series,
    async text() {
      loading ??= registryOf(figures);
      const registry = await loading;
      return { contentType: registry.contentType, body: `${await registry.metrics()}\n${times.text(await others())}` };
    },
  };
}

async function registryOf(figures: readonly Figure[]): Promise<Registry> {
  const { Counter, collectDefaultMetrics, Gauge, Registry } = await import('prom-client');
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const { name, full, help, source } of figures) {
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
  return registry;
}
