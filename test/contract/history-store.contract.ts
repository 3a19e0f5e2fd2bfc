import { describe, expect, it } from 'vitest';
import type { AttributeInstance } from '../../broker/domain/attribute.ts';
import type { HistorySelection, TimeProperty, TimeRelation } from '../../broker/domain/history.ts';
import { DEFAULT_TENANT, type Iri, type TenantId } from '../../broker/domain/iri.ts';
import type { EntityQuery } from '../../broker/domain/query/query.ts';
import { toMicros } from '../../broker/domain/time.ts';
import { sweepExpired } from '../../broker/operations/expiry.ts';
import type { HistoryStore } from '../../broker/ports/history-store.ts';
import { at, creation, deletion, iri, point, property, removal, setting, urn } from '../support/writes.ts';
import type { OpenStores, Stores } from './stores.ts';

const CAR = iri('Car');
const SPEED = iri('speed');
const NAME = iri('name');
const A = urn('a');
const SCOPE = 'https://uri.etsi.org/ngsi-ld/scope' as Iri;

const minute = (n: number) => at(`2026-03-01T08:${String(n).padStart(2, '0')}:00Z`);
const micros = (n: number) => toMicros(minute(n));

function select(
  property: TimeProperty = 'observedAt',
  time?: TimeRelation,
  more: Partial<HistorySelection> = {},
): HistorySelection {
  return { filter: { property, ...(time ? { time } : {}) }, limitPerAttribute: 1000, ...more };
}

const values = (instances: readonly AttributeInstance[] | undefined) =>
  instances?.map((instance) => (instance.type === 'Property' ? instance.value : undefined));

async function speeds(history: HistoryStore, selection: HistorySelection): Promise<unknown[] | undefined> {
  return values((await history.evolution(DEFAULT_TENANT, A, selection))?.attributes[SPEED]);
}

/** Ten readings of the speed, one a minute, of which the first creates the entity. */
async function drive({ entities, clock }: Stores, count = 10): Promise<void> {
  const reading = (n: number) => property(n * 10, { observedAt: minute(n) });
  await entities.commit([creation(clock, A, [CAR], { [SPEED]: [reading(0)], [NAME]: [property('A')] })]);
  for (let n = 1; n < count; n++) {
    clock.advance(1);
    await entities.commit([setting(clock, A, SPEED, reading(n))]);
  }
}

export function historyStoreContract(name: string, open: OpenStores): void {
  describe(`HistoryStore on ${name}`, () => {
    it('4.11: before excludes its bound, after includes it, between includes the lower only', async () => {
      await using store = await open();
      await drive(store);
      const { history } = store;
      expect(await speeds(history, select('observedAt', { relation: 'before', at: micros(2) }))).toEqual([0, 10]);
      expect(await speeds(history, select('observedAt', { relation: 'after', at: micros(8) }))).toEqual([80, 90]);
      expect(await speeds(history, select('observedAt', { relation: 'between', at: micros(3), end: micros(5) }))).toEqual([
        30, 40,
      ]);
      expect(await speeds(history, select())).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
    });

    it('4.11: an instance without the asked temporal property does not match', async () => {
      await using store = await open();
      await drive(store, 3);
      const observed = await store.history.evolution(DEFAULT_TENANT, A, select());
      expect(Object.keys(observed?.attributes ?? {})).toEqual([SPEED]);
      const modified = await store.history.evolution(DEFAULT_TENANT, A, select('modifiedAt'));
      expect(values(modified?.attributes[NAME])).toEqual(['A']);
      expect((await store.history.evolution(DEFAULT_TENANT, A, select('deletedAt')))?.attributes).toEqual({});
    });

    it('finds readings by modifiedAt and createdAt as well as by observedAt', async () => {
      await using store = await open();
      await drive(store, 5);
      const start = toMicros(at('2026-03-01T07:00:00Z'));
      const between = { relation: 'between', at: start + 1_000_000, end: start + 3_000_000 } as const;
      expect(await speeds(store.history, select('modifiedAt', between))).toEqual([10, 20]);
      expect(await speeds(store.history, select('createdAt', { relation: 'before', at: start + 1 }))).toEqual([
        0, 10, 20, 30, 40,
      ]);
    });

    it('gives each instance the times it was written with and an instanceId of its own', async () => {
      await using store = await open();
      await drive(store, 3);
      const instances = (await store.history.evolution(DEFAULT_TENANT, A, select()))?.attributes[SPEED] ?? [];
      expect(instances[2]).toMatchObject({
        type: 'Property',
        value: 20,
        observedAt: minute(2),
        createdAt: '2026-03-01T07:00:00Z',
        modifiedAt: '2026-03-01T07:00:02Z',
      });
      expect(new Set(instances.map(({ instanceId }) => instanceId)).size).toBe(3);
      expect(instances.every(({ instanceId }) => instanceId?.startsWith('urn:ngsi-ld:Instance:'))).toBe(true);
    });

    it('lastN takes the newest of the span, in ascending order', async () => {
      await using store = await open();
      await drive(store);
      const selection = select('observedAt', { relation: 'before', at: micros(6) }, { lastN: 2 });
      expect(await speeds(store.history, selection)).toEqual([40, 50]);
    });

    it('6.3.10: says what span is complete when the limit cuts, and cuts all attributes there', async () => {
      await using store = await open();
      await drive(store);
      await store.entities.commit([setting(store.clock, A, NAME, property('B', { observedAt: minute(9) }))]);
      const after = { relation: 'after', at: micros(1) } as const;
      const forwards = await store.history.evolution(DEFAULT_TENANT, A, select('observedAt', after, { limitPerAttribute: 3 }));
      expect(values(forwards?.attributes[SPEED])).toEqual([10, 20, 30]);
      // It has instances in the span, and none of them before the cut.
      expect(forwards?.attributes[NAME]).toEqual([]);
      expect(forwards?.cut).toEqual({ from: micros(1), to: micros(3) });
      const last = select('observedAt', after, { limitPerAttribute: 3, lastN: 5 });
      const backwards = await store.history.evolution(DEFAULT_TENANT, A, last);
      expect(values(backwards?.attributes[SPEED])).toEqual([70, 80, 90]);
      expect(values(backwards?.attributes[NAME])).toEqual(['B']);
      expect(backwards?.cut).toEqual({ from: micros(7), to: micros(9) });
      expect(await store.history.evolution(DEFAULT_TENANT, A, select('observedAt', after))).not.toHaveProperty('cut');
    });

    it('4.5.7: keeps a tombstone of a deleted attribute, and the evolution of a deleted entity', async () => {
      await using store = await open();
      const { entities, history, clock } = store;
      await drive(store, 2);
      clock.advance(100);
      await entities.commit([removal(clock, A, SPEED)]);
      const tombstones = await history.evolution(DEFAULT_TENANT, A, select('deletedAt'));
      expect(tombstones?.attributes).toMatchObject({
        [SPEED]: [{ type: 'Property', value: 'urn:ngsi-ld:null', deletedAt: clock.now() }],
      });
      expect(await speeds(history, select())).toEqual([0, 10]);
      await entities.commit([deletion(clock, A)]);
      const gone = await history.evolution(DEFAULT_TENANT, A, select());
      expect(gone).toMatchObject({ id: A, types: [CAR], deletedAt: clock.now() });
      expect(values(gone?.attributes[SPEED])).toEqual([0, 10]);
      const all = await history.evolution(DEFAULT_TENANT, A, select('deletedAt'));
      expect(values(all?.attributes[NAME])).toEqual(['urn:ngsi-ld:null']);
      // A deletion conveys deletedAt: nothing was created or modified then.
      for (const property of ['modifiedAt', 'createdAt'] as const) {
        expect(await speeds(history, select(property))).toEqual([0, 10]);
      }
    });

    it('4.5.7: an attribute of an entity that only history knows can end, once, and not come back', async () => {
      await using store = await open();
      const { entities, history, clock } = store;
      const other = { datasetId: urn('gps') };
      const attributes = {
        [SPEED]: [property(1, { observedAt: minute(1) }), property(2, { observedAt: minute(1), ...other })],
        [NAME]: [property('A', { observedAt: minute(1) })],
      };
      await history.append(DEFAULT_TENANT, A, { types: [CAR], scopes: ['/A'], attributes }, clock.now());
      clock.advance(5);
      const end = (name: Iri, which = {}) => history.endAttribute(DEFAULT_TENANT, A, name, which, clock.now());
      expect([await end(SPEED), await end(SPEED), await end(iri('colour'))]).toEqual([true, false, false]);
      const ended = (await history.evolution(DEFAULT_TENANT, A, select('deletedAt')))?.attributes;
      expect(ended).toMatchObject({ [SPEED]: [{ value: 'urn:ngsi-ld:null', deletedAt: clock.now() }] });
      expect(ended?.[SPEED]?.[0]).not.toHaveProperty('datasetId');
      expect(await end(SPEED, { datasetId: other.datasetId })).toBe(true);
      expect([await end(SCOPE), await end(SCOPE)]).toEqual([true, false]);
      expect((await history.evolution(DEFAULT_TENANT, A, select('deletedAt')))?.attributes[SCOPE]).toMatchObject([
        { value: [] },
      ]);
      expect((await history.evolution(DEFAULT_TENANT, A, select()))?.scopes).toBeUndefined();

      // Not of an entity that exists, nor of one that was deleted: there the entity store knows.
      await entities.commit([creation(clock, urn('b'), [CAR], { [SPEED]: [property(1)] })]);
      const endOfB = () => history.endAttribute(DEFAULT_TENANT, urn('b'), SPEED, {}, clock.now());
      expect(await endOfB()).toBe(false);
      await entities.commit([deletion(clock, urn('b'))]);
      expect(await endOfB()).toBe(false);
    });

    it('4.8: an instance of the same moment and dataset corrects the one that is there, and keeps its instanceId', async () => {
      await using store = await open();
      const { history, clock } = store;
      const append = (...instances: AttributeInstance[]) =>
        history.append(DEFAULT_TENANT, A, { types: [CAR], attributes: { [SPEED]: instances } }, clock.now());
      const noon = { observedAt: minute(1) };
      await append(property(1, noon), property(2, { observedAt: minute(2) }));
      const [before] = (await history.evolution(DEFAULT_TENANT, A, select()))?.attributes[SPEED] ?? [];
      clock.advance(5);
      await append(property(7, noon), property(9, { ...noon, datasetId: urn('gps') }));
      const after = (await history.evolution(DEFAULT_TENANT, A, select()))?.attributes[SPEED] ?? [];
      const corrected = after.find(({ instanceId }) => instanceId === before?.instanceId);
      expect(corrected).toMatchObject({ value: 7, createdAt: before?.createdAt, modifiedAt: clock.now() });
      expect([...(values(after) ?? [])].sort()).toEqual([2, 7, 9]);
      clock.advance(5);
      await append(property(7, noon));
      const again = (await history.evolution(DEFAULT_TENANT, A, select()))?.attributes[SPEED] ?? [];
      expect(again.find(({ instanceId }) => instanceId === before?.instanceId)?.modifiedAt).toBe(corrected?.modifiedAt);
    });

    it('5.7.4.4: pages from the largest id down as well', async () => {
      await using store = await open();
      const { history, entities, clock } = store;
      const reading = property(1, { observedAt: minute(1) });
      for (const id of ['a', 'c'].map(urn)) {
        await history.append(DEFAULT_TENANT, id, { types: [CAR], attributes: { [SPEED]: [reading] } }, clock.now());
      }
      await entities.commit([creation(clock, urn('b'), [CAR], { [SPEED]: [reading] })]);
      const ids = async (query: EntityQuery, page: object) =>
        (await history.query(DEFAULT_TENANT, query, select(), { limit: 2, descending: true, ...page })).evolutions.map(
          ({ id }) => id,
        );
      for (const query of [{}, { types: { kind: 'type', type: CAR } }, { ids: ['a', 'b', 'c'].map(urn) }] as EntityQuery[]) {
        expect(await ids(query, {})).toEqual([urn('c'), urn('b')]);
        expect(await ids(query, { after: urn('b') })).toEqual([urn('a')]);
        expect(await ids(query, { offset: 1, count: true })).toEqual([urn('b'), urn('a')]);
      }
    });

    it('4.22: an instance that expires takes its history along, and what was said for good stays', async () => {
      await using store = await open();
      const { entities, history, clock } = store;
      const short = { expiresAt: at('2026-03-01T07:00:30Z') };
      const FLASH = iri('flash');
      await entities.commit([
        creation(clock, A, [CAR], { [SPEED]: [property(1)], [FLASH]: [property(10, short)], [NAME]: [property('A')] }),
      ]);
      clock.advance(1);
      await entities.commit([setting(clock, A, FLASH, property(11, short)), setting(clock, A, SPEED, property(2, short))]);
      const all = select('modifiedAt');
      const methods = ['sum'] as const;
      const summed = async () =>
        Object.keys(
          (await history.aggregate(DEFAULT_TENANT, A, all, { methods, period: { months: 0, micros: 0 } }))?.attributes ?? {},
        );
      expect(values((await history.evolution(DEFAULT_TENANT, A, all))?.attributes[FLASH])).toEqual([10, 11]);
      expect(await summed()).toContain(FLASH);
      clock.advance(29);
      const before = (await history.evolution(DEFAULT_TENANT, A, all))?.attributes;
      expect([values(before?.[FLASH]), values(before?.[SPEED])]).toEqual([undefined, [1]]);
      expect(await summed()).not.toContain(FLASH);

      await sweepExpired(entities, history, clock);
      const after = (await history.evolution(DEFAULT_TENANT, A, all))?.attributes;
      expect(Object.keys(after ?? {}).sort()).toEqual([NAME, SPEED]);
      expect(values(after?.[SPEED])).toEqual([1]);
      // The value that came first was for good: that it is no longer there is worth telling.
      const ended = (await history.evolution(DEFAULT_TENANT, A, select('deletedAt')))?.attributes;
      expect(Object.keys(ended ?? {})).toEqual([SPEED]);
      expect(await history.deleteExpired(10)).toBe(0);
    });

    it('4.22: what is said about an instance expires for itself, and takes nothing with it', async () => {
      await using store = await open();
      const { history, clock } = store;
      const QUALITY = iri('quality');
      const noted = {
        attributes: {
          [QUALITY]: [property('good', { expiresAt: at('2026-03-01T07:00:30Z') }), property('kept', { datasetId: iri('d') })],
        },
      };
      await history.append(
        DEFAULT_TENANT,
        A,
        { types: [CAR], attributes: { [SPEED]: [property(1, { observedAt: minute(1), ...noted })] } },
        clock.now(),
      );
      const qualities = async () =>
        (await history.evolution(DEFAULT_TENANT, A, select('observedAt')))?.attributes[SPEED]?.map((one) =>
          values(one.attributes?.[QUALITY]),
        );
      expect(await qualities()).toEqual([['good', 'kept']]);
      clock.advance(30);
      expect(await qualities()).toEqual([['kept']]);
      expect(values((await history.evolution(DEFAULT_TENANT, A, select('observedAt')))?.attributes[SPEED])).toEqual([1]);
    });

    it('4.22: the evolution of an entity outlives its end', async () => {
      await using store = await open();
      const { entities, history, clock } = store;
      await entities.commit([creation(clock, A, [CAR], { [SPEED]: [property(1)] }, { expiresAt: at('2026-03-01T07:00:30Z') })]);
      clock.advance(30);
      await sweepExpired(entities, history, clock);
      const evolution = await history.evolution(DEFAULT_TENANT, A, select('modifiedAt'));
      expect(evolution?.deletedAt).toBe(at('2026-03-01T07:00:30Z'));
      expect(values(evolution?.attributes[SPEED])?.[0]).toBe(1);
    });

    it('4.22: instances that temporal provision added expire alike, unless they are given more time', async () => {
      await using store = await open();
      const { history, clock } = store;
      const short = { expiresAt: at('2026-03-01T07:00:30Z') };
      const instances = [1, 2, 3].map((n) => property(n, { observedAt: minute(n), ...(n === 3 ? {} : short) }));
      await history.append(DEFAULT_TENANT, A, { types: [CAR], attributes: { [SPEED]: instances } }, clock.now());
      const [, second] = (await history.evolution(DEFAULT_TENANT, A, select()))?.attributes[SPEED] ?? [];
      await history.modifyInstance(DEFAULT_TENANT, A, SPEED, second?.instanceId as Iri, ({ expiresAt: _, ...old }) => old);
      clock.advance(30);
      expect(await speeds(history, select())).toEqual([2, 3]);
      expect([await history.deleteExpired(10), await history.deleteExpired(10)]).toEqual([1, 0]);
      expect(await speeds(history, select())).toEqual([2, 3]);
    });

    it('4.5.6: tells the evolution of the scope', async () => {
      await using store = await open();
      const { entities, history, clock } = store;
      await entities.commit([creation(clock, A, [CAR], {}, { scopes: ['/Old'] })]);
      const rescope = (scopes: readonly string[] | undefined) =>
        entities.commit([
          {
            tenant: DEFAULT_TENANT,
            id: A,
            decide: (before) => {
              if (!before) return undefined;
              const { scopes: _, ...rest } = before;
              const after = scopes ? { ...rest, scopes } : rest;
              return { kind: 'updated', before, after, attributes: [], at: clock.now(), stamp: clock.stamp() };
            },
          },
        ]);
      clock.advance(1);
      await rescope(['/New']);
      clock.advance(1);
      await rescope(undefined);
      const scopes = (await history.evolution(DEFAULT_TENANT, A, select()))?.attributes[SCOPE] ?? [];
      expect(values(scopes)).toEqual([['/Old'], ['/New']]);
      expect(scopes[1]?.observedAt).toBe(scopes[1]?.modifiedAt);
      const deleted = (await history.evolution(DEFAULT_TENANT, A, select('deletedAt')))?.attributes[SCOPE];
      expect(deleted).toMatchObject([{ type: 'Property', value: [], deletedAt: clock.now() }]);
    });

    it('C.5.16: a scope is looked for where the entity was in the span', async () => {
      await using store = await open();
      const { entities, history, clock } = store;
      const start = clock.micros();
      const reading = (value: number) => property(value, { observedAt: clock.now() });
      await entities.commit([creation(clock, A, [CAR], { [SPEED]: [reading(1)] }, { scopes: ['/Old'] })]);
      clock.advance(10);
      await entities.commit([
        {
          tenant: DEFAULT_TENANT,
          id: A,
          decide: (before) =>
            before && {
              kind: 'updated',
              before,
              after: { ...before, scopes: ['/New'] },
              attributes: [],
              at: clock.now(),
              stamp: clock.stamp(),
            },
        },
      ]);
      clock.advance(10);
      await entities.commit([setting(clock, A, SPEED, reading(2))]);
      const found = async (level: string, time: TimeRelation) => {
        const scopes = { kind: 'scope', levels: [level] } as const;
        return (await history.query(DEFAULT_TENANT, { scopes }, select('observedAt', time), { limit: 5 })).evolutions.length;
      };
      const early = { relation: 'before', at: start + 5_000_000 } as const;
      const late = { relation: 'after', at: start + 15_000_000 } as const;
      expect([await found('Old', early), await found('New', early)]).toEqual([1, 0]);
      expect([await found('Old', late), await found('New', late)]).toEqual([0, 1]);

      // Over both: only what was observed while the scope held, and the scope itself, also if it was set before the span.
      const all = { relation: 'after', at: start } as const;
      const during = async (level: string) => {
        const scopes = { kind: 'scope', levels: [level] } as const;
        const page = await history.query(DEFAULT_TENANT, { scopes }, select('observedAt', all), { limit: 5 });
        const attributes = page.evolutions[0]?.attributes;
        return [values(attributes?.[SPEED]), values(attributes?.[SCOPE])];
      };
      expect(await during('Old')).toEqual([[1], [['/Old']]]);
      expect(await during('New')).toEqual([[2], [['/New']]]);
      const newest = { kind: 'scope', levels: ['Old'] } as const;
      const [last] = (
        await history.query(DEFAULT_TENANT, { scopes: newest }, select('observedAt', all, { lastN: 1 }), { limit: 5 })
      ).evolutions;
      expect(values(last?.attributes[SPEED])).toEqual([1]);
    });

    it('a late reading goes to history only, and only once', async () => {
      await using store = await open();
      const { entities, history, feed, clock } = store;
      await drive(store, 3);
      const late = property(5, { observedAt: at('2026-03-01T08:00:30.000Z') });
      const write = {
        tenant: DEFAULT_TENANT,
        id: A,
        decide: (before: Parameters<ReturnType<typeof setting>['decide']>[0]) =>
          before && {
            kind: 'updated' as const,
            before,
            after: before,
            attributes: [],
            late: [{ name: SPEED, instance: late }],
            at: clock.now(),
            stamp: clock.stamp(),
          },
      };
      const version = (await entities.get(DEFAULT_TENANT, A))?.version;
      expect((await entities.commit([write, write])).map(({ kind }) => kind)).toEqual(['committed', 'unchanged']);
      expect((await entities.commit([write])).map(({ kind }) => kind)).toEqual(['unchanged']);
      expect((await entities.get(DEFAULT_TENANT, A))?.version).toBe(version);
      expect(await speeds(history, select())).toEqual([0, 5, 10, 20]);
      const [change] = await feed.read((await feed.head()) - 1, 10);
      expect(change).toMatchObject({ attributes: [], late: [{ name: SPEED, instance: { value: 5 } }] });
      const instances = (await history.evolution(DEFAULT_TENANT, A, select()))?.attributes[SPEED];
      expect(instances?.[1]?.observedAt).toBe('2026-03-01T08:00:30.000Z');
    });

    it('4.5.5: selects datasets', async () => {
      await using store = await open();
      const { entities, history, clock } = store;
      const observedAt = minute(1);
      const instances = [property(1, { observedAt }), property(2, { observedAt, datasetId: urn('d') })];
      await entities.commit([creation(clock, A, [CAR], { [SPEED]: instances })]);
      expect(await speeds(history, select('observedAt', undefined, { datasetIds: [urn('d')] }))).toEqual([2]);
      expect(await speeds(history, select('observedAt', undefined, { datasetIds: ['@none'] }))).toEqual([1]);
      expect(await speeds(history, select('observedAt', undefined, { datasetIds: ['@none', urn('d')] }))).toEqual([1, 2]);
      expect(await speeds(history, select('observedAt', undefined, { datasetIds: [urn('x')] }))).toBeUndefined();
    });

    it('5.6.11, 5.6.12: appends to an evolution without touching current state', async () => {
      await using store = await open();
      const { entities, history, clock } = store;
      const fragment = { types: [CAR], attributes: { [SPEED]: [1, 2].map((n) => property(n, { observedAt: minute(n) })) } };
      expect(await history.append(DEFAULT_TENANT, A, fragment, clock.now())).toBe('created');
      expect(await entities.get(DEFAULT_TENANT, A)).toBeUndefined();
      expect((await entities.query(DEFAULT_TENANT, { types: { kind: 'type', type: CAR } }, { limit: 5 })).entities).toEqual([]);
      expect(await speeds(history, select())).toEqual([1, 2]);
      const more = { types: [iri('Taxi')], attributes: { [SPEED]: [2, 3].map((n) => property(n, { observedAt: minute(n) })) } };
      expect(await history.append(DEFAULT_TENANT, A, more, clock.now())).toBe('updated');
      expect(await speeds(history, select())).toEqual([1, 2, 3]);
      expect((await history.evolution(DEFAULT_TENANT, A, select()))?.types).toEqual([CAR, iri('Taxi')]);
      expect(await history.evolution('other' as TenantId, A, select())).toBeUndefined();
      await entities.commit([creation(clock, A, [CAR], { [SPEED]: [property(4, { observedAt: minute(4) })] })]);
      expect(await speeds(history, select())).toEqual([1, 2, 3, 4]);
      await history.append(DEFAULT_TENANT, A, more, clock.now());
      for (const type of [CAR, iri('Taxi')]) {
        const page = await history.query(DEFAULT_TENANT, { types: { kind: 'type', type } }, select(), {
          limit: 5,
          count: true,
        });
        expect([page.count, page.evolutions.map(({ id }) => id)]).toEqual([1, [A]]);
      }
      expect((await entities.get(DEFAULT_TENANT, A))?.entity.types).toEqual([CAR]);
    });

    it('5.6.13 to 5.6.16: deletes instances, attributes and the whole evolution, and leaves the entity alone', async () => {
      await using store = await open();
      const { entities, history } = store;
      await drive(store, 4);
      const instances = (await history.evolution(DEFAULT_TENANT, A, select()))?.attributes[SPEED] ?? [];
      const [first, second] = instances.map(({ instanceId }) => instanceId as Iri) as [Iri, Iri];
      expect(await history.deleteInstance(DEFAULT_TENANT, A, NAME, first)).toBe(false);
      expect(await history.deleteInstance(DEFAULT_TENANT, A, SPEED, urn('no such'))).toBe(false);
      expect(await history.deleteInstance(DEFAULT_TENANT, A, SPEED, first)).toBe(true);
      expect(await history.deleteInstance(DEFAULT_TENANT, A, SPEED, first)).toBe(false);
      const change = (old: AttributeInstance) =>
        ({ ...old, value: 99, observedAt: minute(50), modifiedAt: minute(59) }) as AttributeInstance;
      expect(await history.modifyInstance(DEFAULT_TENANT, A, SPEED, second, change)).toBe(true);
      expect(await speeds(history, select())).toEqual([20, 30, 99]);
      const modified = (await history.evolution(DEFAULT_TENANT, A, select()))?.attributes[SPEED]?.[2];
      expect(modified).toMatchObject({ instanceId: second, createdAt: '2026-03-01T07:00:00Z', modifiedAt: minute(59) });
      expect(await history.deleteAttribute(DEFAULT_TENANT, A, SPEED, { datasetId: urn('d') })).toBe(false);
      expect(await history.deleteAttribute(DEFAULT_TENANT, A, SPEED, {})).toBe(true);
      expect(await history.deleteAttribute(DEFAULT_TENANT, A, SPEED, { all: true })).toBe(false);
      expect((await history.evolution(DEFAULT_TENANT, A, select('modifiedAt')))?.attributes).not.toHaveProperty(SPEED);
      expect(await history.deleteEvolution(DEFAULT_TENANT, A)).toBe(true);
      expect(await history.deleteEvolution(DEFAULT_TENANT, A)).toBe(false);
      expect(await history.evolution(DEFAULT_TENANT, A, select())).toBeUndefined();
      expect((await entities.get(DEFAULT_TENANT, A))?.entity.attributes[SPEED]).toMatchObject([{ value: 30 }]);
      await entities.commit([setting(store.clock, A, SPEED, property(1, { observedAt: minute(55) }))]);
      expect(await speeds(history, select())).toEqual([1]);
    });

    it('5.7.4: a query is asked of the instances in the span, not of current state', async () => {
      await using store = await open();
      const { entities, history, clock } = store;
      await drive(store);
      await entities.commit([
        creation(clock, urn('b'), [CAR], { [SPEED]: [property(500, { observedAt: minute(3) })] }),
        creation(clock, urn('c'), [iri('Bus')], { [SPEED]: [property(30, { observedAt: minute(3) })] }),
        creation(clock, urn('d'), [CAR], { [SPEED]: [property(30)] }),
      ]);
      const over = (value: number): EntityQuery => ({
        types: { kind: 'type', type: CAR },
        where: { kind: 'compare', path: { names: [SPEED] }, operator: '>', value: { kind: 'literal', value } },
      });
      const span = select('observedAt', { relation: 'between', at: micros(2), end: micros(4) });
      const found = async (query: EntityQuery) =>
        (await history.query(DEFAULT_TENANT, query, span, { limit: 10 })).evolutions.map(({ id }) => id);
      expect(await found(over(25))).toEqual([A, urn('b')]);
      expect(await found(over(60))).toEqual([urn('b')]);
      expect(await found({ types: { kind: 'type', type: CAR } })).toEqual([A, urn('b')]);
      await entities.commit([deletion(clock, A)]);
      expect(await found(over(25))).toEqual([A, urn('b')]);
      const page = await history.query(DEFAULT_TENANT, over(25), span, { limit: 1, offset: 1, count: true });
      expect([page.count, page.more, page.evolutions.map(({ id }) => id)]).toEqual([2, false, [urn('b')]]);
      const next = await history.query(DEFAULT_TENANT, over(25), span, { limit: 1, after: A });
      expect(next.evolutions.map(({ id }) => id)).toEqual([urn('b')]);
      expect((await history.query(DEFAULT_TENANT, over(25), span, { limit: 1 })).more).toBe(true);
    });

    it('5.7.4: a place is looked for where the entity was in the span', async () => {
      await using store = await open();
      const { entities, history, clock } = store;
      const LOCATION = iri('location');
      await entities.commit([creation(clock, A, [CAR], { [LOCATION]: [{ ...point(17, 48), observedAt: minute(1) }] })]);
      await entities.commit([setting(clock, A, LOCATION, { ...point(18, 49), observedAt: minute(5) })]);
      const geometry = { type: 'Point', coordinates: [17, 48] } as const;
      const where = { kind: 'geo', property: LOCATION, relation: 'near', geometry, maxDistanceM: 100 } as const;
      const found = async (time: TimeRelation) =>
        (await history.query(DEFAULT_TENANT, { where }, select('observedAt', time), { limit: 5 })).evolutions.length;
      expect(await found({ relation: 'before', at: micros(3) })).toBe(1);
      expect(await found({ relation: 'after', at: micros(3) })).toBe(0);
    });

    it('4.5.19: aggregates numbers in buckets from the start of the span', async () => {
      await using store = await open();
      await drive(store);
      const span = select('observedAt', { relation: 'between', at: micros(0), end: micros(10) }, { attributes: [SPEED] });
      const aggregate = (micros: number) =>
        store.history.aggregate(DEFAULT_TENANT, A, span, {
          methods: ['avg', 'min', 'max', 'totalCount'],
          period: { months: 0, micros },
        });
      const halves = await aggregate(5 * 60_000_000);
      const [speed] = halves?.attributes[SPEED] ?? [];
      expect(speed?.type).toBe('Property');
      expect(speed?.values.avg).toEqual([
        { value: 20, from: minute(0), to: minute(5) },
        { value: 70, from: minute(5), to: minute(10) },
      ]);
      expect(speed?.values.max?.map(({ value }) => value)).toEqual([40, 90]);
      const whole = await aggregate(0);
      expect(whole?.attributes[SPEED]?.[0]?.values.totalCount).toEqual([{ value: 10, from: minute(0), to: minute(10) }]);
      expect(
        await store.history.aggregate(DEFAULT_TENANT, urn('x'), span, { methods: ['avg'], period: { months: 0, micros: 0 } }),
      ).toBeUndefined();
    });
  });
}
