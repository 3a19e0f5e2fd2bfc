import { createServer } from 'node:net';
import { Aedes } from 'aedes';
import mqtt from 'mqtt';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { profileOf } from '../../../adapters/mqtt/profiles.ts';
import { readProcessConfig } from '../../../adapters/process-config.ts';
import type { JsonValue } from '../../../broker/domain/json.ts';
import { inMemoryBroker } from '../../support/broker.ts';

const profile = (settings: object) => profileOf(settings as Readonly<Record<string, JsonValue>>);
const nothing = Buffer.from('{}');

describe('profiles of MQTT servers', () => {
  it('The Things Stack: uplinks of one application, downlinks to its devices, QoS 0', () => {
    const stack = profile({
      profile: 'things-stack',
      application: 'parks@city',
      downlinks: { valve: { port: 15, type: 'bool' } },
    });
    expect([stack.filters, stack.qos]).toEqual([['v3/parks@city/devices/+/up'], 0]);
    expect(stack.recognize('v3/parks@city/devices/soil-12/up', nothing, false)).toEqual({
      device: 'soil-12',
      format: 'things-stack',
    });
    expect(stack.recognize('v3/parks@city/devices/soil-12/down/ack', nothing, false)).toBeUndefined();
    expect(stack.recognize('v3/other/devices/soil-12/up', nothing, false)).toBeUndefined();
    expect(stack.command!('soil-12', 'valve', true)).toEqual({
      topic: 'v3/parks@city/devices/soil-12/down/push',
      payload: '{"downlinks":[{"f_port":15,"frm_payload":"AQ==","priority":"NORMAL"}]}',
    });
  });

  it('ChirpStack: the application of a device is learned from what it sends', () => {
    const stack = profile({ profile: 'chirpstack' });
    const value = { port: 2, hex: '01' };
    expect(() => stack.command!('0011223344556677', 'x', value)).toThrow('has not been heard yet');
    expect(stack.recognize('application/app-1/device/0011223344556677/event/up', nothing, false)).toEqual({
      device: '0011223344556677',
      format: 'chirpstack',
    });
    expect(stack.recognize('application/app-1/device/0011223344556677/event/join', nothing, false)).toBeUndefined();
    expect(stack.command!('0011223344556677', 'x', value).topic).toBe('application/app-1/device/0011223344556677/command/down');
  });

  it('Zigbee2MQTT: names may contain "/", so the list of the bridge says where one ends; only what can be set is set', () => {
    const bridge = profile({ profile: 'zigbee2mqtt' });
    expect(bridge.recognize('zigbee2mqtt/hall/lamp', nothing, false)).toBeUndefined();
    const list = [
      {
        friendly_name: 'hall/lamp',
        definition: {
          exposes: [
            { property: 'state', access: 7 },
            { property: 'linkquality', access: 1 },
          ],
        },
      },
    ];
    expect(bridge.recognize('zigbee2mqtt/bridge/devices', Buffer.from(JSON.stringify(list)), true)).toBeUndefined();
    expect(bridge.recognize('zigbee2mqtt/hall/lamp', nothing, false)).toEqual({ device: 'hall_lamp', format: 'zigbee2mqtt' });
    expect(bridge.recognize('zigbee2mqtt/hall/lamp', nothing, true)).toMatchObject({ attribute: 'retained' });
    expect(bridge.recognize('zigbee2mqtt/hall/lamp/availability', nothing, true)).toMatchObject({ attribute: 'availability' });
    for (const topic of [
      'zigbee2mqtt/hall/lamp/set',
      'zigbee2mqtt/hall/lamp/get',
      'zigbee2mqtt/bridge/state',
      'zigbee2mqtt/hall',
    ])
      expect(bridge.recognize(topic, nothing, false)).toBeUndefined();
    expect(bridge.command!('hall_lamp', 'state', 'ON')).toEqual({
      topic: 'zigbee2mqtt/hall/lamp/set',
      payload: '{"state":"ON"}',
    });
    expect(() => bridge.command!('hall_lamp', 'linkquality', 1)).toThrow('it has state');
    expect(() => bridge.command!('other', 'state', 1)).toThrow('knows no such device');
  });

  it('Tasmota: telemetry and answers are heard, commands go to cmnd', () => {
    const home = profile({ profile: 'tasmota', fullTopic: 'home/%topic%/%prefix%/' });
    expect(home.filters).toEqual(['home/+/tele/+', 'home/+/stat/+']);
    expect(home.recognize('home/plug-1/tele/SENSOR', nothing, false)).toEqual({
      device: 'plug-1',
      format: 'tasmota',
      attribute: 'SENSOR',
    });
    expect(home.recognize('home/plug-1/stat/POWER2', nothing, false)).toMatchObject({ attribute: 'POWER2' });
    expect(home.recognize('home/plug-1/tele/INFO1', nothing, false)).toBeUndefined();
    expect(home.command!('plug-1', 'POWER2', true)).toEqual({ topic: 'home/plug-1/cmnd/POWER2', payload: 'ON' });
    expect(() => home.command!('plug-1', '../x', true)).toThrow('no command of Tasmota');
  });

  it('any topics: the level {device} names the device, and other topics are not ours', () => {
    const own = profile({
      profile: 'topics',
      topics: [
        { topic: 'plant/{device}/data', format: 'json' },
        { topic: 'tank', format: 'ultralight', device: 'tank-1' },
        { topic: 'x/{device}/t', format: 'json', attribute: 't' },
      ],
    });
    expect(own.filters).toEqual(['plant/+/data', 'tank', 'x/+/t']);
    expect(own.recognize('plant/p1/data', nothing, false)).toEqual({ device: 'p1', format: 'json' });
    expect(own.recognize('tank', nothing, false)).toEqual({ device: 'tank-1', format: 'ultralight' });
    expect(own.recognize('x/a/t', nothing, false)).toEqual({ device: 'a', format: 'json', attribute: 't' });
    expect(own.recognize('plant//data', nothing, false)).toBeUndefined();
    expect(own.recognize('plant/p1/other', nothing, false)).toBeUndefined();
  });

  it.each([
    [{ profile: 'x' }, 'profile:'],
    [{ profile: 'things-stack' }, 'application: must be a text'],
    [{ profile: 'tasmota', fullTopic: '%topic%' }, 'fullTopic must contain'],
    [{ profile: 'topics', topics: [] }, 'topics: must be a list'],
    [{ profile: 'topics', topics: [{ topic: 'a/#', format: 'json' }] }, 'topics[0].topic'],
    [{ profile: 'topics', topics: [{ topic: 'a/b', format: 'json' }] }, 'topics[0].topic: must contain the level {device}'],
    [{ profile: 'topics', topics: [{ topic: '{device}', format: 'xml' }] }, 'topics[0].format'],
  ])('%j is refused: %s', (settings, reason) => expect(() => profile(settings)).toThrow(reason));
});

it('an uplink on somebody else’s MQTT server becomes an entity, and a write to it a downlink there', {
  timeout: 60_000,
}, async () => {
  const aedes = await Aedes.createBroker();
  const server = createServer(aedes.handle);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as { port: number };
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`);
  const broker = await inMemoryBroker();
  onTestFinished(async () => {
    await broker[Symbol.asyncDispose]();
    await client.endAsync(true);
    await new Promise<void>((closed) => aedes.close(closed));
    server.close();
  });
  await broker.broker.listen();
  const place = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
  const tenant = { 'NGSILD-Tenant': 'city' };
  const device = {
    device_id: 'soil-12',
    entity_name: 'urn:ngsi-ld:Soil:12',
    entity_type: 'Soil',
    transport: 'adapter',
    endpoint: 'parks',
    commands: [{ name: 'valve', type: 'command' }],
  };
  expect((await broker.request('POST', '/iot/devices', { devices: [device] }, place)).statusCode).toBe(201);
  const settings = {
    url: `mqtt://127.0.0.1:${port}`,
    profile: 'things-stack',
    application: 'parks',
    downlinks: { valve: { port: 15, hex: '01', type: 'uint', length: 1 } },
  };
  expect((await broker.request('PUT', '/iot/adapters/parks', { kind: 'mqtt', settings }, place)).statusCode).toBe(201);
  const read = async () => (await broker.request('GET', '/ngsi-ld/v1/entities/urn:ngsi-ld:Soil:12', undefined, tenant)).json();
  const uplink = {
    end_device_ids: { device_id: 'soil-12' },
    received_at: '2026-03-01T10:00:00Z',
    uplink_message: { f_port: 2, decoded_payload: { moist: 65.5 } },
  };
  await vi.waitFor(
    async () => {
      await client.publishAsync('v3/parks/devices/soil-12/up', JSON.stringify(uplink));
      expect((await read()).moist).toMatchObject({ value: 65.5, observedAt: '2026-03-01T10:00:00Z' });
    },
    { timeout: 30_000, interval: 100 },
  );
  const downlinks: string[] = [];
  client.on('message', (_topic, payload) => void downlinks.push(payload.toString()));
  await client.subscribeAsync('v3/parks/devices/soil-12/down/push');
  await broker.request('PATCH', '/ngsi-ld/v1/entities/urn:ngsi-ld:Soil:12/attrs/valve', { type: 'Property', value: 7 }, tenant);
  await vi.waitFor(
    () => expect(downlinks).toEqual(['{"downlinks":[{"f_port":15,"frm_payload":"AQc=","priority":"NORMAL"}]}']),
    { timeout: 20_000 },
  );
  await vi.waitFor(
    async () => expect(await read()).toMatchObject({ valve_status: { value: 'OK' }, valve_info: { value: 'sent' } }),
    { timeout: 20_000 },
  );
});

describe('the settings of an adapter process', () => {
  const given = { MIZAR_ADAPTER_NAME: 'plant', MIZAR_ADAPTER_TOKEN: 't' };
  it('are few, and what is wrong is named', () => {
    expect(readProcessConfig(given)).toMatchObject({
      brokerUrl: 'http://127.0.0.1:1026',
      name: 'plant',
      dataDir: './adapter-data',
      outboxBytes: 1024 ** 3,
    });
    expect(() => readProcessConfig({})).toThrow('MIZAR_ADAPTER_NAME');
    expect(() => readProcessConfig({ MIZAR_ADAPTER_NAME: 'plant' })).toThrow('MIZAR_ADAPTER_TOKEN');
    expect(() => readProcessConfig({ ...given, MIZAR_ADAPTER_BROKER: 'broker' })).toThrow('MIZAR_ADAPTER_BROKER must be');
    expect(() => readProcessConfig({ ...given, MIZAR_ADAPTER_OUTBOX_BYTES: '1k' })).toThrow('MIZAR_ADAPTER_OUTBOX_BYTES');
    expect(() => readProcessConfig({ ...given, MIZAR_ADAPTER_NAEM: 'x' })).toThrow('MIZAR_ADAPTER_NAEM is not a setting');
  });
});
