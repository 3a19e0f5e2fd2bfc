import mqtt, { type MqttClient } from 'mqtt';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { datastream, day, type Json, place, reading, staClient, thing } from '../../support/sta.ts';

describe('SensorThings over MQTT', () => {
  let broker: TestBroker;
  let sta: ReturnType<typeof staClient>;
  let client: MqttClient;
  let heard: [string, Json][];
  let series: number;
  let thingId: number;

  beforeEach(async () => {
    broker = await inMemoryBroker();
    sta = staClient(broker);
    const { mqttUrl } = await broker.broker.listen();
    client = await mqtt.connectAsync(mqttUrl ?? '', { reconnectPeriod: 0 });
    heard = [];
    client.on('message', (topic, payload) => heard.push([topic, JSON.parse(payload.toString())]));
    thingId = await sta.post(
      'Things',
      thing('t', { Locations: [place('a', 1, 2)], Datastreams: [datastream('d'), datastream('e')] }),
    );
    series = (await sta.list(`Things(${thingId})/Datastreams?$orderby=id`))[0]?.['@iot.id'] as number;
  });
  afterEach(async () => {
    client.end(true);
    await broker[Symbol.asyncDispose]();
  });

  /** Everything so far was published, and what was published has come. */
  async function settled(): Promise<void> {
    await broker.broker.sensorThings.idle();
    const mark = `notify/${Math.random()}`;
    await client.subscribeAsync(mark);
    await client.publishAsync(mark, '{}', { qos: 1 });
    await vi.waitFor(() => expect(heard.some(([topic]) => topic === mark)).toBe(true));
    heard = heard.filter(([topic]) => topic !== mark);
  }

  it('14.1: a publication creates an Observation, is acknowledged when it is stored, and is not passed on as it came', async () => {
    await client.subscribeAsync(`v1.1/Datastreams(${series})/Observations`, { qos: 1 });
    await client.publishAsync(`v1.1/Datastreams(${series})/Observations`, JSON.stringify(reading(1, 5)), { qos: 1 });
    expect((await sta.list(`Datastreams(${series})/Observations`)).map(({ result }) => result)).toEqual([5]);
    await client.publishAsync('v1.1/Observations', JSON.stringify({ ...reading(2, 6), Datastream: { '@iot.id': series } }), {
      qos: 1,
    });
    await client.publishAsync('v1.1/Observations', 'not json', { qos: 1 });
    await client.publishAsync('v1.1/Nothing', '{}', { qos: 1 });
    await settled();
    expect(heard.map(([, { result, '@iot.selfLink': link }]) => [result, typeof link])).toEqual([
      [5, 'string'],
      [6, 'string'],
    ]);
    expect(await sta.count('Observations')).toBe(2);
    expect(broker.broker.sensorThings.topics.figures).toEqual({ created: 2, refused: 2 });
  });

  it('14.2: collections, entities, properties and $select get what concerns them, and nothing else', async () => {
    const other = (await sta.list(`Things(${thingId})/Datastreams?$orderby=id`))[1]?.['@iot.id'] as number;
    const topics = [
      'v1.1/Observations',
      `v1.1/Datastreams(${series})/Observations?$select=result,phenomenonTime`,
      `v1.1/Datastreams(${series})`,
      `v1.1/Datastreams(${series})/description`,
      `v1.1/Datastreams(${series})/Thing`,
      `v1.1/Datastreams(${other})/Observations`,
      'v1.1/Things',
    ];
    await client.subscribeAsync(topics, { qos: 1 });
    await sta.post(`Datastreams(${series})/Observations`, reading(1, 5));
    await settled();
    expect(heard.map(([topic]) => topic).sort()).toEqual([topics[0], topics[1], topics[2]].sort());
    expect(heard.find(([topic]) => topic === topics[1])?.[1]).toEqual({ result: 5, phenomenonTime: day(1) });
    expect(heard.find(([topic]) => topic === topics[2])?.[1]).toMatchObject({
      '@iot.id': series,
      phenomenonTime: `${day(1)}/${day(1)}`,
    });
    heard = [];
    await sta.patch(`Datastreams(${series})`, { description: 'new' });
    await settled();
    expect(Object.fromEntries(heard)).toMatchObject({
      [topics[2] as string]: { description: 'new' },
      [topics[3] as string]: { description: 'new' },
    });
    expect(heard).toHaveLength(2);
    heard = [];
    await sta.patch(`Things(${thingId})`, { name: 'u' });
    await sta.remove(`Datastreams(${other})`);
    await settled();
    expect(heard.map(([topic]) => topic).sort()).toEqual([topics[4], topics[6]].sort());
    heard = [];
    await client.unsubscribeAsync(topics);
    await sta.post(`Datastreams(${series})/Observations`, reading(2, 6));
    await settled();
    expect(heard).toEqual([]);
  });

  it('a deep insert is one message for each entity; an NGSI-LD write is heard like any other', async () => {
    const sets =
      'Things Locations HistoricalLocations Datastreams Sensors ObservedProperties Observations FeaturesOfInterest'.split(' ');
    await client.subscribeAsync(
      sets.map((set) => `v1.1/${set}`),
      { qos: 1 },
    );
    await sta.post(
      'Things',
      thing('u', { Locations: [place('b', 3, 4)], Datastreams: [datastream('x', { Observations: [reading(1, 1)] })] }),
    );
    await settled();
    expect(heard.map(([topic]) => topic).sort()).toEqual(sets.map((set) => `v1.1/${set}`).sort());
    heard = [];
    const room = { id: 'urn:ngsi-ld:Room:1', type: 'Room', co2: { type: 'Property', value: 500, observedAt: day(1) } };
    expect((await broker.request('POST', '/ngsi-ld/v1/entities', room)).statusCode).toBe(201);
    await settled();
    expect(heard.map(([topic]) => topic).sort()).toEqual(['v1.1/Datastreams', 'v1.1/Observations', 'v1.1/Things']);
  });

  it('refuses topics that are no paths, wildcards, and options other than $select', async () => {
    for (const topic of [
      'v1.1/#',
      'v1.1/Datastreams/+',
      'v1.1/Nothing',
      'v1.1/Things?$filter=id eq 1',
      'v1.1/Things(1)/name/$value',
      'v1.1/Things/$ref',
    ]) {
      await expect(client.subscribeAsync(topic)).rejects.toThrow();
    }
    const [granted] = await client.subscribeAsync('v1.1/Things?%24select=name');
    expect(granted?.qos).toBe(0);
    const { serverSettings } = (await broker.request('GET', '/sta/v1.1')).json();
    expect(
      serverSettings['http://www.opengis.net/spec/iot_sensing/1.1/req/receive-updates-via-mqtt/receive-updates'].endpoints[0],
    ).toMatch(/^mqtt:/);
  });

  it('tenants do not hear each other', async () => {
    await client.subscribeAsync(['city/v1.1/Things', 'v1.1/Things'], { qos: 1 });
    await staClient(broker, '/city/sta/v1.1').post('Things', thing('in the city'));
    await settled();
    expect(heard.map(([topic, { '@iot.selfLink': link }]) => [topic, String(link).includes('/city/sta/v1.1/Things(')])).toEqual(
      [['city/v1.1/Things', true]],
    );
  });
});
