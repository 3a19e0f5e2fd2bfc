import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import type { AttributeInstance, Attributes } from '../../broker/domain/attribute.ts';
import type { LateInstance } from '../../broker/domain/change.ts';
import { DEFAULT_TENANT, type Iri } from '../../broker/domain/iri.ts';
import { InstanceTexts } from '../../broker/stores/sqlite/instance-text.ts';
import { openSqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { at, creation, iri, property, testClock, urn } from '../support/writes.ts';

const CAR = urn('car');
const SPEED = iri('speed');
const PLACE = { [iri('place')]: [{ type: 'Relationship', object: urn('here') }] } as Attributes;

const minute = (n: number) => at(`2026-03-01T08:${String(n).padStart(2, '0')}:00.000Z`);

describe('readings that only go to history', () => {
  it('are told as they were written, however they are kept: in runs, one by one, replaced', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'mizar-'));
    const clock = testClock();
    const open = () => openSqliteStore({ file: join(directory, 'mizar.db'), clock, recentChanges: 1 });
    let store = open();
    try {
      await store.entities.commit([creation(clock, CAR, [iri('Car')], { [SPEED]: [property(0, { observedAt: minute(59) })] })]);
      const now = clock.now();
      const stamp = clock.stamp();
      const first = await store.series.reserve(10);
      const reading = (n: number, more: Partial<AttributeInstance> = {}): LateInstance => ({
        name: SPEED,
        instance: property(n, {
          observedAt: minute(n),
          createdAt: now,
          modifiedAt: now,
          stamp,
          instanceId: store.series.instanceId(first + n),
          ...more,
        }),
      });
      const late: LateInstance[] = [
        reading(0, { attributes: PLACE }),
        reading(1, { attributes: PLACE }),
        reading(2, { datasetId: urn('left'), unitCode: 'KMH' } as Partial<AttributeInstance>),
        reading(3, { datasetId: urn('left'), unitCode: 'KMH' } as Partial<AttributeInstance>),
        // What a run cannot say: another moment of writing, a member of its own, another kind.
        reading(4, { createdAt: minute(1) }),
        reading(5, { valueType: iri('knots') } as Partial<AttributeInstance>),
        { name: SPEED, instance: { ...reading(6).instance, type: 'JsonProperty', json: { a: [1] } } as AttributeInstance },
        reading(7, { value: 12345678901234567890n } as Partial<AttributeInstance>),
        reading(8),
        { ...reading(9), amends: 'replaced' },
      ];
      await store.entities.commit([
        {
          tenant: DEFAULT_TENANT,
          id: CAR,
          decide: (current) =>
            current && { kind: 'updated', before: current, after: current, attributes: [], late, at: now, stamp },
        },
      ]);
      const told = async () => (await store.feed.read(1, 1))[0]?.late;
      expect(await told()).toEqual(late);
      await store.close();
      store = open();
      expect(await told()).toEqual(late);
      expect(Object.keys((await store.feed.read(1, 1))[0] ?? {})).toContain('late');
      const read = await store.series.read(DEFAULT_TENANT, { id: CAR, name: SPEED, datasetId: urn('left') }, { limit: 9 });
      expect(read.map(({ instance }) => instance)).toMatchObject([
        { value: 2, unitCode: 'KMH' },
        { value: 3, unitCode: 'KMH' },
      ]);
    } finally {
      await store.close();
      await rm(directory, { recursive: true });
    }
  });

  it('have the text that any instance has, also when it is made of that of the last one', () => {
    const texts = new InstanceTexts();
    const other = { ...PLACE, [iri('note')]: [property('"quoted" \u2028')] } as Attributes;
    const rows: AttributeInstance[] = [
      property(1.5, { attributes: PLACE, observedAt: minute(1) }),
      property(-0, { attributes: PLACE, observedAt: minute(2) }),
      property(1e21, { attributes: PLACE, datasetId: urn('a') }),
      property(2, { attributes: other, datasetId: urn('a') }),
      property('text', { attributes: other }),
      property(3, { attributes: PLACE, unitCode: 'CEL' } as Partial<AttributeInstance>),
      property(4, { attributes: PLACE, unitCode: 'CEL', expiresAt: minute(3) } as Partial<AttributeInstance>),
      property(5, { attributes: { [iri('big')]: [property(12345678901234567890n)] } as Attributes }),
    ];
    for (const instance of rows) {
      for (const withTime of [true, false]) {
        const { observedAt, ...rest } = instance;
        const wanted = withTime && observedAt !== undefined ? instance : rest;
        const text = texts.of(instance, withTime && observedAt !== undefined);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(wanted)));
      }
    }
    expect(texts.of(rows[7] as AttributeInstance, false)).toMatch(/^ .*12345678901234567890/);
  });
});

describe('a series that is read', () => {
  it('has what is in the state without a row, and reading writes none', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'mizar-'));
    const clock = testClock();
    const file = join(directory, 'mizar.db');
    const store = openSqliteStore({ file, clock });
    const rows = () => {
      const database = new DatabaseSync(file, { readOnly: true });
      try {
        return Number(database.prepare('SELECT count(*) AS n FROM history').get()?.['n']);
      } finally {
        database.close();
      }
    };
    try {
      const ended = iri('ended');
      const inner = { [ended]: [property('b')] } as Attributes;
      await store.entities.commit([
        creation(clock, CAR, [iri('Car')], { [SPEED]: [property(7, { observedAt: minute(7), attributes: inner })] }),
      ]);
      const series = { id: CAR, name: SPEED };
      const values = async (page: Parameters<typeof store.series.read>[2]) =>
        (await store.series.read(DEFAULT_TENANT, series, page)).map(
          ({ instance }) => instance.type === 'Property' && instance.value,
        );
      expect(await values({ limit: 5 })).toEqual([7]);
      expect(await values({ limit: 5, from: Date.parse(minute(8)) * 1000 })).toEqual([]);
      expect(await store.series.count(DEFAULT_TENANT, series)).toBe(1);
      expect(await store.series.extent(DEFAULT_TENANT, series, [ended as Iri])).toEqual({
        from: Date.parse(minute(7)) * 1000,
        to: Date.parse(minute(7)) * 1000,
        texts: new Map([[ended, { least: 'b', greatest: 'b' }]]),
      });
      const [only] = await store.series.read(DEFAULT_TENANT, series, { limit: 1 });
      expect(await values({ limit: 5, after: only as { at: number; number: number } })).toEqual([]);
      await store.close();
      expect(rows()).toBe(0);
    } finally {
      await store.close();
      await rm(directory, { recursive: true });
    }
  });
});
