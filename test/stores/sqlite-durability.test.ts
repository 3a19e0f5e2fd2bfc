import fs from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEFAULT_TENANT } from '../../broker/domain/iri.ts';
import { openSqliteReader } from '../../broker/stores/sqlite/sqlite-reader.ts';
import { openSqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { creation, iri, property, setting, testClock, urn } from '../support/writes.ts';

const CAR = iri('Car');
const SPEED = iri('speed');
const A = urn('a');
const TENANT = DEFAULT_TENANT;

/** The disk: it does nothing until it is told to go on, or to fail. */
describe('A transaction that is on its way to the disk', () => {
  const real = fs.fdatasync;
  let waiting: ((error?: NodeJS.ErrnoException) => void)[];
  let directory: string;
  let file: string;

  beforeEach(async () => {
    waiting = [];
    fs.fdatasync = ((descriptor: number, done: fs.NoParamCallback) => {
      waiting.push((error) => (error ? done(error) : real(descriptor, done)));
    }) as typeof fs.fdatasync;
    syncBuiltinESMExports();
    directory = await mkdtemp(join(tmpdir(), 'mizar-'));
    file = join(directory, 'mizar.db');
  });
  afterEach(async () => {
    fs.fdatasync = real;
    syncBuiltinESMExports();
    await rm(directory, { recursive: true });
  });

  /** Lets everything happen that needs no disk. */
  const turns = async (count = 20) => {
    for (let turn = 0; turn < count; turn++) await new Promise((next) => setImmediate(next));
  };
  const isOver = async (promise: Promise<unknown>) => {
    let over = false;
    const end = () => {
      over = true;
    };
    promise.then(end, end);
    await turns();
    return over;
  };

  it('is not told by another process that reads the file, until that has brought it to the disk itself', async () => {
    const clock = testClock();
    const store = openSqliteStore({ file, clock, shared: true });
    const reader = openSqliteReader({ file, clock, cacheBytes: 1_000_000 });
    const write = store.entities.commit([creation(clock, A, [CAR], { [SPEED]: [property(1)] })]);
    await turns();
    expect(waiting).toHaveLength(1);
    reader.fresh();
    const read = reader.entities.get(TENANT, A);
    const history = reader.history.evolution(TENANT, A, { filter: { property: 'modifiedAt' }, limitPerAttribute: 10 });
    expect(await isOver(Promise.race([read, history]))).toBe(false);
    // The writer's own does not count: whether it is over is not known here.
    waiting[0]?.();
    await write;
    expect(await isOver(read)).toBe(false);
    expect(waiting).toHaveLength(2);
    waiting[1]?.();
    expect((await read)?.entity.attributes[SPEED]).toMatchObject([{ value: 1 }]);
    expect((await history)?.attributes[SPEED]).toHaveLength(1);

    // What is on disk already is answered at once.
    reader.fresh();
    expect(await isOver(reader.entities.get(TENANT, A))).toBe(true);
    reader.close();
    await store.close();
  });

  it('is told to nobody: not to who wrote, not to readers, not to the feed; and the next one waits for it', async () => {
    const clock = testClock();
    const store = openSqliteStore({ file, clock });
    const { entities, history, feed } = store;
    const first = entities.commit([creation(clock, A, [CAR], { [SPEED]: [property(1)] })]);
    expect(await isOver(first)).toBe(false);
    expect(waiting).toHaveLength(1);
    const read = entities.get(TENANT, A);
    const page = entities.query(TENANT, {}, { limit: 10, count: true });
    const evolution = history.evolution(TENANT, A, { filter: { property: 'modifiedAt' }, limitPerAttribute: 10 });
    expect(await isOver(Promise.race([read, page, evolution]))).toBe(false);
    expect(await feed.head()).toBe(0);
    expect(await feed.read(0, 10)).toEqual([]);
    const second = entities.commit([setting(clock, A, SPEED, property(2))]);
    await turns();
    expect(waiting).toHaveLength(1);

    waiting[0]?.();
    expect(await first).toMatchObject([{ kind: 'committed', version: 1 }]);
    expect((await read)?.entity.attributes[SPEED]).toMatchObject([{ value: 1 }]);
    expect((await page).count).toBe(1);
    expect((await evolution)?.attributes[SPEED]).toHaveLength(1);
    expect(await feed.read(0, 10)).toHaveLength(1);
    await turns();
    expect(await isOver(second)).toBe(false);
    expect(waiting).toHaveLength(2);
    waiting[1]?.();
    expect(await second).toMatchObject([{ kind: 'committed', version: 2 }]);
    expect(await feed.head()).toBe(2);
    await store.close();
  });

  it('is on disk when the store has been closed', async () => {
    const clock = testClock();
    const store = openSqliteStore({ file, clock });
    const written = [1, 2].map((n) => store.entities.commit([creation(clock, urn(`e${n}`), [CAR], {})]));
    const closed = store.close();
    expect(await isOver(closed)).toBe(false);
    waiting[0]?.();
    await closed;
    expect(await Promise.all(written)).toMatchObject([[{ kind: 'committed' }], [{ kind: 'committed' }]]);
  });

  it('is nothing to build on if the disk fails: writers and readers are refused until the file is opened again', async () => {
    const clock = testClock();
    const store = openSqliteStore({ file, clock });
    const before = store.entities.commit([creation(clock, A, [CAR], { [SPEED]: [property(1)] })]);
    await turns();
    waiting[0]?.();
    await before;
    const unavailable = { type: 'Unavailable' };
    const lost = expect(store.entities.commit([setting(clock, A, SPEED, property(2))])).rejects.toMatchObject(unavailable);
    await turns();
    const behind = expect(store.entities.commit([setting(clock, A, SPEED, property(3))])).rejects.toMatchObject(unavailable);
    const read = expect(store.entities.get(TENANT, A)).rejects.toMatchObject(unavailable);
    waiting[1]?.(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }));
    await Promise.all([lost, behind, read]);
    expect(store.ready()).toBe(false);
    await expect(store.entities.commit([setting(clock, A, SPEED, property(4))])).rejects.toMatchObject(unavailable);
    await expect(store.entities.get(TENANT, A)).rejects.toMatchObject(unavailable);
    expect(await store.feed.head()).toBe(1);
    await store.close();

    fs.fdatasync = real;
    syncBuiltinESMExports();
    const again = openSqliteStore({ file, clock });
    expect(again.ready()).toBe(true);
    const [outcome] = await again.entities.commit([setting(clock, A, SPEED, property(5))]);
    expect(outcome?.kind).toBe('committed');
    expect((await again.entities.get(TENANT, A))?.entity.attributes[SPEED]).toMatchObject([{ value: 5 }]);
    await again.close();
  });
});
