/**
 * What an index of the values of one attribute costs those who write and buys those who ask. The store alone, in memory of the machine's own file:
 * creations, updates of the indexed attribute and of another one, with and without the index; queries of one value and of a range, likewise.
 *
 * Alone: `node test/bench/index-cost.ts [--quick] [--entities 20000]`. CPU time of this process, because that is what is scarce.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_TENANT, type Iri } from '../../broker/domain/iri.ts';
import { replaceAttribute } from '../../broker/domain/patch.ts';
import type { EntityQuery } from '../../broker/domain/query/query.ts';
import type { Write } from '../../broker/ports/entity-store.ts';
import { openSqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { systemClock } from '../../broker/stores/system-clock.ts';
import { offlineContexts } from '../support/contexts.ts';
import { AT_ONE_PLACE, cityEntity, creationOf, fraction, idOf, TOP_SPEED } from './fill.ts';
import { option, printRows, type Row } from './row.ts';

const VOCABULARY = 'https://uri.etsi.org/ngsi-ld/default-context/';
const SPEED = `${VOCABULARY}speed` as Iri;
const NAME = `${VOCABULARY}name` as Iri;
const PARKED = `${VOCABULARY}isParked` as Iri;
const TYPE = { kind: 'type', type: `${VOCABULARY}BenchEntity` as Iri } as const;

type Figures = Record<'create' | 'update indexed' | 'update another' | 'one value' | 'range', number>;

async function measure(indexed: readonly Iri[], entities: number): Promise<Figures> {
  const context = (await offlineContexts()).core;
  const clock = systemClock('bench');
  const folder = mkdtempSync(join(tmpdir(), 'mizar-bench-'));
  const store = openSqliteStore({ file: join(folder, 'mizar.db'), clock, indexes: { limit: 0 } });
  const of = entities;
  /** Microseconds of CPU for each of `count`, the better half of the runs. */
  async function timed(count: number, portion: number, make: (n: number) => Write | EntityQuery): Promise<number> {
    const runs: number[] = [];
    for (let n = 0; n < count; n += portion) {
      const work = Array.from({ length: portion }, (_, k) => make(n + k));
      const before = process.cpuUsage();
      if ('decide' in work[0]!) await store.entities.commit(work as Write[]);
      else for (const query of work as EntityQuery[]) await store.entities.query(DEFAULT_TENANT, query, { limit: 20 });
      const { user, system } = process.cpuUsage(before);
      runs.push((user + system) / portion);
    }
    return runs.sort((a, b) => a - b)[Math.floor(runs.length / 3)]!;
  }
  const update = (name: Iri, value: (n: number) => string | number) => (n: number) => {
    const id = idOf(Math.floor(fraction(n, 31) * of));
    const instance = { type: 'Property', value: value(n) } as const;
    const decide: Write['decide'] = (current) =>
      replaceAttribute(current, id, name, instance, { at: clock.now(), stamp: clock.stamp() });
    return { tenant: DEFAULT_TENANT, id, decide };
  };
  try {
    for (const name of indexed) await store.indexes.ensure(DEFAULT_TENANT, { names: [name] });
    const create = await timed(of, 50, (n) => creationOf(cityEntity(n, of), context, clock));
    const updates = Math.min(of, 10_000);
    const updateIndexed = await timed(
      updates,
      50,
      update(SPEED, (n) => Math.round(fraction(n, 32) * TOP_SPEED * 100) / 100) as never,
    );
    const updateAnother = await timed(
      updates,
      50,
      update(NAME, (n) => `Measuring point number ${n}, renamed`),
    );
    const queries = indexed.length === 0 ? 40 : 2_000;
    const oneValue = await timed(queries, 10, (n) => ({
      types: TYPE,
      where: {
        kind: 'compare',
        path: { names: [PARKED] },
        operator: '==',
        value: {
          kind: 'uri',
          value: `urn:ngsi-ld:OffStreetParking:${Math.floor(fraction(n, 33) * (of / AT_ONE_PLACE))}` as Iri,
        },
      },
    }));
    const range = await timed(queries, 10, (n) => {
      const from = fraction(n, 34) * TOP_SPEED * 0.98;
      const path = { names: [SPEED] };
      return {
        types: TYPE,
        where: {
          kind: 'and',
          of: [
            { kind: 'compare', path, operator: '>=', value: { kind: 'literal', value: from } },
            { kind: 'compare', path, operator: '<', value: { kind: 'literal', value: from + (TOP_SPEED * 100) / of } },
          ],
        },
      };
    });
    return { create, 'update indexed': updateIndexed, 'update another': updateAnother, 'one value': oneValue, range };
  } finally {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function indexCost(entities = 20_000): Promise<Row[]> {
  const without = await measure([], entities);
  const one = await measure([SPEED, PARKED], entities);
  const row = (name: keyof Figures, what: string, goal: number): Row => ({
    name: `index: ${what}`,
    value: one[name],
    unit: 'µs of CPU',
    ratio: without[name] / one[name],
    goal,
    note: `without: ${without[name].toFixed(1)} µs, difference ${(one[name] - without[name]).toFixed(1)} µs`,
  });
  return [
    row('create', 'create, two attributes indexed', 0.7),
    row('update indexed', 'update of the indexed attribute', 0.7),
    row('update another', 'update of another attribute', 0.95),
    row('one value', 'query of one value, 25 matches', 10),
    row('range', 'query of a range, 100 matches', 10),
  ];
}

if (import.meta.main)
  printRows(await indexCost(process.argv.includes('--quick') ? 5_000 : Number(option('entities') ?? 20_000)));
