import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import jsonld from 'jsonld';
import { describe, expect, it } from 'vitest';
import type { AttributeInstance } from '../../broker/domain/attribute.ts';
import { DomainError } from '../../broker/domain/errors.ts';
import type { Iri } from '../../broker/domain/iri.ts';
import type { JsonObject, JsonValue } from '../../broker/domain/json.ts';
import {
  type ExpandOptions,
  expandAttributeBody,
  expandEntity,
  requireWhole,
  type WholeEntity,
} from '../../broker/domain/jsonld/expand.ts';
import { entityWriter } from '../../broker/domain/representation.ts';
import type { Instant } from '../../broker/domain/time.ts';
import { CORE, DEFAULT_VOCABULARY, offlineContexts, offlineDocument } from '../support/contexts.ts';

const { core, resolve } = await offlineContexts();
const NULL = 'urn:ngsi-ld:null';
const D = DEFAULT_VOCABULARY;

/** The instances of attribute `a` of an entity in which it is written as `value`. */
function a(value: unknown, options: ExpandOptions = {}): readonly AttributeInstance[] {
  const { attributes } = expandEntity({ a: value }, core, options);
  return attributes[`${D}a` as Iri] ?? [];
}

/** The message with which `body` is refused. */
function refusal(body: unknown, options: ExpandOptions = {}): string {
  try {
    expandEntity(body, core, options);
  } catch (error) {
    expect(error).toBeInstanceOf(DomainError);
    expect((error as DomainError).type).toBe('BadRequestData');
    return (error as Error).message;
  }
  return 'nothing refused';
}

describe('attributes, normalized and concise (4.5.2, 4.5.3, 4.5.18, 4.5.20 to 4.5.24)', () => {
  const point = { type: 'Point', coordinates: [17.1, 48.1] };
  it.each([
    ['a number', 7, { type: 'Property', value: 7 }],
    ['a list as value', [1, 2], { type: 'Property', value: [1, 2] }],
    ['a compound value', { street: 'Main', no: { n: 1 } }, { type: 'Property', value: { street: 'Main', no: { n: 1 } } }],
    [
      'a typed value',
      { '@type': 'DateTime', '@value': 'x' },
      { type: 'Property', value: { '@type': 'DateTime', '@value': 'x' } },
    ],
    ['a geometry', point, { type: 'GeoProperty', value: point }],
    ['a geometry as value', { value: point }, { type: 'GeoProperty', value: point }],
    ['a geometry in a Property that says so', { type: 'Property', value: point }, { type: 'Property', value: point }],
    ['Property', { type: 'Property', value: 'x' }, { type: 'Property', value: 'x' }],
    ['concise Property', { value: 'x', unitCode: 'CEL' }, { type: 'Property', value: 'x', unitCode: 'CEL' }],
    ['Relationship', { type: 'Relationship', object: 'urn:b:1' }, { type: 'Relationship', object: 'urn:b:1' }],
    ['one object in an array', { object: ['urn:b:1'] }, { type: 'Relationship', object: ['urn:b:1'] }],
    ['objectType', { object: 'urn:b:1', objectType: 'B' }, { type: 'Relationship', object: 'urn:b:1', objectType: [`${D}B`] }],
    [
      'LanguageProperty',
      { languageMap: { en: 'hi', sk: ['ahoj'] } },
      { type: 'LanguageProperty', languageMap: { en: 'hi', sk: ['ahoj'] } },
    ],
    [
      'VocabProperty',
      { vocab: ['open', 'ngsi-ld:x'] },
      { type: 'VocabProperty', vocab: [`${D}open`, 'https://uri.etsi.org/ngsi-ld/x'] },
    ],
    ['ListProperty', { valueList: [1, [2]] }, { type: 'ListProperty', valueList: [1, [2]] }],
    [
      'ListRelationship',
      { objectList: [{ object: 'urn:b:1' }, 'urn:b:2'] },
      { type: 'ListRelationship', objectList: ['urn:b:1', 'urn:b:2'] },
    ],
    [
      'a geometry as text (4.7.2)',
      { type: 'GeoProperty', value: JSON.stringify(point) },
      { type: 'GeoProperty', value: point },
    ],
    ['JsonProperty', { json: { type: 'x', id: null } }, { type: 'JsonProperty', json: { type: 'x', id: null } }],
    [
      'expanded core terms',
      { '@type': 'https://uri.etsi.org/ngsi-ld/Property', 'https://uri.etsi.org/ngsi-ld/hasValue': 3 },
      { type: 'Property', value: 3 },
    ],
    ['compact core terms', { type: 'ngsi-ld:Property', 'ngsi-ld:hasValue': 3 }, { type: 'Property', value: 3 }],
    ['system members, which are ignored', { value: 3, createdAt: 'never', instanceId: 4 }, { type: 'Property', value: 3 }],
    ['the default datasetId by name', { value: 3, datasetId: '@none' }, { type: 'Property', value: 3 }],
    [
      'a comma in observedAt',
      { value: 3, observedAt: '2026-01-01T00:00:00,5Z' },
      { type: 'Property', value: 3, observedAt: '2026-01-01T00:00:00.5Z' },
    ],
    [
      'attributes of attributes, at any depth',
      { value: 3, accuracy: { value: 1, by: { object: 'urn:b:1' } }, note: 'x' },
      {
        type: 'Property',
        value: 3,
        attributes: {
          [`${D}accuracy`]: [
            { type: 'Property', value: 1, attributes: { [`${D}by`]: [{ type: 'Relationship', object: 'urn:b:1' }] } },
          ],
          [`${D}note`]: [{ type: 'Property', value: 'x' }],
        },
      },
    ],
    [
      'opaque values',
      { value: { type: 'x', value: { type: 'Property' }, a: null } },
      { type: 'Property', value: { type: 'x', value: { type: 'Property' }, a: null } },
    ],
  ])('reads %s', (_what, value, instance) => expect(a(value)).toEqual([instance]));

  it('reads several instances, which differ in datasetId (4.5.5)', () => {
    const instances = a([{ value: 1 }, { value: 2, datasetId: 'urn:d:1' }]);
    expect(instances.map(({ datasetId }) => datasetId)).toEqual([undefined, 'urn:d:1']);
    expect(refusal({ a: [{ value: 1 }, { value: 2 }] })).toContain('same datasetId');
  });

  it.each([
    ['an unknown kind', { type: 'Porperty', value: 1 }, 'attribute a: "Porperty" is not a type of attribute'],
    ['a compound value with a type', { type: 'PostalAddress', street: 'x' }, 'is not a type of attribute'],
    ['a Property without value', { type: 'Property' }, 'attribute a: value is missing'],
    [
      'a Relationship without object',
      { type: 'Relationship', observedAt: '2026-01-01T00:00:00Z' },
      'attribute a: object is missing',
    ],
    ['a Relationship with value', { type: 'Relationship', value: 'urn:b:1' }, 'a Relationship has object, not value'],
    ['two values', { value: 1, object: 'urn:b:1' }, 'exclude each other'],
    ['null', null, 'null is not a value'],
    ['a null value', { value: null }, 'null is not a value'],
    ['an object that is no IRI', { object: 'b1' }, 'attribute a: object must be an absolute IRI'],
    ['an empty list of objects', { object: [] }, 'at least one entity'],
    ['a GeoProperty that is none', { type: 'GeoProperty', value: 7 }, 'attribute a'],
    ['a language tag that is none', { languageMap: { 'not a tag!': 'x' } }, 'is not a language tag'],
    ['text that is none', { languageMap: { en: 5 } }, 'must be a string'],
    ['a vocab that is none', { vocab: 5 }, 'vocab must be'],
    ['JSON that is a mere number', { json: 5 }, 'must be a JSON object'],
    ['a language map of numbers', { languageMap: { en: 'x' }, valueType: 'xsd:decimal' }, 'only be langString'],
    ['a list that is none', { valueList: 5 }, 'valueList must be an array'],
    ['observedAt with a zone', { value: 1, observedAt: '2026-01-01T00:00:00+01:00' }, 'observedAt must be a DateTime'],
    ['a datasetId that is no IRI', { value: 1, datasetId: 'd' }, 'datasetId must be'],
    ['a unit that is no text', { value: 1, unitCode: 5 }, 'unitCode must be a string'],
    ['the unit of a Relationship', { object: 'urn:b:1', unitCode: 'CEL' }, 'cannot be part of a Relationship'],
    ['an embedded @context', { value: 1, '@context': {} }, 'cannot contain an @context'],
    ['an id', { value: 1, id: 'urn:b:1' }, 'cannot be part of an attribute'],
    ['what only answers have', { object: 'urn:b:1', entity: {} }, 'part of answers only'],
    ['a wrong attribute of an attribute', { value: 1, b: { type: 'X', value: 1 } }, 'attribute a.b: "X"'],
  ])('refuses %s', (_what, value, message) => expect(refusal({ a: value })).toContain(message));
});

describe('ngsildproof (4.5.2.2, C.11)', () => {
  const proof = {
    type: 'Property',
    entityIdSealed: 'urn:ngsi-ld:Store:002',
    entityTypeSealed: 'Store',
    value: { type: 'DataIntegrityProof', proofValue: 'z3X', value: { type: 'Property' } },
  };

  it('comes back as it was, on an attribute and on an entity', () => {
    const body = {
      id: 'urn:ngsi-ld:Store:002',
      type: 'Store',
      address: { type: 'Property', value: 'here', ngsildproof: proof },
    };
    const { id, types, attributes } = expandEntity(body, core) as WholeEntity;
    const entity = {
      id,
      types,
      attributes,
      createdAt: '2026-03-01T07:00:00Z' as Instant,
      modifiedAt: '2026-03-01T07:00:00Z' as Instant,
    };
    expect(entityWriter(core, {})({ ...entity, stamp: { at: 0, origin: '' } })).toEqual(body);
    expect(expandEntity({ ngsildproof: proof }, core).attributes).toHaveProperty(
      [core.expand('ngsildproof'), 0, 'entityTypeSealed'],
      [`${D}Store`],
    );
  });

  it.each([
    ['what is sealed elsewhere', { a: { type: 'Property', value: 1, entityIdSealed: 'urn:a:1' } }],
    ['what is sealed deeper', { a: { type: 'Property', value: 1, b: { value: 1, entityTypeSealed: 'A' } } }],
    ['a proof that is a text', { ngsildproof: { type: 'Property', value: 'trust me' } }],
    ['a proof that is a list', { ngsildproof: { type: 'ListProperty', valueList: [{}] } }],
    ['a type that is a number', { ngsildproof: { ...proof, entityTypeSealed: 42 } }],
    ['an id that is none', { ngsildproof: { ...proof, entityIdSealed: true } }],
    ['no type at all', { ngsildproof: { ...proof, entityTypeSealed: [] } }],
  ])('refuses %s', (_what, body) => {
    expect(() => expandEntity(body, core)).toThrow(DomainError);
  });
});

describe('entities (4.5.1, 5.2.4)', () => {
  it('reads id, types, scope and expiry', () => {
    const body = {
      id: 'urn:a:1',
      type: ['A', 'B', 'A'],
      scope: '/X/y',
      expiresAt: '2030-01-01T00:00:00Z',
      createdAt: 'ignored',
    };
    expect(expandEntity(body, core)).toEqual({
      id: 'urn:a:1',
      types: [`${D}A`, `${D}B`],
      scopes: ['/X/y'],
      expiresAt: '2030-01-01T00:00:00Z',
      attributes: {},
    });
    expect(expandEntity({ '@id': 'urn:a:1', '@type': 'A' }, core)).toEqual({ id: 'urn:a:1', types: [`${D}A`], attributes: {} });
  });

  it.each([
    ['an array', []],
    ['an id that is no IRI', { id: 'a1' }],
    ['an id with spaces', { id: 'urn:a b:1' }],
    ['the null as id', { id: NULL }],
    ['no type', { type: [] }],
    ['a type that is no name', { type: 7 }],
    ['a type with spaces', { type: 'my type' }],
    ['a scope that is none', { scope: 'a//b' }],
    ['a location that is no GeoProperty', { location: { type: 'Property', value: 'here' } }],
    ['an id with a character that nobody sees', { id: 'urn:a:1\u200b' }],
    ['an expiry that is none', { expiresAt: 'tomorrow' }],
    ['a core term as attribute', { datasetId: 'urn:d:1' }],
    ['an attribute twice', { location: { type: 'Point', coordinates: [0, 0] }, 'ngsi-ld:location': 5 }],
    ['a keyword', { '@graph': [] }],
    ['constructor with a value of no kind', { constructor: null }],
  ])('refuses %s', (_what, body) => expect(refusal(body)).not.toBe('nothing refused'));

  it('is not confused by names that every object has', () => {
    expect(expandEntity({ constructor: 1, toString: { hasOwnProperty: 2 } }, core).attributes).toEqual({
      [`${D}constructor`]: [{ type: 'Property', value: 1 }],
      [`${D}toString`]: [{ type: 'Property', value: { hasOwnProperty: 2 } }],
    });
  });

  it('says what a whole entity lacks', () => {
    expect(() => requireWhole(expandEntity({ type: 'A' }, core))).toThrow('no id');
    expect(() => requireWhole(expandEntity({ id: 'urn:a:1' }, core))).toThrow('no type');
  });
});

describe('NGSI-LD Null (4.5.0, 5.5.4)', () => {
  const everyKind: [string, JsonValue, string][] = [
    ['concise', NULL, 'value'],
    ['Property', { type: 'Property', value: NULL }, 'value'],
    ['GeoProperty', { type: 'GeoProperty', value: NULL }, 'value'],
    ['Relationship', { type: 'Relationship', object: NULL }, 'object'],
    ['LanguageProperty', { type: 'LanguageProperty', languageMap: { '@none': NULL } }, 'languageMap'],
    ['VocabProperty', { type: 'VocabProperty', vocab: NULL }, 'vocab'],
    ['ListProperty', { type: 'ListProperty', valueList: [NULL] }, 'valueList'],
    ['ListRelationship', { type: 'ListRelationship', objectList: [NULL] }, 'objectList'],
    ['JsonProperty', { type: 'JsonProperty', json: NULL }, 'json'],
  ];
  it.each(everyKind)('is the same for %s, and refused where nothing can be deleted', (_kind, value, member) => {
    expect(a(value, { nulls: 'members' })).toEqual([expect.objectContaining({ [member]: NULL })]);
    expect(refusal({ a: value })).toContain(NULL);
  });

  it('inside a value is possible in a merge only', () => {
    const value = { value: { street: 'x', country: NULL } };
    expect(a(value, { nulls: 'everywhere' })).toEqual([{ type: 'Property', ...value }]);
    expect(refusal({ a: value }, { nulls: 'members' })).toContain('in a merge only');
    expect(refusal({ a: { languageMap: { en: NULL, sk: 'x' } } }, { nulls: 'members' })).toContain('merge only');
  });

  it('deletes plain members, but never a datasetId', () => {
    expect(a({ value: 1, unitCode: NULL, observedAt: NULL }, { nulls: 'members' })).toEqual([
      { type: 'Property', value: 1, unitCode: NULL, observedAt: NULL },
    ]);
    expect(refusal({ a: { value: 1, unitCode: NULL } })).toContain('cannot be deleted');
    expect(refusal({ a: { value: 1, datasetId: NULL } }, { nulls: 'everywhere' })).toContain('datasetId cannot be deleted');
  });

  it('deletes scope and expiry', () => {
    expect(expandEntity({ scope: NULL, expiresAt: NULL }, core, { nulls: 'members' })).toEqual({
      scopes: null,
      expiresAt: null,
      attributes: {},
    });
    expect(refusal({ scope: NULL })).not.toBe('nothing refused');
  });
});

describe('parts of attributes (5.5.8)', () => {
  const partial = { partial: true, nulls: 'members' } as const;
  it('may lack type and value', () => {
    expect(expandAttributeBody({ unitCode: 'FAR' }, 'a', core, partial)).toEqual({ unitCode: 'FAR' });
    expect(expandAttributeBody({ type: 'Property', accuracy: 1 }, 'a', core, partial)).toEqual({
      type: 'Property',
      attributes: { [`${D}accuracy`]: [{ type: 'Property', value: 1 }] },
    });
    expect(() => expandAttributeBody({ type: 'Property', unitCode: 'FAR' }, 'a', core)).toThrow('value is missing');
  });
});

describe('Smart Data Models examples', () => {
  const folder = new URL('../fixtures/smart-data-models/', import.meta.url);
  const documentLoader = async (url: string) => ({ document: await offlineDocument(url), documentUrl: url, contextUrl: null });

  /** Examples that are not valid NGSI-LD, and what is wrong with them. */
  const FAULTS: Record<string, string> = {
    'DeviceMeasurement.normalized.jsonld': 'attribute location is a GeoProperty by definition',
    'Vehicle.normalized.jsonld': 'observedAt must be a DateTime in UTC',
    'WeatherForecast.normalized.jsonld': 'The id of an entity must be an absolute IRI',
    'WeatherForecast.key-values.jsonld': 'The id of an entity must be an absolute IRI',
  };

  it.each(readdirSync(folder))('%s is expanded to the names that the jsonld package finds', async (file) => {
    const example = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as JsonObject;
    const context = await resolve(example['@context'] as JsonValue);
    const simplified = file.includes('key-values');
    const fault = FAULTS[file];
    if (fault !== undefined) {
      expect(() => expandEntity(example, context, { simplified })).toThrow(fault);
      return;
    }
    const ours = expandEntity(example, context, { simplified });
    const contexts = [example['@context'] as JsonValue].flat();
    // Given the core last and unprotected, the package's answer is what 5.5.7 asks for.
    const { '@protected': _, ...freeCore } = ((await offlineDocument(CORE)) as JsonObject)['@context'] as JsonObject;
    const document = {
      ...example,
      '@context': [...contexts.filter((item) => !String(item).includes('core-context')), freeCore],
    };
    const [theirs] = (await jsonld.expand(document as never, { documentLoader } as never)) as unknown as [
      Record<string, unknown[]>,
    ];
    expect(ours.id).toBe(theirs['@id']);
    expect(ours.types).toEqual(theirs['@type']);
    const names = Object.keys(theirs).filter((name) => !name.startsWith('@') && !/\/(?:createdAt|modifiedAt)$/.test(name));
    expect(Object.keys(ours.attributes).sort()).toEqual(names.sort());
    for (const name of names) {
      const [node] = theirs[name] as [Record<string, Record<string, unknown>[]>];
      const [instance] = ours.attributes[name as Iri] as [AttributeInstance];
      const value = node?.['https://uri.etsi.org/ngsi-ld/hasValue']?.[0]?.['@value'];
      const object = node?.['https://uri.etsi.org/ngsi-ld/hasObject']?.[0]?.['@id'];
      if (file.includes('normalized')) expect(`https://uri.etsi.org/ngsi-ld/${instance.type}`).toBe(node?.['@type']?.[0]);
      if (value !== undefined && instance.type === 'Property' && typeof instance.value !== 'object')
        expect(instance.value).toBe(value);
      if (object !== undefined && instance.type === 'Relationship') expect([instance.object].flat()[0]).toBe(object);
    }
  });
});

describe('whatever comes', () => {
  it('is expanded or refused, and nothing else happens', () => {
    const names = fc.constantFrom(
      'id',
      'type',
      'value',
      'object',
      'a',
      'languageMap',
      'vocab',
      'json',
      'datasetId',
      'observedAt',
      'valueList',
      '@type',
      'scope',
      '__proto__',
      'constructor',
      'unitCode',
      'coordinates',
      'objectList',
    );
    const leaf = fc.oneof(
      fc.constantFrom('Property', 'GeoProperty', 'Relationship', 'Point', NULL, 'urn:a:1', '@none', null),
      fc.integer(),
      fc.string(),
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5 },
        leaf,
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(names, tie('tree'), { maxKeys: 5 }),
      ),
    }));
    const options = fc.record({
      nulls: fc.constantFrom('refused', 'members', 'everywhere'),
      partial: fc.boolean(),
      simplified: fc.boolean(),
    });
    fc.assert(
      fc.property(tree, options, (body, choice) => {
        try {
          expandEntity(body, core, choice as ExpandOptions);
        } catch (error) {
          if (!(error instanceof DomainError)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
  });
});
