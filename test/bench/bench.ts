/**
 * `npm run bench`: what the broker does in a second, and the ratio to what this machine can do at all: for reads a bare node:http server that
 * sends the same bytes, for writes a bare transaction of the same rows (and, in brackets, a bare POST that only parses), all in this run.
 *
 * Options: --json (an array of {name, value, unit, ratio, goal} on standard output), --quick (one short run of each), --only NAME.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrokerProcess, freePorts, startBrokerProcess } from '../support/broker-process.ts';
import { GENERATOR, type Load, load, pin, type Work } from './load.ts';
import { benchEntity } from './shapes.ts';

const json = process.argv.includes('--json');
const quick = process.argv.includes('--quick');
const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1] : undefined;
const RUNS = quick ? 1 : 3;
const SECONDS = quick ? 1 : 3;
const say = (text: string) => (json ? process.stderr : process.stdout).write(`${text}\n`);

interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** Against the bare limit of the same run; goal: what it should be at least. */
  readonly ratio: number;
  readonly goal: number;
  readonly p99Ms?: number;
  readonly note?: string;
}
const figures: Figure[] = [];
const median = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;

function report(figure: Figure): void {
  figures.push(figure);
  const p99 = figure.p99Ms === undefined ? '' : `p99 ${figure.p99Ms.toFixed(2)} ms`;
  const mark = figure.ratio >= figure.goal ? ' ' : '!';
  say(
    `${figure.name.padEnd(26)} ${Math.round(figure.value).toLocaleString('en').padStart(9)} ${figure.unit.padEnd(16)} ${p99.padEnd(14)} ratio ${figure.ratio.toFixed(2)} (goal ${figure.goal})${mark} ${figure.note ?? ''}`,
  );
}

let numbers = 0;
/** The median run of several. No two runs write the same numbers. */
async function measured(base: string, work: Work): Promise<Load> {
  const runs: Load[] = [];
  for (let run = 0; run < RUNS; run++) {
    numbers += 10_000_000;
    const result = await load(base, work, SECONDS, numbers);
    if (result.failures > 0) throw new Error(`${work.method} ${work.path}: ${result.failures} answers were not 2xx`);
    runs.push(result);
  }
  return runs.sort((a, b) => a.perSecond - b.perSecond)[Math.floor(runs.length / 2)]!;
}

async function output(args: readonly string[], core: 0 | 1): Promise<string> {
  const [command, ...rest] = [...pin(core), process.execPath, ...args];
  const child = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const chunk of child.stdout) text += chunk;
  return text.trim();
}

const here = (file: string) => join(import.meta.dirname, file);

async function bareServer(): Promise<{ url: string; stop(): void }> {
  const [command, ...rest] = [...pin(0), process.execPath, here('bare-server.ts')];
  const child = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise<string>((resolve) =>
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim())),
  );
  return { url: `http://127.0.0.1:${port}`, stop: () => void child.kill() };
}

async function withBroker<T>(work: (broker: BrokerProcess, dataDir: string) => Promise<T>): Promise<T> {
  const dataDir = mkdtempSync(join(tmpdir(), 'mizar-bench-'));
  const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
  const broker = await startBrokerProcess({ dataDir, httpPort, mqttPort, prefix: pin(0) });
  try {
    return await work(broker, dataDir);
  } finally {
    await broker.terminate();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

const JSON_HEADERS = { 'content-type': 'application/json' };

async function post(url: string, body: unknown): Promise<void> {
  const answer = await fetch(url, { method: 'POST', headers: JSON_HEADERS, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
}

/** 100 entities urn:ngsi-ld:BenchEntity:0 to :99. */
async function fill(broker: BrokerProcess): Promise<void> {
  const entities = Array.from({ length: 100 }, (_, k) => benchEntity(`urn:ngsi-ld:BenchEntity:${k}`, k));
  await post(`${broker.url}/ngsi-ld/v1/entityOperations/create`, entities);
}

const bare = await bareServer();
const wanted = (name: string) => only === undefined || name.includes(only);
say(`load from ${GENERATOR}, 50 connections, ${RUNS} × ${SECONDS} s each, medians; ${process.version}`);

async function reads(): Promise<void> {
  await withBroker(async (broker) => {
    await fill(broker);
    const cases = [
      { name: 'query limit=20', path: '/ngsi-ld/v1/entities?type=BenchEntity&limit=20', goal: 0.65 },
      { name: 'retrieve by id', path: '/ngsi-ld/v1/entities/urn:ngsi-ld:BenchEntity:42', goal: 0.75 },
    ];
    for (const { name, path, goal } of cases) {
      if (!wanted(name)) continue;
      const answer = await fetch(`${broker.url}${path}`);
      const bytes = Buffer.from(await answer.arrayBuffer());
      await fetch(`${bare.url}/bytes`, {
        method: 'PUT',
        body: bytes,
        headers: { 'content-type': answer.headers.get('content-type') ?? '' },
      });
      const floor = await measured(bare.url, { method: 'GET', path: '/page' });
      const ours = await measured(broker.url, { method: 'GET', path });
      report({
        name,
        value: ours.perSecond,
        unit: 'requests/s',
        ratio: ours.perSecond / floor.perSecond,
        goal,
        p99Ms: ours.p99Ms,
        note: `bare ${Math.round(floor.perSecond)}/s, ${bytes.length} bytes`,
      });
    }
  });
}

async function writes(): Promise<void> {
  const entity = JSON.stringify(benchEntity('urn:ngsi-ld:BenchEntity:[<n>]', 7));
  const batch = JSON.stringify(Array.from({ length: 20 }, (_, k) => benchEntity(`urn:ngsi-ld:BenchEntity:[<n>]-${k}`, k)));
  const cases = [
    {
      name: 'create, durable',
      work: { method: 'POST', path: '/ngsi-ld/v1/entities', body: entity, headers: JSON_HEADERS } as Work,
      each: 1,
      goal: 0.35,
    },
    {
      name: 'update one attribute',
      work: {
        method: 'PATCH',
        path: '/ngsi-ld/v1/entities/urn:ngsi-ld:BenchEntity:[<k>]/attrs/speed',
        body: '{"value":[<n>]}',
        headers: JSON_HEADERS,
      } as Work,
      each: 1,
      goal: 0.3,
    },
    {
      name: 'batch of 20 upserts',
      work: { method: 'POST', path: '/ngsi-ld/v1/entityOperations/upsert', body: batch, headers: JSON_HEADERS } as Work,
      each: 20,
      goal: 0.6,
    },
  ];
  for (const { name, work, each, goal } of cases) {
    if (!wanted(name)) continue;
    const echo = await measured(bare.url, { ...work, method: 'POST', path: '/echo' });
    const dataDir = mkdtempSync(join(tmpdir(), 'mizar-bench-'));
    const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
    const broker = await startBrokerProcess({ dataDir, httpPort, mqttPort, prefix: pin(0) });
    if (name.startsWith('update')) await fill(broker);
    const ours = await measured(broker.url, work);
    const changes = Number(
      /mizar_store_changes_total (\d+)/.exec(await (await fetch(`${broker.url}/metrics`)).text())?.[1] ?? 0,
    );
    await broker.terminate();
    // 50 connections that wait for each other share one transaction; a batch is one.
    const perTransaction = each === 1 ? 50 : each;
    const floor = Number(
      await output(
        [here('bare-transaction.ts'), JSON.stringify({ file: join(dataDir, 'mizar.db'), entities: changes, perTransaction })],
        0,
      ),
    );
    rmSync(dataDir, { recursive: true, force: true });
    const perSecond = ours.perSecond * each;
    const ofEcho = ours.perSecond / echo.perSecond;
    report({
      name,
      value: perSecond,
      unit: 'entities/s',
      // A batch is compared with its rows; single writes with a POST that stores nothing, which is the harder limit.
      ratio: each === 1 ? ofEcho : perSecond / floor,
      goal,
      p99Ms: ours.p99Ms,
      note: `bare POST ${Math.round(echo.perSecond)}/s (ratio ${ofEcho.toFixed(2)}), bare transaction ${Math.round(floor)}/s (ratio ${(perSecond / floor).toFixed(2)})`,
    });
  }
}

async function notificationCase(): Promise<void> {
  const name = 'notification delivered';
  if (!wanted(name)) return;
  let received = 0;
  let last = 0;
  let sample = '';
  /** When the batch with this number was sent, and how long after it each of its notifications arrived. */
  const sentAt = new Map<number, number>();
  const delays: number[] = [];
  const listener = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      received++;
      last = performance.now();
      const text = Buffer.concat(chunks).toString();
      if (sample === '') sample = text;
      const round = Number(/"speed":\{"type":"Property","value":(\d+)/.exec(text)?.[1]);
      delays.push(last - (sentAt.get(round) ?? last));
      response.writeHead(200, { 'content-length': 0 }).end();
    });
  });
  listener.keepAliveTimeout = 60_000;
  await new Promise<void>((listening) => listener.listen(0, '127.0.0.1', listening));
  const url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/`;
  await withBroker(async (broker) => {
    await fill(broker);
    await post(`${broker.url}/ngsi-ld/v1/subscriptions`, {
      type: 'Subscription',
      entities: [{ type: 'BenchEntity' }],
      notification: { endpoint: { uri: url } },
    });
    const runs: number[] = [];
    const updates = Array.from({ length: 100 }, (_, k) => k);
    for (let run = 0; run < RUNS; run++) {
      received = 0;
      const rounds = quick ? 20 : 100;
      const expected = rounds * updates.length;
      const began = performance.now();
      // One batch of 100 updates at a time keeps the deliveries busy without the writes being the limit.
      for (let round = 0; round < rounds; round++) {
        numbers++;
        const body = updates.map((k) => ({
          id: `urn:ngsi-ld:BenchEntity:${k}`,
          type: 'BenchEntity',
          speed: { type: 'Property', value: numbers + k / 1000 },
        }));
        sentAt.set(numbers, performance.now());
        await post(`${broker.url}/ngsi-ld/v1/entityOperations/update`, body);
      }
      const until = performance.now() + 30_000;
      while (received < expected && performance.now() < until) await new Promise((wake) => setTimeout(wake, 5));
      if (received < expected) throw new Error(`only ${received} of ${expected} notifications arrived`);
      runs.push((received * 1000) / (last - began));
    }
    const count = quick ? 2000 : 10_000;
    const floor = median(
      await Promise.all([
        Number(await output([here('bare-server.ts'), 'send', JSON.stringify({ url, body: sample, count })], 0)),
      ]),
    );
    report({
      name,
      value: median(runs),
      unit: 'notifications/s',
      ratio: median(runs) / floor,
      goal: 0.5,
      p99Ms: delays.sort((a, b) => a - b)[Math.floor(delays.length * 0.99)] ?? 0,
      note: `bare undici POSTs ${Math.round(floor)}/s, ${sample.length} bytes`,
    });
  });
  listener.closeAllConnections();
  listener.close();
}

async function start(): Promise<void> {
  const name = 'start to first answer';
  if (!wanted(name)) return;
  const dataDir = mkdtempSync(join(tmpdir(), 'mizar-bench-'));
  const times: number[] = [];
  let rss = 0;
  for (let run = 0; run < RUNS + 1; run++) {
    const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
    const began = performance.now();
    const broker = await startBrokerProcess({ dataDir, httpPort, mqttPort, prefix: pin(0) });
    // The first start fills the compile cache.
    if (run > 0) times.push(performance.now() - began);
    const text = await (await fetch(`${broker.url}/metrics`)).text();
    rss = Number(/process_resident_memory_bytes (\d+)/.exec(text)?.[1] ?? 0);
    await broker.terminate();
  }
  rmSync(dataDir, { recursive: true, force: true });
  report({
    name,
    value: median(times),
    unit: 'ms',
    ratio: 350 / median(times),
    goal: 1,
    note: `resident ${Math.round(rss / 1e6)} MB`,
  });
}

try {
  await reads();
  await writes();
  await notificationCase();
  await start();
} finally {
  bare.stop();
}
if (json) console.log(JSON.stringify(figures, null, 1));
