import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { datastream, day, type Json, observed, place, reading, sensor, staClient, thing, UNIT } from '../../support/sta.ts';

const SETS =
  'Things Locations HistoricalLocations Datastreams Sensors ObservedProperties Observations FeaturesOfInterest'.split(' ');

describe('SensorThings: writing', () => {
  let broker: TestBroker;
  let sta: ReturnType<typeof staClient>;

  beforeEach(async () => {
    broker = await inMemoryBroker();
    sta = staClient(broker);
  });
  afterEach(() => broker[Symbol.asyncDispose]());

  const counts = async () => Object.fromEntries(await Promise.all(SETS.map(async (set) => [set, await sta.count(set)])));
  const idOf = async (url: string) => (await sta.list(url))[0]?.['@iot.id'] as number;

  it('10.2: what was sent comes back equal, whatever the encoding', async () => {
    const feature = { type: 'Feature', properties: { a: 1 }, geometry: { type: 'Point', coordinates: [1, 2] } };
    const location = await sta.post('Locations', {
      ...place('x', 1, 2),
      encodingType: 'application/vnd.geo+json',
      location: feature,
      properties: { k: [1] },
    });
    expect(await sta.get(`Locations(${location})`)).toMatchObject({
      location: feature,
      encodingType: 'application/vnd.geo+json',
      properties: { k: [1] },
    });
    const address = await sta.post('Locations', { ...place('y', 1, 2), encodingType: 'text/plain', location: 'Main Street 1' });
    expect(await sta.get(`Locations(${address})/location`)).toEqual({ location: 'Main Street 1' });
    const id = await sta.post('Sensors', { ...sensor('s'), metadata: { vendor: 'acme' } });
    expect(await sta.get(`Sensors(${id})`)).toMatchObject({ name: 's', metadata: { vendor: 'acme' } });
    const collection = { type: 'GeometryCollection', geometries: [{ type: 'Point', coordinates: [1, 2] }] };
    const id2 = await sta.post('FeaturesOfInterest', {
      name: 'f',
      description: 'f',
      encodingType: 'application/geo+json',
      feature: collection,
    });
    expect((await sta.get(`FeaturesOfInterest(${id2})`))['feature']).toEqual(collection);
  });

  it('10.2.1.3: a deep insert creates everything and links it, and makes the HistoricalLocation and the feature', async () => {
    await sta.post(
      'Things',
      thing('t', { Locations: [place('here', 1, 2)], Datastreams: [datastream('d', { Observations: [reading(1, 5)] })] }),
    );
    expect(await counts()).toEqual(Object.fromEntries(SETS.map((set) => [set, 1])));
    expect((await sta.list('FeaturesOfInterest'))[0]).toMatchObject({
      name: 'here',
      feature: { type: 'Point', coordinates: [1, 2] },
    });
  });

  it('10.2.1.3: a deep insert that cannot be whole leaves nothing', async () => {
    const bad: readonly (readonly [string, unknown, string])[] = [
      [
        'Things',
        thing('t', { Locations: [place('here', 1, 2)], Datastreams: [{ ...datastream('d'), Sensor: undefined }] }),
        'Sensor',
      ],
      ['Things', thing('t', { Datastreams: [datastream('d', { Observations: [reading(1, 5)] })] }), 'FeatureOfInterest'],
      ['Things', thing('t', { Locations: [{ ...place('p', 1, 2), location: undefined }] }), 'location'],
      ['Things', { name: 't' }, 'description'],
      ['Things', thing('t', { colour: 'red' }), 'colour'],
      ['Things', thing('t', { properties: 'x' }), 'properties'],
      ['Things', thing('t', { Locations: [{ '@iot.id': 99 }] }), '99'],
      ['Things', thing('t', { Locations: { '@iot.id': 99 } }), 'Locations'],
      ['Things', [], 'object'],
      ['Datastreams', datastream('d'), 'Thing'],
      ['Observations', reading(1, 2), 'Datastream'],
      ['Observations', { phenomenonTime: 'yesterday', result: 1 }, 'phenomenonTime'],
      ['HistoricalLocations', { time: day(1), Locations: [place('p', 1, 2)] }, 'Thing'],
      ['Sensors', { ...sensor('s'), metadata: null }, 'metadata'],
    ];
    for (const [url, body, word] of bad) {
      const [code, message] = await sta.refused('POST', url, body);
      expect([code, message]).toEqual([400, expect.stringContaining(word)]);
    }
    expect(await counts()).toEqual(Object.fromEntries(SETS.map((set) => [set, 0])));
    expect((await sta.refused('POST', 'Things', '{"name":'))[0]).toBe(400);
    expect((await sta.refused('POST', 'Things(1)', thing('t')))[0]).toBe(400);
    expect((await sta.refused('POST', 'Things(1)/Datastreams', datastream('d')))[0]).toBe(404);
  });

  it('10.2.1.4: an Observation without a feature gets that of the Location, as long as the Thing is there', async () => {
    const id = await sta.post('Things', thing('t', { Locations: [place('a', 1, 2)], Datastreams: [datastream('d')] }));
    const series = await idOf(`Things(${id})/Datastreams`);
    const feature = async (observation: number) => (await sta.get(`Observations(${observation})/FeatureOfInterest`))['@iot.id'];
    const first = await feature(await sta.post(`Datastreams(${series})/Observations`, reading(1, 1)));
    expect(await feature(await sta.post('Observations', { ...reading(2, 2), Datastream: { '@iot.id': series } }))).toBe(first);
    await sta.patch(`Things(${id})`, { Locations: [{ '@iot.id': await sta.post('Locations', place('b', 3, 4)) }] });
    const second = await feature(await sta.post(`Datastreams(${series})/Observations`, reading(3, 3)));
    expect(second).not.toBe(first);
    await sta.remove(`FeaturesOfInterest(${second})`);
    const third = await feature(await sta.post(`Datastreams(${series})/Observations`, reading(4, 4)));
    expect([first, second]).not.toContain(third);
    expect((await sta.list(`FeaturesOfInterest(${first})/Observations`)).length).toBe(2);
    const own = await sta.post(
      `Datastreams(${series})/Observations`,
      reading(5, 5, { FeatureOfInterest: { '@iot.id': first } }),
    );
    expect(await feature(own)).toBe(first);
    const area = (await sta.get(`Datastreams(${series})`))['observedArea'] as Json;
    expect(area).toEqual({
      type: 'LineString',
      coordinates: [
        [1, 2],
        [3, 4],
      ],
    });
  });

  it('10.2.1.1: without a time it is now; the same Observation twice is two; an interval stays one', async () => {
    const id = await sta.post('Things', thing('t', { Locations: [place('a', 1, 2)], Datastreams: [datastream('d')] }));
    const series = await idOf(`Things(${id})/Datastreams`);
    const one = await sta.post(`Datastreams(${series})/Observations`, reading(1, 1));
    const two = await sta.post(`Datastreams(${series})/Observations`, reading(1, 1));
    expect(one).not.toBe(two);
    expect(await sta.count(`Datastreams(${series})/Observations`)).toBe(2);
    const span = `${day(1)}/${day(2)}`;
    const interval = await sta.post(`Datastreams(${series})/Observations`, {
      phenomenonTime: span,
      result: { a: 1 },
      resultQuality: ['good'],
      validTime: span,
      parameters: { p: 1 },
    });
    expect(await sta.get(`Observations(${interval})`)).toMatchObject({
      phenomenonTime: span,
      result: { a: 1 },
      resultTime: null,
      resultQuality: ['good'],
      validTime: span,
      parameters: { p: 1 },
    });
    const before = Date.now();
    const now = await sta.post(`Datastreams(${series})/Observations`, { result: 'x' });
    expect(Date.parse(String((await sta.get(`Observations(${now})`))['phenomenonTime']))).toBeGreaterThanOrEqual(before - 1);
    expect((await sta.get(`Datastreams(${series})`))['phenomenonTime']).toMatch(/^2026-03-01T00:00:00.000Z\/20/);
  });

  it('10.2: historical locations follow a Thing; a manual one that is newer moves it, an older one does not', async () => {
    const id = await sta.post('Things', thing('t', { Locations: [place('a', 1, 2)] }));
    const b = await sta.post('Locations', place('b', 3, 4));
    const where = async () => (await sta.list(`Things(${id})/Locations`)).map(({ name }) => name);
    const old = await sta.post('HistoricalLocations', {
      time: '2001-01-01T00:00:00Z',
      Thing: { '@iot.id': id },
      Locations: [{ '@iot.id': b }],
    });
    expect(await where()).toEqual(['a']);
    expect(await sta.get(`HistoricalLocations(${old})/Locations`)).toMatchObject({ value: [{ name: 'b' }] });
    await sta.post('HistoricalLocations', {
      time: '2099-01-01T00:00:00Z',
      Thing: { '@iot.id': id },
      Locations: [{ '@iot.id': b }],
    });
    expect(await where()).toEqual(['b']);
    expect((await sta.list(`Locations(${b})/Things`)).length).toBe(1);
    await sta.post(`Things(${id})/Locations`, place('c', 5, 6));
    expect(await where()).toEqual(['c']);
    expect((await sta.list(`Things(${id})/HistoricalLocations`)).length).toBe(4);
    await sta.patch(`HistoricalLocations(${old})`, { time: '2000-01-01T00:00:00Z' });
    expect((await sta.get(`HistoricalLocations(${old})`))['time']).toBe('2000-01-01T00:00:00.000Z');
    expect(await where()).toEqual(['c']);
    await sta.post('Locations', { ...place('d', 7, 8), Things: [{ '@iot.id': id }] });
    expect(await where()).toEqual(['d']);
  });

  it('10.4: PATCH changes what is named, PUT everything, JSON Patch what it says; nothing else changes', async () => {
    const id = await sta.post('Things', thing('t', { properties: { a: 1, b: { c: 2 } } }));
    await sta.patch(`Things(${id})`, { '@iot.id': 77, name: 'u', 'Datastreams@iot.navigationLink': 'x' });
    expect(await sta.get(`Things(${id})`)).toMatchObject({
      '@iot.id': id,
      name: 'u',
      description: 'the thing t',
      properties: { a: 1, b: { c: 2 } },
    });
    await sta.patch(`Things(${id})`, { properties: { b: 1 } });
    expect((await sta.get(`Things(${id})`))['properties']).toEqual({ b: 1 });
    const operations = [
      { op: 'test', path: '/name', value: 'u' },
      { op: 'add', path: '/properties/x~1y', value: [1] },
      { op: 'move', from: '/properties/b', path: '/properties/x~1y/0' },
      { op: 'replace', path: '/description', value: 'new' },
    ];
    await sta.patch(`Things(${id})`, operations, 'application/json-patch+json');
    expect(await sta.get(`Things(${id})`)).toMatchObject({ name: 'u', description: 'new', properties: { 'x/y': [1, 1] } });
    await sta.put(`Things(${id})`, thing('v'));
    expect(await sta.get(`Things(${id})`)).not.toHaveProperty('properties');
    expect((await sta.refused('PUT', `Things(${id})`, { name: 'w' }))[1]).toContain('description');
    expect((await sta.refused('PATCH', 'Things(987654)', { name: 'w' }))[0]).toBe(404);
    const failing = await sta.request(
      'PATCH',
      `Things(${id})`,
      [{ op: 'test', path: '/name', value: 'no' }],
      'application/json-patch+json',
    );
    expect(failing.statusCode).toBe(400);
    for (const body of [
      { Locations: [place('p', 1, 2)] },
      { Datastreams: [datastream('d')] },
      { name: 5 },
      { name: null },
      { colour: 1 },
    ]) {
      expect((await sta.refused('PATCH', `Things(${id})`, body))[0]).toBe(400);
    }
    expect((await sta.get(`Things(${id})`))['name']).toBe('v');
  });

  it('10.4: an Observation that is corrected or deleted is so everywhere: series, extents, and the entity itself', async () => {
    const id = await sta.post(
      'Things',
      thing('t', {
        Locations: [place('a', 1, 2)],
        Datastreams: [datastream('d', { Observations: [1, 2, 3].map((n) => reading(n, n, { resultTime: day(n, 1) })) })],
      }),
    );
    const series = await idOf(`Things(${id})/Datastreams`);
    const [one, two, three] = (await sta.list(`Datastreams(${series})/Observations`)).map(
      (found) => found['@iot.id'] as number,
    );
    const entity = async () =>
      ((await broker.request('GET', '/ngsi-ld/v1/entities?type=Thing&format=simplified')).json() as Json[])[0]?.['temperature'];
    const extents = async () => {
      const { phenomenonTime, resultTime } = await sta.get(`Datastreams(${series})`);
      return [phenomenonTime, resultTime];
    };
    expect(await entity()).toBe(3);
    await sta.patch(`Observations(${two})`, { result: 20 });
    expect([await entity(), (await sta.get(`Observations(${two})`))['result']]).toEqual([3, 20]);
    await sta.patch(`Observations(${three})`, { result: 30, parameters: { a: 1 } });
    expect(await entity()).toBe(30);
    await sta.patch(`Observations(${one})`, { phenomenonTime: day(9) });
    expect(await entity()).toBe(1);
    expect(await extents()).toEqual([`${day(2)}/${day(9)}`, `${day(1, 1)}/${day(3, 1)}`]);
    expect((await sta.list(`Datastreams(${series})/Observations`)).map(({ result }) => result)).toEqual([20, 30, 1]);
    await sta.remove(`Observations(${one})`);
    expect(await entity()).toBe(30);
    expect(await extents()).toEqual([`${day(2)}/${day(3)}`, `${day(2, 1)}/${day(3, 1)}`]);
    await sta.remove(`Observations(${two})`);
    await sta.remove(`Observations(${three})`);
    expect([await entity(), await extents()]).toEqual([undefined, [undefined, undefined]]);
    expect(await sta.count('Observations')).toBe(0);
    await sta.post(`Datastreams(${series})/Observations`, reading(1, 7));
    expect(await entity()).toBe(7);
  });

  it('10.5: deletes take along what cannot be without, and nothing else', async () => {
    const make = () =>
      sta.post(
        'Things',
        thing('t', {
          Locations: [place('a', 1, 2)],
          Datastreams: [datastream('d', { Observations: [reading(1, 1), reading(2, 2)] })],
        }),
      );
    const left = async () => Object.values(await counts()).join(' ');
    // Things Locations HistoricalLocations Datastreams Sensors ObservedProperties Observations FeaturesOfInterest
    const id = await make();
    expect(await left()).toBe('1 1 1 1 1 1 2 1');
    await sta.remove(`Things(${id})`);
    expect(await left()).toBe('0 1 0 0 1 1 0 1');
    await sta.remove(`Sensors(${await idOf('Sensors')})`);
    await sta.remove(`ObservedProperties(${await idOf('ObservedProperties')})`);
    await sta.remove(`FeaturesOfInterest(${await idOf('FeaturesOfInterest')})`);
    await sta.remove(`Locations(${await idOf('Locations')})`);
    await make();
    await sta.remove(`FeaturesOfInterest(${await idOf('FeaturesOfInterest')})`);
    expect(await left()).toBe('1 1 1 1 1 1 0 0');
    await sta.remove(`Locations(${await idOf('Locations')})`);
    expect(await left()).toBe('1 0 0 1 1 1 0 0');
    await sta.remove(`Sensors(${await idOf('Sensors')})`);
    expect(await left()).toBe('1 0 0 0 0 1 0 0');
    await sta.remove(`Things(${await idOf('Things')})`);
    await make();
    await sta.remove(`Datastreams(${await idOf('Datastreams')})`);
    expect(await left()).toBe('1 1 1 0 1 2 0 1');
    await sta.remove(`HistoricalLocations(${await idOf('HistoricalLocations')})`);
    expect(await left()).toBe('1 1 0 0 1 2 0 1');
    expect((await sta.refused('DELETE', 'Things(987654)'))[0]).toBe(404);
    expect((await sta.refused('DELETE', 'Things'))[0]).toBe(400);
    expect((await sta.refused('DELETE', `Things(${await idOf('Things')})/name`))[0]).toBe(400);
  });

  it('several Datastreams of one ObservedProperty on one Thing keep their Observations apart', async () => {
    const property = await sta.post('ObservedProperties', observed('temperature'));
    const shared = { ObservedProperty: { '@iot.id': property } };
    const id = await sta.post(
      'Things',
      thing('t', {
        Locations: [place('a', 1, 2)],
        Datastreams: [
          datastream('in', { ...shared, Observations: [reading(1, 1)] }),
          datastream('out', { ...shared, Observations: [reading(1, 2)] }),
        ],
      }),
    );
    const series = await sta.list(`Things(${id})/Datastreams?$expand=Observations($select=result)&$select=name`);
    expect(series).toEqual([
      { name: 'in', Observations: [{ result: 1 }] },
      { name: 'out', Observations: [{ result: 2 }] },
    ]);
    expect((await sta.list(`ObservedProperties(${property})/Datastreams`)).length).toBe(2);
    const [entity] = (await broker.request('GET', '/ngsi-ld/v1/entities?type=Thing')).json();
    expect(entity.temperature).toMatchObject([
      { value: 1, unitCode: 'CEL' },
      { value: 2, datasetId: expect.stringMatching(/^urn:ngsi-ld:Datastream:/) },
    ]);
  });

  it('12.2: CreateObservations answers row by row, and a bad row does not hold back the others', async () => {
    const id = await sta.post('Things', thing('t', { Locations: [place('a', 1, 2)], Datastreams: [datastream('d')] }));
    const series = await idOf(`Things(${id})/Datastreams`);
    const feature = await sta.post('FeaturesOfInterest', {
      name: 'f',
      description: 'f',
      encodingType: 'application/geo+json',
      feature: { type: 'Point', coordinates: [9, 9] },
    });
    const answer = await sta.request('POST', 'CreateObservations', [
      {
        Datastream: { '@iot.id': series },
        components: ['phenomenonTime', 'result', 'FeatureOfInterest/id'],
        'dataArray@iot.count': 3,
        dataArray: [
          [day(2), 20, feature],
          ['never', 1, feature],
          [day(1), 10, 987654],
          [day(1), 11, feature],
        ],
      },
      { Datastream: { '@iot.id': 987654 }, components: ['result'], dataArray: [[1]] },
      { Datastream: { '@iot.id': series }, components: ['result', 'phenomenonTime'], dataArray: [[30, day(3)]] },
    ]);
    expect(answer.statusCode).toBe(201);
    const rows = answer.json() as string[];
    expect(rows.map((row) => (row.startsWith('error') ? 'error' : 'link'))).toEqual([
      'link',
      'error',
      'error',
      'link',
      'error',
      'link',
    ]);
    expect((await sta.get(rows[0] as string))['result']).toBe(20);
    expect((await sta.list(`Datastreams(${series})/Observations`)).map(({ result }) => result)).toEqual([11, 20, 30]);
    expect(await sta.count('FeaturesOfInterest')).toBe(2);
    for (const body of [{}, [1], [{ Datastream: {} }], [{ Datastream: { '@iot.id': 1 }, components: [1], dataArray: [] }]]) {
      expect((await sta.refused('POST', 'CreateObservations', body))[0]).toBe(400);
    }
  });

  it('MultiDatastreams: lists of one length, results that are lists, ObservedProperties in order', async () => {
    const multi = (more: Json = {}): Json => ({
      name: 'wind',
      description: 'wind',
      observationType: 'http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_ComplexObservation',
      multiObservationDataTypes: ['a', 'b'],
      unitOfMeasurements: [UNIT, UNIT],
      Sensor: sensor('vane'),
      ObservedProperties: [observed('speed'), observed('direction')],
      ...more,
    });
    const id = await sta.post('Things', thing('t', { Locations: [place('a', 1, 2)], MultiDatastreams: [multi()] }));
    const series = await idOf(`Things(${id})/MultiDatastreams`);
    expect((await sta.list(`MultiDatastreams(${series})/ObservedProperties`)).map(({ name }) => name)).toEqual([
      'speed',
      'direction',
    ]);
    const observation = await sta.post(`MultiDatastreams(${series})/Observations`, reading(1, [5, 180]));
    expect(await sta.get(`Observations(${observation})`)).toMatchObject({
      result: [5, 180],
      'MultiDatastream@iot.navigationLink': expect.any(String),
    });
    expect(await sta.get(`Observations(${observation})`)).not.toHaveProperty('Datastream@iot.navigationLink');
    expect((await sta.get(`Observations(${observation})/MultiDatastream`))['@iot.id']).toBe(series);
    expect((await sta.refused('GET', `Observations(${observation})/Datastream`))[0]).toBe(404);
    for (const [url, body] of [
      [`MultiDatastreams(${series})/Observations`, reading(1, 5)],
      [`MultiDatastreams(${series})/Observations`, reading(1, [5])],
      [`Things(${id})/MultiDatastreams`, multi({ unitOfMeasurements: [UNIT] })],
      [`Things(${id})/MultiDatastreams`, multi({ ObservedProperties: [observed('x')] })],
      [`Things(${id})/MultiDatastreams`, multi({ ObservedProperties: [] })],
    ] as const)
      expect((await sta.refused('POST', url, body))[0]).toBe(400);
    const property = await idOf('ObservedProperties');
    expect((await sta.list(`ObservedProperties(${property})/MultiDatastreams`)).length).toBe(1);
    await sta.remove(`ObservedProperties(${property})`);
    expect([await sta.count('MultiDatastreams'), await sta.count('Observations')]).toEqual([0, 0]);
  });
});
