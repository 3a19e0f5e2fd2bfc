import { describe, expect, it } from 'vitest';
import { conformTo, parseVersion, type Version } from '../../broker/domain/conformance.ts';
import type { JsonValue } from '../../broker/domain/json.ts';

const v = (text: string) => parseVersion(text) as Version;
const entity = (attributes: object) => ({ id: 'urn:a:1', type: 'Car', ...attributes }) as JsonValue;
const other = 'urn:ngsi-ld:gps';

describe('4.3.6.8: entities for earlier versions', () => {
  it.each([
    ['1.5', { a: { type: 'VocabProperty', vocab: 'red' } }, { a: { type: 'Property', value: 'red' } }],
    ['1.7', { a: { type: 'JsonProperty', json: { b: [1] } } }, { a: { type: 'Property', value: { b: [1] } } }],
    ['1.7', { a: { type: 'ListProperty', valueList: [1, 2] } }, { a: { type: 'Property', value: [1, 2] } }],
    [
      '1.7',
      { a: { type: 'ListRelationship', objectList: [{ object: 'urn:b:1' }, { object: 'urn:b:2' }] } },
      { a: { type: 'Relationship', object: ['urn:b:1', 'urn:b:2'] } },
    ],
    ['1.3', { a: { type: 'LanguageProperty', languageMap: { en: 'x' } } }, { a: { type: 'Property', value: { en: 'x' } } }],
    ['1.3', { scope: '/a', expiresAt: '2030-01-01T00:00:00Z' }, {}],
    ['1.8', { expiresAt: '2030-01-01T00:00:00Z', scope: '/a' }, { scope: '/a' }],
    [
      '1.8',
      { a: { type: 'Property', value: 1, valueType: 'x', unitCode: 'C62' } },
      { a: { type: 'Property', value: 1, unitCode: 'C62' } },
    ],
    [
      '1.7',
      { a: { type: 'Relationship', object: 'urn:b:1', objectType: 'B' } },
      { a: { type: 'Relationship', object: 'urn:b:1' } },
    ],
    ['1.0', { type: ['Car', 'Bus'] }, { type: 'Car' }],
    [
      '1.0',
      {
        a: [
          { type: 'Property', value: 1, datasetId: other },
          { type: 'Property', value: 2, observedAt: '2026-03-01T07:00:00Z', unitCode: 'C62' },
        ],
      },
      { a: { type: 'Property', value: 2 } },
    ],
    ['1.0', { a: [{ type: 'Property', value: 1, datasetId: other }] }, { a: { type: 'Property', value: 1 } }],
    [
      '1.5',
      { a: { value: 1, b: { vocab: 'x', observedAt: '2026-03-01T07:00:00Z' } } },
      { a: { value: 1, b: { value: 'x', observedAt: '2026-03-01T07:00:00Z' } } },
    ],
    [
      '1.5',
      { a: { vocab: 'x' }, b: { json: {} }, c: { languageMap: { en: 'x' } } },
      { a: 'x', b: {}, c: { languageMap: { en: 'x' } } },
    ],
    ['1.5', { a: { dataset: { '@none': { vocab: 'x' }, [other]: 2 } } }, { a: { dataset: { '@none': 'x', [other]: 2 } } }],
    ['1.0', { a: { dataset: { '@none': { vocab: 'x' }, [other]: 2 } } }, { a: 'x' }],
  ])('%s of %j', (version, before, after) => {
    expect(conformTo(entity(before), v(version))).toEqual(entity(after));
    expect(conformTo([entity(before)], v(version))).toEqual([entity(after)]);
    const feature = (properties: object) => ({ type: 'Feature', id: 'urn:a:1', geometry: null, properties }) as JsonValue;
    const collection = (properties: object) => ({ type: 'FeatureCollection', features: [feature(properties)] }) as JsonValue;
    expect(conformTo(collection(before), v(version))).toEqual(collection(after));
  });

  it.each([
    ['1.9', { a: { type: 'VocabProperty', vocab: 'red' }, expiresAt: '2030-01-01T00:00:00Z' }],
    ['2.0', { a: { type: 'JsonProperty', json: 1 } }],
    ['1.8', { a: { type: 'VocabProperty', vocab: 'red' }, b: { type: 'LanguageProperty', languageMap: { en: 'x' } } }],
    ['1.3', { a: [{ type: 'Property', value: { type: 'VocabProperty', vocab: 1 } }], b: [1, 2], c: { x: { y: 1 } } }],
    ['1.0', { a: { type: 'GeoProperty', value: { type: 'Point', coordinates: [1, 2] } }, '@context': ['https://a.example'] }],
  ])('%s leaves %j as it is', (version, given) => {
    const payload = entity(given);
    expect(conformTo(payload, v(version))).toBe(payload);
  });

  it.each(['', '1', '1.', 'x.y', '1.5 ', '-1.5'])('%j is no version', (text) => {
    expect(parseVersion(text)).toBeUndefined();
  });
});
