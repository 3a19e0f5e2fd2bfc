import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';

const AIR = 'https://raw.githubusercontent.com/smart-data-models/dataModel.Environment/master/context.jsonld';
const HEADERS = {
  'ngsild-tenant': 'city',
  link: `<${AIR}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"`,
};

/** A whole broker, listening, and a device connected to it. */
async function city(dataDir = ':memory:') {
  const broker = await inMemoryBroker({ config: { dataDir } });
  const { mqttUrl } = await broker.broker.listen();
  const client: MqttClient = await mqtt.connectAsync(mqttUrl ?? '', { reconnectPeriod: 0 });
  const close = async () => {
    client.end(true);
    await broker[Symbol.asyncDispose]();
  };
  return { broker, client, close };
}

const PLACE = { 'fiware-service': 'City', 'fiware-servicepath': '/' };

async function provision(broker: TestBroker, kind: 'groups' | 'devices', body: object) {
  const answer = await broker.request('POST', `/iot/${kind}`, { [kind]: [body] }, PLACE);
  expect(answer.statusCode).toBe(201);
  return answer.json();
}

const read = async (broker: TestBroker, path: string) =>
  (await broker.request('GET', `/ngsi-ld/v1${path}`, undefined, HEADERS)).json();

const GROUP = {
  resource: '/iot/json',
  apikey: 'airKey',
  entity_type: 'AirQualityObserved',
  jsonLdContext: AIR,
  attributes: [{ object_id: 'p', name: 'pm25', type: 'Number', metadata: { unitCode: 'GQ' } }],
};

describe('from a device to the API', () => {
  it('a publication is an entity when it is acknowledged, under the names of its @context', async () => {
    const { broker, client, close } = await city();
    onTestFinished(close);
    await provision(broker, 'groups', GROUP);
    await client.publishAsync('/json/airKey/a1/attrs', '{"p":"12.5","TimeInstant":"2026-03-01T09:00:00Z"}', { qos: 1 });
    expect(await read(broker, '/entities?type=AirQualityObserved')).toMatchObject([
      {
        id: 'urn:ngsi-ld:AirQualityObserved:a1',
        type: 'AirQualityObserved',
        pm25: { type: 'Property', value: 12.5, unitCode: 'GQ', observedAt: '2026-03-01T09:00:00Z' },
      },
    ]);
    const other = await broker.request('GET', '/ngsi-ld/v1/entities/urn:ngsi-ld:AirQualityObserved:a1');
    expect(other.statusCode).toBe(404);
  });

  it('late readings go to history and leave the current value; repeated ones change nothing', async () => {
    const { broker, client, close } = await city();
    onTestFinished(close);
    await provision(broker, 'groups', GROUP);
    const publish = (p: number, at: string) =>
      client.publishAsync('/json/airKey/a1/attrs', JSON.stringify({ p, TimeInstant: at }), { qos: 1 });
    await publish(30, '2026-03-01T10:00:00Z');
    await publish(10, '2026-03-01T08:00:00Z');
    await publish(20, '2026-03-01T09:00:00Z');
    await publish(20, '2026-03-01T09:00:00Z');
    expect(await read(broker, '/entities/urn:ngsi-ld:AirQualityObserved:a1?options=keyValues')).toMatchObject({ pm25: 30 });
    const history = await read(
      broker,
      '/temporal/entities/urn:ngsi-ld:AirQualityObserved:a1?timerel=before&timeAt=2027-01-01T00:00:00Z',
    );
    expect(history.pm25.map(({ value }: { value: number }) => value).sort()).toEqual([10, 20, 30]);
  });

  it('broken messages and unknown senders leave no trace in the store', async () => {
    const { broker, client, close } = await city();
    onTestFinished(close);
    await provision(broker, 'groups', { ...GROUP, autoprovision: false });
    const before = await broker.broker.store.feed.head();
    for (const [topic, payload] of [
      ['/json/airKey/a1/attrs', '{"p":1}'],
      ['/json/nobody/a1/attrs', '{"p":1}'],
      ['/json/airKey/a1/attrs', '{"p":'],
      ['device/sck/abc/readings', '{}'],
    ] as const) {
      await client.publishAsync(topic, payload, { qos: 1 });
    }
    expect(await broker.broker.store.feed.head()).toBe(before);
    expect(client.connected).toBe(true);
  });

  it('groups, devices, tokens and measures are there after a restart', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'mizar-devices-'));
    onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
    const first = await city(dataDir);
    await provision(first.broker, 'groups', GROUP);
    const created = await provision(first.broker, 'devices', { device_id: 'kit', newToken: true });
    const topic = `device/sck/${created.devices[0].token}/readings/raw`;
    await first.client.publishAsync(topic, '{t:2026-03-01T07:00:00Z,87:12}', { qos: 1 });
    await first.client.publishAsync('/json/airKey/a1/attrs', '{"p":5}', { qos: 1 });
    await first.close();
    const second = await city(dataDir);
    onTestFinished(second.close);
    await second.client.publishAsync(topic, '{t:2026-03-01T08:00:00Z,87:13}', { qos: 1 });
    const found = await read(second.broker, '/entities?type=AirQualityObserved&options=keyValues');
    expect(found.map(({ id, pm25 }: { id: string; pm25: number }) => [id, pm25])).toEqual([
      ['urn:ngsi-ld:AirQualityObserved:a1', 5],
      ['urn:ngsi-ld:AirQualityObserved:kit', 13],
    ]);
  });

  it('a revoked token ends the session of its device, and its figures are in /metrics', async () => {
    const { broker, client, close } = await city();
    onTestFinished(close);
    const created = await provision(broker, 'devices', { device_id: 'kit', newToken: true });
    const topic = `device/sck/${created.devices[0].token}/readings/raw`;
    await client.publishAsync(topic, '{t:2026-03-01T07:00:00Z,87:12}', { qos: 1 });
    const ended = new Promise<void>((resolve) => client.once('close', () => resolve()));
    const revoked = await broker.request('DELETE', '/iot/devices/kit/token', undefined, PLACE);
    expect(revoked.statusCode).toBe(204);
    await ended;
    expect((await broker.request('GET', '/metrics')).body).toMatch(/^mizar_mqtt_accepted_total 1$/m);
  });

  it('a measure over HTTP is an entity when it is answered', async () => {
    const { broker, close } = await city();
    onTestFinished(close);
    await provision(broker, 'groups', GROUP);
    const answer = await broker.request('POST', '/iot/json?i=a1&k=airKey&t=2026-03-01T09:00:00Z', { p: 7 });
    expect(answer.statusCode).toBe(200);
    expect(await read(broker, '/entities/urn:ngsi-ld:AirQualityObserved:a1?options=keyValues')).toMatchObject({ pm25: 7 });
  });
});
