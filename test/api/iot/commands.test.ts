import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { until } from '../../support/devices.ts';

const TENANT = { 'ngsild-tenant': 'city' };
const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
const LAMP = 'urn:ngsi-ld:Lamp:lamp3';

const GROUP = {
  resource: '/iot/json',
  apikey: 'lampKey',
  entity_type: 'Lamp',
  commands: [
    { name: 'dim', type: 'command' },
    { name: 'ping', type: 'command' },
  ],
};

async function city(group: object = {}, device: object = {}) {
  const broker = await inMemoryBroker();
  onTestFinished(() => broker[Symbol.asyncDispose]());
  const { mqttUrl } = await broker.broker.listen();
  await broker.request('POST', '/iot/groups', { groups: [{ ...GROUP, ...group }] }, PLACE);
  const answer = await broker.request('POST', '/iot/devices', { devices: [{ device_id: 'lamp3', ...device }] }, PLACE);
  expect(answer.statusCode).toBe(201);
  const connect = async (options: IClientOptions = {}): Promise<Lamp> => {
    const client = await mqtt.connectAsync(mqttUrl ?? '', { reconnectPeriod: 0, ...options });
    onTestFinished(() => void client.end(true));
    const heard: [string, string][] = [];
    client.on('message', (topic, payload) => heard.push([topic, payload.toString()]));
    return Object.assign(client, { heard });
  };
  return { broker, connect };
}
type Lamp = MqttClient & { readonly heard: [string, string][] };

const command = (broker: TestBroker, name: string, value: unknown, more: object = {}) =>
  broker.request('PATCH', `/ngsi-ld/v1/entities/${LAMP}/attrs/${name}`, { type: 'Property', value, ...more }, TENANT);

const lamp = async (broker: TestBroker) =>
  (await broker.request('GET', `/ngsi-ld/v1/entities/${LAMP}?options=keyValues`, undefined, TENANT)).json();

const shows = async (broker: TestBroker, name: string, status: string) => {
  let last: Record<string, unknown> = {};
  for (let turn = 0; turn < 1000; turn++) {
    last = await lamp(broker);
    if (last[`${name}_status`] === status) return last;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`${name} never became ${status}: ${JSON.stringify(last)}`);
};

describe('commands to devices', () => {
  it('an update of a command attribute reaches the device over MQTT, and its answer is the result; the attribute itself gets no value', async () => {
    const { broker, connect } = await city();
    const client = await connect();
    await client.subscribeAsync('/lampKey/lamp3/cmd', { qos: 1 });
    expect((await command(broker, 'dim', 40)).statusCode).toBe(204);
    await until(() => client.heard.length > 0, 'the command');
    expect(client.heard).toEqual([['/lampKey/lamp3/cmd', '{"dim":40}']]);
    await shows(broker, 'dim', 'DELIVERED');
    await client.publishAsync('/json/lampKey/lamp3/cmdexe', '{"dim":"done"}', { qos: 1 });
    const entity = await lamp(broker);
    expect(entity).toEqual({ id: LAMP, type: 'Lamp', dim_status: 'OK', dim_info: 'done' });
  });

  it('waits until the device listens, keeps the order, and is given in UltraLight where the device speaks it', async () => {
    const { broker, connect } = await city({ resource: '/iot/d' });
    await command(broker, 'dim', 40);
    await command(broker, 'dim', { level: 10, ramp: 5 });
    await command(broker, 'ping', 'now');
    expect(await lamp(broker)).toMatchObject({ dim_status: 'PENDING', ping_status: 'PENDING' });
    const client = await connect();
    await client.subscribeAsync('lampKey/lamp3/#', { qos: 1 });
    await until(() => client.heard.length === 3, 'three commands');
    expect(client.heard.map(([, payload]) => payload)).toEqual(['lamp3@dim|40', 'lamp3@dim|level=10|ramp=5', 'lamp3@ping|now']);
    await client.publishAsync('/ul/lampKey/lamp3/cmdexe', 'lamp3@dim|first#lamp3@ping|pong', { qos: 1 });
    expect(await lamp(broker)).toMatchObject({ dim_status: 'OK', dim_info: 'first', ping_info: 'pong' });
    await client.publishAsync('/ul/lampKey/lamp3/attrs', 'lamp3@dim|second#t|21#note|a@b', { qos: 1 });
    expect(await lamp(broker)).toMatchObject({ dim_info: 'second', t: 21, note: 'a@b' });
  });

  it('an answer counts once, and one that was never asked for changes nothing', async () => {
    const { broker, connect } = await city();
    const client = await connect();
    await client.subscribeAsync('/lampKey/lamp3/#', { qos: 1 });
    const answer = (text: string) => client.publishAsync('/json/lampKey/lamp3/cmdexe', text, { qos: 1 });
    await answer('{"dim":"never asked"}');
    await command(broker, 'dim', 1);
    await shows(broker, 'dim', 'DELIVERED');
    await answer('{"dim":"done"}');
    await answer('{"dim":"again"}');
    expect(await lamp(broker)).toMatchObject({ dim_status: 'OK', dim_info: 'done' });
    await until(() => client.heard.filter(([topic]) => topic.endsWith('/errors')).length === 2, 'two refusals');
    expect(client.heard.at(-1)?.[1]).toContain('COMMAND_NOT_FOUND');
  });

  it('a device can say that it failed', async () => {
    const { broker, connect } = await city();
    const client = await connect();
    await client.subscribeAsync('/lampKey/lamp3/cmd', { qos: 1 });
    await command(broker, 'dim', 1);
    await shows(broker, 'dim', 'DELIVERED');
    await client.publishAsync('/json/lampKey/lamp3/cmdexe', '{"dim":{"status":"ERROR","info":"jammed"}}', { qos: 1 });
    expect(await lamp(broker)).toMatchObject({ dim_status: 'ERROR', dim_info: 'jammed' });
  });

  it('a device that asks gets what waits with its measure or alone, once; JSON the last of each name', async () => {
    const { broker } = await city({ transport: 'HTTP' });
    for (const value of [1, 2]) await command(broker, 'dim', value);
    await command(broker, 'ping', 'x');
    const poll = (query = '', body?: object) =>
      broker.request(body ? 'POST' : 'GET', `/iot/json?k=lampKey&i=lamp3&getCmd=1${query}`, body);
    expect((await poll('', { t: 3 })).json()).toEqual({ dim: 2, ping: 'x' });
    expect((await poll()).json()).toEqual({});
    expect(await lamp(broker)).toMatchObject({ dim_status: 'DELIVERED', t: 3 });
    const results = await broker.request('POST', '/iot/json/commands?k=lampKey&i=lamp3', { dim: 'ok', ping: 'pong' });
    expect(results.statusCode).toBe(200);
    expect(await lamp(broker)).toMatchObject({ dim_status: 'OK', ping_status: 'OK', ping_info: 'pong' });
    expect((await broker.request('POST', '/iot/json/commands?k=lampKey&i=lamp3', { dim: 'ok' })).json().name).toBe(
      'COMMAND_NOT_FOUND',
    );
  });

  it('UltraLight polls get all commands, joined by #', async () => {
    const { broker } = await city({ resource: '/iot/d', transport: 'HTTP' });
    await command(broker, 'dim', 1);
    await command(broker, 'dim', 2);
    const answer = await broker.request('GET', '/iot/d?k=lampKey&i=lamp3&getCmd=1');
    expect(answer.body).toBe('lamp3@dim|1#lamp3@dim|2');
    expect(answer.headers['content-type']).toContain('text/plain');
  });

  it.each([
    [200, '{"dim":"at 40"}', { dim_status: 'OK', dim_info: 'at 40' }],
    [201, 'fine', { dim_status: 'OK', dim_info: 'fine' }],
    [409, 'busy', { dim_status: 'ERROR', dim_info: 'The device answered 409: busy' }],
  ])('an endpoint that answers %i %s makes it %o', async (status, body, expected) => {
    const requests: { headers: Record<string, unknown>; body: string }[] = [];
    const device = createServer((request, response) => {
      let text = '';
      request.on('data', (chunk) => {
        text += chunk;
      });
      request.on('end', () => {
        requests.push({ headers: request.headers, body: text });
        response.writeHead(status).end(body);
      });
    });
    await new Promise<void>((resolve) => device.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void device.close());
    const { port } = device.address() as AddressInfo;
    const { broker } = await city({}, { endpoint: `http://127.0.0.1:${port}/lamp`, transport: 'HTTP' });
    await command(broker, 'dim', 40);
    await shows(broker, 'dim', expected.dim_status);
    expect(await lamp(broker)).toMatchObject(expected);
    expect(requests).toMatchObject([
      { body: '{"dim":40}', headers: { 'fiware-service': 'city', 'content-type': 'application/json' } },
    ]);
  });

  it('a command with a time expires at that time, and reaches nobody after it', async () => {
    const { broker, connect } = await city();
    const expiresAt = new Date(Date.now() + 300).toISOString();
    await command(broker, 'dim', 40, { expiresAt });
    const entity = await shows(broker, 'dim', 'ERROR');
    expect(entity['dim_info']).toBe('EXPIRED');
    const client = await connect();
    await client.subscribeAsync('/lampKey/lamp3/cmd', { qos: 1 });
    await command(broker, 'ping', 'x');
    await until(() => client.heard.length > 0, 'the later command');
    expect(client.heard).toEqual([['/lampKey/lamp3/cmd', '{"ping":"x"}']]);
    expect((await command(broker, 'dim', 1, { expiresAt: '2020-01-01T00:00:00Z' })).statusCode).toBe(400);
  });

  it('expressions and payload types shape what is sent', async () => {
    const { broker, connect } = await city({
      commands: [
        { name: 'dim', type: 'command', expression: '(dim * 2.55) | round' },
        { name: 'raw', type: 'command', payloadType: 'binaryfromhex' },
        { name: 'say', type: 'command', payloadType: 'text', mqtt: { qos: 0 } },
      ],
    });
    const client = await connect();
    const payloads: string[] = [];
    client.on('message', (_, payload) => payloads.push(payload.toString('hex')));
    await client.subscribeAsync('/lampKey/lamp3/cmd', { qos: 1 });
    await command(broker, 'dim', 100);
    await command(broker, 'raw', '01ff');
    await command(broker, 'say', 'hi');
    await until(() => payloads.length === 3, 'three commands');
    expect(payloads).toEqual([Buffer.from('{"dim":255}').toString('hex'), '01ff', Buffer.from('hi').toString('hex')]);
  });

  it.each([
    ['PATCH', `/entities/${LAMP}/attrs`, { dim: 7, level: 5 }],
    ['POST', `/entities/${LAMP}/attrs`, { dim: 7, level: 5 }],
    ['PATCH', `/entities/${LAMP}`, { dim: 7, level: 5 }],
    ['PUT', `/entities/${LAMP}/attrs/dim`, { type: 'Property', value: 7 }],
    ['POST', '/entityOperations/update', [{ id: LAMP, type: 'Lamp', dim: 7, level: 5 }]],
    ['POST', '/entityOperations/upsert?options=update', [{ id: LAMP, type: 'Lamp', dim: 7 }]],
    ['POST', '/entityOperations/upsert', [{ id: LAMP, type: 'Lamp', dim: 7, level: 5 }]],
    ['POST', '/entityOperations/merge', [{ id: LAMP, type: 'Lamp', dim: 7, level: 5 }]],
    ['PUT', `/entities/${LAMP}`, { id: LAMP, type: 'Lamp', dim: 7, level: 5 }],
  ] as const)('%s %s is a command, and what else it says is written', async (method, path, body) => {
    const { broker } = await city({ transport: 'HTTP' });
    await broker.request('POST', '/iot/json?k=lampKey&i=lamp3', { level: 1 });
    const answer = await broker.request(method, `/ngsi-ld/v1${path}`, body, TENANT);
    expect(answer.statusCode, answer.body).toBeLessThan(205);
    const entity = await lamp(broker);
    expect(entity).toMatchObject({ dim_status: 'PENDING', level: JSON.stringify(body).includes('level') ? 5 : 1 });
    expect(entity).not.toHaveProperty('dim');
    expect((await broker.request('GET', '/iot/json?k=lampKey&i=lamp3&getCmd=1')).json()).toEqual({ dim: 7 });
  });

  it('is refused for an entity that lacks what the other attributes need, and then nothing reaches the device', async () => {
    const { broker } = await city({ transport: 'HTTP' });
    // It comes to be when the device is provisioned.
    expect((await broker.request('DELETE', `/ngsi-ld/v1/entities/${LAMP}`, undefined, TENANT)).statusCode).toBe(204);
    const answer = await broker.request('PATCH', `/ngsi-ld/v1/entities/${LAMP}/attrs`, { dim: 7, level: 5 }, TENANT);
    expect(answer.statusCode).toBe(404);
    expect((await broker.request('GET', '/iot/json?k=lampKey&i=lamp3&getCmd=1')).json()).toEqual({});
    const other = await broker.request(
      'PATCH',
      `/ngsi-ld/v1/entities/${LAMP}/attrs/dim`,
      { type: 'Property', value: 1 },
      {
        'ngsild-tenant': 'other',
      },
    );
    expect(other.statusCode).toBe(404);
  });

  it('a deleted device takes its commands along', async () => {
    const { broker } = await city({ transport: 'HTTP' });
    await command(broker, 'dim', 7);
    await broker.request('DELETE', '/iot/devices/lamp3', undefined, PLACE);
    const entity = await shows(broker, 'dim', 'ERROR');
    expect(entity['dim_info']).toBe('The device was deleted');
    await broker.request('POST', '/iot/devices', { devices: [{ device_id: 'lamp3' }] }, PLACE);
    expect((await broker.request('GET', '/iot/json?k=lampKey&i=lamp3&getCmd=1')).json()).toEqual({});
  });
});
