import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import mqtt from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Config } from '../../../broker/config.ts';
import { inMemoryBroker } from '../../support/broker.ts';

const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
const TENANT = { 'ngsild-tenant': 'city' };
const LAZY = [
  { object_id: 'b', name: 'batteryLevel', type: 'Number', metadata: { unitCode: { type: 'Text', value: 'C62' } } },
  { name: 'firmware', type: 'Text' },
];

async function city(group: object = {}, devices: readonly object[] = [{ device_id: 'l1' }], config: Partial<Config> = {}) {
  const broker = await inMemoryBroker({ config: { lazyWaitMs: 10_000, ...config } });
  onTestFinished(() => broker[Symbol.asyncDispose]());
  const { mqttUrl } = await broker.broker.listen();
  const groups = [{ resource: '/iot/json', apikey: 'lampKey', entity_type: 'Lamp', lazy: LAZY, ...group }];
  expect((await broker.request('POST', '/iot/groups', { groups }, PLACE)).statusCode).toBe(201);
  expect((await broker.request('POST', '/iot/devices', { devices }, PLACE)).statusCode).toBe(201);
  const get = (path: string) => broker.request('GET', `/ngsi-ld/v1/entities${path}`, undefined, TENANT);
  return { broker, mqttUrl: mqttUrl ?? '', get };
}

/** A lamp on MQTT that answers what it is asked. */
async function lamp(
  url: string,
  id: string,
  answer: (question: string) => readonly [topic: string, payload: string] | undefined,
) {
  const client = await mqtt.connectAsync(url, { reconnectPeriod: 0 });
  onTestFinished(() => void client.end(true));
  const asked: string[] = [];
  client.on('message', (_topic, payload) => {
    asked.push(String(payload));
    const [topic, text] = answer(String(payload)) ?? [];
    if (topic !== undefined && text !== undefined) client.publish(topic, text, { qos: 1 });
  });
  await client.subscribeAsync(`/lampKey/${id}/cmd`, { qos: 1 });
  return asked;
}

const LAMP = '/urn:ngsi-ld:Lamp:l1';

describe('lazy attributes', () => {
  it('are what the device says over MQTT when somebody reads them, beside what is stored, and are not stored themselves', async () => {
    const { broker, mqttUrl, get } = await city();
    let battery = 80;
    const asked = await lamp(mqttUrl, 'l1', (question) => {
      const names = Object.keys(JSON.parse(question) as object);
      return [
        '/json/lampKey/l1/cmdexe',
        JSON.stringify(Object.fromEntries(names.map((name) => [name, name === 'b' ? battery-- : '2.1']))),
      ];
    });
    await broker.request('POST', '/iot/json?k=lampKey&i=l1', { power: 38 });
    const entity = (await get(LAMP)).json();
    expect(entity).toMatchObject({
      power: { value: 38 },
      batteryLevel: { type: 'Property', value: 80, unitCode: 'C62' },
      firmware: { value: '2.1' },
    });
    expect(entity.batteryLevel.observedAt).toEqual(expect.any(String));
    expect((await get(`${LAMP}?attrs=batteryLevel&format=simplified`)).json()).toEqual({
      id: 'urn:ngsi-ld:Lamp:l1',
      type: 'Lamp',
      batteryLevel: 79,
    });
    expect(asked).toEqual(['{"b":"","firmware":""}', '{"b":""}']);
    // Who does not want it, or only what is here, makes nobody ask.
    expect((await get(`${LAMP}?attrs=power&format=simplified`)).json()).toEqual({
      id: 'urn:ngsi-ld:Lamp:l1',
      type: 'Lamp',
      power: 38,
    });
    expect((await get(`${LAMP}?local=true&format=simplified`)).json()).toEqual({
      id: 'urn:ngsi-ld:Lamp:l1',
      type: 'Lamp',
      power: 38,
    });
    expect(asked).toHaveLength(2);
  });

  it('are found by queries: on the page of a type, and by attrs that only devices can tell', async () => {
    const { broker, mqttUrl, get } = await city({}, [{ device_id: 'l1' }, { device_id: 'l2' }, { device_id: 'l3' }]);
    for (const id of ['l1', 'l2'])
      await lamp(mqttUrl, id, () => [`/json/lampKey/${id}/cmdexe`, `{"b":${id === 'l1' ? 0.5 : 0.7},"firmware":"1"}`]);
    await broker.request(
      'POST',
      '/ngsi-ld/v1/entities',
      { id: 'urn:x:other', type: 'Lamp', batteryLevel: { type: 'Property', value: 0.1 } },
      { ...TENANT, 'content-type': 'application/json' },
    );
    const page = await get('?type=Lamp&attrs=batteryLevel&format=simplified&count=true');
    // The third lamp listens to nobody, so that it need not be waited for.
    expect(page.json()).toEqual([
      { id: 'urn:ngsi-ld:Lamp:l1', type: 'Lamp', batteryLevel: 0.5 },
      { id: 'urn:ngsi-ld:Lamp:l2', type: 'Lamp', batteryLevel: 0.7 },
      { id: 'urn:x:other', type: 'Lamp', batteryLevel: 0.1 },
    ]);
    expect(String(page.headers['ngsild-warning'])).toContain('199 l3 "the device did not tell b in time"');
    const all = (await get('?type=Lamp&format=simplified')).json() as { id: string; firmware?: string }[];
    expect(all.map(({ id, firmware }) => [id, firmware])).toEqual([
      ['urn:ngsi-ld:Lamp:l1', '1'],
      ['urn:ngsi-ld:Lamp:l2', '1'],
      ['urn:ngsi-ld:Lamp:l3', undefined],
      ['urn:x:other', undefined],
    ]);
    expect((await get('?type=Other&attrs=batteryLevel&format=simplified')).json()).toEqual([]);
  });

  it('of a device with an endpoint are read there, with GET and the name, in the words of its format; what is no answer is none', async () => {
    const asked: string[] = [];
    const server = createServer((request: IncomingMessage, response) => {
      asked.push(`${request.method} ${request.url} ${request.headers['fiware-service']}`);
      if (request.url === '/lamp/b') response.end('b|64');
      else response.writeHead(404).end('?');
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    onTestFinished(() => void server.close());
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/lamp`;
    const { get } = await city({ resource: '/iot/d' }, [{ device_id: 'l1', endpoint }]);
    const answer = await get(`${LAMP}?format=simplified`);
    expect(answer.json()).toEqual({ id: 'urn:ngsi-ld:Lamp:l1', type: 'Lamp', batteryLevel: 64 });
    expect(answer.headers['ngsild-warning']).toContain('firmware');
    expect(asked.sort()).toEqual(['GET /lamp/b city', 'GET /lamp/firmware city']);
  });

  it('are waited for no longer than the limit; what the device says later is a result that nobody asked for; several who ask at once share a question', async () => {
    const { mqttUrl, get } = await city({}, [{ device_id: 'l1' }], { lazyWaitMs: 300 });
    const asked = await lamp(mqttUrl, 'l1', () => undefined);
    const answers = await Promise.all([get(`${LAMP}?attrs=batteryLevel`), get(`${LAMP}?attrs=batteryLevel`)]);
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([404, 404]);
    expect(asked).toHaveLength(1);
    expect((await get(LAMP)).statusCode).toBe(200);
    const client = await mqtt.connectAsync(mqttUrl, { reconnectPeriod: 0 });
    onTestFinished(() => void client.end(true));
    const errors: string[] = [];
    client.on('message', (_topic, payload) => errors.push(String(payload)));
    await client.subscribeAsync('/lampKey/l1/errors', { qos: 1 });
    await client.publishAsync('/json/lampKey/l1/cmdexe', '{"b":1}', { qos: 1 });
    for (let turn = 0; errors.length === 0 && turn < 500; turn++) await new Promise((wake) => setTimeout(wake, 10));
    expect(errors[0]).toContain('COMMAND_NOT_FOUND');
    expect((await get(`${LAMP}?local=true&format=simplified`)).json()).toEqual({ id: 'urn:ngsi-ld:Lamp:l1', type: 'Lamp' });
  });

  it('end with the device, and a name that cannot be one is refused', async () => {
    const { broker, get } = await city();
    const wrong = await broker.request(
      'POST',
      '/iot/devices',
      { devices: [{ device_id: 'l9', lazy: [{ name: 'type' }] }] },
      PLACE,
    );
    expect(wrong.json()).toMatchObject({ name: 'WRONG_SYNTAX' });
    expect((await broker.request('DELETE', '/iot/devices/l1', undefined, PLACE)).statusCode).toBe(204);
    expect((await get(`${LAMP}?attrs=batteryLevel`)).headers['ngsild-warning']).toBeUndefined();
  });
});
