/**
 * Ten million instances of a few hundred sensors, a reading every quarter of an hour for a year each: what one sensor's history costs among them.
 *
 * `node test/bench/history.ts FOLDER INSTANCES` fills a folder for it.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { AttributeInstance } from '../../broker/domain/attribute.ts';
import { DEFAULT_TENANT, type Iri } from '../../broker/domain/iri.ts';
import type { Instant } from '../../broker/domain/time.ts';
import { appendStraight, bareHistory } from './bare-mongo-history.ts';
import { openFolder } from './fill.ts';
import type { Filling } from './filled.ts';
import { type Rows, startBroker } from './harness.ts';
import { type Kept, OF_DRIVER, ON_MONGODB, openKept, withKept } from './kept.ts';
import { median, type Row } from './row.ts';

const YEAR = 4 * 24 * 365;
const FROM = Date.UTC(2025, 0, 1);
const LEVEL = 'https://uri.etsi.org/ngsi-ld/default-context/level' as Iri;
const TYPE = 'https://uri.etsi.org/ngsi-ld/default-context/BenchSensor' as Iri;
const sensor = (n: number) => `urn:ngsi-ld:BenchSensor:${n}` as Iri;
/** In tenths; fillHistory says the same in SQL. */
const valueAt = (step: number): number => (500 + ((step * 7919) % 401)) / 10;
const timeOf = (step: number) => new Date(FROM + step * 900_000).toISOString().replace('.000', '') as Instant;

const instancesOf = (quick: boolean): number => (ON_MONGODB ? 500_000 : quick ? 1_000_000 : 10_000_000);

export const historyFilling = (quick: boolean): Filling => ({
  name: 'history',
  program: 'history.ts',
  args: [String(instancesOf(quick))],
});

/** The queries, by the names of their rows. */
function casesOf(quick: boolean) {
  const instances = instancesOf(quick);
  const size = instances.toLocaleString('en');
  return [
    {
      name: `temporal: last 1 000 of ${size}`,
      goalMs: 5,
      limit: 1000,
      query: 'lastN=1000&timerel=before&timeAt=2027-01-01T00:00:00Z',
    },
    {
      name: `temporal: daily averages of a year, ${size}`,
      goalMs: 30,
      limit: undefined,
      query:
        'options=aggregatedValues&aggrMethods=avg&aggrPeriodDuration=P1D&timerel=between&timeAt=2025-01-01T00:00:00Z&endTimeAt=2026-01-01T00:00:00Z',
    },
  ];
}
export const historyRows = (quick: boolean): readonly string[] => casesOf(quick).map(({ name }) => name);

export const history: Rows = async function* (bench) {
  const cases = casesOf(bench.quick).filter(({ name }) => bench.wanted(name));
  if (cases.length === 0) return;
  const sensors = Math.round(instancesOf(bench.quick) / YEAR);
  if (!ON_MONGODB) {
    yield* await asked({ dataDir: bench.filled.folder('history'), environment: {}, url: undefined }, cases, sensors);
    return;
  }
  yield* await withKept(async (kept) => {
    bench.progress('filling the history');
    await fillStraight(kept, sensors);
    return asked(kept, cases, sensors);
  });
};

async function asked(kept: Kept, cases: ReturnType<typeof casesOf>, sensors: number): Promise<readonly Row[]> {
  const rows: Row[] = [];
  const broker = await startBroker(kept);
  try {
    for (const { name, goalMs, query, limit } of cases) {
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
      const row = { name, value: ms, unit: 'ms' };
      if (kept.url === undefined) rows.push({ ...row, ratio: goalMs / ms, goal: 1, note: `goal ${goalMs} ms; ${bytes} bytes` });
      else {
        const driverMs = await bareHistory(kept.url, LEVEL, (FROM + YEAR * 900_000) * 1000, limit);
        const note = `the driver alone ${driverMs.toFixed(1)} ms; ${bytes} bytes`;
        rows.push({ ...row, ratio: driverMs / ms, goal: OF_DRIVER.reads, note });
      }
    }
    return rows;
  } finally {
    await broker.terminate();
  }
}

/** The first reading of each sensor goes through the store, the others straight into the database. */
async function fillStraight(kept: Kept, sensors: number): Promise<void> {
  const store = await openKept(kept);
  for (let n = 0; n < sensors; n++) {
    const readings = Array.from({ length: YEAR }, (_, step): AttributeInstance => {
      return { type: 'Property', value: valueAt(step), observedAt: timeOf(step) } as AttributeInstance;
    });
    const fragment = { types: [TYPE], attributes: { [LEVEL]: readings.slice(0, 1) } };
    await store.history.append(DEFAULT_TENANT, sensor(n), fragment, store.clock.now());
    await appendStraight(kept.url as string, LEVEL, readings.slice(1));
  }
  await store.close();
}

/**
 * The first reading of each sensor goes through the store, the others straight into the file, as the store would have written them: ten million take
 * a quarter of a minute so.
 */
async function fillHistory(dataDir: string, sensors: number): Promise<void> {
  const store = openFolder(dataDir);
  for (let n = 0; n < sensors; n++) {
    const reading = { type: 'Property', value: valueAt(0), observedAt: timeOf(0) } as AttributeInstance;
    await store.history.append(
      DEFAULT_TENANT,
      sensor(n),
      { types: [TYPE], attributes: { [LEVEL]: [reading] } },
      store.clock.now(),
    );
  }
  // What is read is in its place, and no longer waits for it (ADR-0011).
  await store.history.evolution(DEFAULT_TENANT, sensor(sensors - 1), {
    filter: { property: 'observedAt' },
    limitPerAttribute: 1,
  });
  await store.close();
  const database = new DatabaseSync(join(dataDir, 'mizar.db'));
  // Nothing is lost if this breaks off: the file is made again.
  database.exec('PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; PRAGMA temp_store = MEMORY');
  // Made in the end, without looking for a place for each row.
  const indexes = database
    .prepare("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'history' AND sql IS NOT NULL")
    .all() as { name: string; sql: string }[];
  const first = database.prepare('SELECT entity, max(seq) OVER () AS newest FROM history ORDER BY entity').all() as {
    entity: number;
    newest: number;
  }[];
  if (first.length !== sensors) throw new Error(`${first.length} sensors are in the history, not ${sensors}`);
  database.exec('BEGIN');
  for (const { name } of indexes) database.exec(`DROP INDEX ${name}`);
  database.exec(`CREATE TEMP TABLE step (n INTEGER PRIMARY KEY);
    INSERT INTO step WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up WHERE n + 1 < ${YEAR}) SELECT n FROM up`);
  const same = 'name, observed, dataset, created, modified';
  const insert = database.prepare(`INSERT INTO history (entity, ${same}, time, seq, number, instance)
    SELECT entity, ${same}, time + n * 900000000, :seq + n, value, '{"type":"Property","value":' || value || '}'
    FROM (SELECT h.*, n, (500 + n * 7919 % 401) / 10.0 AS value FROM history h CROSS JOIN step WHERE h.entity = :entity)`);
  for (const [at, { entity, newest }] of first.entries()) insert.run({ entity, seq: newest + at * YEAR });
  database.prepare("UPDATE memory SET value = ? WHERE key = 'instance'").run((first[0]?.newest ?? 0) + sensors * YEAR);
  for (const { sql } of indexes) database.exec(sql);
  database.exec('COMMIT');
  database.exec('PRAGMA journal_mode = WAL');
  database.close();
}

if (import.meta.main) {
  const [, , dataDir, instances] = process.argv;
  await fillHistory(dataDir!, Math.round(Number(instances) / YEAR));
  console.log('filled');
}
