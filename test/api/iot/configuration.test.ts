import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { inMemoryBroker } from '../../support/broker.ts';
import { until } from '../../support/devices.ts';

const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };

async function city(group: object = {}) {
  const broker = await inMemoryBroker();
  onTestFinished(() => broker[Symbol.asyncDispose]());
  const { mqttUrl } = await broker.broker.listen();
  const groups = [{ resource: '/iot/json', apikey: 'binKey', entity_type: 'Bin', commands: [{ name: 'open' }], ...group }];
  await broker.request('POST', '/iot/groups', { groups }, PLACE);
  await broker.request('POST', '/iot/devices', { devices: [{ device_id: 'bin1' }] }, PLACE);
  const client = await mqtt.connectAsync(mqttUrl ?? '', { reconnectPeriod: 0 });
  onTestFinished(() => void client.end(true));
  const heard: string[] = [];
  client.on('message', (topic, payload) => heard.push(`${topic} ${payload}`));
  const ask = (method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown) => broker.request(method, path, body, PLACE);
  const write = (attributes: object) =>
    broker.request('PATCH', '/ngsi-ld/v1/entities/urn:ngsi-ld:Bin:bin1/attrs', attributes, { 'ngsild-tenant': 'city' });
  return { broker, client, heard, ask, write };
}

describe('configuration values', () => {
  it('are read from the entity when the device asks, without those that are not there', async () => {
    const { broker, client, heard, write } = await city();
    await broker.request('POST', '/iot/json?k=binKey&i=bin1', { interval: 60, limit: 'high' });
    await write({ interval: { type: 'Property', value: 200 } });
    await client.subscribeAsync('/binKey/bin1/configuration/values', { qos: 1 });
    const question = '{"type":"configuration","fields":["interval","limit","unknown"]}';
    await client.publishAsync('/json/binKey/bin1/configuration/commands', question, { qos: 1 });
    await until(() => heard.length > 0, 'the values');
    expect(heard[0]).toMatch(/^\/binKey\/bin1\/configuration\/values \{"interval":200,"limit":"high","dt":"\d{8}T\d{6}Z"\}$/);
  });

  it('are given in UltraLight where the device speaks it, and a question that is none is refused', async () => {
    const { broker, client, heard } = await city({ resource: '/iot/d' });
    await broker.request('POST', '/iot/d?k=binKey&i=bin1', 'interval|60', { 'content-type': 'text/plain' });
    await client.subscribeAsync('/binKey/bin1/#', { qos: 1 });
    await client.publishAsync('/ul/binKey/bin1/configuration/commands', 'configuration|interval', { qos: 1 });
    await until(() => heard.length > 0, 'the answer');
    expect(heard[0]).toMatch(/^\/binKey\/bin1\/configuration\/values bin1@configuration\|interval=60\|dt=\d{8}T\d{6}Z$/);
    await client.publishAsync('/ul/binKey/bin1/configuration/commands', 'wish|interval', { qos: 1 });
    await until(() => heard.length > 1, 'the refusal');
    expect(heard[1]).toContain('WRONG_SYNTAX');
  });
});

describe('subscriptions to configuration values', () => {
  const values = (heard: readonly string[]) =>
    heard.map((text) => JSON.parse(text.slice(text.indexOf('{')))).map(({ dt: _, ...rest }) => rest);

  it('tell the device how things are and every change of what it asked for, and nothing else, until it wants no more', async () => {
    const { broker, client, heard, write } = await city();
    await broker.request('POST', '/iot/json?k=binKey&i=bin1', { interval: 60, level: 1 });
    await client.subscribeAsync('/binKey/bin1/configuration/values', { qos: 1 });
    const ask = (fields: string[]) =>
      client.publishAsync('/json/binKey/bin1/configuration/commands', JSON.stringify({ type: 'subscription', fields }), {
        qos: 1,
      });
    await ask(['interval', 'limit']);
    await until(() => heard.length === 1, 'the values');
    await write({ level: { type: 'Property', value: 2 } });
    await write({ interval: { type: 'Property', value: 120 } });
    await until(() => heard.length === 2, 'the change');
    await write({ limit: { type: 'Property', value: 'high' } });
    await until(() => heard.length === 3, 'the other change');
    await ask([]);
    await write({ interval: { type: 'Property', value: 30 } });
    await ask(['limit']);
    await until(() => heard.length === 4, 'what it asked for last');
    expect(values(heard)).toEqual([{ interval: 60 }, { interval: 120 }, { interval: 120, limit: 'high' }, { limit: 'high' }]);
    expect(heard[0]).toMatch(/^\/binKey\/bin1\/configuration\/values /);
  });

  it('are there after a restart, without the key standing in the database, and end with the device', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mizar-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const start = () => inMemoryBroker({ config: { dataDir: folder } });
    const first = await start();
    const one = await first.broker.listen();
    const groups = [{ resource: '/iot/json', apikey: 'secretBinKey', entity_type: 'Bin' }];
    await first.request('POST', '/iot/groups', { groups }, PLACE);
    await first.request('POST', '/iot/devices', { devices: [{ device_id: 'bin1' }] }, PLACE);
    const device = await mqtt.connectAsync(one.mqttUrl ?? '', { reconnectPeriod: 0 });
    const question = '{"type":"subscription","fields":["interval"]}';
    await device.publishAsync('secretBinKey/bin1/configuration/commands', question, { qos: 1 });
    await device.endAsync(true);
    const kept = await first.broker.store.documents.list('device-configuration', undefined);
    expect(JSON.stringify(kept)).not.toContain('secretBinKey');
    await first[Symbol.asyncDispose]();
    const file = join(folder, 'mizar.db');
    // On MongoDB there is none.
    if (existsSync(file)) expect((await readFile(file)).includes('secretBinKey')).toBe(false);
    const second = await start();
    onTestFinished(() => second[Symbol.asyncDispose]());
    const { mqttUrl } = await second.broker.listen();
    const again = await mqtt.connectAsync(mqttUrl ?? '', { reconnectPeriod: 0 });
    onTestFinished(() => void again.end(true));
    const heard: string[] = [];
    again.on('message', (topic, payload) => heard.push(`${topic} ${payload}`));
    await again.subscribeAsync('secretBinKey/bin1/configuration/values', { qos: 1 });
    await second.request('POST', '/iot/json?k=secretBinKey&i=bin1', { interval: 60 });
    await until(() => heard.length === 1, 'the change');
    expect(values(heard)).toEqual([{ interval: 60 }]);
    expect((await second.request('DELETE', '/iot/devices/bin1', undefined, PLACE)).statusCode).toBe(204);
    const stored = async () => (await second.broker.store.documents.list('device-configuration', undefined)).length;
    for (let turn = 0; (await stored()) > 0; turn++) {
      if (turn > 500) throw new Error('what the device wanted to know outlives it');
      await new Promise((wake) => setTimeout(wake, 10));
    }
  });
});

describe('open commands of a device', () => {
  it('are listed, and can be taken back before the device has them', async () => {
    const { ask, write, client, heard } = await city();
    await write({ open: { type: 'Property', value: 'wide' } });
    const { count, commands } = (await ask('GET', '/iot/devices/bin1/commands')).json();
    expect(count).toBe(1);
    expect(commands[0]).toMatchObject({ name: 'open', value: 'wide', status: 'PENDING', entity: 'urn:ngsi-ld:Bin:bin1' });
    const path = `/iot/devices/bin1/commands/${commands[0].id}`;
    expect((await ask('DELETE', path)).statusCode).toBe(204);
    expect((await ask('DELETE', path)).json()).toMatchObject({ name: 'COMMAND_NOT_FOUND' });
    expect((await ask('GET', '/iot/devices/bin1/commands')).json().count).toBe(0);
    await write({ open: { type: 'Property', value: 'later' } });
    await client.subscribeAsync('/binKey/bin1/cmd', { qos: 1 });
    await until(() => heard.length > 0, 'the later command');
    expect(heard).toEqual(['/binKey/bin1/cmd {"open":"later"}']);
  });
});

describe('provisioning', () => {
  it('pages through groups, shows ids only on demand, and refuses endpoints and transports that nobody can use', async () => {
    const { ask } = await city();
    expect((await ask('GET', '/iot/groups?limit=1&offset=1')).json()).toMatchObject({ count: 1, groups: [] });
    expect((await ask('GET', '/iot/devices?detailed=off')).json()).toEqual({ count: 1, devices: [{ device_id: 'bin1' }] });
    for (const wrong of [
      { endpoint: 'bin1.local', transport: 'HTTP' },
      { endpoint: 'file:///etc/passwd' },
      { transport: 'PIGEON' },
    ]) {
      const answer = await ask('POST', '/iot/devices', { devices: [{ device_id: 'bin2', ...wrong }] });
      expect(answer.json()).toMatchObject({ name: 'WRONG_SYNTAX' });
    }
  });

  it('a device may measure over HTTP with its own token', async () => {
    const { ask, broker } = await city();
    const { token } = (await ask('POST', '/iot/devices/bin1/token', {})).json();
    expect((await broker.request('POST', '/iot/json?i=bin1', { level: 1 }, { 'x-api-key': token })).statusCode).toBe(200);
    expect((await broker.request('POST', '/iot/json?i=bin2', { level: 1 }, { 'x-api-key': token })).statusCode).toBe(404);
    await ask('DELETE', '/iot/devices/bin1/token');
    expect((await broker.request('POST', '/iot/json?i=bin1', { level: 1 }, { 'x-api-key': token })).statusCode).toBe(404);
  });
});
