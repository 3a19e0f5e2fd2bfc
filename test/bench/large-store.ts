/**
 * What a hundred times as much data costs: retrieve by id and indexed queries on 1 000 000 entities against 10 000, and how much memory the broker takes
 * while it has a million entities on its disk and has answered for all of them.
 *
 * Alone: `node test/bench/large-store.ts [--quick] [--large 1000000] [--small 10000] [--folder filled-data-folder-of-the-large]`.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts, startBrokerProcess } from '../support/broker-process.ts';
import { COMPARED, fillFolder, fraction, idOf } from './fill.ts';
import { type Load, load, pin } from './load.ts';
import { cpuSeconds, queriesFile, settle } from './random-queries.ts';
import { option, printRows, type Row } from './row.ts';

/** Less than either store takes: what grows with the data is to be seen, not that ten thousand entities fit into memory and a million do not. */
const CACHE_BYTES = 8 * 1024 * 1024;
/** What SQLite keeps of its file, which a small file does not fill. */
const FILE_PAGES = 64 * 1024 * 1024;

export interface LargeStoreOptions {
  readonly quick?: boolean;
  readonly large?: number;
  readonly small?: number;
  /** A folder with the large number of entities; absent: one is made and removed. */
  readonly folder?: string | undefined;
}

interface Measured {
  readonly loads: Readonly<Record<string, { readonly load: Load; readonly cpuMicros: number }>>;
  readonly residentBytes: number;
}

function retrievals(folder: string, of: number): string {
  const file = join(folder, `retrieve-${of}.txt`);
  const paths = Array.from({ length: 120_000 }, (_, n) => `/ngsi-ld/v1/entities/${idOf(Math.floor(fraction(n, 21) * of))}`);
  writeFileSync(file, paths.join('\n'));
  return file;
}

async function measure(dataDir: string, work: string, of: number, quick: boolean): Promise<Measured> {
  const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
  // The indexes are there from the beginning, and stay although nobody asks for a while.
  const environment = { MIZAR_CACHE_BYTES: String(CACHE_BYTES), MIZAR_INDEXES_PINNED: COMPARED.join(',') };
  const broker = await startBrokerProcess({ dataDir, httpPort, mqttPort, prefix: pin(0), environment });
  try {
    const folder = mkdtempSync(join(work, `${of}-`));
    const files = {
      retrieve: retrievals(folder, of),
      value: queriesFile(folder, 'value', of),
      range: queriesFile(folder, 'range', of),
      place: queriesFile(folder, 'place', of),
    };
    await settle(broker, files.range, COMPARED.length);
    const loads: Record<string, { load: Load; cpuMicros: number }> = {};
    for (const [name, paths] of Object.entries(files)) {
      await load(broker.url, { method: 'GET', path: '/', paths }, 1, 60_000);
      const runs: { load: Load; cpuMicros: number }[] = [];
      for (let run = 0; run < (quick ? 1 : 3); run++) {
        const before = await cpuSeconds(broker.url);
        // Ten connections: more would measure how long the queue is.
        const one = await load(broker.url, { method: 'GET', path: '/', paths }, 2, run * 20_000, 10);
        if (one.failures > 0) throw new Error(`${name}: ${one.failures} answers were not 2xx`);
        runs.push({ load: one, cpuMicros: (((await cpuSeconds(broker.url)) - before) / (one.perSecond * 2)) * 1e6 });
      }
      runs.sort((a, b) => a.load.p99Ms - b.load.p99Ms);
      loads[name] = runs[Math.floor(runs.length / 2)]!;
    }
    // Everything once: discovery, a count that walks over all entities, a page far away.
    for (const path of [
      'types?details=true',
      'entities?type=BenchEntity&limit=0&count=true&q=name',
      `entities?type=BenchEntity&limit=20&offset=${of - 30}`,
    ]) {
      const answer = await fetch(`${broker.url}/ngsi-ld/v1/${path}`);
      if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
      await answer.arrayBuffer();
    }
    const text = await (await fetch(`${broker.url}/metrics`)).text();
    return { loads, residentBytes: Number(/process_resident_memory_bytes (\d+)/.exec(text)?.[1] ?? Number.NaN) };
  } finally {
    await broker.terminate();
  }
}

export async function largeStore(options: LargeStoreOptions = {}): Promise<Row[]> {
  const { quick = false, large = 1_000_000, small = 10_000 } = options;
  const work = mkdtempSync(join(tmpdir(), 'mizar-bench-'));
  try {
    const smallDir = join(work, 'small');
    mkdirSync(smallDir);
    await fillFolder(smallDir, small, true);
    const largeDir = options.folder ?? join(work, 'large');
    if (options.folder === undefined) {
      mkdirSync(largeDir);
      await fillFolder(largeDir, large, true);
    }
    const few = await measure(smallDir, work, small, quick);
    const many = await measure(largeDir, work, large, quick);
    const rows: Row[] = Object.keys(few.loads).map((name) => {
      const a = few.loads[name]!;
      const b = many.loads[name]!;
      return {
        name: `large store: ${name}, ${large.toLocaleString('en')} entities`,
        value: b.load.p99Ms,
        unit: 'ms (p99)',
        // 1.5 times is allowed.
        ratio: (1.5 * a.load.p99Ms) / b.load.p99Ms,
        goal: 1,
        note: `${small} entities: p99 ${a.load.p99Ms.toFixed(2)} ms; CPU each ${Math.round(a.cpuMicros)} µs and ${Math.round(b.cpuMicros)} µs`,
      };
    });
    const bound = 1.1 * few.residentBytes + FILE_PAGES;
    rows.push({
      name: `large store: memory, ${large.toLocaleString('en')} entities`,
      value: many.residentBytes / 1e6,
      unit: 'MB',
      ratio: bound / many.residentBytes,
      goal: 1,
      note: `${small} entities: ${Math.round(few.residentBytes / 1e6)} MB, with MIZAR_CACHE_BYTES=${CACHE_BYTES} both; a tenth more is allowed, and 64 MiB for pages of the file`,
    });
    return rows;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const large = Number(option('large') ?? 1_000_000);
  const small = Number(option('small') ?? 10_000);
  printRows(await largeStore({ quick: process.argv.includes('--quick'), large, small, folder: option('folder') }));
}
