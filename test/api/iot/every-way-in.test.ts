import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import mqtt from 'mqtt';
import { expect, it, onTestFinished } from 'vitest';
import { emptyTables, serveTcp } from '../../../adapters/simulator/modbus-slave.ts';
import { inMemoryBroker } from '../../support/broker.ts';

const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
const TENANT = { 'ngsild-tenant': 'city' };

/** A web server of the test's own. @returns its URL */
async function serve(answer: (body: string) => string): Promise<string> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => response.setHeader('content-type', 'application/json').end(answer(body)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function city() {
  const broker = await inMemoryBroker();
  onTestFinished(() => broker[Symbol.asyncDispose]());
  const groups = ['/iot/json', '/iot/d', '/iot/tts', ''].map((resource, at) => ({
    resource,
    apikey: `key${at}`,
    entity_type: 'Thing',
  }));
  await broker.request('POST', '/iot/groups', { groups }, PLACE);
  const put = async (path: string, body: unknown) =>
    expect((await broker.request('PUT', `/iot/${path}`, body, PLACE)).body).toBe('');
  return { broker, put };
}

/** Asks until there is an answer. */
async function eventually<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 800; tries++) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((wake) => setTimeout(wake, 25));
  }
  throw new Error(`waited in vain for ${what}`);
}

it('whatever way a value comes, it is judged: of each message the bad value is left out and told, the other one stored', {
  timeout: 120_000,
}, async () => {
  const { broker, put } = await city();
  await put('rules/too-hot', { select: { attribute: 'temperature' }, when: { range: { max: 60 } }, action: 'discard' });
  const { mqttUrl } = await broker.broker.listen();
  const ways: Record<string, () => Promise<unknown>> = {
    http: () => broker.request('POST', '/iot/json?k=key0&i=http', { temperature: 92, humidity: 4 }),
    ultralight: () =>
      broker.request('POST', '/iot/d?k=key1&i=ultralight', 'temperature|92|humidity|4', { 'content-type': 'text/plain' }),
    lorawan: () =>
      broker.request(
        'POST',
        '/iot/tts/up',
        {
          end_device_ids: { device_id: 'lorawan' },
          received_at: '2026-03-01T09:00:00Z',
          uplink_message: { f_port: 1, decoded_payload: { temperature: 92, humidity: 4 } },
        },
        { 'x-api-key': 'key2' },
      ),
    async mqtt() {
      const client = await mqtt.connectAsync(mqttUrl ?? '', { protocolVersion: 4 }, false);
      await client.publishAsync('/json/key0/mqtt/attrs', '{"temperature":92,"humidity":4}', { qos: 1 });
      await client.endAsync();
    },
    async process() {
      const settings = { time: { column: 't' }, device: 'x' };
      await put('adapters/beside', { kind: 'csv', process: 'plant', apikey: 'key3', settings });
      const { token } = (await broker.request('POST', '/iot/adapter-processes', { name: 'plant' }, PLACE)).json();
      const readings = [
        { address: 'temperature', value: 92 },
        { address: 'humidity', value: 4 },
      ];
      const heard = { adapter: '/beside', device: 'process', format: 'readings', at: '2026-03-01T09:00:00Z' };
      const message = { ...heard, payload: JSON.stringify({ readings }) };
      const delivery = { outbox: 'o', messages: [{ sequence: 1, message }] };
      const bearer = { authorization: `Bearer ${token}` };
      await broker.request('POST', '/iot/adapter-processes/plant/deliveries', delivery, bearer);
    },
    async modbus() {
      const tables = emptyTables();
      tables.holding.set(1, 920).set(2, 4);
      const slave = await serveTcp({ units: new Map([[1, tables]]) });
      onTestFinished(() => slave.close());
      const temperature = { name: 'temperature', type: 'holding', address: 1, datatype: '16int', factor: 0.1 };
      const humidity = { name: 'humidity', type: 'holding', address: 2, datatype: '16int' };
      const entity = { type: 'Thing', id: 'urn:ngsi-ld:Thing:modbus' };
      const modbusSlaves = [{ ip: '127.0.0.1', port: slave.port, map: 'M', entity }];
      const settings = { modbusMaps: { M: [temperature, humidity] }, modbusSlaves, period: 3600 };
      await put('adapters/meter', { kind: 'modbus', settings });
    },
    async poll() {
      const url = await serve(() => '[{"id":"poll","values":{"temperature":92,"humidity":4}}]');
      const json = { list: '', device: { pointer: '/id' }, values: '/values' };
      await put('adapters/web', { kind: 'http-poll', apikey: 'key3', settings: { url, everyS: 3600, json } });
    },
    async file() {
      await put('adapters/archive', { kind: 'csv', apikey: 'key3', settings: { time: { column: 'when' }, device: 'file' } });
      const csv = 'when,temperature,humidity\n2026-03-01T10:00:00Z,92,4\n';
      const text = { ...PLACE, 'content-type': 'text/csv' };
      await broker.request('POST', '/iot/imports?mapping=archive', csv, text);
    },
  };
  for (const [way, send] of Object.entries(ways)) {
    await send();
    const stored = await eventually<Record<string, unknown>>(way, async () => {
      const answer = await broker.request(
        'GET',
        `/ngsi-ld/v1/entities/urn:ngsi-ld:Thing:${way}?options=keyValues`,
        undefined,
        TENANT,
      );
      return answer.statusCode === 200 && answer.json().humidity !== undefined ? answer.json() : undefined;
    });
    expect([way, stored.humidity, 'temperature' in stored]).toEqual([way, 4, false]);
    const told = await eventually(`the refusal of ${way}`, async () => {
      const { refusals } = (await broker.request('GET', `/iot/devices/${way}/refusals`, undefined, PLACE)).json();
      return refusals.length > 0 ? refusals : undefined;
    });
    expect([way, told[0].reason]).toEqual([way, '"temperature" 92 was discarded by the rule too-hot: it is above 60']);
  }
  expect((await broker.request('GET', '/iot/rules/too-hot', undefined, PLACE)).json().state.discarded).toBe(8);
});

it('what is discarded is seen by no subscriber, no virtual sensor and no history', { timeout: 60_000 }, async () => {
  const { broker, put } = await city();
  const notified: number[] = [];
  const uri = await serve((body) => {
    for (const { temperature } of JSON.parse(body).data) notified.push(temperature.value);
    return '{}';
  });
  await broker.broker.listen();
  const subscription = {
    type: 'Subscription',
    entities: [{ type: 'Thing' }],
    watchedAttributes: ['temperature'],
    notification: { endpoint: { uri } },
  };
  expect((await broker.request('POST', '/ngsi-ld/v1/subscriptions', subscription, TENANT)).statusCode).toBe(201);
  await put('rules/too-hot', { when: { range: { max: 60 } }, action: 'discard' });
  const template = { twice: { value: '{urn:ngsi-ld:Thing:d1>temperature} * 2' } };
  await put('virtual-sensors/twice', { id: 'urn:ngsi-ld:Double:d1', type: 'Double', template });
  for (const temperature of [18.2, 18.4, 92, 18.5]) await broker.request('POST', '/iot/json?k=key0&i=d1', { temperature });
  await eventually('the last notification', async () => (notified.at(-1) === 18.5 ? true : undefined));
  expect(notified).toEqual([18.2, 18.4, 18.5]);
  const series = async (id: string, attribute: string) => {
    const url = `/ngsi-ld/v1/temporal/entities/${id}?options=temporalValues`;
    const answer = await broker.request('GET', url, undefined, TENANT);
    const values = answer.statusCode === 200 ? (answer.json()[attribute].values as [number, string][]) : [];
    return [...values].sort((a, b) => (a[1] < b[1] ? -1 : 1)).map(([value]) => value);
  };
  expect(await series('urn:ngsi-ld:Thing:d1', 'temperature')).toEqual([18.2, 18.4, 18.5]);
  const twice = await eventually('the virtual sensor', async () => {
    const found = await series('urn:ngsi-ld:Double:d1', 'twice');
    return found.at(-1) === 37 ? found : undefined;
  });
  expect(twice).toEqual([36.4, 36.8, 37]);
});
