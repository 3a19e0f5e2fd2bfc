import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AttributeInstance } from '../../broker/domain/attribute.ts';
import { DEFAULT_TENANT, type Iri, type TenantId } from '../../broker/domain/iri.ts';
import type { JsonValue } from '../../broker/domain/json.ts';
import { matches } from '../../broker/domain/query/evaluate.ts';
import type { AttributePath, Comparison, Condition, EntityQuery, Operand } from '../../broker/domain/query/query.ts';
import type { Write } from '../../broker/ports/entity-store.ts';
import type { IndexSettings } from '../../broker/stores/sqlite/index-rules.ts';
import { openSqliteStore, type SqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { creation, deletion, iri, property, removal, setting, type TestClock, testClock, urn } from '../support/writes.ts';

const CAR = iri('Car');
const BUS = iri('Bus');
const SPEED = iri('speed');
const NAME = iri('name');
const BELOW = iri('below');
const OTHER = 'other' as TenantId;
const IDS = ['a', 'b', 'c', 'é', '𝒳', '\uff21', 'd', 'e', 'f', 'g'].map(urn);
const PATHS: readonly AttributePath[] = [
  { names: [SPEED] },
  { names: [SPEED, BELOW] },
  { names: [SPEED], inside: ['x'] },
  { names: [NAME] },
];

const LONG = 'long '.repeat(40);
const texts = fc.constantFrom(
  'x', 'y', '2', '', 'ab', LONG, `${LONG}a`, `${LONG}b`, '\uff21', '𝒳', '𝒳y', 'x\0', 'x\u0001', '\ud800',
  '2026-03-01', '2026-03-02', '2026-03-01T07:00:00Z', '2026-03-01T07:00:00.0Z', '2026-03-01T08:00:00Z', '07:00:00Z', '07:00:00.0Z', '08:00:00Z', 'urn:ngsi-ld:a',
); // biome-ignore format: a list to be read as one
const numbers = fc.constantFrom<number | bigint>(
  -3,
  -1.5,
  0,
  1,
  2,
  3,
  2.5,
  1e300,
  9007199254740992,
  9007199254740993n,
  9007199254740995n,
);
const scalar: fc.Arbitrary<JsonValue> = fc.oneof(
  texts,
  numbers,
  fc.boolean(),
  fc.tuple(fc.constantFrom('DateTime', 'Other'), texts).map(([type, text]) => ({ '@type': type, '@value': text })),
);
const value: fc.Arbitrary<JsonValue> = fc.oneof(
  { weight: 3, arbitrary: scalar },
  { weight: 1, arbitrary: fc.array(fc.oneof(scalar, fc.constant({ x: 1 })), { maxLength: 3 }) },
  { weight: 1, arbitrary: scalar.map((x) => ({ x })) },
);
const single: fc.Arbitrary<AttributeInstance> = fc.oneof(
  { weight: 4, arbitrary: value.map((of): AttributeInstance => property(of)) },
  { weight: 1, arbitrary: fc.constantFrom(...IDS).map((object): AttributeInstance => ({ type: 'Relationship', object })) },
  {
    weight: 1,
    arbitrary: fc
      .array(fc.constantFrom(...IDS), { minLength: 1, maxLength: 2 })
      .map((objectList): AttributeInstance => ({ type: 'ListRelationship', objectList })),
  },
  {
    weight: 1,
    arbitrary: fc
      .dictionary(fc.constantFrom('en', 'x', '@none'), fc.oneof(texts, fc.array(texts, { maxLength: 2 })))
      .map((languageMap): AttributeInstance => ({ type: 'LanguageProperty', languageMap })),
  },
  { weight: 1, arbitrary: texts.map((vocab): AttributeInstance => ({ type: 'VocabProperty', vocab: vocab as Iri })) },
);
const instance = fc
  .tuple(single, fc.option(value, { nil: undefined, freq: 3 }))
  .map(
    ([one, below]): AttributeInstance => (below === undefined ? one : { ...one, attributes: { [BELOW]: [property(below)] } }),
  );
const instances = fc.oneof(
  { weight: 3, arbitrary: instance.map((one) => [one]) },
  {
    weight: 1,
    arbitrary: fc.tuple(instance, instance).map(([one, two]) => [one, { ...two, datasetId: urn('set') } as AttributeInstance]),
  },
);

const literal = fc.oneof(texts, numbers).map((of): Operand => ({ kind: 'literal', value: of }));
const dateTime = fc
  .constantFrom('2026-03-01T07:00:00Z', '2026-03-01T07:30:00.5Z')
  .map((of): Operand => ({ kind: 'dateTime', value: of }));
const date = fc.constantFrom('2026-03-01', '2026-03-02').map((of): Operand => ({ kind: 'date', value: of }));
const time = fc.constantFrom('07:00:00Z', '07:30:00Z').map((of): Operand => ({ kind: 'time', value: of }));
const ordered = fc.oneof({ weight: 4, arbitrary: literal }, dateTime, date, time);
const equatable: fc.Arbitrary<Operand> = fc.oneof(
  { weight: 4, arbitrary: ordered },
  fc.boolean().map((of): Operand => ({ kind: 'literal', value: of })),
  fc.constantFrom(...IDS).map((of): Operand => ({ kind: 'uri', value: of })),
);
const ranges: fc.Arbitrary<Operand> = fc
  .oneof(fc.tuple(literal, literal), fc.tuple(dateTime, dateTime), fc.tuple(date, date), fc.tuple(time, time))
  .map(([from, to]): Operand => ({ kind: 'range', from, to }));
const path = fc.oneof({ weight: 4, arbitrary: fc.constant(PATHS[0]!) }, fc.constantFrom(...PATHS));
const withExpansion = fc
  .tuple(path, fc.option(texts, { nil: undefined, freq: 8 }))
  .map(([of, term]): AttributePath => (term === undefined ? of : { ...of, expanded: { kind: 'uri', value: term as Iri } }));
const comparison: fc.Arbitrary<Comparison> = fc.oneof(
  fc.record({
    kind: fc.constant('compare' as const),
    path: withExpansion,
    operator: fc.constantFrom('==' as const, '!=' as const),
    value: fc.oneof(
      equatable,
      ranges,
      fc.array(equatable, { minLength: 1, maxLength: 3 }).map((of): Operand => ({ kind: 'list', of })),
    ),
  }),
  fc.record({
    kind: fc.constant('compare' as const),
    path,
    operator: fc.constantFrom('>' as const, '>=' as const, '<' as const, '<=' as const),
    value: ordered,
  }),
);
const where: fc.Arbitrary<Condition> = fc.oneof(
  { weight: 3, arbitrary: comparison },
  { weight: 2, arbitrary: fc.array(comparison, { minLength: 2, maxLength: 3 }).map((of): Condition => ({ kind: 'and', of })) },
  { weight: 1, arbitrary: fc.array(comparison, { minLength: 2, maxLength: 3 }).map((of): Condition => ({ kind: 'or', of })) },
  { weight: 1, arbitrary: comparison.map((of): Condition => ({ kind: 'not', of })) },
);
const query = fc.record(
  {
    where,
    types: fc.constantFrom(CAR, BUS).map((type) => ({ kind: 'type' as const, type })),
    datasetIds: fc.constantFrom(['@none' as const], [urn('set')]),
    idPattern: fc.constantFrom('a', '[b-e]$'),
  },
  { requiredKeys: ['where'] },
) as fc.Arbitrary<EntityQuery>;

type Step = (store: SqliteStore, clock: TestClock) => Promise<unknown>;
const tenant = fc.oneof({ weight: 4, arbitrary: fc.constant(DEFAULT_TENANT) }, fc.constant(OTHER));
const committing =
  (make: (clock: TestClock) => Write): Step =>
  (store, clock) =>
    store.entities.commit([make(clock)]);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(
        fc.constantFrom(...IDS),
        fc.constantFrom([CAR], [BUS], [CAR, BUS]),
        fc.option(instances),
        fc.option(instances),
        tenant,
      )
      .map(([id, types, speed, name, of]) =>
        committing((clock) =>
          creation(clock, id, types, { ...(speed && { [SPEED]: speed }), ...(name && { [NAME]: name }) }, { tenant: of }),
        ),
      ),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom(...IDS), fc.constantFrom(SPEED, NAME), instance, tenant)
      .map(([id, name, one, of]) => committing((clock) => setting(clock, id, name, one, of))),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(...IDS), instance)
      // Ends at some later step, or before the query.
      .map(([id, one]) => committing((clock) => setting(clock, id, SPEED, { ...one, expiresAt: fromNow(clock, 5) }))),
  },
  { weight: 1, arbitrary: fc.constant<Step>(async (_store, clock) => clock.advance(3)) },
  { weight: 1, arbitrary: fc.constantFrom(...IDS).map((id) => committing((clock) => removal(clock, id, SPEED))) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom(...IDS), tenant).map(([id, of]) => committing((clock) => deletion(clock, id, of))),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(...PATHS).map<Step>((of) => (store) => store.indexes.ensure(DEFAULT_TENANT, of as never)),
  },
);
const fromNow = (clock: TestClock, seconds: number) => new Date(clock.micros() / 1000 + seconds * 1000).toISOString() as never;

const byCodePoint = (a: Iri, b: Iri): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

async function answers(store: SqliteStore, of: EntityQuery, from: TenantId): Promise<Iri[]> {
  const paged: Iri[] = [];
  for (let after: Iri | undefined; ; ) {
    const page = await store.entities.query(from, of, { limit: 3, ...(after ? { after } : {}) });
    paged.push(...page.entities.map(({ id }) => id));
    after = paged.at(-1);
    if (!page.more) return paged;
  }
}

describe('indexes of attribute values', { timeout: 60_000 }, () => {
  it('find what the query means after any history of writes, whenever they were made', async () => {
    let looked = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 4, maxLength: 20 }),
        fc.array(query, { minLength: 3, maxLength: 8 }),
        async (steps, queries) => {
          const clock = testClock();
          const store = openSqliteStore({ file: ':memory:', clock, cacheBytes: 20_000 });
          for (const take of steps) await take(store, clock);
          for (const of of PATHS.slice(0, 3)) await store.indexes.ensure(DEFAULT_TENANT, of as never);
          for (const from of [DEFAULT_TENANT, OTHER]) {
            const stored = await Promise.all(IDS.map(async (id) => (await store.entities.get(from, id))?.entity));
            for (const of of queries) {
              const expected = stored.flatMap((one) => (one && matches(of, one) ? [one.id] : [])).sort(byCodePoint);
              const all = await store.entities.query(from, of, { limit: 100, count: true });
              expect([all.count, all.more, all.entities.map(({ id }) => id)]).toEqual([expected.length, false, expected]);
              expect(await answers(store, of, from)).toEqual(expected);
            }
          }
          looked += store.indexes.list().reduce((sum, { uses }) => sum + uses, 0);
          await store.close();
        },
      ),
      { numRuns: 100 },
    );
    expect(looked).toBeGreaterThan(250);
  });

  const many = (clock: TestClock, from: number, to: number) =>
    Array.from({ length: to - from }, (_, n) =>
      creation(clock, urn(`e${String(from + n).padStart(6, '0')}`), [CAR], { [SPEED]: [property((from + n) % 1000)] }),
    );
  const speedIs = (speed: number): EntityQuery => ({
    types: { kind: 'type', type: CAR },
    where: { kind: 'compare', path: { names: [SPEED] }, operator: '==', value: { kind: 'literal', value: speed } },
  });
  const until = async (condition: () => boolean) => {
    for (let tries = 0; !condition(); tries++) {
      if (tries > 2000) throw new Error('it did not happen');
      await new Promise((wake) => setTimeout(wake, 5));
    }
  };
  const open = (file: string, clock: TestClock, indexes: IndexSettings = {}) =>
    openSqliteStore({ file, clock, cacheBytes: 20_000, indexes });

  it('are made when queries have looked at much in vain, and not for what nobody asks', async () => {
    const clock = testClock();
    const store = open(':memory:', clock);
    await store.entities.commit(many(clock, 0, 5000));
    for (let n = 0; n < 3; n++) await store.entities.query(DEFAULT_TENANT, speedIs(n), { limit: 20 });
    expect(store.indexes.list()).toEqual([]);
    for (let n = 0; n < 10; n++) await store.entities.query(DEFAULT_TENANT, speedIs(n), { limit: 20 });
    await until(() => store.indexes.list()[0]?.state === 'ready');
    expect(store.indexes.list()).toMatchObject([{ path: SPEED, tenant: DEFAULT_TENANT, rows: 5000 }]);
    const { uses } = store.indexes.list()[0]!;
    await store.entities.commit(many(clock, 5000, 6000));
    const found = await store.entities.query(DEFAULT_TENANT, speedIs(7), { limit: 20 });
    expect(found.entities.map(({ id }) => id)).toEqual([0, 1, 2, 3, 4, 5].map((k) => urn(`e00${k}007`)));
    expect(store.indexes.list()).toMatchObject([{ rows: 6000, uses: uses + 1, rowsChanged: 6000 }]);
    expect(store.indexes.list()[0]?.entitiesSaved).toBeGreaterThan(1000);
    await store.close();
  });

  it('are no more than allowed, and none where they are forbidden', async () => {
    const clock = testClock();
    const store = open(':memory:', clock, { limit: 1, forbidden: [SPEED] });
    await store.entities.commit(many(clock, 0, 3000));
    const onName = (name: Iri): EntityQuery => ({
      where: { kind: 'compare', path: { names: [name] }, operator: '==', value: { kind: 'literal', value: -1 } },
    });
    for (let n = 0; n < 12; n++) await store.entities.query(DEFAULT_TENANT, speedIs(-1), { limit: 20 });
    for (let n = 0; n < 12; n++) await store.entities.query(DEFAULT_TENANT, onName(NAME), { limit: 20 });
    for (let n = 0; n < 12; n++) await store.entities.query(DEFAULT_TENANT, onName(BELOW), { limit: 20 });
    await until(() => store.indexes.list().some(({ state }) => state === 'ready'));
    expect(store.indexes.list().map(({ path: of }) => of)).toEqual([NAME]);
    await store.close();
  });

  it('go when nobody uses them or writes pay more than queries save, unless they are pinned', async () => {
    const clock = testClock();
    const store = open(':memory:', clock, { pinned: [NAME] });
    await store.entities.commit(many(clock, 0, 100));
    for (const name of [SPEED, NAME, BELOW]) await store.indexes.ensure(DEFAULT_TENANT, { names: [name] });
    store.indexes.upkeep();
    clock.advance(3700);
    for (let n = 0; n < 50; n++) await store.entities.commit([setting(clock, urn('e000000'), SPEED, property(n + 5000))]);
    store.indexes.upkeep();
    await until(() => store.indexes.list().length === 2);
    expect(store.indexes.list().map(({ path: of }) => of)).toEqual([NAME, BELOW]);
    clock.advance(25 * 3600);
    store.indexes.upkeep();
    await until(() => store.indexes.list().length === 1);
    expect(store.indexes.list().map(({ path: of }) => of)).toEqual([NAME]);
    expect((await store.entities.query(DEFAULT_TENANT, speedIs(5049), { limit: 1 })).entities).toHaveLength(1);
    await store.close();
  });

  it('survive a restart, and one that was interrupted is completed', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'mizar-'));
    const file = join(directory, 'mizar.db');
    const clock = testClock();
    const first = open(file, clock);
    await first.entities.commit(many(clock, 0, 6000));
    await first.indexes.ensure(DEFAULT_TENANT, { names: [NAME] });
    let turns = 0;
    const building = first.indexes.ensure(DEFAULT_TENANT, { names: [SPEED] }).catch(() => {});
    await until(() => ++turns > 1 && first.indexes.list().length === 2);
    expect(first.indexes.list()[1]?.state).toBe('building');
    await first.close();
    await building;

    const again = open(file, clock);
    expect(again.indexes.list().map(({ path: of }) => of)).toEqual([NAME, SPEED]);
    await again.entities.commit([setting(clock, urn('e000007'), SPEED, property(1007)), ...many(clock, 6000, 6010)]);
    await until(() => again.indexes.list()[1]?.state === 'ready');
    const seven = await again.entities.query(DEFAULT_TENANT, speedIs(7), { limit: 20 });
    expect(seven.entities.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6].map((k) => urn(`e00${k}007`)));
    expect(again.indexes.list()[1]).toMatchObject({ uses: 1, rows: 6010 });
    await again.close();
    await rm(directory, { recursive: true });
  });

  it('hold what was written while they were built', async () => {
    const clock = testClock();
    const store = open(':memory:', clock);
    await store.entities.commit(many(clock, 0, 5000));
    let built = false;
    const building = store.indexes.ensure(DEFAULT_TENANT, { names: [SPEED] }).then(() => {
      built = true;
    });
    let writes = 0;
    for (; !built || writes < 200; writes++) {
      const id = urn(`e${String((writes * 37) % 5000).padStart(6, '0')}`);
      const what = writes % 5;
      if (what === 0) await store.entities.commit([deletion(clock, id)]);
      else if (what === 1) await store.entities.commit([removal(clock, id, SPEED)]);
      else await store.entities.commit([setting(clock, id, SPEED, property((writes * 7) % 50))]);
    }
    await building;
    const expected = new Map<number, Iri[]>();
    for (let n = 0; n < 5000; n++) {
      const id = urn(`e${String(n).padStart(6, '0')}`);
      const speed = (await store.entities.get(DEFAULT_TENANT, id))?.entity.attributes[SPEED]?.[0];
      if (speed?.type === 'Property') expected.set(speed.value as number, [...(expected.get(speed.value as number) ?? []), id]);
    }
    for (let speed = 0; speed < 1000; speed += 3) {
      const found = await store.entities.query(DEFAULT_TENANT, speedIs(speed), { limit: 1000 });
      expect(found.entities.map(({ id }) => id)).toEqual(expected.get(speed) ?? []);
    }
    expect(store.indexes.list()).toMatchObject([{ state: 'ready', uses: 334 }]);
    await store.close();
  });

  it('refuse a rule that is none', () => {
    expect(() => open(':memory:', testClock(), { pinned: ['speed'] })).toThrow('"speed" is not the path of an index');
    expect(() => open(':memory:', testClock(), { pinned: [`city1 ${SPEED}[x.y]`] })).not.toThrow();
  });
});
