/**
 * What a second process gives (MIZAR_PROCESSES=2). One process has a core for itself, as in all other rows; two processes have both cores and share the second
 * with the load generator. So what is asked is heavy: cold queries and pages of 100, of which the generator's part is small, and the CPU of each request is told,
 * which does not depend on who else works.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrokerProcess, freePorts, startBrokerProcess } from '../support/broker-process.ts';
import { fillFolder } from './fill.ts';
import { type Bench, freshNumbers, JSON_HEADERS, metric, type Rows } from './harness.ts';
import { load, pin, type Work } from './load.ts';
import { queriesFile } from './random-queries.ts';
import type { Row } from './row.ts';
import { benchEntity } from './shapes.ts';

const ENTITIES = 20_000;

/** A median run. */
interface Measured {
  readonly perSecond: number;
  readonly p99Ms: number;
  /** Of all processes of the broker, for one request. */
  readonly cpuMicros: number;
  /** That the broker used. */
  readonly cores: number;
}

async function cpuSeconds(broker: BrokerProcess): Promise<number> {
  const servers = await metric(broker, 'mizar_servers_cpu_seconds');
  return (await metric(broker, 'process_cpu_seconds_total')) + (Number.isNaN(servers) ? 0 : servers);
}

async function runs({ quick }: Bench, broker: BrokerProcess, work: Work): Promise<Measured> {
  const seconds = 2;
  const all: Measured[] = [];
  await load(broker.url, work, 1, freshNumbers());
  for (let run = 0; run < (quick ? 1 : 3); run++) {
    const before = await cpuSeconds(broker);
    const { perSecond, p99Ms, failures } = await load(broker.url, work, seconds, freshNumbers());
    if (failures > 0) throw new Error(`${work.path}: ${failures} answers were not 2xx`);
    const cores = ((await cpuSeconds(broker)) - before) / seconds;
    all.push({ perSecond, p99Ms, cpuMicros: (cores / perSecond) * 1e6, cores });
  }
  return all.sort((a, b) => a.perSecond - b.perSecond)[Math.floor(all.length / 2)]!;
}

async function withProcesses<T>(count: number, dataDir: string, use: (broker: BrokerProcess) => Promise<T>): Promise<T> {
  const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
  const environment = { MIZAR_PROCESSES: String(count), MIZAR_CACHE_BYTES: '100000' };
  const broker = await startBrokerProcess({ dataDir, httpPort, mqttPort, environment, ...(count === 1 && { prefix: pin(0) }) });
  try {
    for (let tries = 0; tries < 500; tries++) {
      const { processes } = (await (await fetch(`${broker.url}/health`)).json()) as { processes: { running: number } };
      if (processes.running === count) return await use(broker);
      await new Promise((wake) => setTimeout(wake, 20));
    }
    throw new Error(`there are not ${count} processes`);
  } finally {
    await broker.terminate();
  }
}

export const processes: Rows = async function* (bench) {
  const work = mkdtempSync(join(tmpdir(), 'mizar-bench-'));
  const filled = join(work, 'data');
  const paths = queriesFile(work, 'place', ENTITIES);
  const cases: { name: string; goal: number; work: Work; dataDir: string }[] = [
    { name: 'random places, cold', goal: 1.8, work: { method: 'GET', path: '/', paths }, dataDir: filled },
    {
      name: 'pages of 100, cold',
      goal: 1.8,
      work: { method: 'GET', path: '/ngsi-ld/v1/entities?type=BenchEntity&limit=100&offset=[<k>]' },
      dataDir: filled,
    },
    {
      name: 'create, durable',
      goal: 1,
      work: {
        method: 'POST',
        path: '/ngsi-ld/v1/entities',
        body: JSON.stringify(benchEntity('urn:ngsi-ld:BenchEntity:[<n>]', 7)),
        headers: JSON_HEADERS,
      },
      dataDir: join(work, 'created'),
    },
  ];
  const wanted = cases
    .map((one) => ({ ...one, name: `${one.name}, 2 processes to 1` }))
    .filter(({ name }) => bench.wanted(name));
  try {
    if (wanted.some(({ dataDir }) => dataDir === filled)) {
      mkdirSync(filled);
      await fillFolder(filled, ENTITIES);
    }
    for (const { name, goal, work: asked, dataDir } of wanted) {
      const one = await withProcesses(1, dataDir, (broker) => runs(bench, broker, asked));
      const two = await withProcesses(2, dataDir, (broker) => runs(bench, broker, asked));
      const row: Row = {
        name,
        value: two.perSecond,
        unit: 'requests/s',
        ratio: two.perSecond / one.perSecond,
        goal,
        p99Ms: two.p99Ms,
        note: `1 process ${Math.round(one.perSecond)}/s; ${two.cores.toFixed(2)} of 2 cores to ${one.cores.toFixed(2)}, CPU each ${Math.round(two.cpuMicros)} to ${Math.round(one.cpuMicros)} µs`,
      };
      yield row;
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
};
