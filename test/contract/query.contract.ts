import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AttributeInstance, Attributes } from '../../broker/domain/attribute.ts';
import type { Entity } from '../../broker/domain/entity.ts';
import type { Geometry } from '../../broker/domain/geometry.ts';
import { DEFAULT_TENANT, type Iri, type TenantId } from '../../broker/domain/iri.ts';
import type { JsonValue } from '../../broker/domain/json.ts';
import { matches } from '../../broker/domain/query/evaluate.ts';
import type {
  Comparison,
  Condition,
  EntityQuery,
  Operand,
  ScopeSelection,
  TypeSelection,
} from '../../broker/domain/query/query.ts';
import { creation, deletion, iri, urn } from '../support/writes.ts';
import type { OpenStores } from './stores.ts';

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
const MOMENTS = ['2026-03-01T07:00:00Z', '2026-03-01T07:00:00.000Z', '2026-03-01', '07:00:00Z', '2027-01-01T00:00:00Z'];
const LONG = 'x'.repeat(200);
const text = fc.constantFrom('x', 'y', '2', '', 'X', '\uff21', '𝒳', 'a\u0000b', LONG, ...MOMENTS);
const scalar: fc.Arbitrary<JsonValue> = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.boolean(),
  text,
  fc.constantFrom<JsonValue>(0.5, 2n ** 60n, 9007199254740992),
);
const value: fc.Arbitrary<JsonValue> = fc.oneof(
  { arbitrary: scalar, weight: 4 },
  fc.array(scalar, { maxLength: 3 }),
  fc.record({ a: scalar, b: fc.oneof(scalar, fc.record({ c: scalar })) }, { requiredKeys: [] }),
  scalar.map((wrapped): JsonValue => ({ '@type': 'DateTime', '@value': wrapped })),
);
const plainInstance: fc.Arbitrary<AttributeInstance> = fc.oneof(
  { arbitrary: value.map((of): AttributeInstance => ({ type: 'Property', value: of })), weight: 3 },
  fc.constantFrom(...IDS).map((object): AttributeInstance => ({ type: 'Relationship', object })),
  fc.uniqueArray(fc.constantFrom(...IDS), { minLength: 1, maxLength: 2 }).map(
    (object): AttributeInstance => ({
      type: 'Relationship',
      object,
    }),
  ),
  fc
    .dictionary(fc.constantFrom('en', 'EN', 'a', '@none'), fc.oneof(text, fc.array(text, { maxLength: 2 })))
    .map((languageMap): AttributeInstance => ({ type: 'LanguageProperty', languageMap })),
  fc.array(scalar, { maxLength: 3 }).map((valueList): AttributeInstance => ({ type: 'ListProperty', valueList })),
  geometry.map((of): AttributeInstance => ({ type: 'GeoProperty', value: of })),
);
const instance: fc.Arbitrary<AttributeInstance> = fc
  .tuple(plainInstance, fc.option(fc.tuple(name, plainInstance), { nil: undefined, freq: 4 }))
  .map(([one, below]): AttributeInstance => (below ? { ...one, attributes: { [below[0]]: [below[1]] } } : one));
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
const OPERATORS = ['==', '!=', '>', '>=', '<', '<='] as const;
const literal: fc.Arbitrary<Operand> = fc
  .oneof(fc.integer({ min: -3, max: 3 }), text, fc.boolean(), fc.constantFrom(0.5, 2n ** 60n))
  .map((of): Operand => ({ kind: 'literal', value: of }));
const single: fc.Arbitrary<Operand> = fc.oneof(
  { arbitrary: literal, weight: 4 },
  fc.constantFrom<Operand>(
    { kind: 'dateTime', value: '2026-03-01T07:00:00.000Z' },
    { kind: 'date', value: '2026-03-01' },
    { kind: 'time', value: '07:00:00Z' },
  ),
  fc.constantFrom(...IDS).map((of): Operand => ({ kind: 'uri', value: of })),
);
const path = fc
  .record(
    {
      names: fc.oneof(
        { arbitrary: name.map((of) => [of]), weight: 3 },
        fc.tuple(name, name),
        fc.constantFrom([iri('speed'), 'https://uri.etsi.org/ngsi-ld/createdAt' as Iri]),
      ),
      inside: fc.constantFrom(['a'], ['b', 'c'], ['EN'], ['en'], ['*']),
    },
    { requiredKeys: ['names'] },
  )
  .chain((of) => fc.constantFrom(of, of, { names: of.names }));
const linked = fc.tuple(name, name).map(([first, next]) => ({ names: [first], linked: { path: { names: [next] } } }));
const comparison: fc.Arbitrary<Comparison> = fc
  .oneof(
    { arbitrary: fc.tuple(path, fc.constantFrom(...OPERATORS), single), weight: 4 },
    fc.tuple(
      path,
      fc.constantFrom('==' as const, '!=' as const),
      fc.oneof(
        fc.array(single, { minLength: 1, maxLength: 3 }).map((of): Operand => ({ kind: 'list', of })),
        fc.tuple(single, single).map(([from, to]): Operand => ({ kind: 'range', from, to })),
      ),
    ),
    fc.tuple(
      path,
      fc.constantFrom('~=' as const, '!~=' as const),
      fc.constantFrom('x', '^[xy]$', '2').map((source): Operand => ({ kind: 'pattern', source })),
    ),
    fc.tuple(linked, fc.constantFrom(...OPERATORS), single),
  )
  .map(([of, operator, operand]): Comparison => ({ kind: 'compare', path: of, operator, value: operand }));
const condition: fc.Arbitrary<Condition> = fc.letrec<{ one: Condition }>((tie) => ({
  one: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    geo,
    fc.oneof(path, linked).map((of): Condition => ({ kind: 'exists', path: of })),
    comparison,
    comparison,
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

/** A store answers what a query means on each entity (domain/query/evaluate.ts): the same random data and queries on every store. */
export function queryContract(name: string, open: OpenStores, runs: number): void {
  describe(`queries on ${name}`, () => {
    // Each run makes a store: a database with its indexes takes a while on a busy machine.
    it('answer what the query means on each entity, in ascending id, on every page', { timeout: 120_000 }, async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(entity, { selector: ({ id }) => id, maxLength: 14 }),
          fc.array(query, { minLength: 1, maxLength: 6 }),
          fc.uniqueArray(fc.constantFrom(...IDS), { maxLength: 3 }),
          async (drafts, queries, deleted) => {
            await using store = await open();
            const { clock } = store;
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
          },
        ),
        { numRuns: runs },
      );
    });
  });
}
