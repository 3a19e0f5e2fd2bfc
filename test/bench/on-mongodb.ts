/** `npm run bench -- --store mongodb`: reads and writes with MongoDB as the store, and the ratio to the bare driver that does the same. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { MONGODB, newDatabase, urlOf } from '../support/mongodb-url.ts';
import { type Bench, fill, here, measured, output, type Rows, withBroker } from './harness.ts';
import { type Load, pin, type Work } from './load.ts';
import type { Row } from './row.ts';
import { CREATE, UPDATE, upsert } from './writes.ts';

const READS = [
  { name: 'query limit=20, repeated', path: '/ngsi-ld/v1/entities?type=BenchEntity&limit=20', floor: '/page', cached: true },
  { name: 'retrieve by id, repeated', path: '/ngsi-ld/v1/entities/urn:ngsi-ld:BenchEntity:42', floor: '/one/42', cached: true },
  {
    name: 'query limit=20, from the database',
    path: '/ngsi-ld/v1/entities?type=BenchEntity&limit=20',
    floor: '/page',
    cached: false,
  },
  {
    name: 'retrieve by id, from the database',
    path: '/ngsi-ld/v1/entities/urn:ngsi-ld:BenchEntity:[<k>]',
    floor: '/one/[<k>]',
    cached: false,
  },
];

export const readsOnMongoDb: Rows = async function* (bench) {
  for (const { name, path, floor, cached } of READS) {
    if (!bench.wanted(name)) continue;
    yield await onDatabase(async (url) =>
      withBroker(
        async (broker) => {
          await fill(broker);
          const ours = await measured(bench, broker.url, { method: 'GET', path });
          const bare = await startBare(url);
          const theirs = await measured(bench, bare.url, { method: 'GET', path: floor });
          bare.stop();
          return {
            name,
            value: ours.perSecond,
            unit: 'requests/s',
            ratio: ours.perSecond / theirs.perSecond,
            goal: 0.6,
            p99Ms: ours.p99Ms,
            note: `node:http and the driver, stored text as it is: ${Math.round(theirs.perSecond)}/s`,
          };
        },
        { MIZAR_STORE: url, ...(cached ? {} : { MIZAR_CACHE_BYTES: '0' }) },
      ),
    );
  }
};

export const writesOnMongoDb: Rows = async function* (bench) {
  for (const { name, work, each } of [
    { name: 'create, durable', work: CREATE, each: 1 },
    { name: 'update one attribute, durable', work: UPDATE, each: 1 },
    { name: 'batch of 20 upserts', work: upsert(20), each: 20 },
    { name: 'batch of 100 upserts', work: upsert(100), each: 100 },
  ]) {
    if (!bench.wanted(name)) continue;
    yield await onDatabase((url) => written(bench, url, name, work, each));
  }
};

/** What the broker does, and what the same documents cost without it. */
async function written(bench: Bench, url: string, name: string, work: Work, each: number): Promise<Row> {
  const ours: Load = await withBroker(
    async (broker) => {
      if (work === UPDATE) await fill(broker);
      return measured(bench, broker.url, work);
    },
    { MIZAR_STORE: url },
  );
  const perSecond = ours.perSecond * each;
  // 50 connections that wait for each other share one batch; a batch of a client is one.
  const asked = {
    url,
    target: `mizar-test-${randomUUID().slice(0, 13)}`,
    each: each === 1 ? 50 : each,
    update: work === UPDATE,
  };
  const floor = Number(await output([here('bare-mongo-writes.ts'), JSON.stringify(asked)], 0));
  const note = `the driver, the same documents and indexes, ${asked.each} at a time: ${Math.round(floor)}/s`;
  return { name, value: perSecond, unit: 'entities/s', ratio: perSecond / floor, goal: 0.5, p99Ms: ours.p99Ms, note };
}

async function onDatabase<T>(work: (url: string) => Promise<T>): Promise<T> {
  if (MONGODB === undefined) throw new Error('MIZAR_TEST_MONGODB must name a MongoDB (docs/stores.md)');
  await using database = newDatabase();
  return await work(urlOf(MONGODB, database.name));
}

async function startBare(url: string): Promise<{ readonly url: string; stop(): void }> {
  const [command, ...rest] = [...pin(0), process.execPath, here('bare-mongo-server.ts'), url];
  const child = spawn(command as string, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise<string>((resolve) =>
    child.stdout.once('data', (chunk: Buffer) => resolve(String(chunk).trim())),
  );
  return { url: `http://127.0.0.1:${port}`, stop: () => void child.kill() };
}
