import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import pino from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { deviceIntake } from '../../../adapters/intake.ts';
import { checkMapping } from '../../../adapters/interpret.ts';
import { allowEverything } from '../../../broker/domain/access.ts';
import { deviceOperations } from '../../../broker/operations/devices.ts';
import { ingest } from '../../../broker/operations/ingest.ts';
import { systemClock } from '../../../broker/stores/system-clock.ts';
import { mqttServer } from '../../../broker/transport/mqtt.ts';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { offlineContexts } from '../../support/contexts.ts';
import { CITY } from '../../support/devices.ts';

const AIR = 'https://raw.githubusercontent.com/smart-data-models/dataModel.Environment/master/context.jsonld';
const HEADERS = {
  'ngsild-tenant': 'city',
  link: `<${AIR}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"`,
};

/** Device side and NGSI-LD API over one real store. */
async function city(dataDir = ':memory:') {
  const broker = await inMemoryBroker({ config: { dataDir } });
  const { store } = broker.broker;
  const clock = systemClock('test-devices');
  const contexts = await offlineContexts();
  const devices = await deviceOperations({
    documents: store.documents,
    access: allowEverything,
    resolveContext: contexts.resolve,
    checkMapping,
  });
  const port = ingest({ entities: store.entities, clock, access: allowEverything });
  const intake = deviceIntake({ ingest: port, directory: devices, now: () => clock.now() });
  const server = await mqttServer({
    logger: pino({ level: 'silent' }),
    host: '127.0.0.1',
    port: 0,
    packetLimitBytes: 256 * 1024,
    connectionLimit: 100,
    authenticate: devices.authenticate,
    maySubscribe: intake.maySubscribe,
    onMessages: intake.mqtt,
  });
  const client: MqttClient = await mqtt.connectAsync(`mqtt://127.0.0.1:${server.port}`, { reconnectPeriod: 0 });
  const close = async () => {
    client.end(true);
    await server.close(500);
    await broker[Symbol.asyncDispose]();
  };
  return { broker, devices, client, close };
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
    const { broker, devices, client, close } = await city();
    onTestFinished(close);
    await devices.createGroups(CITY, [GROUP]);
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
    const { broker, devices, client, close } = await city();
    onTestFinished(close);
    await devices.createGroups(CITY, [GROUP]);
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
    const { broker, devices, client, close } = await city();
    onTestFinished(close);
    await devices.createGroups(CITY, [{ ...GROUP, autoprovision: false }]);
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
    await first.devices.createGroups(CITY, [GROUP]);
    const [issued] = await first.devices.createDevices(CITY, [{ device_id: 'kit', newToken: true }]);
    const topic = `device/sck/${issued?.token}/readings/raw`;
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
});
