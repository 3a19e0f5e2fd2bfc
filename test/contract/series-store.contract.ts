import { describe, expect, it } from 'vitest';
import type { AttributeInstance } from '../../broker/domain/attribute.ts';
import type { ChangeDraft } from '../../broker/domain/change.ts';
import { DEFAULT_TENANT, type Iri, type TenantId } from '../../broker/domain/iri.ts';
import { toMicros } from '../../broker/domain/time.ts';
import type { NumberedInstance } from '../../broker/ports/series-store.ts';
import { at, creation, deletion, iri, property, setting, urn } from '../support/writes.ts';
import type { OpenStores, Stores } from './stores.ts';

const CAR = iri('Car');
const BUS = iri('Bus');
const SPEED = iri('speed');
const NOTE = iri('note');
const A = urn('a');
const OTHER = 'other' as TenantId;
const SERIES = { id: A, name: SPEED };

const minute = (n: number) => at(`2026-03-01T08:${String(n).padStart(2, '0')}:00Z`);
const micros = (n: number) => toMicros(minute(n));
const values = (found: readonly (NumberedInstance | undefined)[]) =>
  found.map((one) => (one?.instance.type === 'Property' ? one.instance.value : undefined));

/** Readings 0, 10, 20 … one a minute, of which the first creates the entity. */
async function drive({ entities, clock }: Stores, count: number): Promise<void> {
  await entities.commit([creation(clock, A, [CAR], { [SPEED]: [property(0, { observedAt: minute(0) })] })]);
  for (let n = 1; n < count; n++)
    await entities.commit([setting(clock, A, SPEED, property(n * 10, { observedAt: minute(n) }))]);
}

/** A change to history alone. */
const late = (store: Stores, instance: AttributeInstance, amends?: 'replaced' | 'forgotten') =>
  store.entities.commit([
    {
      tenant: DEFAULT_TENANT,
      id: A,
      decide: (current): ChangeDraft | undefined =>
        current && {
          kind: 'updated',
          before: current,
          after: current,
          attributes: [],
          late: [{ name: SPEED, instance, ...(amends && { amends }) }],
          at: store.clock.now(),
          stamp: store.clock.stamp(),
        },
    },
  ]);

export function seriesStoreContract(name: string, open: OpenStores): void {
  describe(`SeriesStore on ${name}`, () => {
    it('reads a series in both directions, from a place on, within bounds that are included', async () => {
      await using store = await open();
      await drive(store, 6);
      const { series } = store;
      const all = await series.read(DEFAULT_TENANT, SERIES, { limit: 10 });
      expect(values(all)).toEqual([0, 10, 20, 30, 40, 50]);
      expect(all.map((one) => one.at)).toEqual([0, 1, 2, 3, 4, 5].map(micros));
      const [, second] = all;
      expect(values(await series.read(DEFAULT_TENANT, SERIES, { limit: 2, after: second as NumberedInstance }))).toEqual([
        20, 30,
      ]);
      expect(values(await series.read(DEFAULT_TENANT, SERIES, { limit: 2, descending: true }))).toEqual([50, 40]);
      expect(
        values(await series.read(DEFAULT_TENANT, SERIES, { limit: 9, descending: true, after: second as NumberedInstance })),
      ).toEqual([0]);
      expect(values(await series.read(DEFAULT_TENANT, SERIES, { limit: 9, from: micros(2), to: micros(3) }))).toEqual([20, 30]);
      expect(await series.read(OTHER, SERIES, { limit: 9 })).toEqual([]);
      expect(await series.read(DEFAULT_TENANT, { id: A, name: NOTE }, { limit: 9 })).toEqual([]);
    });

    it('keeps datasetIds apart', async () => {
      await using store = await open();
      const datasetId = urn('d');
      const reading = (value: number, more = {}) => property(value, { observedAt: minute(value), ...more });
      await store.entities.commit([
        creation(store.clock, A, [CAR], { [SPEED]: [reading(1), reading(2, { datasetId })] }),
        setting(store.clock, A, SPEED, reading(3)),
      ]);
      expect(values(await store.series.read(DEFAULT_TENANT, SERIES, { limit: 9 }))).toEqual([1, 3]);
      expect(values(await store.series.read(DEFAULT_TENANT, { ...SERIES, datasetId }, { limit: 9 }))).toEqual([2]);
    });

    it('finds instances by number, and walks over all of a tenant in the order of their numbers', async () => {
      await using store = await open();
      await drive(store, 3);
      await store.entities.commit([creation(store.clock, A, [CAR], { [NOTE]: [property('x')] }, { tenant: OTHER })]);
      const { series } = store;
      const walked = await series.walk(DEFAULT_TENANT, { limit: 10 });
      expect(values(walked)).toEqual([0, 10, 20]);
      expect(walked[0]).toMatchObject({ id: A, name: SPEED });
      const numbers = walked.map((one) => one.number);
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
      expect(values(await series.walk(DEFAULT_TENANT, { limit: 1, after: numbers[0] as number }))).toEqual([10]);
      expect(values(await series.walk(DEFAULT_TENANT, { limit: 9, descending: true, after: numbers[2] as number }))).toEqual([
        10, 0,
      ]);
      expect(values(await series.numbered(DEFAULT_TENANT, [numbers[1] as number, 999_999_999]))).toEqual([10, undefined]);
      expect(await series.numbered(OTHER, [numbers[1] as number])).toEqual([undefined]);
      expect(series.numberOf(walked[1]?.instance.instanceId as Iri)).toBe(numbers[1]);
      expect(series.instanceId(numbers[1] as number)).toBe(walked[1]?.instance.instanceId);
      expect(series.numberOf(urn('Instance:elsewhere-1'))).toBeUndefined();
    });

    it('walks over the instances of some names of all entities in order of time, from a place on, within bounds', async (context) => {
      await using store = await open();
      const { clock, entities, series } = store;
      if (series.across === undefined) return context.skip('this store has no order across series');
      await drive(store, 4);
      const b = urn('b');
      const more = { [SPEED]: [property(15, { observedAt: minute(1) })], [NOTE]: [property('x', { observedAt: minute(2) })] };
      await entities.commit([creation(clock, b, [BUS], more)]);
      await entities.commit([
        creation(clock, A, [CAR], { [SPEED]: [property(99, { observedAt: minute(1) })] }, { tenant: OTHER }),
      ]);
      const names = [SPEED, NOTE, iri('unknown')];
      const all = async (page: Omit<Parameters<NonNullable<typeof series.across>>[2], 'limit'>, of = names, limit = 2) => {
        const found: NumberedInstance[] = [];
        let after = page.after;
        for (let turn = 0; turn < 50; turn++) {
          const step = await series.across?.(DEFAULT_TENANT, of, { ...page, limit, ...(after && { after }) });
          expect(step?.found.length).toBeLessThanOrEqual(limit);
          found.push(...(step?.found ?? []));
          if (step?.next === undefined) return values(found);
          after = step.next;
        }
        throw new Error('it does not end');
      };
      expect(await all({})).toEqual([0, 10, 15, 20, 'x', 30]);
      expect(await all({ descending: true })).toEqual([30, 'x', 20, 15, 10, 0]);
      expect(await all({}, [SPEED], 100)).toEqual([0, 10, 15, 20, 30]);
      expect(await all({ from: micros(1), to: micros(2) })).toEqual([10, 15, 20, 'x']);
      expect(await all({ numbers: [{ operator: '>', value: 10 }] })).toEqual([15, 20, 'x', 30]);
      expect(
        await all(
          {
            numbers: [
              { operator: '>=', value: 10 },
              { operator: '<', value: 20 },
            ],
            descending: true,
          },
          [SPEED],
        ),
      ).toEqual([15, 10]);
      expect(await all({ numbers: [{ operator: '=', value: 7 }] }, [SPEED])).toEqual([]);
      await entities.commit([deletion(clock, b)]);
      await late(store, { type: 'Property', value: 5, observedAt: minute(0) });
      // What is deleted is history still; "deleted here" is no instance.
      expect(await all({})).toEqual([0, 5, 10, 15, 20, 'x', 30]);
      expect(await series.across(DEFAULT_TENANT, [], { limit: 5 })).toEqual({ found: [], next: undefined });
    });

    it('keeps an instance under the number that was reserved for it, also if it says the same as another', async () => {
      await using store = await open();
      await drive(store, 3);
      const { series } = store;
      const first = await series.reserve(3);
      expect(await series.reserve(1)).toBe(first + 3);
      for (const number of [first, first + 2]) {
        await late(store, property(10, { observedAt: minute(1), instanceId: series.instanceId(number) }));
      }
      expect(values(await series.read(DEFAULT_TENANT, SERIES, { limit: 9 }))).toEqual([0, 10, 10, 10, 20]);
      expect(values(await series.numbered(DEFAULT_TENANT, [first, first + 1, first + 2]))).toEqual([10, undefined, 10]);
      await drive(store, 3);
      const { number } = (await series.walk(DEFAULT_TENANT, { limit: 1, descending: true }))[0] as NumberedInstance;
      expect(number).toBeGreaterThan(first + 3);
    });

    it('replaces and forgets instances in the step of a write', async () => {
      await using store = await open();
      await drive(store, 3);
      const { series } = store;
      const [, second, third] = await series.read(DEFAULT_TENANT, SERIES, { limit: 9 });
      const instanceId = series.instanceId(second?.number as number);
      await late(store, property(11, { observedAt: minute(30), instanceId }), 'replaced');
      expect(values(await series.read(DEFAULT_TENANT, SERIES, { limit: 9 }))).toEqual([0, 20, 11]);
      expect(values(await series.numbered(DEFAULT_TENANT, [second?.number as number]))).toEqual([11]);
      await late(store, property(11, { observedAt: minute(30), instanceId }), 'forgotten');
      expect(values(await series.read(DEFAULT_TENANT, SERIES, { limit: 9 }))).toEqual([0, 20]);
      // The newest: its attribute goes back to what was before, and history is told nothing else.
      await store.entities.commit([
        {
          tenant: DEFAULT_TENANT,
          id: A,
          decide: (current): ChangeDraft | undefined => {
            if (current === undefined) return undefined;
            const before = current.attributes[SPEED]?.[0] as AttributeInstance;
            const gone = { ...before, instanceId: series.instanceId(third?.number as number) };
            const { [SPEED]: _, ...attributes } = current.attributes;
            return {
              kind: 'updated',
              before: current,
              after: { ...current, attributes },
              attributes: [{ name: SPEED, kind: 'deleted', before: gone, amends: true }],
              at: store.clock.now(),
              stamp: store.clock.stamp(),
            };
          },
        },
      ]);
      expect(values(await series.walk(DEFAULT_TENANT, { limit: 9 }))).toEqual([0]);
      expect((await store.entities.get(DEFAULT_TENANT, A))?.entity.attributes).toEqual({});
    });

    it('tells how far a series reaches', async () => {
      await using store = await open();
      const when = iri('resultTime');
      const reading = (value: number, time?: string) =>
        property(value, { observedAt: minute(value), ...(time && { attributes: { [when]: [property(time)] } }) });
      await store.entities.commit([
        creation(store.clock, A, [CAR], { [SPEED]: [reading(5, '2026-03-02T00:00:00.000Z')] }),
        setting(store.clock, A, SPEED, reading(6)),
        setting(store.clock, A, SPEED, reading(7, '2026-03-01T00:00:00.000Z')),
      ]);
      const extent = await store.series.extent(DEFAULT_TENANT, SERIES, [when, NOTE]);
      expect(extent).toMatchObject({ from: micros(5), to: micros(7) });
      expect(await store.series.count(DEFAULT_TENANT, SERIES)).toBe(3);
      expect(await store.series.count(DEFAULT_TENANT, SERIES, { from: micros(6), to: micros(6) })).toBe(1);
      expect(await store.series.count(DEFAULT_TENANT, { id: A, name: NOTE })).toBe(0);
      expect([...(extent?.texts ?? [])]).toEqual([
        [when, { least: '2026-03-01T00:00:00.000Z', greatest: '2026-03-02T00:00:00.000Z' }],
      ]);
      expect(await store.series.extent(DEFAULT_TENANT, { id: A, name: NOTE }, [])).toBeUndefined();
    });

    it('numbers entities once, and walks over them in that order', async () => {
      await using store = await open();
      const { entities, clock } = store;
      await entities.commit([
        creation(clock, urn('z'), [CAR], {}),
        creation(clock, urn('b'), [BUS], {}),
        creation(clock, urn('a'), [CAR], {}),
        creation(clock, urn('x'), [CAR], {}, { tenant: OTHER }),
      ]);
      const any = { kind: 'any', of: [CAR, BUS].map((type) => ({ kind: 'type', type }) as const) } as const;
      for (const types of [undefined, any]) {
        const query = types ? { types } : {};
        const ids = async (page: Parameters<typeof entities.walk>[2]) =>
          (await entities.walk(DEFAULT_TENANT, query, page)).map(({ id }) => id);
        expect(await ids({ limit: 9 })).toEqual([urn('z'), urn('b'), urn('a')]);
        expect(await ids({ limit: 2, descending: true })).toEqual([urn('a'), urn('b')]);
      }
      const cars = { types: { kind: 'type', type: CAR } } as const;
      const [z, a] = await entities.walk(DEFAULT_TENANT, cars, { limit: 9 });
      expect([z?.id, a?.id]).toEqual([urn('z'), urn('a')]);
      expect((await entities.walk(DEFAULT_TENANT, cars, { limit: 9, after: z?.number as number })).map(({ id }) => id)).toEqual(
        [urn('a')],
      );
      expect(await entities.walk('none' as TenantId, cars, { limit: 9 })).toEqual([]);
      const numbered = await entities.numbered(DEFAULT_TENANT, [a?.number as number, 12_345]);
      expect(numbered.map((one) => one?.id)).toEqual([urn('a'), undefined]);
      expect(await entities.numbered(OTHER, [a?.number as number])).toEqual([undefined]);
      await entities.commit([deletion(clock, urn('a'))]);
      expect(await entities.numbered(DEFAULT_TENANT, [a?.number as number])).toEqual([undefined]);
      await entities.commit([creation(clock, urn('a'), [CAR], {})]);
      expect((await entities.get(DEFAULT_TENANT, urn('a')))?.number).toBe(a?.number);
    });
  });
}
