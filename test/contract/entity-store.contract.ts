import { describe, expect, it } from 'vitest';
import { DomainError } from '../../broker/domain/errors.ts';
import { DEFAULT_TENANT, type Iri, type TenantId } from '../../broker/domain/iri.ts';
import type { EntityQuery } from '../../broker/domain/query/query.ts';
import { sweepExpired } from '../../broker/operations/expiry.ts';
import type { PageRequest, Write } from '../../broker/ports/entity-store.ts';
import { at, creation, deletion, iri, point, property, setting, urn } from '../support/writes.ts';
import type { OpenStores } from './stores.ts';

const CAR = iri('Car');
const BUS = iri('Bus');
const SPEED = iri('speed');
const OTHER = 'other' as TenantId;

const refusing = (id: Iri): Write => ({
  tenant: DEFAULT_TENANT,
  id,
  decide: () => {
    throw new DomainError('AlreadyExists', 'refused by the test');
  },
});

export function entityStoreContract(name: string, open: OpenStores): void {
  describe(`EntityStore on ${name}`, () => {
    it('hands out what was committed, and nothing for what was not', async () => {
      await using store = await open();
      const { entities, clock } = store;
      const [outcome] = await entities.commit([creation(clock, urn('a'), [CAR], { [SPEED]: [property(5)] })]);
      const found = await entities.get(DEFAULT_TENANT, urn('a'));
      expect(outcome?.kind).toBe('committed');
      expect(found?.entity).toMatchObject({
        id: urn('a'),
        types: [CAR],
        attributes: { [SPEED]: [{ type: 'Property', value: 5 }] },
      });
      expect(found?.version).toBe(outcome?.kind === 'committed' ? outcome.version : undefined);
      expect(await entities.get(DEFAULT_TENANT, urn('b'))).toBeUndefined();
    });

    it('keeps the other writes when one of them is refused', async () => {
      await using store = await open();
      const { entities, clock } = store;
      const outcomes = await entities.commit([
        creation(clock, urn('a'), [CAR], {}),
        refusing(urn('b')),
        creation(clock, urn('c'), [CAR], {}),
      ]);
      expect(outcomes.map(({ kind }) => kind)).toEqual(['committed', 'refused', 'committed']);
      expect(await entities.get(DEFAULT_TENANT, urn('b'))).toBeUndefined();
      expect((await entities.query(DEFAULT_TENANT, {}, { limit: 10 })).entities.map(({ id }) => id)).toEqual([
        urn('a'),
        urn('c'),
      ]);
    });

    it('shows each write of a batch what the writes before it left', async () => {
      await using store = await open();
      const { entities, clock } = store;
      const speeds: unknown[] = [];
      const raise: Write = {
        tenant: DEFAULT_TENANT,
        id: urn('a'),
        decide: (current) => {
          const speed = current?.attributes[SPEED]?.[0];
          const value = speed?.type === 'Property' ? Number(speed.value) : Number.NaN;
          speeds.push(value);
          return setting(clock, urn('a'), SPEED, property(value + 1)).decide(current);
        },
      };
      await entities.commit([creation(clock, urn('a'), [CAR], { [SPEED]: [property(1)] }), raise, raise]);
      expect(speeds).toEqual([1, 2]);
      expect((await entities.get(DEFAULT_TENANT, urn('a')))?.entity.attributes[SPEED]).toMatchObject([{ value: 3 }]);
    });

    it('loses none of many writes to one entity that arrive at once', async () => {
      await using store = await open();
      const { entities, clock } = store;
      await entities.commit([creation(clock, urn('a'), [CAR], { [SPEED]: [property(0)] })]);
      const raise: Write = {
        tenant: DEFAULT_TENANT,
        id: urn('a'),
        decide: (current) => {
          const speed = current?.attributes[SPEED]?.[0];
          return setting(clock, urn('a'), SPEED, property((speed?.type === 'Property' ? Number(speed.value) : 0) + 1)).decide(
            current,
          );
        },
      };
      const outcomes = await Promise.all(Array.from({ length: 50 }, () => entities.commit([raise])));
      expect((await entities.get(DEFAULT_TENANT, urn('a')))?.entity.attributes[SPEED]).toMatchObject([{ value: 50 }]);
      const versions = outcomes.map(([outcome]) => (outcome?.kind === 'committed' ? outcome.version : 0));
      expect(new Set(versions).size).toBe(50);
    });

    it('makes no version, no change and no history of a write that changes nothing', async () => {
      await using store = await open();
      const { entities, feed, history, clock } = store;
      await entities.commit([creation(clock, urn('a'), [CAR], { [SPEED]: [property(5)] })]);
      const before = await entities.get(DEFAULT_TENANT, urn('a'));
      const outcomes = await entities.commit([creation(clock, urn('a'), [CAR], { [SPEED]: [property(6)] })]);
      expect(outcomes).toEqual([{ kind: 'unchanged' }]);
      expect((await entities.get(DEFAULT_TENANT, urn('a')))?.version).toBe(before?.version);
      expect(await feed.read(0, 10)).toHaveLength(1);
      const evolution = await history.evolution(DEFAULT_TENANT, urn('a'), {
        filter: { property: 'modifiedAt' },
        limitPerAttribute: 10,
      });
      expect(evolution?.attributes[SPEED]).toHaveLength(1);
    });

    it('writes all of commitTogether or nothing, and reads nothing of what was taken back', async () => {
      await using store = await open();
      const { entities, feed, clock } = store;
      await entities.commit([creation(clock, urn('old'), [CAR], { [SPEED]: [property(1)] })]);
      const old = await entities.get(DEFAULT_TENANT, urn('old'));
      const together = entities.commitTogether([
        creation(clock, urn('new'), [BUS], {}, { tenant: OTHER }),
        setting(clock, urn('old'), SPEED, property(2)),
        refusing(urn('x')),
      ]);
      const beside = entities.commit([creation(clock, urn('beside'), [CAR], {})]);
      await expect(together).rejects.toMatchObject({ type: 'AlreadyExists' });
      expect((await beside)[0]?.kind).toBe('committed');
      expect(await entities.get(OTHER, urn('new'))).toBeUndefined();
      expect(await entities.tenantExists(OTHER)).toBe(false);
      const now = await entities.get(DEFAULT_TENANT, urn('old'));
      expect(now?.version).toBe(old?.version);
      expect(now?.entity.attributes[SPEED]).toMatchObject([{ value: 1 }]);
      expect((await feed.read(0, 10)).map(({ id }) => id)).toEqual([urn('old'), urn('beside')]);
      expect(await entities.commitTogether([setting(clock, urn('old'), SPEED, property(3))])).toMatchObject([
        { kind: 'committed' },
      ]);
    });

    it('does not bring a deleted entity back when an update arrives after the delete', async () => {
      await using store = await open();
      const { entities, clock } = store;
      await entities.commit([creation(clock, urn('a'), [CAR], { [SPEED]: [property(1)] })]);
      const outcomes = await entities.commit([deletion(clock, urn('a')), setting(clock, urn('a'), SPEED, property(2))]);
      expect(outcomes.map(({ kind }) => kind)).toEqual(['committed', 'unchanged']);
      expect(await entities.get(DEFAULT_TENANT, urn('a'))).toBeUndefined();
      expect(
        (await entities.query(DEFAULT_TENANT, { types: { kind: 'type', type: CAR } }, { limit: 10, count: true })).count,
      ).toBe(0);
      expect(await entities.typeCounts(DEFAULT_TENANT)).toEqual([]);
    });

    it('lets a deleted entity be created anew, with a larger version', async () => {
      await using store = await open();
      const { entities, clock } = store;
      const [first] = await entities.commit([creation(clock, urn('a'), [CAR], {})]);
      await entities.commit([deletion(clock, urn('a'))]);
      const [second] = await entities.commit([creation(clock, urn('a'), [BUS], {})]);
      if (first?.kind !== 'committed' || second?.kind !== 'committed') throw new Error('not committed');
      expect(second.version).toBeGreaterThan(first.version);
      const buses = await entities.query(DEFAULT_TENANT, { types: { kind: 'type', type: BUS } }, { limit: 10 });
      expect(buses.entities).toHaveLength(1);
      expect((await entities.query(DEFAULT_TENANT, { types: { kind: 'type', type: CAR } }, { limit: 10 })).entities).toEqual(
        [],
      );
    });

    it('4.14: shows a tenant nothing of another', async () => {
      await using store = await open();
      const { entities, clock } = store;
      const here = { [SPEED]: [property(1)], [iri('location')]: [point(1, 1)] };
      await entities.commit([creation(clock, urn('a'), [CAR], here), creation(clock, urn('a'), [CAR], {}, { tenant: OTHER })]);
      await entities.commit([creation(clock, urn('b'), [CAR], here, { tenant: OTHER })]);
      const near: EntityQuery = {
        where: {
          kind: 'geo',
          property: iri('location'),
          relation: 'near',
          geometry: { type: 'Point', coordinates: [1, 1] },
          maxDistanceM: 10,
        },
      };
      for (const query of [{}, { types: { kind: 'type', type: CAR } }, near, { ids: [urn('a'), urn('b')] }] as EntityQuery[]) {
        const page = await entities.query(DEFAULT_TENANT, query, { limit: 10, count: true });
        expect([page.count, page.entities.map(({ id }) => id)]).toEqual([1, [urn('a')]]);
      }
      expect((await entities.get(DEFAULT_TENANT, urn('a')))?.entity.attributes[SPEED]).toBeDefined();
      expect((await entities.get(OTHER, urn('a')))?.entity.attributes[SPEED]).toBeUndefined();
      expect(await entities.get(DEFAULT_TENANT, urn('b'))).toBeUndefined();
      expect((await entities.typeCounts(DEFAULT_TENANT))[0]?.entities).toBe(1);
      await entities.commit([deletion(clock, urn('a'))]);
      expect(await entities.get(OTHER, urn('a'))).toBeDefined();
      expect(await entities.tenants()).toEqual([DEFAULT_TENANT, OTHER]);
      expect(await entities.query('nobody' as TenantId, {}, { limit: 10, count: true })).toEqual({
        entities: [],
        more: false,
        count: 0,
      });
    });

    it('4.22: an expired entity is in no answer, and the sweeper finds it', async () => {
      await using store = await open();
      const { entities, feed, clock } = store;
      const short = { expiresAt: at('2026-03-01T07:00:10Z') };
      await entities.commit([
        creation(clock, urn('a'), [CAR], { [SPEED]: [property(1)] }, short),
        creation(clock, urn('b'), [CAR], { [SPEED]: [property(1)] }),
      ]);
      expect(await entities.get(DEFAULT_TENANT, urn('a'))).toBeDefined();
      expect(await entities.expired(10)).toEqual([]);
      clock.advance(10);
      expect(await entities.get(DEFAULT_TENANT, urn('a'))).toBeUndefined();
      const page = await entities.query(DEFAULT_TENANT, { types: { kind: 'type', type: CAR } }, { limit: 10, count: true });
      expect([page.count, page.entities.map(({ id }) => id)]).toEqual([1, [urn('b')]]);
      expect((await entities.typeCounts(DEFAULT_TENANT))[0]?.entities).toBe(1);
      expect((await entities.commit([setting(clock, urn('a'), SPEED, property(2))]))[0]).toEqual({ kind: 'unchanged' });
      expect(await entities.expired(10)).toEqual([{ tenant: DEFAULT_TENANT, id: urn('a') }]);
      await entities.commit([{ ...deletion(clock, urn('a')), evenExpired: true }]);
      expect(await entities.expired(10)).toEqual([]);
      expect((await feed.read(0, 10)).map(({ kind }) => kind)).toEqual(['created', 'created', 'deleted']);
    });

    it('4.22: who creates an entity anew before the sweeper came is preceded by the deletion', async () => {
      await using store = await open();
      const { entities, feed, clock } = store;
      await entities.commit([creation(clock, urn('a'), [CAR], {}, { expiresAt: at('2026-03-01T07:00:10Z') })]);
      clock.advance(60);
      expect((await entities.commit([creation(clock, urn('a'), [BUS], {})]))[0]?.kind).toBe('committed');
      expect((await feed.read(0, 10)).map(({ kind }) => kind)).toEqual(['created', 'deleted', 'created']);
      expect((await entities.get(DEFAULT_TENANT, urn('a')))?.entity.types).toEqual([BUS]);
    });

    it('4.22: an attribute instance that has expired is in no answer, and what is left of its entity is a state of its own', async () => {
      await using store = await open();
      const { entities, feed, clock } = store;
      const until = (seconds: string) => ({ expiresAt: at(`2026-03-01T07:00:${seconds}Z`) });
      const other = { datasetId: urn('gps') };
      await entities.commit([
        creation(clock, urn('a'), [CAR], {
          [SPEED]: [property(1), property(2, { ...other, ...until('10') })],
          [iri('flash')]: [property(3, until('20'))],
          [iri('note')]: [property(4, { attributes: { [iri('by')]: [property('me', until('10'))] } })],
        }),
      ]);
      const page: PageRequest = { limit: 10, count: true };
      const query: EntityQuery = { anyAttribute: [iri('flash')] };
      const whole = await entities.get(DEFAULT_TENANT, urn('a'));
      expect(whole?.entity.attributes[SPEED]).toHaveLength(2);
      expect((await entities.query(DEFAULT_TENANT, query, page)).count).toBe(1);

      clock.advance(10);
      const later = await entities.get(DEFAULT_TENANT, urn('a'));
      expect(later?.version).not.toBe(whole?.version);
      expect(later?.entity.attributes[SPEED]).toMatchObject([{ value: 1 }]);
      expect(later?.entity.attributes[iri('note')]?.[0]?.attributes).toBeUndefined();
      expect((await entities.query(DEFAULT_TENANT, query, page)).entities[0]?.version).toBe(later?.version);

      clock.advance(10);
      const last = await entities.get(DEFAULT_TENANT, urn('a'));
      expect(new Set([whole?.version, later?.version, last?.version]).size).toBe(3);
      expect(Object.keys(last?.entity.attributes ?? {})).toEqual([SPEED, iri('note')]);
      expect(await entities.query(DEFAULT_TENANT, query, page)).toEqual({ entities: [], more: false, count: 0 });
      const counted = (await entities.typeCounts(DEFAULT_TENANT)).map(({ type, entities, attributes }) => [
        type,
        entities,
        attributes.map(({ name }) => name),
      ]);
      expect(counted).toEqual([[CAR, 1, [iri('note'), SPEED]]]);
      expect(await feed.read(0, 10)).toHaveLength(1);
    });

    it('4.22: who writes before the sweeper came is preceded by the end of what has expired', async () => {
      await using store = await open();
      const { entities, feed, clock } = store;
      const short = { expiresAt: at('2026-03-01T07:00:10Z') };
      await entities.commit([
        creation(clock, urn('a'), [CAR], { [SPEED]: [property(1)], [iri('flash')]: [property(2, short)] }),
      ]);
      clock.advance(10);
      expect(await entities.expired(10)).toEqual([{ tenant: DEFAULT_TENANT, id: urn('a') }]);
      const seen: unknown[] = [];
      const write = setting(clock, urn('a'), SPEED, property(5));
      await entities.commit([
        {
          ...write,
          decide: (current) => {
            seen.push(Object.keys(current?.attributes ?? {}));
            return write.decide(current);
          },
        },
      ]);
      expect(seen).toEqual([[SPEED]]);
      const changes = (await feed.read(0, 10)).map(({ kind, attributes }) => [
        kind,
        attributes.map(({ kind, name }) => [kind, name]),
      ]);
      expect(changes.slice(1)).toEqual([
        ['updated', [['deleted', iri('flash')]]],
        ['updated', [['updated', SPEED]]],
      ]);
      expect(await entities.expired(10)).toEqual([]);
    });

    it('4.22: shows the sweeper what is stored, so that it can end it', async () => {
      await using store = await open();
      const { entities, history, clock } = store;
      const short = { expiresAt: at('2026-03-01T07:00:10Z') };
      const long = { expiresAt: at('2026-03-01T08:00:00Z') };
      await entities.commit([
        creation(clock, urn('a'), [CAR], { [SPEED]: [property(1)] }, short),
        creation(clock, urn('b'), [CAR], { [SPEED]: [property(1, short)], [iri('flash')]: [property(2, long)] }),
        creation(clock, urn('c'), [CAR], { [SPEED]: [property(1, long)] }),
      ]);
      clock.advance(10);
      expect(await sweepExpired(entities, history, clock)).toBe(2);
      expect(await sweepExpired(entities, history, clock)).toBe(0);
      expect(await entities.get(DEFAULT_TENANT, urn('a'))).toBeUndefined();
      expect(Object.keys((await entities.get(DEFAULT_TENANT, urn('b')))?.entity.attributes ?? {})).toEqual([iri('flash')]);
      expect((await entities.get(DEFAULT_TENANT, urn('c')))?.entity.attributes[SPEED]).toHaveLength(1);
    });

    it('pages in ascending id by offset and by the last id, and says whether more would come', async () => {
      await using store = await open();
      const { entities, clock } = store;
      const ids = Array.from({ length: 25 }, (_, n) => urn(`e${String(n).padStart(3, '0')}`));
      await entities.commit(ids.toReversed().map((id, n) => creation(clock, id, n % 2 ? [CAR] : [CAR, BUS], {})));
      const either: EntityQuery = {
        types: {
          kind: 'any',
          of: [
            { kind: 'type', type: CAR },
            { kind: 'type', type: BUS },
          ],
        },
      };
      const page = async (request: PageRequest): Promise<[Iri[], boolean, number | undefined]> => {
        const { entities: found, more, count } = await entities.query(DEFAULT_TENANT, either, request);
        return [found.map(({ id }) => id), more, count];
      };
      expect(await page({ limit: 10, count: true })).toEqual([ids.slice(0, 10), true, 25]);
      expect(await page({ limit: 10, offset: 10 })).toEqual([ids.slice(10, 20), true, undefined]);
      expect(await page({ limit: 10, after: ids[19] as Iri })).toEqual([ids.slice(20), false, undefined]);
      expect(await page({ limit: 25 })).toEqual([ids, false, undefined]);
      expect(await page({ limit: 0, count: true })).toEqual([[], true, 25]);
      expect(await page({ limit: 10, offset: 100 })).toEqual([[], false, undefined]);
      const descending = await entities.query(DEFAULT_TENANT, either, { limit: 3, order: [{ by: 'id', direction: 'desc' }] });
      expect(descending.entities.map(({ id }) => id)).toEqual(ids.toReversed().slice(0, 3));
    });

    it('5.2.33: finds what any of several selectors selects, and nothing that merely has their types', async () => {
      await using store = await open();
      const { entities, clock } = store;
      await entities.commit(['a', 'b', 'c'].map((id) => creation(clock, urn(id), [CAR], {})));
      const types = { kind: 'type', type: CAR } as const;
      const anyOf = [{ ids: [urn('a')], types }, { idPattern: 'c$', types }, { types: { kind: 'type', type: BUS } }] as const;
      for (const query of [{ anyOf }, { anyOf, types }]) {
        const page = await entities.query(DEFAULT_TENANT, query, { limit: 10, count: true });
        expect(page.entities.map(({ id }) => id)).toEqual([urn('a'), urn('c')]);
        expect(page.count).toBe(2);
      }
    });

    it('follows types that are added and removed', async () => {
      await using store = await open();
      const { entities, clock } = store;
      await entities.commit([creation(clock, urn('a'), [CAR], {})]);
      await entities.commit([
        {
          tenant: DEFAULT_TENANT,
          id: urn('a'),
          decide: (before) =>
            before && {
              kind: 'updated',
              before,
              after: { ...before, types: [BUS, iri('Tram')] },
              attributes: [],
              at: clock.now(),
              stamp: clock.stamp(),
            },
        },
      ]);
      const count = async (type: Iri) =>
        (await entities.query(DEFAULT_TENANT, { types: { kind: 'type', type } }, { limit: 1, count: true })).count;
      expect([await count(CAR), await count(BUS), await count(iri('Tram'))]).toEqual([0, 1, 1]);
      expect((await store.feed.read(1, 1))[0]?.types).toEqual([CAR, BUS, iri('Tram')]);
    });

    it('finds a place that moved at its new place only', async () => {
      await using store = await open();
      const { entities, clock } = store;
      const LOCATION = iri('location');
      await entities.commit([creation(clock, urn('a'), [CAR], { [LOCATION]: [point(17.1, 48.1)] })]);
      const near = async (longitude: number, latitude: number): Promise<number> => {
        const geometry = { type: 'Point', coordinates: [longitude, latitude] } as const;
        const where = { kind: 'geo', property: LOCATION, relation: 'near', geometry, maxDistanceM: 500 } as const;
        return (await entities.query(DEFAULT_TENANT, { where }, { limit: 10 })).entities.length;
      };
      expect(await near(17.1, 48.1)).toBe(1);
      await entities.commit([setting(clock, urn('a'), LOCATION, point(-179.999, 10))]);
      expect([await near(17.1, 48.1), await near(-179.999, 10), await near(179.999, 10)]).toEqual([0, 1, 1]);
      await entities.commit([deletion(clock, urn('a'))]);
      expect(await near(-179.999, 10)).toBe(0);
    });

    it('5.7.5 to 5.7.10: counts types and attributes with their kinds', async () => {
      await using store = await open();
      const { entities, clock } = store;
      await entities.commit([
        creation(clock, urn('a'), [CAR], { [SPEED]: [property(1)], [iri('location')]: [point(1, 1)] }),
        creation(clock, urn('b'), [CAR, BUS], { [SPEED]: [property(1)] }),
        creation(clock, urn('c'), [BUS], {}),
      ]);
      expect(await entities.typeCounts(DEFAULT_TENANT)).toEqual([
        { type: BUS, entities: 2, attributes: [{ name: SPEED, kinds: ['Property'], entities: 1 }] },
        {
          type: CAR,
          entities: 2,
          attributes: [
            { name: iri('location'), kinds: ['GeoProperty'], entities: 1 },
            { name: SPEED, kinds: ['Property'], entities: 2 },
          ],
        },
      ]);
    });

    it('refuses writes when too many are waiting, and takes them again later', async () => {
      await using store = await open({ maxWaitingWrites: 3 });
      const { entities, clock } = store;
      const results = await Promise.allSettled(
        Array.from({ length: 6 }, (_, n) => entities.commit([creation(clock, urn(`e${n}`), [CAR], {})])),
      );
      expect(results.map(({ status }) => status)).toEqual([...Array(3).fill('fulfilled'), ...Array(3).fill('rejected')]);
      expect((results[5] as PromiseRejectedResult).reason).toMatchObject({ type: 'Unavailable' });
      expect(await entities.get(DEFAULT_TENANT, urn('e5'))).toBeUndefined();
      expect((await entities.commit([creation(clock, urn('e5'), [CAR], {})]))[0]?.kind).toBe('committed');
    });

    it('fails a write whose decision breaks, and no other', async () => {
      await using store = await open();
      const { entities, clock } = store;
      const broken: Write = {
        tenant: DEFAULT_TENANT,
        id: urn('x'),
        decide: () => {
          throw new TypeError('a mistake');
        },
      };
      const [first, second, third] = await Promise.allSettled([
        entities.commit([creation(clock, urn('a'), [CAR], {})]),
        entities.commit([broken]),
        entities.commit([creation(clock, urn('b'), [CAR], {})]),
      ]);
      expect([first.status, second.status, third.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      const { entities: found } = await entities.query(DEFAULT_TENANT, {}, { limit: 10 });
      expect(found.map(({ id }) => id)).toEqual([urn('a'), urn('b')]);
    });
  });
}
