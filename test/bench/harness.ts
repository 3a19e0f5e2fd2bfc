/** What the benchmarks share: a broker on the first core, filled and asked from the second, medians of several runs. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { type BrokerProcess, freePorts, startBrokerProcess } from '../support/broker-process.ts';
import type { BareServer } from './bare.ts';
import type { Filled } from './filled.ts';
import { type Kept, withKept } from './kept.ts';
import { type Load, load, pin, type Work } from './load.ts';
import type { Row } from './row.ts';
import { benchEntity } from './shapes.ts';

/** How long and how often to measure, and against what. */
export interface Bench {
  readonly bare: BareServer;
  readonly quick: boolean;
  readonly runs: number;
  readonly seconds: number;
  /** False: this row was not asked for (--only). */
  wanted(name: string): boolean;
  /** For what takes long: what is being done now. */
  progress(text: string): void;
  /** A data folder of filled.ts; whoever starts a broker on it may change what is in it. */
  readonly filled: Filled;
}

/** A group of rows, measured one after the other; each is told as soon as it is there. */
export type Rows = (bench: Bench) => AsyncIterable<Row>;

let numbers = 0;
/** No two runs write the same numbers. */
export function freshNumbers(): number {
  numbers += 10_000_000;
  return numbers;
}

let lastTime = 0;
/** The time in milliseconds since 1970, different at every call: a value that tells when it was sent. */
export function freshTime(): number {
  lastTime = Math.max(lastTime + 0.001, Date.now());
  return lastTime;
}

/** The median run of several. @throws if an answer was not 2xx */
export async function measured({ runs, seconds }: Bench, base: string, work: Work): Promise<Load> {
  const results: Load[] = [];
  for (let run = 0; run < runs; run++) {
    const result = await load(base, work, seconds, freshNumbers());
    if (result.failures > 0) throw new Error(`${work.method} ${work.path}: ${result.failures} answers were not 2xx`);
    results.push(result);
  }
  return results.sort((a, b) => a.perSecond - b.perSecond)[Math.floor(results.length / 2)]!;
}

export const here = (file: string): string => join(import.meta.dirname, file);

/** Runs a program of this folder on a core. @returns what it printed */
export async function output(args: readonly string[], core: 0 | 1): Promise<string> {
  const [command, ...rest] = [...pin(core), process.execPath, ...args];
  const child = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const chunk of child.stdout) text += chunk;
  return text.trim();
}

/** A broker with a store of its own, both gone afterwards. `work` may end the broker itself. */
export async function withBroker<T>(
  work: (broker: BrokerProcess, kept: Kept) => Promise<T>,
  environment: Readonly<Record<string, string>> = {},
): Promise<T> {
  return withKept(async (kept) => {
    const broker = await startBroker(kept, environment);
    try {
      return await work(broker, kept);
    } finally {
      await broker.terminate();
    }
  });
}

/** A broker on the first core. */
export async function startBroker(kept: Kept, environment: Readonly<Record<string, string>> = {}): Promise<BrokerProcess> {
  const { dataDir } = kept;
  const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
  const settings = { ...kept.environment, ...environment };
  return startBrokerProcess({ dataDir, httpPort, mqttPort, prefix: pin(0), environment: settings });
}

/** The medians of what two servers do in turn, so that both meet the same hour of a machine that others use as well. */
export async function inTurn(bench: Bench, ours: Asked, theirs: Asked): Promise<{ ours: Load; floor: Load; ratio: number }> {
  const runs: { ours: Load; floor: Load; ratio: number }[] = [];
  for (let run = 0; run < bench.runs; run++) {
    const once = { ...bench, runs: 1 };
    const floor = await measured(once, theirs.url, theirs.work);
    const own = await measured(once, ours.url, ours.work);
    runs.push({ ours: own, floor, ratio: own.perSecond / floor.perSecond });
  }
  return runs.sort((a, b) => a.ratio - b.ratio)[Math.floor(runs.length / 2)]!;
}

interface Asked {
  readonly url: string;
  readonly work: Work;
}

export const JSON_HEADERS = { 'content-type': 'application/json' };

export async function post(
  url: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = JSON_HEADERS,
): Promise<void> {
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  await answer.arrayBuffer();
}

/** 100 entities urn:ngsi-ld:BenchEntity:0 to :99. */
export async function fill(broker: BrokerProcess): Promise<void> {
  const entities = Array.from({ length: 100 }, (_, k) => benchEntity(`urn:ngsi-ld:BenchEntity:${k}`, k));
  await post(`${broker.url}/ngsi-ld/v1/entityOperations/create`, entities);
}

/** A figure of /metrics. */
export async function metric(broker: BrokerProcess, name: string): Promise<number> {
  const text = await (await fetch(`${broker.url}/metrics`)).text();
  return Number(new RegExp(`^${name} ([\\d.e+]+)`, 'm').exec(text)?.[1] ?? Number.NaN);
}
