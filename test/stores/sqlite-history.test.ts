import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AttributeInstance } from '../../broker/domain/attribute.ts';
import type { Change, ChangeDraft } from '../../broker/domain/change.ts';
import type { Entity } from '../../broker/domain/entity.ts';
import type { HistorySelection } from '../../broker/domain/history.ts';
import { DEFAULT_TENANT, type Iri } from '../../broker/domain/iri.ts';
import { appendAttributes, createOrReplaceEntity, deleteAttribute, deleteEntity } from '../../broker/domain/patch.ts';
import { openSqliteStore, type SqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { iri, property, testClock, urn } from '../support/writes.ts';

const IDS = ['a', 'b', 'c'].map(urn);
const NAMES = ['speed', 'name', 'place'].map(iri);
const DATASET = urn('dataset');
const TENANT = DEFAULT_TENANT;

const id = fc.constantFrom(...IDS);
const name = fc.constantFrom(...NAMES);
const instance = fc
  .record({
    value: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom('x', 'y')),
    minute: fc.option(fc.nat(5)),
    second: fc.boolean(),
  })
  .map(({ value, minute, second }) =>
    property(value, {
      ...(minute === null ? {} : { observedAt: `2026-03-01T08:0${minute}:00Z` as AttributeInstance['observedAt'] & string }),
      ...(second ? { datasetId: DATASET } : {}),
    }),
  );
const attributes = fc.dictionary(name, fc.tuple(instance), { maxKeys: 3 }) as fc.Arbitrary<Record<Iri, [AttributeInstance]>>;

type Step =
  | { readonly kind: 'replace'; readonly id: Iri; readonly attributes: Record<Iri, [AttributeInstance]> }
  | { readonly kind: 'append'; readonly id: Iri; readonly attributes: Record<Iri, [AttributeInstance]> }
  | { readonly kind: 'remove'; readonly id: Iri; readonly name: Iri }
  | { readonly kind: 'delete'; readonly id: Iri }
  | { readonly kind: 'settle' }
  | { readonly kind: 'reopen' };
const replace = fc.record({ kind: fc.constant('replace' as const), id, attributes });
const append = fc.record({ kind: fc.constant('append' as const), id, attributes });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: replace },
  { weight: 4, arbitrary: append },
  fc.record({ kind: fc.constant('remove' as const), id, name }),
  fc.record({ kind: fc.constant('delete' as const), id }),
  fc.record({ kind: fc.constant('settle' as const) }),
  fc.record({ kind: fc.constant('reopen' as const) }),
);

/** The change of a step; undefined: it changes nothing. */
function decide(of: Step, current: Entity | undefined, clock: ReturnType<typeof testClock>): ChangeDraft | undefined {
  const moment = { at: clock.now(), stamp: clock.stamp() };
  switch (of.kind) {
    case 'replace':
      return createOrReplaceEntity(current, { id: of.id, types: [iri('Car')], attributes: of.attributes }, moment);
    case 'append':
      return current && appendAttributes(current, of.id, { attributes: of.attributes }, { overwrite: true }, moment).draft;
    case 'remove':
      return current?.attributes[of.name] && deleteAttribute(current, of.id, of.name, { deleteAll: true }, moment);
    case 'delete':
      return current && deleteEntity(current, of.id, moment);
    default:
      return undefined;
  }
}

const SELECTIONS: readonly HistorySelection[] = [
  { filter: { property: 'modifiedAt' }, limitPerAttribute: 1000 },
  { filter: { property: 'modifiedAt' }, limitPerAttribute: 2 },
  { filter: { property: 'observedAt' }, limitPerAttribute: 1000, lastN: 2 },
  { filter: { property: 'createdAt' }, limitPerAttribute: 1000, datasetIds: ['@none'] },
  { filter: { property: 'deletedAt' }, limitPerAttribute: 1000, attributes: NAMES },
];

/** Everything that history says. */
async function told({ history }: SqliteStore): Promise<unknown> {
  const answers: unknown[] = [];
  for (const selection of SELECTIONS) {
    for (const one of IDS) {
      answers.push(await history.evolution(TENANT, one, selection));
      const period = { months: 0, micros: 60_000_000 };
      answers.push(await history.aggregate(TENANT, one, selection, { methods: ['totalCount', 'sum', 'max'], period }));
    }
    answers.push(await history.query(TENANT, { types: { kind: 'type', type: iri('Car') } }, selection, { limit: 10 }));
  }
  return JSON.parse(JSON.stringify(answers));
}

/** Of each attribute, the values that were stored, in order. */
function expected(changes: readonly Change[], one: Iri, attribute: Iri): unknown[] {
  return changes
    .filter((change) => change.id === one)
    .flatMap((change) => change.attributes)
    .filter((change) => change.name === attribute && change.kind !== 'deleted')
    .map(({ after }) => after?.type === 'Property' && [after.datasetId ?? null, after.value]);
}

describe('SQLite history', () => {
  it('tells the same whether instances are in the state or in rows, whatever was written, over restarts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
        const directory = await mkdtemp(join(tmpdir(), 'mizar-'));
        const clock = testClock();
        const open = () => openSqliteStore({ file: join(directory, 'mizar.db'), clock, recentChanges: 2 });
        const settle = async ({ series }: SqliteStore) => void (await series.walk(TENANT, { limit: 100_000 }));
        let store = open();
        const changes: Change[] = [];
        try {
          for (const of of steps) {
            clock.advance(1);
            if (of.kind === 'settle') await settle(store);
            else if (of.kind === 'reopen') {
              await store.close();
              store = open();
            } else {
              const before = await store.feed.head();
              const [outcome] = await store.entities.commit([
                { tenant: TENANT, id: of.id, decide: (current) => decide(of, current, clock) },
              ]);
              expect(outcome?.kind).not.toBe('refused');
              changes.push(...(await store.feed.read(before, 10)));
            }
          }
          for (const one of IDS) {
            const evolution = await store.history.evolution(TENANT, one, SELECTIONS[0] as HistorySelection);
            for (const attribute of NAMES) {
              const found = (evolution?.attributes[attribute] ?? []).map(
                (of) => of.type === 'Property' && [of.datasetId ?? null, of.value],
              );
              expect(found).toEqual(expected(changes, one, attribute));
            }
          }
          const before = await told(store);
          await settle(store);
          expect(await told(store)).toEqual(before);
          await store.close();
          store = open();
          expect(await told(store)).toEqual(before);
          // The log gives back from the file what its readers heard at first.
          expect(await store.feed.read(0, 1000)).toEqual(changes);
        } finally {
          await store.close();
          await rm(directory, { recursive: true });
        }
      }),
      { numRuns: 40 },
    );
  }, 120_000);

  it('finds an instance by its number, and changes and deletes it, before there is a row for it', async () => {
    const clock = testClock();
    const store = openSqliteStore({ file: ':memory:', clock });
    const [a, b] = IDS as [Iri, Iri];
    const [speed, note] = NAMES as [Iri, Iri];
    const create = (one: Iri) =>
      decide({ kind: 'replace', id: one, attributes: { [speed]: [property(1)], [note]: [property('x')] } }, undefined, clock);
    await store.entities.commit([a, b].map((one) => ({ tenant: TENANT, id: one, decide: () => create(one) })));
    const all = { filter: { property: 'modifiedAt' }, limitPerAttribute: 10 } as const;
    const told = await store.history.evolution(TENANT, a, all);
    const instanceId = told?.attributes[speed]?.[0]?.instanceId as Iri;
    const number = store.series.numberOf(instanceId) as number;
    expect(await store.series.numbered(TENANT, [number, number + 100])).toMatchObject([
      { id: a, name: speed, number },
      undefined,
    ]);
    const other = (await store.history.evolution(TENANT, b, all))?.attributes[note]?.[0]?.instanceId as Iri;
    expect(await store.history.modifyInstance(TENANT, b, note, other, () => property('corrected'))).toBe(true);
    expect((await store.history.evolution(TENANT, b, all))?.attributes[note]).toMatchObject([
      { value: 'corrected', instanceId: other },
    ]);
    expect(await store.history.deleteInstance(TENANT, b, note, other)).toBe(true);
    expect((await store.history.evolution(TENANT, b, all))?.attributes[note]).toBeUndefined();
    // Current state is not what history was told.
    expect((await store.entities.get(TENANT, b))?.entity.attributes[note]).toMatchObject([{ value: 'x' }]);
    expect(await store.history.deleteEvolution(TENANT, a)).toBe(true);
    expect(await store.history.evolution(TENANT, a, all)).toBeUndefined();
    await store.entities.commit([
      {
        tenant: TENANT,
        id: a,
        decide: (now) => decide({ kind: 'append', id: a, attributes: { [speed]: [property(2)] } }, now, clock),
      },
    ]);
    expect((await store.history.evolution(TENANT, a, all))?.attributes).toMatchObject({ [speed]: [{ value: 2 }] });
    await store.close();
  });
});
