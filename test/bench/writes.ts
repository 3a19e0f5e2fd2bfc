/** Durable writes: acknowledged after the fsync, with history and change log. */
import { join } from 'node:path';
import { bareWrites } from './bare-mongo.ts';
import { type Bench, fill, here, JSON_HEADERS, measured, metric, output, type Rows, withBroker } from './harness.ts';
import { OF_DRIVER, ON_MONGODB } from './kept.ts';
import type { Load, Work } from './load.ts';
import type { Row } from './row.ts';
import { benchEntity } from './shapes.ts';

const entity = JSON.stringify(benchEntity('urn:ngsi-ld:BenchEntity:[<n>]', 7));
export const CREATE: Work = { method: 'POST', path: '/ngsi-ld/v1/entities', body: entity, headers: JSON_HEADERS };
export const UPDATE: Work = {
  method: 'PATCH',
  path: '/ngsi-ld/v1/entities/urn:ngsi-ld:BenchEntity:[<k>]/attrs/speed',
  body: '{"value":[<n>]}',
  headers: JSON_HEADERS,
};
export const upsert = (count: number): Work => ({
  method: 'POST',
  path: '/ngsi-ld/v1/entityOperations/upsert',
  body: JSON.stringify(Array.from({ length: count }, (_, k) => benchEntity(`urn:ngsi-ld:BenchEntity:[<n>]-${k}`, k))),
  headers: JSON_HEADERS,
});

export const writes: Rows = async function* (bench) {
  for (const { name, work, each, goal } of [
    { name: 'create, durable', work: CREATE, each: 1, goal: 0.35 },
    { name: 'update one attribute, durable', work: UPDATE, each: 1, goal: 0.3 },
    { name: 'batch of 20 upserts', work: upsert(20), each: 20, goal: 0.6 },
    { name: 'batch of 100 upserts', work: upsert(100), each: 100, goal: 0.6 },
  ]) {
    if (!bench.wanted(name)) continue;
    if (ON_MONGODB) {
      yield await onMongoDb(bench, name, work, each);
      continue;
    }
    const { ours, floor } = await withFloor(bench, work, each);
    const perSecond = ours.perSecond * each;
    const row = { value: perSecond, unit: 'entities/s', p99Ms: ours.p99Ms };
    const ofRows: Row = {
      ...row,
      name: each === 1 ? `${name}, to the rows` : name,
      ratio: perSecond / floor,
      goal: each === 1 ? 0 : goal,
      note: `bare SQLite, the same rows and indexes, ${each === 1 ? 50 : each} writes to a transaction: ${Math.round(floor)}/s`,
    };
    if (each > 1) {
      yield ofRows;
      continue;
    }
    const echo = await measured(bench, bench.bare.url, { ...work, method: 'POST', path: '/echo' });
    yield {
      ...row,
      name,
      ratio: perSecond / echo.perSecond,
      goal,
      note: `bare node:http, POST parsed, nothing stored: ${Math.round(echo.perSecond)}/s`,
    };
    yield ofRows;
    if (work !== CREATE) continue;
    const alone = await withBroker((broker) => measured(bench, broker.url, work), { MIZAR_COMMIT_WRITES: '1' });
    yield {
      ...row,
      name: 'create, to an fsync for each',
      ratio: perSecond / alone.perSecond,
      goal: 3,
      note: `the same broker with one write to a transaction: ${Math.round(alone.perSecond)}/s`,
    };
  }
};

/** What the broker does, and what the same rows cost without it. */
function withFloor(bench: Bench, work: Work, each: number): Promise<{ ours: Load; floor: number }> {
  return withBroker(async (broker, { dataDir }) => {
    if (work === UPDATE) await fill(broker);
    const ours = await measured(bench, broker.url, work);
    const entities = await metric(broker, 'mizar_store_changes_total');
    await broker.terminate();
    // 50 connections that wait for each other share one transaction; a batch is one.
    const rows = { file: join(dataDir, 'mizar.db'), entities, perTransaction: each === 1 ? 50 : each };
    return { ours, floor: Number(await output([here('bare-transaction.ts'), JSON.stringify(rows)], 0)) };
  });
}

/** What the broker does, and what the driver does with the same documents in the same two steps, in turn. */
function onMongoDb(bench: Bench, name: string, work: Work, each: number): Promise<Row> {
  return withBroker(async (broker, { url }) => {
    if (work === UPDATE) await fill(broker);
    // 50 connections that wait for each other share one batch; a batch of a client is one.
    const atOnce = each === 1 ? 50 : each;
    const runs: { perSecond: number; floor: number; ratio: number; p99Ms: number }[] = [];
    for (let run = 0; run < bench.runs; run++) {
      const ours = await measured({ ...bench, runs: 1 }, broker.url, work);
      const perSecond = ours.perSecond * each;
      const floor = await bareWrites(url as string, atOnce, work === UPDATE);
      runs.push({ perSecond, floor, ratio: perSecond / floor, p99Ms: ours.p99Ms });
    }
    const { perSecond, floor, ratio, p99Ms } = runs.sort((a, b) => a.ratio - b.ratio)[Math.floor(runs.length / 2)]!;
    const note = `the driver, the same documents and indexes, ${atOnce} at a time: ${Math.round(floor)}/s`;
    return { name, value: perSecond, unit: 'entities/s', ratio, goal: OF_DRIVER.writes, p99Ms, note };
  });
}
