import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DEFAULT_TENANT } from '../../broker/domain/iri.ts';
import { openSqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { systemClock } from '../../broker/stores/system-clock.ts';
import { creation, deletion, iri, property, setting, testClock, urn } from '../support/writes.ts';

const CAR = iri('Car');
const SPEED = iri('speed');

describe('SQLite file', () => {
  let directory: string;
  let file: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'mizar-'));
    file = join(directory, 'mizar.db');
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('has everything after it was closed and opened again, and its numbers go on', async () => {
    const clock = testClock();
    const first = openSqliteStore({ file, clock });
    await first.entities.commit([
      creation(clock, urn('a'), [CAR], { [SPEED]: [property(1)] }),
      creation(clock, urn('b'), [CAR], {}),
    ]);
    await first.entities.commit([setting(clock, urn('a'), SPEED, property(2)), deletion(clock, urn('b'))]);
    await first.documents.put('subscription', DEFAULT_TENANT, 's', { n: 1 });
    await first.feed.moveCursor('reader', 3);
    const changes = await first.feed.read(0, 10);
    const head = await first.feed.head();
    await first.close();
    await expect(first.entities.commit([creation(clock, urn('c'), [CAR], {})])).rejects.toMatchObject({ type: 'Unavailable' });
    expect(first.ready()).toBe(false);

    const again = openSqliteStore({ file, clock });
    expect(await again.feed.read(0, 10)).toEqual(changes);
    expect(await again.feed.head()).toBe(head);
    expect(await again.feed.cursor('reader')).toBe(3);
    expect((await again.entities.get(DEFAULT_TENANT, urn('a')))?.entity.attributes[SPEED]).toMatchObject([{ value: 2 }]);
    expect(await again.entities.get(DEFAULT_TENANT, urn('b'))).toBeUndefined();
    expect((await again.documents.get('subscription', DEFAULT_TENANT, 's'))?.body).toEqual({ n: 1 });
    const selection = { filter: { property: 'modifiedAt' }, limitPerAttribute: 10 } as const;
    const before = (await again.history.evolution(DEFAULT_TENANT, urn('a'), selection))?.attributes[SPEED] ?? [];
    expect(before).toHaveLength(2);
    await again.entities.commit([setting(clock, urn('a'), SPEED, property(3))]);
    expect(await again.feed.head()).toBe(head + 1);
    const after = (await again.history.evolution(DEFAULT_TENANT, urn('a'), selection))?.attributes[SPEED] ?? [];
    expect(new Set(after.map(({ instanceId }) => instanceId)).size).toBe(3);
    await again.close();
  });

  it('positions and stamps grow also after everything was trimmed', async () => {
    const clock = testClock();
    const first = openSqliteStore({ file, clock });
    await first.entities.commit([creation(clock, urn('a'), [CAR], {})]);
    await first.entities.commit([deletion(clock, urn('a'))]);
    const head = await first.feed.head();
    const highest = first.highestStamp();
    await first.feed.trim(head + 1);
    await first.close();
    const early = testClock('2020-01-01T00:00:00Z');
    const again = openSqliteStore({ file, clock: early });
    expect(again.highestStamp()).toBe(highest);
    expect(early.stamp().at).toBeGreaterThan(highest);
    const [outcome] = await again.entities.commit([creation(early, urn('a'), [CAR], {})]);
    expect(outcome?.kind === 'committed' && outcome.version).toBe(head + 1);
    await again.close();
  });

  it('a stamp is larger than every one before, whatever the machine’s clock says', () => {
    const clock = systemClock('urn:city:a');
    const ahead = Date.now() * 1000 + 60_000_000;
    clock.saw({ at: ahead, origin: 'urn:city:b' });
    const stamps = [clock.stamp(), clock.stamp(), clock.stamp()];
    expect(stamps.map(({ at, origin }) => [at, origin])).toEqual([1, 2, 3].map((n) => [ahead + n, 'urn:city:a']));
    clock.saw({ at: 5, origin: 'urn:city:b' });
    expect(clock.stamp().at).toBe(ahead + 4);
  });

  it('refuses a file that another broker has open', async () => {
    const clock = testClock();
    const first = openSqliteStore({ file, clock });
    expect(() => openSqliteStore({ file, clock, waitMs: 10 })).toThrow(/^[^\n]*mizar\.db is in use by another broker[^\n]*$/);
    await first.close();
    await openSqliteStore({ file, clock, waitMs: 10 }).close();
  });

  it('refuses a file of a newer schema, of another program, and what is no database at all', async () => {
    const clock = testClock();
    await openSqliteStore({ file, clock }).close();
    const newer = new DatabaseSync(file);
    newer.exec('PRAGMA user_version = 999');
    newer.close();
    expect(() => openSqliteStore({ file, clock })).toThrow(/newer version of Mizar \(schema 999/);
    const foreign = join(directory, 'foreign.db');
    const other = new DatabaseSync(foreign);
    other.exec('CREATE TABLE a (b)');
    other.close();
    expect(() => openSqliteStore({ file: foreign, clock })).toThrow(/another program/);
    const text = join(directory, 'text.db');
    await writeFile(text, 'this is not a database, but long enough to have a header that SQLite can look at'.repeat(20));
    expect(() => openSqliteStore({ file: text, clock })).toThrow(/text\.db is not a database/);
    expect(() => openSqliteStore({ file: join(directory, 'no', 'such.db'), clock })).toThrow(/cannot be opened/);
  });

  it('refuses writes while the disk is full, keeps answering, and takes writes again when there is room', async () => {
    const clock = testClock();
    const store = openSqliteStore({ file, clock, maxFileBytes: 600_000 });
    const outcomes: string[] = [];
    const ids = Array.from({ length: 400 }, (_, n) => urn(`e${n}`));
    for (const id of ids) {
      const result = await store.entities
        .commit([creation(clock, id, [CAR], { [SPEED]: [property('x'.repeat(1000))] })])
        .then(([outcome]) => outcome?.kind ?? 'none')
        .catch((error) => error.type);
      outcomes.push(result);
      if (outcomes.at(-3) === 'Unavailable') break;
    }
    const stored = outcomes.filter((outcome) => outcome === 'committed').length;
    expect(stored).toBeGreaterThan(50);
    expect(outcomes.slice(-3)).toEqual(['Unavailable', 'Unavailable', 'Unavailable']);
    // Nothing of a refused write is there, neither in memory nor in the file.
    expect(await store.entities.get(DEFAULT_TENANT, ids[stored] as (typeof ids)[number])).toBeUndefined();
    expect((await store.entities.query(DEFAULT_TENANT, {}, { limit: 1, count: true })).count).toBe(stored);
    expect(await store.feed.read(0, 1000)).toHaveLength(stored);
    expect(await store.feed.head()).toBe(stored);
    await store.close();

    const larger = openSqliteStore({ file, clock });
    expect((await larger.entities.query(DEFAULT_TENANT, {}, { limit: 1, count: true })).count).toBe(stored);
    const [outcome] = await larger.entities.commit([creation(clock, urn('later'), [CAR], {})]);
    expect(outcome?.kind === 'committed' && outcome.version).toBe(stored + 1);
    await larger.close();
  });
});
