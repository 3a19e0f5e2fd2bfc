import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AttributeInstance, Attributes } from '../../broker/domain/attribute.ts';
import type { Entity } from '../../broker/domain/entity.ts';
import type { Iri } from '../../broker/domain/iri.ts';
import type { JsonValue } from '../../broker/domain/json.ts';
import { expandEntity } from '../../broker/domain/jsonld/expand.ts';
import { entityWriter } from '../../broker/domain/representation.ts';
import type { Instant } from '../../broker/domain/time.ts';
import { entityOf, name, testContext } from '../support/entities.ts';

const iri = fc.constantFrom('urn:x:1', 'urn:ngsi-ld:Car:2', 'https://example.org/a?b=c').map((text) => text as Iri);
const term = fc.constantFrom('Fast', 'Slow').map((text) => name(text));
const oneOrMore = <T>(one: fc.Arbitrary<T>) => fc.oneof(one, fc.array(one, { minLength: 2, maxLength: 3 }));
/** Any value but null and what JSON-LD itself would not keep; objects may look like attributes. */
const value: fc.Arbitrary<JsonValue> = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (Object.is(n, -0) ? 0 : n)),
  fc.string({ maxLength: 6 }),
  fc.boolean(),
  fc.array(fc.oneof(fc.integer(), fc.string({ maxLength: 3 }), fc.constant({ value: 1 }), fc.constant({ a: 1 })), {
    minLength: 1,
    maxLength: 3,
  }),
  fc.constantFrom<JsonValue>(
    { city: 'Žilina', zip: [1] },
    { value: 5 },
    { object: 'urn:x' },
    { type: 'Point', coordinates: [1, 2] },
    { languageMap: { en: 'x' } },
    { unitCode: 'CEL' },
    { json: {} },
    { observedAt: '2026-01-01T00:00:00Z' },
  ),
);
const core: fc.Arbitrary<object> = fc.oneof(
  fc.record({ type: fc.constant('Property'), value, unitCode: fc.constant('CEL') }, { requiredKeys: ['type', 'value'] }),
  fc.record({ type: fc.constant('GeoProperty'), value: fc.constant({ type: 'Point', coordinates: [17, 48] }) }),
  fc.record(
    { type: fc.constant('Relationship'), object: oneOrMore(iri), objectType: fc.array(term, { minLength: 1, maxLength: 1 }) },
    { requiredKeys: ['type', 'object'] },
  ),
  fc.record({
    type: fc.constant('LanguageProperty'),
    languageMap: fc.constantFrom({ en: 'yes' }, { en: ['a', 'b'], '@none': 'c' }),
  }),
  fc.record({ type: fc.constant('VocabProperty'), vocab: oneOrMore(term) }),
  fc.record({ type: fc.constant('ListProperty'), valueList: fc.array(fc.integer(), { maxLength: 3, minLength: 1 }) }),
  fc.record({ type: fc.constant('ListRelationship'), objectList: fc.array(iri, { maxLength: 3, minLength: 1 }) }),
  fc.record({
    type: fc.constant('JsonProperty'),
    json: fc.constantFrom<JsonValue>({ id: 'x', type: 'y', value: [1] }, [1], { a: 'x' }),
  }),
);
const time = fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-01T00:00:00.123456Z').map((text) => text as Instant);

function instance(depth: number): fc.Arbitrary<AttributeInstance> {
  const below =
    depth === 0
      ? fc.constant({})
      : fc.option(attributes(depth - 1), { nil: undefined }).map((found) => (found === undefined ? {} : { attributes: found }));
  const extras = fc.record({ observedAt: time }, { requiredKeys: [] });
  return fc.tuple(core, extras, below).map(([a, b, c]) => ({ ...a, ...b, ...c }) as AttributeInstance);
}

function attributes(depth: number): fc.Arbitrary<Attributes> {
  const several = fc.tuple(instance(depth), instance(0)).map(([a, b]) => [a, { ...b, datasetId: 'urn:d:1' as Iri }]);
  const instances = fc.oneof(
    instance(depth).map((one) => [one]),
    several,
  );
  return fc.dictionary(
    fc.constantFrom('speed', 'brand', 'location2').map((text) => name(text)),
    instances,
    { minKeys: 1, maxKeys: 3, noNullPrototype: true },
  ) as fc.Arbitrary<Attributes>;
}

describe('what is written as normalized or concise, read again', () => {
  it.each(['normalized', 'concise'] as const)('%s is the same entity', (format) => {
    const write = entityWriter(testContext, { format });
    fc.assert(
      fc.property(attributes(1), fc.array(fc.constantFrom('/a', '/a/b', 'c'), { maxLength: 2 }), (all, scopes) => {
        const entity: Entity = entityOf({}, { attributes: all, ...(scopes.length > 0 && { scopes: [...new Set(scopes)] }) });
        const body = JSON.parse(JSON.stringify(write(entity)));
        const { id, types, attributes: read, scopes: readScopes } = expandEntity(body, testContext);
        expect({ id, types, read, readScopes }).toEqual({
          id: entity.id,
          types: entity.types,
          read: entity.attributes,
          readScopes: entity.scopes,
        });
      }),
      { numRuns: 500 },
    );
  });
});
