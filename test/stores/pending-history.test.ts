import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import type { Entity } from '../../broker/domain/entity.ts';
import { DEFAULT_TENANT } from '../../broker/domain/iri.ts';
import { fromMicros } from '../../broker/domain/time.ts';
import { openSqliteStore, type SqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { creation, iri, property, setting, testClock, urn } from '../support/writes.ts';

const CAR = urn('car');
const SPEED = iri('speed');
const ALL = { filter: { property: 'modifiedAt' }, limitPerAttribute: 10_000 } as const;

async function withStore<T>(work: (store: SqliteStore, directory: string) => Promise<T>, shared = false): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'mizar-'));
  const clock = testClock();
  const store = openSqliteStore({ file: join(directory, 'mizar.db'), clock, shared });
  try {
    await store.entities.commit([creation(clock, CAR, [iri('Car')], { [SPEED]: [property(0)] })]);
    return await work(store, directory);
  } finally {
    await store.close();
    await rm(directory, { recursive: true });
  }
}

const clock = testClock('2026-03-01T08:00:00Z');
async function drive(store: SqliteStore, times: number): Promise<void> {
  for (let n = 1; n <= times; n++) {
    clock.advance(1);
    await store.entities.commit([setting(clock, CAR, SPEED, property(n))]);
  }
}

async function speeds(store: SqliteStore): Promise<unknown[]> {
  const evolution = await store.history.evolution(DEFAULT_TENANT, CAR, ALL);
  return (evolution?.attributes[SPEED] ?? []).map((instance) => instance.type === 'Property' && instance.value);
}

const FLEET = Array.from({ length: 300 }, (_, n) => urn(`car${n}`));
/** 300 cars that tell their speed this many times: so many rows wait that some take their places. */
async function driveAll(store: SqliteStore, times: number): Promise<void> {
  await store.entities.commit(FLEET.map((id) => creation(clock, id, [iri('Car')], { [SPEED]: [property(0)] })));
  for (let n = 1; n <= times; n++) {
    clock.advance(1);
    await store.entities.commit(FLEET.map((id) => setting(clock, id, SPEED, property(n))));
  }
}

/** What a kill at this moment leaves behind. */
async function killed<T>(directory: string, look: (folder: string) => Promise<T>): Promise<T> {
  const copy = await mkdtemp(join(tmpdir(), 'mizar-'));
  try {
    for (const name of ['mizar.db', 'mizar.db-wal']) await cp(join(directory, name), join(copy, name));
    return await look(copy);
  } finally {
    await rm(copy, { recursive: true });
  }
}

function counts(folder: string): { readonly history: number; readonly waiting: number } {
  const database = new DatabaseSync(join(folder, 'mizar.db'));
  const count = (table: string) => Number(Object.values(database.prepare(`SELECT count(*) FROM ${table}`).get() ?? {})[0]);
  try {
    return { history: count('history'), waiting: count('waiting_instance') };
  } finally {
    database.close();
  }
}

describe('rows of history that wait for their places', () => {
  it('are on disk when the write is acknowledged: a broker that is killed finds them', () =>
    withStore(async (store, directory) => {
      await drive(store, 20);
      await killed(directory, async (folder) => {
        const left = counts(folder);
        expect(left.history).toBe(0);
        expect(left.waiting).toBeGreaterThan(0);
        const next = openSqliteStore({ file: join(folder, 'mizar.db'), clock });
        expect(await speeds(next)).toEqual(Array.from({ length: 21 }, (_, n) => n));
        await next.close();
        // And nothing is there twice.
        expect(counts(folder)).toEqual({ history: 21, waiting: 0 });
      });
    }));

  it('are told of like any other, and take their places then', () =>
    withStore(async (store, directory) => {
      await drive(store, 5);
      expect(await speeds(store)).toEqual([0, 1, 2, 3, 4, 5]);
      await drive(store, 3);
      await killed(directory, async (folder) => {
        expect(counts(folder).history).toBe(6);
        expect(counts(folder).waiting).toBe(3);
      });
      expect(await speeds(store)).toEqual([0, 1, 2, 3, 4, 5, 1, 2, 3]);
    }));

  it('are no more than some thousands', () =>
    withStore(async (store, directory) => {
      await driveAll(store, 11);
      await killed(directory, async (folder) => expect(counts(folder).history).toBeGreaterThan(1_500));
    }));

  it('of a transaction that has very many do not wait, what waits goes on waiting, and a kill loses neither', () =>
    withStore(async (store, directory) => {
      await drive(store, 5);
      const [now, stamp, height] = [clock.now(), clock.stamp(), iri('height')];
      const late = Array.from({ length: 1_200 }, (_, n) => ({
        name: height,
        instance: property(n, { observedAt: fromMicros(n * 1_000_000), createdAt: now, modifiedAt: now, stamp }),
      }));
      const decide = (before: Entity | undefined) =>
        before && ({ kind: 'updated', before, after: before, attributes: [], late, at: now, stamp } as const);
      await store.entities.commit([{ tenant: DEFAULT_TENANT, id: CAR, decide }]);
      await killed(directory, async (folder) => {
        expect(counts(folder)).toEqual({ history: 1_200, waiting: 5 });
        const next = openSqliteStore({ file: join(folder, 'mizar.db'), clock });
        const evolution = await next.history.evolution(DEFAULT_TENANT, CAR, ALL);
        expect(evolution?.attributes[height]).toHaveLength(1_200);
        expect(await speeds(next)).toEqual([0, 1, 2, 3, 4, 5]);
        await next.close();
      });
      expect(await speeds(store)).toEqual([0, 1, 2, 3, 4, 5]);
    }));

  it('take their places a few with each write, and a kill in the middle of that loses none and doubles none', () =>
    withStore(async (store, directory) => {
      await driveAll(store, 7);
      const inPlace: number[] = [];
      for (let look = 0; look < 3; look++) {
        await drive(store, 1);
        await killed(directory, async (folder) => {
          inPlace.push(counts(folder).history);
          const next = openSqliteStore({ file: join(folder, 'mizar.db'), clock });
          for (const id of FLEET) {
            const evolution = await next.history.evolution(DEFAULT_TENANT, id, ALL);
            const values = (evolution?.attributes[SPEED] ?? []).map((one) => one.type === 'Property' && one.value);
            expect(values).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
          }
          await next.close();
          expect(counts(folder).waiting).toBe(0);
        });
      }
      // A write puts some hundreds in their places, and not all of them.
      const [first = 0, second = 0, third = 0] = inPlace;
      for (const more of [second - first, third - second]) {
        expect(more).toBeGreaterThan(0);
        expect(more).toBeLessThan(600);
      }
    }));

  it('do not wait where other processes read the file', () =>
    withStore(async (store, directory) => {
      await drive(store, 5);
      await killed(directory, async (folder) => expect(counts(folder)).toEqual({ history: 6, waiting: 0 }));
    }, true));
});
