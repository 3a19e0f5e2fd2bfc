import { describe, expect, it } from 'vitest';
import { parseFiwareJson } from '../../../adapters/formats/fiware-json.ts';
import { parseKitRaw } from '../../../adapters/formats/smart-citizen-raw.ts';
import { applyMapping } from '../../../adapters/mapping/apply.ts';
import { compileMapping } from '../../../adapters/mapping/compile.ts';
import type { MappingDocument } from '../../../adapters/mapping/mapping.ts';
import { provisionedMapping } from '../../../adapters/mapping/provisioned.ts';
import { CATALOGUE_ID, smartCitizenMapping } from '../../../adapters/mapping/smart-citizen.ts';
import type { Measure } from '../../../adapters/reading.ts';
import { exactJson, PayloadError } from '../../../adapters/reading.ts';
import type { Caller, Device, Instant, Iri, JsonValue, ServiceGroup, TenantId } from '../../../broker/ports/ingest.ts';

const NOW = '2026-03-01T12:00:00Z' as Instant;
const CALLER: Caller = { tenant: 'city' as TenantId, principal: { kind: 'device', id: 'x' } };
const expand = (term: string): Iri => (term.includes(':') ? term : `https://ex.org/${term}`) as Iri;

function apply(document: MappingDocument, measure: Measure) {
  return applyMapping(compileMapping(document, expand), measure, CALLER, NOW);
}
const measureOf = (values: Record<string, JsonValue>): Measure => ({
  readings: Object.entries(values).map(([address, value]) => ({ address, value })),
});
/** What a device with these settings makes of these values: attributes by short name, of its own entity. */
function device(settings: Partial<Device>, values: Record<string, JsonValue>, group?: Partial<ServiceGroup>) {
  const { fragments } = apply(
    provisionedMapping({
      tenant: 'city' as TenantId,
      servicePath: '/',
      device: { device_id: 'bin-042', ...settings },
      group: group === undefined ? undefined : { resource: '/iot/json', keyHash: 'h', ...group },
    }),
    measureOf(values),
  );
  return Object.fromEntries(
    Object.entries(fragments[0]?.attributes ?? {}).map(([name, list]) => [name.replace('https://ex.org/', ''), list[0]]),
  ) as unknown as Record<string, Record<string, unknown>>;
}

describe('integers that a number cannot hold', () => {
  const settings: Partial<Device> = {
    attributes: [
      { name: 'counter', type: 'Integer' },
      { name: 'next', type: 'Number', expression: 'counter + 1' },
    ],
  };

  it('are passed on as they are, and calculated with as numbers', () => {
    const values = { counter: exactJson('9007199254740993'), plain: exactJson('{"n": 12345678901234567890}') };
    const made = device(settings, values);
    expect(made['counter']?.['value']).toBe(9007199254740993n);
    expect(made['next']?.['value']).toBe(9007199254740992 + 1);
    expect(JSON.stringify(made['plain']?.['value'])).toBe('{"n":12345678901234567890}');
  });

  it('are no others: what a number holds is a number, and a text stays a text', () => {
    expect(exactJson('[1, 9007199254740991, 1.5e300, "9007199254740993"]')).toEqual([
      1,
      9007199254740991,
      1.5e300,
      '9007199254740993',
    ]);
  });
});

describe('provisioned devices', () => {
  const BIN: Partial<Device> = {
    entity_name: 'urn:ngsi-ld:WasteContainer:042',
    entity_type: 'WasteContainer',
    attributes: [
      { object_id: 'd', name: 'distanceCm', type: 'Number' },
      { name: 'fillingLevel', type: 'Number', expression: '1 - d / 180' },
      { object_id: 't', name: 'temperature', type: 'Number', metadata: { unitCode: { type: 'Text', value: 'CEL' } } },
    ],
    static_attributes: [{ name: 'category', type: 'Text', value: 'glass' }],
  };

  it('become entity fragments: names, units, expressions, static values', () => {
    const parsed = parseFiwareJson('{"d":90,"t":"8.5","TimeInstant":"2026-03-01T09:00:00Z"}', { badTime: 'refuse' });
    const document = provisionedMapping({
      tenant: 'city' as TenantId,
      servicePath: '/',
      device: { device_id: 'bin-042', ...BIN },
      group: undefined,
    });
    const observedAt = '2026-03-01T09:00:00Z';
    expect(apply(document, parsed.measures[0] as Measure)).toEqual({
      warnings: [],
      fragments: [
        {
          caller: CALLER,
          id: 'urn:ngsi-ld:WasteContainer:042',
          types: ['https://ex.org/WasteContainer'],
          attributes: {
            'https://ex.org/category': [{ type: 'Property', value: 'glass' }],
            'https://ex.org/distanceCm': [{ type: 'Property', value: 90, observedAt }],
            'https://ex.org/fillingLevel': [{ type: 'Property', value: 0.5, observedAt }],
            'https://ex.org/temperature': [{ type: 'Property', value: 8.5, unitCode: 'CEL', observedAt }],
          },
          beside: new Set(['https://ex.org/category']),
        },
      ],
    });
  });

  it('do not evaluate an expression without all its variables', () => {
    expect(Object.keys(device(BIN, { t: 8 }))).toEqual(['category', 'temperature']);
    const raw = device({ attributes: [{ name: 'level', expression: 'level * other' }] }, { level: 3 });
    expect(raw['level']?.['value']).toBe(3);
  });

  it('hand the result of one expression to the next', () => {
    const attributes = [
      { name: 'a', expression: 'x * 2' },
      { name: 'b', expression: 'a + 1' },
    ];
    expect(device({ attributes }, { x: 5 })['b']?.['value']).toBe(11);
  });

  it('write nothing at all if nothing was measured, not even static values', () => {
    const { fragments } = apply(
      provisionedMapping({ tenant: '' as TenantId, servicePath: '/', device: { device_id: 'x', ...BIN }, group: undefined }),
      { readings: [] },
    );
    expect(fragments).toEqual([]);
  });

  it.each<[string, JsonValue, Record<string, unknown> | undefined]>([
    ['Number', '12.5', { type: 'Property', value: 12.5 }],
    ['Number', 'abc', undefined],
    ['Number', '', undefined],
    ['Integer', 21.7, { type: 'Property', value: 21 }],
    ['Boolean', 'false', { type: 'Property', value: false }],
    ['Boolean', 'perhaps', undefined],
    ['DateTime', '2026-03-01T10:00:00+01:00', { type: 'Property', value: '2026-03-01T09:00:00Z' }],
    ['Relationship', 'urn:ngsi-ld:Building:1', { type: 'Relationship', object: 'urn:ngsi-ld:Building:1' }],
    ['Relationship', 'no iri', undefined],
    [
      'geo:json',
      { type: 'Point', coordinates: [17, 48] },
      { type: 'GeoProperty', value: { type: 'Point', coordinates: [17, 48] } },
    ],
    ['Point', [17, 48], { type: 'GeoProperty', value: { type: 'Point', coordinates: [17, 48] } }],
    ['geo:point', '48,17', undefined],
    ['Point', [17, 148], undefined],
    ['LanguageProperty', { sk: 'Mesto' }, { type: 'LanguageProperty', languageMap: { sk: 'Mesto' } }],
    ['VocabProperty', 'free', { type: 'VocabProperty', vocab: 'https://ex.org/free' }],
    ['JsonProperty', { a: [1] }, { type: 'JsonProperty', json: { a: [1] } }],
    ['ListProperty', [1, 2], { type: 'ListProperty', valueList: [1, 2] }],
    ['Text', '007', { type: 'Property', value: '007' }],
    ['Text', 'urn:ngsi-ld:null', undefined],
  ])('type %s makes of %j: %j', (type, value, expected) => {
    const made = device({ attributes: [{ name: 'v', type }] }, { v: value })['v'];
    expect(made).toEqual(expected === undefined ? undefined : { ...expected, observedAt: NOW });
  });

  it('read positions as text only in the order that is given', () => {
    const position = (geoOrder: 'lat,lon' | 'lon,lat') =>
      (device({ attributes: [{ name: 'p', type: 'geo:point', geoOrder }] }, { p: '48.1, 17.2' })['p'] as { value: unknown })
        .value;
    expect(position('lat,lon')).toEqual({ type: 'Point', coordinates: [17.2, 48.1] });
    expect(position('lon,lat')).toEqual({ type: 'Point', coordinates: [48.1, 17.2] });
  });

  it.each<[string, JsonValue | undefined, string[]]>([
    ['absent', undefined, ['a', 'b', 'c']],
    ['true', true, ['a']],
    ['a list of names', ['b'], ['a', 'b']],
    ['a list with object_id', [{ object_id: 'c' }], ['a', 'c']],
    ['an expression', "a > 1 ? ['b'] : []", ['a', 'b']],
  ])('explicitAttrs %s', (_form, explicitAttrs, names) => {
    const settings = { attributes: [{ name: 'a' }], ...(explicitAttrs !== undefined && { explicitAttrs }) };
    expect(Object.keys(device(settings, { a: 5, b: 1, c: 2 })).sort()).toEqual(names);
  });

  it('beat their group; lists of attributes are merged', () => {
    const made = device(
      { entity_type: 'Own', attributes: [{ object_id: 'x', name: 'level' }] },
      { x: 1, y: 2, z: 3 },
      {
        entity_type: 'Group',
        explicitAttrs: true,
        attributes: [
          { object_id: 'y', name: 'level' },
          { object_id: 'z', name: 'other' },
        ],
      },
    );
    expect(made).toMatchObject({ level: { value: 1 }, other: { value: 3 } });
    expect(Object.keys(made).sort()).toEqual(['level', 'other']);
  });

  it('can write to other entities, and name theirs by expression', () => {
    const document = provisionedMapping({
      tenant: 'city' as TenantId,
      servicePath: '/',
      device: {
        device_id: 'gw 1/ä',
        entity_type: 'Gateway',
        entityNameExp: "'G' + id",
        attributes: [{ name: 'slot', entity_name: 'P1', entity_type: 'ParkingSpot' }, { name: 'ok' }],
      },
      group: undefined,
    });
    const { fragments } = apply(document, measureOf({ slot: 'free', ok: true }));
    expect(fragments.map(({ id, types }) => [id, types[0]])).toEqual([
      ['urn:ngsi-ld:Gateway:Ggw%201%2F%C3%A4', 'https://ex.org/Gateway'],
      ['urn:ngsi-ld:ParkingSpot:P1', 'https://ex.org/ParkingSpot'],
    ]);
  });

  it('are named by the expression of their group, or as provisioned if a measure lacks what it needs', () => {
    const document = provisionedMapping({
      tenant: 'city' as TenantId,
      servicePath: '/',
      device: { device_id: 'gw', entity_name: 'urn:ngsi-ld:Own:1' },
      group: { resource: '/iot/json', keyHash: 'h', entity_type: 'Sensor', entityNameExp: 'measure_id' },
    });
    const idOf = (values: Record<string, JsonValue>) => apply(document, measureOf(values)).fragments[0]?.id;
    expect(idOf({ measure_id: 's7', t: 1 })).toBe('urn:ngsi-ld:Sensor:s7');
    expect(idOf({ t: 1 })).toBe('urn:ngsi-ld:Own:1');
  });

  it('leave out what has a time more than a day ahead, and say so', () => {
    const { fragments, warnings } = apply(
      provisionedMapping({ tenant: '' as TenantId, servicePath: '/', device: { device_id: 'x' }, group: undefined }),
      { observedAt: '2026-03-02T12:00:01Z' as Instant, readings: [{ address: 'a', value: 1 }] },
    );
    expect(fragments).toEqual([]);
    expect(warnings[0]).toContain('a day ahead');
  });

  it('get no time of reception if they ask for none', () => {
    expect(device({ timestamp: false }, { a: 1 })['a']).toEqual({ type: 'Property', value: 1 });
  });

  it.each<[string, Partial<Device>]>([
    ['an attribute name', { attributes: [{ name: 'a(b)' }] }],
    ['an expression', { attributes: [{ name: 'a', expression: 'x +' }] }],
    ['a static value', { static_attributes: [{ name: 'location', type: 'Point', value: 'here' }] }],
    ['a datasetId', { attributes: [{ name: 'a', datasetId: 'no iri' }] }],
  ])('are refused for %s that cannot be used', (_what, settings) => {
    expect(() => device(settings, { a: 1 })).toThrow(PayloadError);
  });
});

describe('Smart Citizen kits', () => {
  it('become a Device and Smart Data Models observations, with units of the models and the catalogue id', () => {
    const document = smartCitizenMapping({
      device: {
        device_id: 'kit7',
        static_attributes: [{ name: 'location', type: 'geo:json', value: { type: 'Point', coordinates: [17, 48] } }],
      },
      group: undefined,
    });
    const measure = parseKitRaw('{t:2026-03-01T07:00:00Z,55:18.4,56:61,58:100.9,87:12,10:-1,53:null,999:1}')
      .measures[0] as Measure;
    const { fragments } = apply(document, measure);
    const observedAt = '2026-03-01T07:00:00Z';
    expect(fragments.map(({ id }) => id)).toEqual(['urn:ngsi-ld:AirQualityObserved:kit7', 'urn:ngsi-ld:WeatherObserved:kit7']);
    const weather = fragments[1]?.attributes as unknown as Record<string, readonly Record<string, unknown>[]>;
    expect(weather['https://smartdatamodels.org/dataModel.Weather/relativeHumidity']).toEqual([
      {
        type: 'Property',
        value: 0.61,
        unitCode: 'C62',
        observedAt,
        attributes: { [CATALOGUE_ID]: [{ type: 'Property', value: 56 }] },
      },
    ]);
    expect(weather['https://smartdatamodels.org/dataModel.Weather/atmosphericPressure']?.[0]).toMatchObject({
      value: 1009,
      unitCode: 'A97',
    });
    expect(weather['https://smartdatamodels.org/dateObserved']?.[0]).toMatchObject({ value: observedAt });
    expect(weather['https://uri.etsi.org/ngsi-ld/location']?.[0]).toMatchObject({ type: 'GeoProperty' });
    expect(weather['https://smartdatamodels.org/dataModel.Weather/refDevice']?.[0]).toMatchObject({
      type: 'Relationship',
      object: 'urn:ngsi-ld:Device:kit7',
    });
  });
});
