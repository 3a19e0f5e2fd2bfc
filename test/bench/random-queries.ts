/**
 * Queries of which no two are alike, limit=20, over 100 000 entities: values, ranges, places, and a mix of them; against a bare node:http server
 * that answers as many bytes. Once with what was asked for lately in memory, once with hardly any memory, so that every page comes from the file.
 *
 * Alone: `node test/bench/random-queries.ts [--quick] [--entities 100000] [--folder filled-data-folder] [--only cold|warm]`.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrokerProcess } from '../support/broker-process.ts';
import { type BareServer, startBareServer } from './bare.ts';
import { startBareMongo } from './bare-mongo.ts';
import { AT_ONE_PLACE, CITY, fillStore, fraction, idOf, TOP_SPEED } from './fill.ts';
import { startBroker } from './harness.ts';
import { type Kept, OF_DRIVER, ON_MONGODB, openKept, withKept } from './kept.ts';
import { load } from './load.ts';
import { median, option, printRows, type Row } from './row.ts';

/** Different queries in one file; a run of a few seconds does not come to its end. */
const QUERIES = 120_000;
const PAGE = '/ngsi-ld/v1/entities?type=BenchEntity&limit=20';

/** The queries of one kind, by number. `of`: how many entities there are. Most have 20 to some hundred matches. */
export const KINDS: Readonly<Record<string, (n: number, of: number) => string>> = {
  value: (n, of) =>
    `${PAGE}&q=isParked==%22urn:ngsi-ld:OffStreetParking:${Math.floor(fraction(n, 11) * (of / AT_ONE_PLACE))}%22`,
  range: (n, of) => {
    const from = fraction(n, 12) * TOP_SPEED * 0.99;
    // From 40 matches to 400, and as many at any size of the data.
    const to = from + (TOP_SPEED * (40 + 360 * fraction(n, 13))) / of;
    return `${PAGE}&q=speed>=${from.toFixed(3)};speed<${to.toFixed(3)}`;
  },
  place: (n, of) => {
    const at = [CITY.west + fraction(n, 14) * CITY.size, CITY.south + fraction(n, 15) * CITY.size];
    // A circle of about 30 to 200 matches: the city's square is about 35 km by 55 km.
    const metres = Math.sqrt(((30 + 170 * fraction(n, 16)) * 35_000 * 55_000) / of / Math.PI);
    return `${PAGE}&georel=near;maxDistance==${Math.round(metres)}&geometry=Point&coordinates=%5B${at.map((degrees) => degrees.toFixed(5))}%5D`;
  },
};
const kinds = Object.keys(KINDS);
const mixed = (n: number, of: number): string => KINDS[kinds[n % kinds.length]!]!(n, of);

/** Writes a file of queries for the load generator. */
export function queriesFile(folder: string, kind: string, of: number): string {
  const make = KINDS[kind] ?? mixed;
  const file = join(folder, `${kind}.txt`);
  writeFileSync(file, Array.from({ length: QUERIES }, (_, n) => make(n, of)).join('\n'));
  return file;
}

/** Seconds of CPU that the broker has used. */
export async function cpuSeconds(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/process_cpu_seconds_total ([\d.]+)/.exec(text)?.[1] ?? Number.NaN);
}

/** Asks one query after the other until the broker has made the indexes that these want, and they are complete. */
export async function settle(broker: BrokerProcess, file: string, indexes = 2): Promise<void> {
  const paths = readFileSync(file, 'utf8').split('\n', 200);
  const until = Date.now() + 120_000;
  for (let n = 0; Date.now() < until; n++) {
    await (await fetch(broker.url + paths[n % paths.length])).arrayBuffer();
    const known = (await (await fetch(`${broker.url}/admin/indexes`)).json()) as readonly { state: string }[];
    if (known.filter(({ state }) => state === 'ready').length >= indexes) return;
  }
  throw new Error(`The broker made no ${indexes} indexes for the queries of ${file} in two minutes`);
}

/** Every entity once: what is warm has been asked for before, however busy the machine is. */
async function askForEach(broker: BrokerProcess, entities: number): Promise<void> {
  for (let n = 0; n < entities; n += 250) {
    const ids = Array.from({ length: Math.min(250, entities - n) }, (_, k) => idOf(n + k));
    const answer = await fetch(`${broker.url}/ngsi-ld/v1/entities?type=BenchEntity&limit=250&id=${ids.join(',')}`);
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
    await answer.arrayBuffer();
  }
}

async function bytesOf(url: string, file: string): Promise<{ bytes: Buffer; type: string }> {
  const paths = readFileSync(file, 'utf8').split('\n', 100);
  const bodies: Buffer[] = [];
  let type = '';
  for (const path of paths) {
    const answer = await fetch(url + path);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    type = answer.headers.get('content-type') ?? '';
    bodies.push(Buffer.from(await answer.arrayBuffer()));
  }
  // The bare server sends one body: that of average length.
  const mean = bodies.reduce((sum, { length }) => sum + length, 0) / bodies.length;
  bodies.sort((a, b) => Math.abs(a.length - mean) - Math.abs(b.length - mean));
  return { bytes: bodies[0]!, type };
}

export interface RandomQueriesOptions {
  readonly bare: BareServer;
  readonly quick?: boolean;
  readonly entities?: number;
  /** A data folder that {@link fillFolder} has filled with as many entities; absent: one is made and removed. */
  readonly folder?: string;
  readonly only?: string | undefined;
}

export async function randomQueries(options: RandomQueriesOptions): Promise<Row[]> {
  const { entities = ON_MONGODB ? 50_000 : 100_000, folder } = options;
  if (folder !== undefined) {
    if (!readdirSync(folder).includes('mizar.db')) throw new Error(`${folder} is not filled`);
    return asked({ dataDir: folder, environment: {}, url: undefined }, entities, options);
  }
  return withKept(async (kept) => {
    await fillStore(await openKept(kept), entities);
    return asked(kept, entities, options);
  });
}

async function asked(kept: Kept, entities: number, options: RandomQueriesOptions): Promise<Row[]> {
  const { bare, quick = false } = options;
  const work = mkdtempSync(join(tmpdir(), 'mizar-bench-'));
  const rows: Row[] = [];
  const driver = kept.url === undefined ? undefined : await startBareMongo(kept.url);
  try {
    const cases = [
      { name: 'warm', goal: 0.2, cacheBytes: 1_500_000_000 },
      { name: 'cold', goal: 0.12, cacheBytes: 100_000 },
    ].filter(({ name }) => options.only === undefined || options.only === name);
    for (const { name, goal, cacheBytes } of cases) {
      const broker = await startBroker(kept, { MIZAR_CACHE_BYTES: String(cacheBytes) });
      try {
        // On MongoDB all values are in one index from the beginning.
        if (driver === undefined) await settle(broker, queriesFile(work, 'mixed', entities));
        if (name === 'warm') await askForEach(broker, entities);
        for (const kind of [...kinds, 'mixed']) {
          const file = queriesFile(work, kind, entities);
          const { bytes, type } = await bytesOf(broker.url, file);
          await bare.send(bytes, type);
          const limit = async (start: number) =>
            driver
              ? load(driver.url, { method: 'GET', path: '/', paths: file }, 1, start)
              : load(bare.url, { method: 'GET', path: '/page' }, 1, 0);
          const floor = await limit(0);
          const runs = [];
          // The mix is what the goal is for; its parts tell where the time goes.
          for (let run = 0; run < (quick || kind !== 'mixed' ? 1 : 3); run++) {
            const before = await cpuSeconds(broker.url);
            const seconds = 2;
            // The driver does the same reads, in turn; a server that sends the same bytes is as fast at any time.
            const against = driver ? await limit(20_000 + run * 37_000) : floor;
            const ours = await load(broker.url, { method: 'GET', path: '/', paths: file }, seconds, 1000 + run * 37_000);
            if (ours.failures > 0) throw new Error(`${kind}: ${ours.failures} answers were not 2xx`);
            const cpu = ((await cpuSeconds(broker.url)) - before) / (ours.perSecond * seconds);
            runs.push({ ours, against, ratio: ours.perSecond / against.perSecond, cpu });
          }
          const middle = runs.sort((a, b) => a.ratio - b.ratio)[Math.floor(runs.length / 2)]!;
          rows.push({
            name: `random queries, ${kind}, ${name}`,
            value: middle.ours.perSecond,
            unit: 'requests/s',
            ratio: middle.ratio,
            goal: driver ? OF_DRIVER.reads : kind === 'mixed' ? goal : 0,
            p99Ms: middle.ours.p99Ms,
            note: `${driver ? 'the driver, the same filters' : 'bare'} ${Math.round(middle.against.perSecond)}/s, ${bytes.length} bytes, ${Math.round(median(runs.map(({ cpu }) => cpu)) * 1e6)} µs of CPU each`,
          });
        }
      } finally {
        await broker.terminate();
      }
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return rows;
}

if (import.meta.main) {
  const bare = await startBareServer();
  try {
    printRows(
      await randomQueries({
        bare,
        quick: process.argv.includes('--quick'),
        entities: Number(option('entities') ?? 100_000),
        ...(option('folder') === undefined ? {} : { folder: option('folder')! }),
        only: option('only'),
      }),
    );
  } finally {
    bare.stop();
  }
}
