import jsonld from 'jsonld';
import { describe, expect, it } from 'vitest';
import type { Iri } from '../../broker/domain/iri.ts';
import { chooseLanguage, parseLanguages } from '../../broker/domain/language.ts';
import { parseProjection } from '../../broker/domain/query/parse/projection.ts';
import {
  entityWriter,
  hasAnyOf,
  LOCATION,
  type Representation,
  renderEntity,
  representationKey,
} from '../../broker/domain/representation.ts';
import { bundledContext, NEWEST_CORE } from '../../contexts/index.ts';
import { attributesOf, CORE, entityOf, name, testContext } from '../support/entities.ts';

const at = { createdAt: '2026-01-01T00:00:00Z', modifiedAt: '2026-01-01T00:00:00Z', stamp: { at: 1, origin: 'a' } };
const point = { type: 'Point', coordinates: [17.1, 48.1] };
const car = entityOf(
  {
    brand: { type: 'Property', value: 'Mercedes', ...at },
    speed: {
      type: 'Property',
      value: 55.5,
      unitCode: 'KMH',
      observedAt: '2026-01-01T12:00:00.25Z',
      valueType: name('Double'),
      ...at,
      attributes: attributesOf({
        accuracy: { type: 'Property', value: 0.9, ...at },
        by: { type: 'Relationship', object: 'urn:x:s', ...at },
      }),
    },
    name: [
      { type: 'Property', value: 'David', ...at },
      { type: 'Property', value: 'Ziggy', datasetId: 'urn:d:1', ...at },
    ],
    isParked: { type: 'Relationship', object: 'urn:x:p', objectType: [name('Parking')], ...at },
    passengers: { type: 'Relationship', object: ['urn:x:1', 'urn:x:2'], ...at },
    location: { type: 'GeoProperty', value: point, ...at },
    says: { type: 'LanguageProperty', languageMap: { en: 'yes', 'fr-CH': ['oui', 'ouais'] }, ...at },
    gender: { type: 'VocabProperty', vocab: name('Male'), ...at },
    periods: { type: 'ListProperty', valueList: ['First', 'Second'], ...at },
    route: { type: 'ListRelationship', objectList: ['urn:s:1', 'urn:s:2'], ...at },
    tickets: { type: 'JsonProperty', json: { id: 'x', value: [{ type: 'y' }] }, ...at },
  },
  { scopes: ['/Madrid'], expiresAt: '2030-01-01T00:00:00Z' as never },
);
const write = (representation: Representation, entity = car) => entityWriter(testContext, representation)(entity);
const concise = (attribute: object) => write({ format: 'concise' }, entityOf({ a: attribute }))['a'];

describe('4.5: representations of an entity', () => {
  it('normalized', () => {
    expect(write({})).toEqual({
      id: 'urn:ngsi-ld:Car:1',
      type: 'Car',
      scope: '/Madrid',
      brand: { type: 'Property', value: 'Mercedes' },
      speed: {
        type: 'Property',
        value: 55.5,
        unitCode: 'KMH',
        valueType: 'Double',
        observedAt: '2026-01-01T12:00:00.25Z',
        accuracy: { type: 'Property', value: 0.9 },
        by: { type: 'Relationship', object: 'urn:x:s' },
      },
      name: [
        { type: 'Property', value: 'David' },
        { type: 'Property', value: 'Ziggy', datasetId: 'urn:d:1' },
      ],
      isParked: { type: 'Relationship', object: 'urn:x:p', objectType: 'Parking' },
      passengers: { type: 'Relationship', object: ['urn:x:1', 'urn:x:2'] },
      location: { type: 'GeoProperty', value: point },
      says: { type: 'LanguageProperty', languageMap: { en: 'yes', 'fr-CH': ['oui', 'ouais'] } },
      gender: { type: 'VocabProperty', vocab: 'Male' },
      periods: { type: 'ListProperty', valueList: ['First', 'Second'] },
      route: { type: 'ListRelationship', objectList: [{ object: 'urn:s:1' }, { object: 'urn:s:2' }] },
      tickets: { type: 'JsonProperty', json: { id: 'x', value: [{ type: 'y' }] } },
    });
  });

  it('concise', () => {
    expect(write({ format: 'concise' })).toEqual({
      id: 'urn:ngsi-ld:Car:1',
      type: 'Car',
      scope: '/Madrid',
      brand: 'Mercedes',
      speed: {
        value: 55.5,
        unitCode: 'KMH',
        valueType: 'Double',
        observedAt: '2026-01-01T12:00:00.25Z',
        accuracy: 0.9,
        by: { object: 'urn:x:s' },
      },
      name: [{ value: 'David' }, { value: 'Ziggy', datasetId: 'urn:d:1' }],
      isParked: { object: 'urn:x:p', objectType: 'Parking' },
      passengers: { object: ['urn:x:1', 'urn:x:2'] },
      location: point,
      says: { languageMap: { en: 'yes', 'fr-CH': ['oui', 'ouais'] } },
      gender: { vocab: 'Male' },
      periods: { valueList: ['First', 'Second'] },
      route: { objectList: ['urn:s:1', 'urn:s:2'] },
      tickets: { json: { id: 'x', value: [{ type: 'y' }] } },
    });
  });

  it('concise never writes a value that would be read as something else', () => {
    expect(concise({ type: 'Property', value: { city: 'Berlin' } })).toEqual({ city: 'Berlin' });
    expect(concise({ type: 'Property', value: { value: 5 } })).toEqual({ value: { value: 5 } });
    expect(concise({ type: 'Property', value: { unitCode: 'CEL' } })).toEqual({ value: { unitCode: 'CEL' } });
    expect(concise({ type: 'Property', value: { type: 'Home' } })).toEqual({ value: { type: 'Home' } });
    expect(concise({ type: 'Property', value: point })).toEqual({ type: 'Property', value: point });
    expect(concise({ type: 'Property', value: [{ value: 1 }] })).toEqual({ value: [{ value: 1 }] });
    expect(concise({ type: 'Property', value: [1] })).toEqual([1]);
    expect(concise({ type: 'Property', value: 1, datasetId: 'urn:d' })).toEqual({ value: 1, datasetId: 'urn:d' });
  });

  it('simplified', () => {
    expect(write({ format: 'simplified' })).toEqual({
      id: 'urn:ngsi-ld:Car:1',
      type: 'Car',
      scope: '/Madrid',
      brand: 'Mercedes',
      speed: 55.5,
      name: { dataset: { '@none': 'David', 'urn:d:1': 'Ziggy' } },
      isParked: 'urn:x:p',
      passengers: ['urn:x:1', 'urn:x:2'],
      location: point,
      says: { languageMap: { en: 'yes', 'fr-CH': ['oui', 'ouais'] } },
      gender: { vocab: 'Male' },
      periods: ['First', 'Second'],
      route: ['urn:s:1', 'urn:s:2'],
      tickets: { json: { id: 'x', value: [{ type: 'y' }] } },
    });
  });

  it('GeoJSON, with null where there is no geometry', () => {
    const feature = write({ format: 'simplified', geometryProperty: LOCATION });
    expect(feature).toMatchObject({ id: 'urn:ngsi-ld:Car:1', type: 'Feature', geometry: point });
    expect(feature['properties']).toMatchObject({ type: 'Car', brand: 'Mercedes', location: point });
    expect(write({ geometryProperty: name('brand') })['geometry']).toBeNull();
    expect(write({ geometryProperty: LOCATION }, entityOf({}))).toEqual({
      id: 'urn:ngsi-ld:Car:1',
      type: 'Feature',
      geometry: null,
      properties: { type: 'Car' },
    });
  });

  it('6.3.11: system members only on request', () => {
    const shown = write({ sysAttrs: true });
    expect(shown).toMatchObject({
      createdAt: '2026-01-01T00:00:00Z',
      modifiedAt: '2026-01-02T00:00:00.5Z',
      expiresAt: '2030-01-01T00:00:00Z',
    });
    expect(shown['brand']).toEqual({ type: 'Property', value: 'Mercedes', createdAt: at.createdAt, modifiedAt: at.modifiedAt });
    for (const format of ['normalized', 'concise', 'simplified'] as const) {
      expect(renderEntity(car, testContext, { format })).not.toMatch(/createdAt|modifiedAt|expiresAt|stamp/);
    }
  });

  it('4.15: one language, and which it was', () => {
    expect(write({ lang: 'de,fr;q=0.5' })['says']).toEqual({ type: 'Property', value: ['oui', 'ouais'], lang: 'fr-CH' });
    expect(write({ lang: 'en', format: 'simplified' })['says']).toBe('yes');
    expect(chooseLanguage({ en: 'a', fr: 'b' }, parseLanguages('fr-CH'))).toBe('fr');
    expect(chooseLanguage({ en: 'a', fr: 'b' }, parseLanguages('en;q=0.1,fr;q=0.9'))).toBe('fr');
    expect(chooseLanguage({ en: 'a', '@none': 'b' }, parseLanguages('de'))).toBe('@none');
    expect(chooseLanguage({ en: 'a', de: 'b' }, parseLanguages('en;q=0,de'))).toBe('de');
  });

  it('4.21: pick keeps nothing else, omit keeps the rest, attrs keeps id, type and scope', () => {
    expect(write(parseProjection({ pick: 'id,brand|scope' }, testContext))).toEqual({
      id: 'urn:ngsi-ld:Car:1',
      scope: '/Madrid',
      brand: { type: 'Property', value: 'Mercedes' },
    });
    const omitted = write(parseProjection({ omit: 'type,brand' }, testContext));
    expect(omitted).toHaveProperty('id');
    expect(omitted).not.toHaveProperty('type');
    expect(omitted).not.toHaveProperty('brand');
    expect(Object.keys(write({ attrs: [name('brand')] }))).toEqual(['id', 'type', 'scope', 'brand']);
    expect(() => parseProjection({ pick: 'a,,b' }, testContext)).toThrow(/pick: expected the name of a member at 2/);
    expect(() => parseProjection({ pick: 'a,a' }, testContext)).toThrow(/named twice/);
    expect(() => parseProjection({ pick: 'a,b', omit: 'b' }, testContext)).toThrow(/in pick and in omit/);
    for (const wrong of ['a{b', 'a{{b}', 'a{}', 'a{,b}', 'id{b}', 'a}', 'a;b']) {
      expect(() => parseProjection({ pick: wrong }, testContext)).toThrow(/^pick: /);
    }
  });

  it('4.5.5: only the instances of the datasetIds asked for, and no attribute that has none', () => {
    expect(write({ datasetIds: ['urn:d:1' as Iri] })).toEqual({
      id: 'urn:ngsi-ld:Car:1',
      type: 'Car',
      scope: '/Madrid',
      name: { type: 'Property', value: 'Ziggy', datasetId: 'urn:d:1' },
    });
    expect(hasAnyOf(car, { attrs: [name('brand')], datasetIds: ['urn:d:1' as Iri] })).toBe(false);
    expect(hasAnyOf(car, { attrs: [name('brand'), name('name')], datasetIds: ['urn:d:1' as Iri] })).toBe(true);
  });

  it('has equal keys for equal representations, and others for others', () => {
    const a = name('a');
    const b = name('b');
    expect(representationKey({ attrs: [a, b] })).toBe(representationKey({ attrs: [b, a], format: 'normalized' }));
    const keys = [
      {},
      { sysAttrs: true },
      { format: 'simplified' },
      { format: 'concise' },
      { attrs: [a] },
      { pick: new Set([a]) },
      { omit: new Set([a]) },
      { lang: 'a' },
      { geometryProperty: a },
      { datasetIds: [a] },
    ] as const;
    expect(new Set(keys.map((one) => representationKey(one as Representation))).size).toBe(keys.length);
  });
});

describe('what is written, read by a general JSON-LD processor', () => {
  const documentLoader = async (url: string) => ({
    documentUrl: url,
    document: JSON.parse((await bundledContext(url)) ?? 'null'),
  });
  type Node = Record<string, { '@value'?: unknown; '@id'?: string; '@list'?: unknown[]; '@language'?: string }[]>;

  it('means the same entity', async () => {
    const [node] = (await jsonld.expand(
      { ...(write({ sysAttrs: true }) as object), '@context': NEWEST_CORE } as never,
      { documentLoader } as never,
    )) as unknown as [Node];
    expect(node['@id']).toBe(car.id);
    expect(node['@type']).toEqual(car.types);
    const system = ['createdAt', 'modifiedAt', 'expiresAt', 'scope'].map((term) => `${CORE}${term}`);
    expect(
      Object.keys(node)
        .filter((key) => !key.startsWith('@') && !system.includes(key))
        .sort(),
    ).toEqual(Object.keys(car.attributes).sort());
    const first = (term: string) => node[name(term)]?.[0] as unknown as Node;
    expect(first('speed')[`${CORE}hasValue`]).toEqual([{ '@value': 55.5 }]);
    expect(first('speed')[`${CORE}hasValueType`]).toEqual([{ '@id': name('Double') }]);
    const accuracy = (first('speed')[name('accuracy')] ?? [])[0] as unknown as Node;
    expect(accuracy[`${CORE}hasValue`]).toEqual([{ '@value': 0.9 }]);
    expect(first('isParked')[`${CORE}hasObject`]).toEqual([{ '@id': 'urn:x:p' }]);
    expect(first('isParked')[`${CORE}hasObjectType`]).toEqual([{ '@id': name('Parking') }]);
    expect(first('gender')[`${CORE}hasVocab`]).toEqual([{ '@id': name('Male') }]);
    expect(first('says')[`${CORE}hasLanguageMap`]).toContainEqual({ '@value': 'yes', '@language': 'en' });
    expect(first('periods')[`${CORE}hasValueList`]).toEqual([{ '@list': [{ '@value': 'First' }, { '@value': 'Second' }] }]);
    expect(first('route')[`${CORE}hasObjectList`]?.[0]?.['@list']).toEqual([
      { [`${CORE}hasObject`]: [{ '@id': 'urn:s:1' }] },
      { [`${CORE}hasObject`]: [{ '@id': 'urn:s:2' }] },
    ]);
    expect(first('tickets')[`${CORE}hasJSON`]).toEqual([{ '@type': '@json', '@value': { id: 'x', value: [{ type: 'y' }] } }]);
  });
});
