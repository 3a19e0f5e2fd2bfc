/** Durable writes: acknowledged after the fsync, with history and change log. */
import { join } from 'node:path';
import { fill, here, JSON_HEADERS, measured, metric, output, type Rows, withBroker } from './harness.ts';
import type { Work } from './load.ts';
import type { Row } from './row.ts';
import { benchEntity } from './shapes.ts';

const entity = JSON.stringify(benchEntity('urn:ngsi-ld:BenchEntity:[<n>]', 7));
const batch = JSON.stringify(Array.from({ length: 100 }, (_, k) => benchEntity(`urn:ngsi-ld:BenchEntity:[<n>]-${k}`, k)));
const CREATE: Work = { method: 'POST', path: '/ngsi-ld/v1/entities', body: entity, headers: JSON_HEADERS };
const UPDATE: Work = {
  method: 'PATCH',
  path: '/ngsi-ld/v1/entities/urn:ngsi-ld:BenchEntity:[<k>]/attrs/speed',
  body: '{"value":[<n>]}',
  headers: JSON_HEADERS,
};
const UPSERT: Work = { method: 'POST', path: '/ngsi-ld/v1/entityOperations/upsert', body: batch, headers: JSON_HEADERS };

export const writes: Rows = async function* (bench) {
  for (const { name, work, goal } of [
    { name: 'create, durable', work: CREATE, goal: 0.35 },
    { name: 'update one attribute', work: UPDATE, goal: 0.3 },
  ]) {
    if (!bench.wanted(name)) continue;
    const echo = await measured(bench, bench.bare.url, { ...work, method: 'POST', path: '/echo' });
    const ours = await withBroker(async (broker) => {
      if (work === UPDATE) await fill(broker);
      return measured(bench, broker.url, work);
    });
    yield {
      name,
      value: ours.perSecond,
      unit: 'entities/s',
      ratio: ours.perSecond / echo.perSecond,
      goal,
      p99Ms: ours.p99Ms,
      note: `bare POST, parsed, nothing stored: ${Math.round(echo.perSecond)}/s`,
    };
    if (work !== CREATE) continue;
    const alone = await withBroker((broker) => measured(bench, broker.url, work), { MIZAR_COMMIT_WRITES: '1' });
    yield {
      name: 'create, against an fsync for each',
      value: ours.perSecond,
      unit: 'entities/s',
      ratio: ours.perSecond / alone.perSecond,
      goal: 3,
      p99Ms: ours.p99Ms,
      note: `the same broker with one write to a transaction: ${Math.round(alone.perSecond)}/s`,
    };
  }
  if (bench.wanted('batch of 100 upserts')) yield await upserts();

  function upserts(): Promise<Row> {
    return withBroker(async (broker, dataDir) => {
      const ours = await measured(bench, broker.url, UPSERT);
      const entities = await metric(broker, 'mizar_store_changes_total');
      await broker.terminate();
      const rows = { file: join(dataDir, 'mizar.db'), entities, perTransaction: 100 };
      const floor = Number(await output([here('bare-transaction.ts'), JSON.stringify(rows)], 0));
      return {
        name: 'batch of 100 upserts',
        value: ours.perSecond * 100,
        unit: 'entities/s',
        ratio: (ours.perSecond * 100) / floor,
        goal: 0.6,
        p99Ms: ours.p99Ms,
        note: `bare SQLite, the same rows and indexes in transactions of 100: ${Math.round(floor)}/s; 50 batches at once wait for each other`,
      };
    });
  }
};
