import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { changesOf } from '../../support/provision.ts';
import { datastream, day, type Json, place, reading, staClient, thing } from '../../support/sta.ts';

const AIR = 'https://raw.githubusercontent.com/smart-data-models/dataModel.Environment/master/context.jsonld';
const DEVICE = 'urn:ngsi-ld:Device:aq-7';
const STATION = 'urn:ngsi-ld:AirQualityObserved:Pier7';

const station = (more: Json = {}): Json => ({
  '@context': AIR,
  id: STATION,
  type: 'AirQualityObserved',
  location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [14.51, 45.33] } },
  refDevice: { type: 'Relationship', object: DEVICE },
  areaServed: { type: 'Property', value: 'Old Port' },
  no2: { type: 'Property', value: 22.5, unitCode: 'GQ', observedAt: '2026-03-01T10:00:00.000Z' },
  ...more,
});

describe('SensorThings as a lens over NGSI-LD', () => {
  let broker: TestBroker;
  let sta: ReturnType<typeof staClient>;

  beforeEach(async () => {
    broker = await inMemoryBroker();
    sta = staClient(broker);
  });
  afterEach(() => broker[Symbol.asyncDispose]());

  const ngsild = async (method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: Json) => {
    const type = body?.['@context'] === undefined ? 'application/json' : 'application/ld+json';
    const answer = await broker.request(method, `/ngsi-ld/v1${path}`, body, { 'content-type': type });
    expect([answer.statusCode < 300, answer.body]).toEqual([true, '']);
  };
  const first = async (url: string) => (await sta.list(url))[0] as Json;

  it('an entity with measurements is a Thing with Datastreams, Observations, Sensor, ObservedProperty, Location and feature', async () => {
    await ngsild('POST', '/entities', station());
    await ngsild('POST', '/entities', { id: DEVICE, type: 'Device', name: { type: 'Property', value: 'box 7' } });
    await ngsild('POST', '/entities', {
      id: 'urn:ngsi-ld:Building:1',
      type: 'Building',
      floors: { type: 'Property', value: 3 },
    });
    expect(await sta.list('Things')).toMatchObject([
      { name: 'Pier7', description: '', properties: { areaServed: 'Old Port' } },
    ]);
    const series = await first('Datastreams?$expand=Thing,Sensor,ObservedProperty,Observations');
    expect(series).toMatchObject({
      name: 'Pier7 no2',
      description: `no2 of ${STATION}`,
      observationType: 'http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement',
      unitOfMeasurement: {
        name: 'microgram per cubic metre',
        symbol: 'µg/m³',
        definition: 'http://www.opengis.net/def/uom/UCUM/ug%2Fm3',
      },
      phenomenonTime: '2026-03-01T10:00:00.000Z/2026-03-01T10:00:00.000Z',
      Thing: { name: 'Pier7' },
      Sensor: { name: 'box 7' },
      ObservedProperty: { name: 'no2', definition: 'https://smartdatamodels.org/dataModel.Environment/no2' },
      Observations: [{ result: 22.5, phenomenonTime: '2026-03-01T10:00:00.000Z' }],
    });
    expect(Number.isSafeInteger(series['@iot.id'])).toBe(true);
    // Every link leads back: what a path of links ends at is what is read by its id.
    for (const path of [
      'Things',
      'Locations',
      'Sensors',
      'ObservedProperties',
      'FeaturesOfInterest',
      'Observations',
      'HistoricalLocations',
      'Datastreams',
      'Sensors/Datastreams',
      'ObservedProperties/Datastreams',
      'FeaturesOfInterest/Observations',
      'Locations/Things',
      'Things/HistoricalLocations',
      'Things/Locations',
      'Locations/HistoricalLocations',
    ]) {
      const [set, link] = path.split('/');
      const start = await first(`${set}?$count=true`);
      const found = link === undefined ? start : await first(`${set}(${start['@iot.id']})/${link}`);
      expect([path, await sta.get(String(found['@iot.selfLink']))]).toEqual([path, found]);
    }
    const counts = await Promise.all(
      ['Things', 'Sensors', 'ObservedProperties', 'FeaturesOfInterest', 'Observations'].map((set) => sta.count(set)),
    );
    expect(counts).toEqual([1, 1, 1, 1, 1]);
  });

  it('what NGSI-LD measures next is the next Observation; what SensorThings posts is what the entity says', async () => {
    await ngsild('POST', '/entities', station());
    await ngsild('PATCH', `/entities/${STATION}/attrs`, {
      '@context': AIR,
      no2: { type: 'Property', value: 30, unitCode: 'GQ', observedAt: day(2) },
    });
    const { '@iot.id': series } = await first('Datastreams');
    const { '@iot.id': id } = await first('Things');
    const made = await sta.post(`Datastreams(${series})/Observations`, {
      phenomenonTime: day(3),
      result: 19,
      parameters: { by: 'hand' },
    });
    await sta.post(`Datastreams(${series})/Observations`, { phenomenonTime: '2026-01-01T00:00:00Z', result: 1 });
    expect((await sta.list(`Datastreams(${series})/Observations?$select=result`)).map(({ result }) => result)).toEqual([
      1, 22.5, 30, 19,
    ]);
    const entity = (
      await broker.request('GET', `/ngsi-ld/v1/entities/${STATION}`, undefined, {
        link: `<${AIR}>; rel="http://www.w3.org/ns/json-ld#context"`,
      })
    ).json();
    expect(entity.no2).toMatchObject({ value: 19, unitCode: 'GQ', observedAt: day(3) });
    await sta.patch(`Observations(${made})`, { result: 18 });
    expect((await sta.get(`Observations(${made})`))['parameters']).toEqual({ by: 'hand' });
    await sta.remove(`Observations(${made})`);
    const after = (
      await broker.request('GET', `/ngsi-ld/v1/entities/${STATION}?options=keyValues`, undefined, {
        link: `<${AIR}>; rel="http://www.w3.org/ns/json-ld#context"`,
      })
    ).json();
    expect(after.no2).toBe(30);
    await sta.patch(`Things(${id})`, { name: 'Molo 7' });
    expect((await first('Things'))['name']).toBe('Molo 7');
    expect((await sta.refused('PATCH', `Datastreams(${series})`, { name: 'x' }))[0]).toBe(409);
    await sta.remove(`Datastreams(${series})`);
    expect([await sta.count('Datastreams'), await sta.count('Observations')]).toEqual([0, 0]);
  });

  it('without a device the Sensor is unspecified, and a Thing may get Datastreams of both kinds', async () => {
    await ngsild('POST', '/entities', {
      id: 'urn:ngsi-ld:Room:1',
      type: 'Room',
      co2: { type: 'Property', value: 500, unitCode: '59' },
    });
    const { '@iot.id': id } = await first('Things');
    expect(await first('Sensors?$expand=Datastreams')).toMatchObject({
      name: 'Unspecified sensor of 1',
      Datastreams: [{ name: '1 co2' }],
    });
    await sta.post(`Things(${id})/Locations`, place('room', 1, 2));
    const made = await sta.post(`Things(${id})/Datastreams`, datastream('temp', { Observations: [reading(1, 21)] }));
    expect((await sta.list(`Things(${id})/Datastreams`)).map(({ name }) => name).sort()).toEqual(['1 co2', 'temp']);
    expect((await sta.list('Datastreams?$orderby=id')).map((one) => one['@iot.id'])[0]).toBe(made);
    const entity = (await broker.request('GET', '/ngsi-ld/v1/entities/urn:ngsi-ld:Room:1?options=keyValues')).json();
    expect(entity).toMatchObject({ type: 'Room', co2: 500, temperature: 21, location: { type: 'Point', coordinates: [1, 2] } });
  });

  it('a Thing made through SensorThings is an entity: typed as asked, in the change log, with a history', async () => {
    const id = await sta.post(
      'Things',
      thing('bin', {
        properties: { 'ngsild:type': 'WasteContainer', 'ngsild:id': 'urn:ngsi-ld:WasteContainer:9' },
        Locations: [place('yard', 1, 2)],
        Datastreams: [datastream('fill', { Observations: [reading(1, 0.1), reading(2, 0.2)] })],
      }),
    );
    const entity = (await broker.request('GET', '/ngsi-ld/v1/entities?type=WasteContainer&q=temperature==0.2')).json();
    expect(entity).toMatchObject([
      { id: 'urn:ngsi-ld:WasteContainer:9', temperature: { value: 0.2, observedAt: day(2), unitCode: 'CEL' } },
    ]);
    const history = (
      await broker.request('GET', '/ngsi-ld/v1/temporal/entities/urn:ngsi-ld:WasteContainer:9?attrs=temperature')
    ).json();
    expect([history.temperature].flat().map(({ value }: { value: number }) => value)).toEqual([0.1, 0.2]);
    const changes = await changesOf(broker);
    expect(changes.some(({ id: of }) => of === 'urn:ngsi-ld:WasteContainer:9')).toBe(true);
    await ngsild('DELETE', '/entities/urn:ngsi-ld:WasteContainer:9');
    expect((await sta.refused('GET', `Things(${id})`))[0]).toBe(404);
    expect([await sta.count('Datastreams'), await sta.count('Observations')]).toEqual([0, 0]);
  });

  it('measurements without observedAt are dated by what their entity says, at each of its times', async () => {
    const noise = (level: number, from: string, to: string): Json => ({
      LAeq: { type: 'Property', value: level },
      dateObserved: { type: 'Property', value: `${from}/${to}` },
    });
    const id = 'urn:ngsi-ld:NoiseLevelObserved:1';
    await ngsild('POST', '/entities', { id, type: 'NoiseLevelObserved', ...noise(60, day(1), day(2)) });
    await ngsild('PATCH', `/entities/${id}/attrs`, noise(70, day(5), day(6)));
    // What arrives late is dated as it says, and stands where it belongs.
    await ngsild('PATCH', `/entities/${id}/attrs`, noise(65, day(3), day(4)));
    const series = await first('Datastreams?$expand=Observations($orderby=phenomenonTime)');
    expect(series['phenomenonTime']).toBe(`${day(1)}/${day(6)}`);
    const seen = (series['Observations'] as Json[]).map(({ phenomenonTime, result }) => [phenomenonTime, result]);
    expect(seen).toEqual([
      [`${day(1)}/${day(2)}`, 60],
      [`${day(3)}/${day(4)}`, 65],
      [`${day(5)}/${day(6)}`, 70],
    ]);
    const found = async (filter: string, at = 'Observations') =>
      (await sta.list(`${at}?$orderby=phenomenonTime desc&$filter=${filter}`)).map(({ result }) => result);
    for (const at of ['Observations', `Datastreams(${series['@iot.id']})/Observations`]) {
      expect(await found(`phenomenonTime ge ${day(3)}`, at)).toEqual([70, 65]);
      expect(await found(`phenomenonTime le ${day(4)}`, at)).toEqual([65, 60]);
    }
    const own = await first('Observations?$filter=result eq 65');
    expect((await sta.get(`Observations(${own['@iot.id']})`))['phenomenonTime']).toBe(`${day(3)}/${day(4)}`);
  });

  it("a Device's value and a DeviceMeasurement observe what controlledProperty names; a forecast has a time of issue", async () => {
    const device = (n: number, property: string, value: number): Json => ({
      id: `urn:ngsi-ld:Device:${n}`,
      type: 'Device',
      controlledProperty: { type: 'Property', value: [property] },
      value: { type: 'Property', value },
      dateLastValueReported: { type: 'Property', value: day(n) },
    });
    await ngsild('POST', '/entities', device(1, 'humidity', 0.4));
    await ngsild('POST', '/entities', device(2, 'co2', 500));
    await ngsild('POST', '/entities', {
      id: 'urn:ngsi-ld:DeviceMeasurement:1',
      type: 'DeviceMeasurement',
      controlledProperty: { type: 'Property', value: 'humidity' },
      numValue: { type: 'Property', value: 0.5 },
      textValue: { type: 'Property', value: '' },
      unit: { type: 'Property', value: 'P1' },
      dateObserved: { type: 'Property', value: day(3) },
      refDevice: { type: 'Property', value: 'urn:ngsi-ld:Device:1' },
    });
    expect((await sta.list('ObservedProperties')).map(({ name }) => name).sort()).toEqual(['co2', 'humidity']);
    const humid = await sta.list(
      "Datastreams?$filter=ObservedProperty/name eq 'humidity'&$expand=Observations,Sensor($select=name)",
    );
    expect(humid).toMatchObject([
      { name: '1 humidity', Observations: [{ result: 0.4, phenomenonTime: day(1) }] },
      {
        name: '1 humidity',
        unitOfMeasurement: { symbol: '%' },
        Sensor: { name: '1' },
        Observations: [{ result: 0.5, phenomenonTime: day(3) }],
      },
    ]);
    const property = await first("ObservedProperties?$filter=name eq 'humidity'");
    expect(await sta.list(`ObservedProperties(${property['@iot.id']})/Datastreams`)).toHaveLength(2);
    await ngsild('POST', '/entities', {
      id: 'urn:ngsi-ld:WeatherForecast:1',
      type: 'WeatherForecast',
      temperature: { type: 'Property', value: 12 },
      validFrom: { type: 'Property', value: day(7) },
      validTo: { type: 'Property', value: day(8) },
      dateIssued: { type: 'Property', value: day(6) },
    });
    expect(await first('Observations?$filter=result eq 12&$expand=Datastream')).toMatchObject({
      phenomenonTime: `${day(7)}/${day(8)}`,
      resultTime: day(6),
      Datastream: { phenomenonTime: `${day(7)}/${day(8)}`, resultTime: `${day(6)}/${day(6)}` },
    });
  });

  it('a device that was provisioned and spoke appears without configuration', async () => {
    const group = {
      resource: '/iot/json',
      apikey: 'k1',
      entity_type: 'AirQualityObserved',
      attributes: [{ object_id: 'p', name: 'pm25', type: 'Number', metadata: { unitCode: 'GQ' } }],
    };
    const headers = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
    expect((await broker.request('POST', '/iot/groups', { groups: [group] }, headers)).statusCode).toBe(201);
    expect((await broker.request('POST', '/iot/json?k=k1&i=a1', { p: 12.5, TimeInstant: day(1) })).statusCode).toBe(200);
    expect(await sta.count('Things')).toBe(0);
    const city = staClient(broker, '/city/sta/v1.1');
    const [series] = await city.list('Datastreams?$expand=Thing($select=name),Observations($select=result,phenomenonTime)');
    expect(series).toMatchObject({ Thing: { name: 'a1' }, Observations: [{ result: 12.5, phenomenonTime: day(1) }] });
    expect(series?.['@iot.selfLink']).toContain('/city/sta/v1.1/Datastreams(');
    expect((await broker.request('GET', '/sta/v1.1/Things', undefined, { 'ngsild-tenant': 'city' })).json().value).toHaveLength(
      1,
    );
    expect((await broker.request('GET', '/a b/sta/v1.1/Things')).statusCode).toBe(400);
  });
});
