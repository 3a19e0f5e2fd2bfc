import type { FastifyInstance } from 'fastify';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { requestTimes } from './request-times.ts';

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
  const times = requestTimes();
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
    observe: times.observe,
    text: async () => ({ contentType: registry.contentType, body: `${await registry.metrics()}\n${times.text()}` }),
  };
}
