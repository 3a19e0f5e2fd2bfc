/** Ten million instances of a few hundred sensors, a reading every quarter of an hour for a year each: what one sensor's history costs among them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AttributeInstance } from '../../broker/domain/attribute.ts';
import { DEFAULT_TENANT, type Iri } from '../../broker/domain/iri.ts';
import type { Instant } from '../../broker/domain/time.ts';
import { freePorts, startBrokerProcess } from '../support/broker-process.ts';
import { openFolder } from './fill.ts';
import type { Bench, Rows } from './harness.ts';
import { pin } from './load.ts';
import { median } from './row.ts';

const YEAR = 4 * 24 * 365;
const FROM = Date.UTC(2025, 0, 1);
const LEVEL = 'https://uri.etsi.org/ngsi-ld/default-context/level' as Iri;
const TYPE = 'https://uri.etsi.org/ngsi-ld/default-context/BenchSensor' as Iri;
const sensor = (n: number) => `urn:ngsi-ld:BenchSensor:${n}` as Iri;
const timeOf = (step: number) => new Date(FROM + step * 900_000).toISOString().replace('.000', '') as Instant;

export const history: Rows = async function* (bench) {
  const instances = bench.quick ? 1_000_000 : 10_000_000;
  const size = instances.toLocaleString('en');
  const cases = [
    {
      name: `temporal: last 1 000 of ${size}`,
      goalMs: 5,
      query: 'lastN=1000&timerel=before&timeAt=2027-01-01T00:00:00Z',
    },
    {
      name: `temporal: daily averages of a year, ${size}`,
      goalMs: 30,
      query:
        'options=aggregatedValues&aggrMethods=avg&aggrPeriodDuration=P1D&timerel=between&timeAt=2025-01-01T00:00:00Z&endTimeAt=2026-01-01T00:00:00Z',
    },
  ].filter(({ name }) => bench.wanted(name));
  if (cases.length === 0) return;
  const dataDir = mkdtempSync(join(tmpdir(), 'mizar-bench-'));
  try {
    const sensors = Math.round(instances / YEAR);
    const perSecond = await fillHistory(bench, dataDir, sensors);
    const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
    const broker = await startBrokerProcess({ dataDir, httpPort, mqttPort, prefix: pin(0) });
    try {
      for (const { name, goalMs, query } of cases) {
        const times: number[] = [];
        let bytes = 0;
        // The first hundred warm up the code, and do not count.
        for (let n = -100; n < 50; n++) {
          // A different sensor every time, as far as there are so many: what was read for one helps none of the others.
          const url = `${broker.url}/ngsi-ld/v1/temporal/entities/${sensor((n + 100) % sensors)}?${query}`;
          const began = performance.now();
          const answer = await fetch(url);
          const text = await answer.text();
          if (n >= 0) times.push(performance.now() - began);
          if (answer.status >= 300) throw new Error(`${url}: ${answer.status} ${text.slice(0, 300)}`);
          bytes = text.length;
        }
        const ms = median(times);
        yield {
          name,
          value: ms,
          unit: 'ms',
          ratio: goalMs / ms,
          goal: 1,
          note: `goal ${goalMs} ms; ${bytes} bytes; filled at ${Math.round(perSecond).toLocaleString('en')} instances/s`,
        };
      }
    } finally {
      await broker.terminate();
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
};

/** @returns instances stored per second */
async function fillHistory(bench: Bench, dataDir: string, sensors: number): Promise<number> {
  const store = openFolder(dataDir);
  const began = performance.now();
  try {
    for (let n = 0; n < sensors; n++) {
      bench.progress(`filling the history: sensor ${n + 1} of ${sensors}`);
      for (let step = 0; step < YEAR; step += 8760) {
        const readings = Array.from({ length: 8760 }, (_, k): AttributeInstance => {
          const value = Math.round(500 + 400 * Math.sin((step + k) / 15) + (k % 17)) / 10;
          return { type: 'Property', value, observedAt: timeOf(step + k) } as AttributeInstance;
        });
        const fragment = { types: [TYPE], attributes: { [LEVEL]: readings } };
        await store.history.append(DEFAULT_TENANT, sensor(n), fragment, store.clock.now());
      }
    }
  } finally {
    await store.close();
  }
  return (sensors * YEAR * 1000) / (performance.now() - began);
}
