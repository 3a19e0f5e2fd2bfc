/** Durable writes: acknowledged after the fsync, with history and change log. */
import { join } from 'node:path';
import { type Bench, fill, here, JSON_HEADERS, measured, metric, output, type Rows, withBroker } from './harness.ts';
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
  return withBroker(async (broker, dataDir) => {
    if (work === UPDATE) await fill(broker);
    const ours = await measured(bench, broker.url, work);
    const entities = await metric(broker, 'mizar_store_changes_total');
    await broker.terminate();
    // 50 connections that wait for each other share one transaction; a batch is one.
    const rows = { file: join(dataDir, 'mizar.db'), entities, perTransaction: each === 1 ? 50 : each };
    return { ours, floor: Number(await output([here('bare-transaction.ts'), JSON.stringify(rows)], 0)) };
  });
}
