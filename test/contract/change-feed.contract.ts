import { describe, expect, it } from 'vitest';
import type { ChangeDraft } from '../../broker/domain/change.ts';
import type { Entity } from '../../broker/domain/entity.ts';
import { DEFAULT_TENANT, type TenantId } from '../../broker/domain/iri.ts';
import { at, creation, deletion, iri, property, removal, setting, urn } from '../support/writes.ts';
import type { OpenStores } from './stores.ts';

const CAR = iri('Car');
const SPEED = iri('speed');

export function changeFeedContract(name: string, open: OpenStores): void {
  describe(`ChangeFeed on ${name}`, () => {
    it('tells every change once, in the order of commits, from any position', async () => {
      await using store = await open();
      const { entities, feed, clock } = store;
      expect([await feed.head(), await feed.read(0, 10)]).toEqual([0, []]);
      await Promise.all(
        Array.from({ length: 30 }, (_, n) =>
          entities.commit([creation(clock, urn(`e${n}`), [CAR], { [SPEED]: [property(n)] })]),
        ),
      );
      const all = await feed.read(0, 100);
      expect(all.map(({ id }) => id)).toEqual(Array.from({ length: 30 }, (_, n) => urn(`e${n}`)));
      const positions = all.map(({ position }) => position);
      expect(positions).toEqual(positions.toSorted((a, b) => a - b));
      expect(await feed.head()).toBe(positions.at(-1));
      expect(await feed.read(positions[9] as number, 5)).toEqual(all.slice(10, 15));
      expect(await feed.read(positions.at(-1) as number, 5)).toEqual([]);
    });

    it('tells what was before and after, for creation, update, deletion of an attribute and of the entity', async () => {
      await using store = await open();
      const { entities, feed, clock } = store;
      await entities.commit([creation(clock, urn('a'), [CAR], { [SPEED]: [property(1)], [iri('name')]: [property('A')] })]);
      clock.advance(1);
      await entities.commit([setting(clock, urn('a'), SPEED, property(2))]);
      await entities.commit([removal(clock, urn('a'), SPEED)]);
      await entities.commit([deletion(clock, urn('a'))]);
      const [created, updated, reduced, deleted] = await feed.read(0, 10);
      expect(created).toMatchObject({ kind: 'created', tenant: DEFAULT_TENANT, id: urn('a'), types: [CAR] });
      expect(created?.attributes.map(({ kind, name: of }) => [kind, of])).toEqual([
        ['created', SPEED],
        ['created', iri('name')],
      ]);
      expect(updated).toMatchObject({
        kind: 'updated',
        at: '2026-03-01T07:00:01Z',
        attributes: [{ name: SPEED, kind: 'updated', before: { value: 1 }, after: { value: 2 } }],
        entity: { attributes: { [SPEED]: [{ value: 2 }], [iri('name')]: [{ value: 'A' }] } },
      });
      expect(reduced?.attributes).toMatchObject([{ name: SPEED, kind: 'deleted', before: { value: 2 } }]);
      expect(reduced?.attributes[0]).not.toHaveProperty('after');
      expect(reduced?.entity.attributes).not.toHaveProperty(SPEED);
      expect(deleted).toMatchObject({ kind: 'deleted', entity: { attributes: { [iri('name')]: [{ value: 'A' }] } } });
      expect(deleted?.attributes).toMatchObject([{ name: iri('name'), kind: 'deleted', before: { value: 'A' } }]);
      expect(new Set([created, updated, reduced, deleted].map((change) => change?.stamp.at)).size).toBe(4);
    });

    it('tells the same from the file as from memory', async () => {
      await using store = await open({ recentChanges: 1 });
      const { entities, feed, clock } = store;
      await using whole = await open({ recentChanges: 1000 });
      for (const { entities: one, clock: time } of [{ entities, clock }, whole]) {
        await one.commit([creation(time, urn('a'), [CAR], { [SPEED]: [property(1)] })]);
        await one.commit([
          setting(time, urn('a'), SPEED, property(2)),
          removal(time, urn('a'), SPEED),
          deletion(time, urn('a')),
        ]);
        await one.commit([creation(time, urn('b'), [CAR], {}, { tenant: 'other' as TenantId })]);
      }
      expect(JSON.parse(JSON.stringify(await feed.read(0, 10)))).toEqual(
        JSON.parse(JSON.stringify(await whole.feed.read(0, 10))),
      );
    });

    it('does not keep in memory what one change holds too much of, and tells it nevertheless', async () => {
      await using store = await open({ recentChanges: 5 });
      const { entities, feed, clock } = store;
      const late = Array.from({ length: 20 }, (_, n) => ({
        name: SPEED,
        instance: property(n, { observedAt: at(`2026-03-01T08:00:${String(n).padStart(2, '0')}Z`) }),
      }));
      await entities.commit([creation(clock, urn('a'), [CAR], { [SPEED]: [property(99)] })]);
      const decide = (current: Entity | undefined): ChangeDraft | undefined =>
        current && {
          kind: 'updated',
          before: current,
          after: current,
          attributes: [],
          late,
          at: clock.now(),
          stamp: clock.stamp(),
        };
      await entities.commit([{ tenant: DEFAULT_TENANT, id: urn('a'), decide }]);
      await entities.commit([setting(clock, urn('a'), SPEED, property(100))]);
      for (const from of [0, 1, 2]) {
        const changes = await feed.read(from, 10);
        expect(changes.map(({ position }) => position)).toEqual([1, 2, 3].slice(from));
        expect(changes.map((change) => change.late?.length ?? 0)).toEqual([0, 20, 0].slice(from));
      }
    });

    it('wakes its readers after a commit, until they stop listening', async () => {
      await using store = await open();
      const { entities, feed, clock } = store;
      let woken = 0;
      const stop = feed.onCommit(() => woken++);
      await entities.commit([creation(clock, urn('a'), [CAR], {})]);
      await new Promise((resolve) => setTimeout(resolve, 10));
      expect(woken).toBeGreaterThan(0);
      stop();
      const before = woken;
      await entities.commit([creation(clock, urn('b'), [CAR], {})]);
      await new Promise((resolve) => setTimeout(resolve, 10));
      expect(woken).toBe(before);
    });

    it('trims what every reader has passed and no parked delivery needs, and nothing more', async () => {
      await using store = await open();
      const { entities, feed, deliveries, clock } = store;
      await entities.commit(Array.from({ length: 10 }, (_, n) => creation(clock, urn(`e${n}`), [CAR], {})));
      const positions = (await feed.read(0, 100)).map(({ position }) => position) as [number, ...number[]];
      const at = (index: number): number => positions[index] as number;
      expect(await feed.cursor('slow')).toBeUndefined();
      await feed.moveCursor('slow', at(5));
      await feed.moveCursor('fast', at(9));
      const parked = { tenant: DEFAULT_TENANT, endpoint: 'http://x', attempts: 1, reason: 'refused', dead: false };
      await deliveries.park([{ ...parked, subscription: 's', position: at(3) }]);
      expect(await feed.trim(at(9) + 1)).toBe(3);
      expect((await feed.read(0, 100)).map(({ position }) => position)).toEqual(positions.slice(3));
      await deliveries.remove([{ subscription: 's', position: at(3) }]);
      expect(await feed.trim(at(9) + 1)).toBe(3);
      expect((await feed.read(at(5), 100)).map(({ position }) => position)).toEqual(positions.slice(6));
      await feed.moveCursor('slow', at(9));
      expect(await feed.trim(at(8))).toBe(2);
      expect(await feed.cursor('slow')).toBe(at(9));
      await feed.trim(at(9) + 1);
      expect(await feed.read(0, 100)).toEqual([]);
      const [outcome] = await entities.commit([creation(clock, urn('later'), [CAR], {})]);
      expect(outcome?.kind === 'committed' && outcome.version).toBeGreaterThan(at(9));
    });
  });
}
