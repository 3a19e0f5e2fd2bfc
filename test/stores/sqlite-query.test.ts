import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AttributeInstance, Attributes } from '../../broker/domain/attribute.ts';
import type { Entity } from '../../broker/domain/entity.ts';
import type { Geometry } from '../../broker/domain/geometry.ts';
import { DEFAULT_TENANT, type Iri, type TenantId } from '../../broker/domain/iri.ts';
import { matches } from '../../broker/domain/query/evaluate.ts';
import type { Condition, EntityQuery, ScopeSelection, TypeSelection } from '../../broker/domain/query/query.ts';
import { openSqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { creation, deletion, iri, testClock, urn } from '../support/writes.ts';

const TYPES = ['Car', 'Bus', 'Tram'].map(iri);
const NAMES = ['speed', 'name', 'location', 'area'].map(iri);
const IDS = ['a', 'b', 'c', 'é', 'ž', '𝒳', '\uff21', 'B', 'A:1', 'A:10', 'A:2', 'd', 'e', 'f', 'g', 'h'].map(urn);

const type = fc.constantFrom(...TYPES);
const name = fc.constantFrom(...NAMES);
const degrees = fc.integer({ min: -20, max: 20 });
const position = fc.tuple(
  fc.oneof(
    degrees.map((of) => 17 + of / 10),
    fc.constantFrom(-180, 180, 179.99, -179.99),
  ),
  fc.oneof(
    degrees.map((of) => 48 + of / 10),
    fc.constantFrom(-90, 90, 89.99),
  ),
);
const geometry: fc.Arbitrary<Geometry> = fc.oneof(
  position.map((coordinates): Geometry => ({ type: 'Point', coordinates })),
  fc.array(position, { minLength: 2, maxLength: 4 }).map((coordinates): Geometry => ({ type: 'LineString', coordinates })),
  fc.tuple(position, fc.integer({ min: 1, max: 20 })).map(([[west, south], size]): Geometry => {
    const east = Math.min(180, west + size / 10);
    const north = Math.min(90, south + size / 10);
    return {
      type: 'Polygon',
      coordinates: [
        [
          [west, south],
          [east, south],
          [east, north],
          [west, north],
          [west, south],
        ],
      ],
    };
  }),
);
const instance: fc.Arbitrary<AttributeInstance> = fc.oneof(
  fc
    .oneof(fc.integer({ min: -3, max: 3 }), fc.boolean(), fc.constantFrom('x', 'y', '2', ''))
    .map((value): AttributeInstance => ({ type: 'Property', value })),
  fc.constantFrom(...IDS).map((object): AttributeInstance => ({ type: 'Relationship', object })),
  geometry.map((value): AttributeInstance => ({ type: 'GeoProperty', value })),
);
const instances = fc.oneof(
  instance.map((one) => [one]),
  fc.tuple(instance, instance).map(([one, other]): AttributeInstance[] => [one, { ...other, datasetId: urn('dataset') }]),
);
const entity = fc.record({
  id: fc.constantFrom(...IDS),
  types: fc.uniqueArray(type, { minLength: 1 }),
  attributes: fc.dictionary(name, instances) as fc.Arbitrary<Attributes>,
  scopes: fc.option(fc.uniqueArray(fc.constantFrom('/A', '/A/B', '/C'), { minLength: 1 }), { nil: undefined }),
});

const typeSelection: fc.Arbitrary<TypeSelection> = fc.letrec<{ one: TypeSelection }>((tie) => ({
  one: fc.oneof(
    { maxDepth: 2 },
    type.map((of): TypeSelection => ({ kind: 'type', type: of })),
    fc.array(tie('one'), { minLength: 1, maxLength: 3 }).map((of): TypeSelection => ({ kind: 'any', of })),
    fc.array(tie('one'), { minLength: 1, maxLength: 3 }).map((of): TypeSelection => ({ kind: 'all', of })),
  ),
})).one;
const scope = fc
  .constantFrom(['A'], ['A', '#'], ['+'], ['A', '+'])
  .map((levels): ScopeSelection => ({ kind: 'scope', levels }));
const relation = fc.constantFrom('within', 'contains', 'intersects', 'equals', 'disjoint', 'overlaps' as const);
const geo: fc.Arbitrary<Condition> = fc.oneof(
  fc.record({ kind: fc.constant('geo' as const), property: name, relation, geometry }) as fc.Arbitrary<Condition>,
  fc.record({
    kind: fc.constant('geo' as const),
    property: name,
    relation: fc.constant('near' as const),
    geometry,
    maxDistanceM: fc.constantFrom(1, 5_000, 50_000, 30_000_000),
  }),
  fc.record({
    kind: fc.constant('geo' as const),
    property: name,
    relation: fc.constant('near' as const),
    geometry,
    minDistanceM: fc.constantFrom(1, 50_000),
  }),
);
const literal = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom('x', 'y', '2'), fc.boolean());
const condition: fc.Arbitrary<Condition> = fc.letrec<{ one: Condition }>((tie) => ({
  one: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    geo,
    name.map((of): Condition => ({ kind: 'exists', path: { names: [of] } })),
    fc.record({
      kind: fc.constant('compare' as const),
      path: fc.record({ names: name.map((of) => [of]) }),
      operator: fc.constantFrom('==', '!=', '>', '>=', '<', '<=' as const),
      value: literal.map((value) => ({ kind: 'literal' as const, value })),
    }) as fc.Arbitrary<Condition>,
    fc.array(tie('one'), { minLength: 1, maxLength: 3 }).map((of): Condition => ({ kind: 'and', of })),
    fc.array(tie('one'), { minLength: 1, maxLength: 3 }).map((of): Condition => ({ kind: 'or', of })),
    tie('one').map((of): Condition => ({ kind: 'not', of })),
  ),
})).one;
const query = fc.record(
  {
    ids: fc.array(fc.constantFrom(...IDS, urn('nobody')), { minLength: 1, maxLength: 4 }),
    idPattern: fc.constantFrom('A', '^urn:ngsi-ld:[a-f]$', 'B$'),
    types: typeSelection,
    anyOf: fc.array(
      fc.record(
        {
          ids: fc.array(fc.constantFrom(...IDS), { maxLength: 3 }),
          idPattern: fc.constantFrom('A', '[a-f]$'),
          types: typeSelection,
        },
        { requiredKeys: [] },
      ),
      { minLength: 1, maxLength: 3 },
    ),
    anyAttribute: fc.array(name, { minLength: 1, maxLength: 2 }),
    scopes: scope,
    where: condition,
    datasetIds: fc.constantFrom(['@none' as const], [urn('dataset')], ['@none' as const, urn('dataset')]),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<EntityQuery>;

const byCodePoint = (a: Iri, b: Iri): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

describe('queries on SQLite', () => {
  it('answer what the query means on each entity, in ascending id, on every page', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(entity, { selector: ({ id }) => id, maxLength: 14 }),
        fc.array(query, { minLength: 1, maxLength: 6 }),
        fc.uniqueArray(fc.constantFrom(...IDS), { maxLength: 3 }),
        async (drafts, queries, deleted) => {
          const clock = testClock();
          const store = openSqliteStore({ file: ':memory:', clock, cacheBytes: 20_000 });
          const write = ({ id, types, attributes, scopes }: (typeof drafts)[number], tenant: TenantId) =>
            creation(clock, id, types, attributes, { tenant, ...(scopes ? { scopes } : {}) });
          await store.entities.commit(drafts.flatMap((one) => [write(one, DEFAULT_TENANT), write(one, 'other' as TenantId)]));
          await store.entities.commit(deleted.map((id) => deletion(clock, id)));
          const stored: Entity[] = [];
          for (const { id } of drafts) {
            const found = await store.entities.get(DEFAULT_TENANT, id);
            if (found) stored.push(found.entity);
          }
          expect(stored).toHaveLength(drafts.filter(({ id }) => !deleted.includes(id)).length);
          const follow = (id: Iri) => stored.find((one) => one.id === id);
          for (const of of queries) {
            const expected = stored
              .filter((one) => matches(of, one, follow))
              .map(({ id }) => id)
              .sort(byCodePoint);
            const all = await store.entities.query(DEFAULT_TENANT, of, { limit: 100, count: true });
            expect([all.count, all.more, all.entities.map(({ id }) => id)]).toEqual([expected.length, false, expected]);
            const paged: Iri[] = [];
            for (let after: Iri | undefined; ; ) {
              const page = await store.entities.query(DEFAULT_TENANT, of, { limit: 3, ...(after ? { after } : {}) });
              paged.push(...page.entities.map(({ id }) => id));
              after = paged.at(-1);
              if (!page.more) break;
            }
            expect(paged).toEqual(expected);
          }
          await store.close();
        },
      ),
      { numRuns: 150 },
    );
  });

  it('let others have their turn while they look at many entities', async () => {
    const clock = testClock();
    const store = openSqliteStore({ file: ':memory:', clock, cacheBytes: 20_000 });
    const many = Array.from({ length: 10_000 }, (_, n) =>
      creation(clock, urn(`e${n}`), [iri('Car')], { [iri('speed')]: [{ type: 'Property', value: n }] }),
    );
    await store.entities.commit(many);
    let turns = 0;
    let done = false;
    const others = (async () => {
      while (!done) {
        await new Promise((resolve) => setImmediate(resolve));
        turns++;
      }
    })();
    const where = {
      kind: 'compare',
      path: { names: [iri('speed')] },
      operator: '<',
      value: { kind: 'literal', value: 0 },
    } as const;
    const page = await store.entities.query(DEFAULT_TENANT, { where }, { limit: 1, count: true });
    done = true;
    await others;
    expect([page.count, page.entities]).toEqual([0, []]);
    expect(turns).toBeGreaterThan(3);
    await store.close();
  });
});
