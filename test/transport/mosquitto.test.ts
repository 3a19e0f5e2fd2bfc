import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt, { type MqttClient } from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../support/broker.ts';
import { hasDynamicSecurity, type Mosquitto, mosquittoWithDynamicSecurity } from '../support/dynamic-security.ts';

if (!hasDynamicSecurity && process.env['MIZAR_TEST_ALL_SERVERS'])
  throw new Error('mosquitto or its dynamic-security plugin is missing, and this run must leave nothing out');
if (!hasDynamicSecurity)
  console.log('left out: devices at an MQTT broker outside, which need mosquitto (Debian: apt-get install mosquitto)');

const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
const TENANT = { 'ngsild-tenant': 'city' };
const GROUP = {
  resource: '/iot/json',
  apikey: 'lampKey',
  entity_type: 'Lamp',
  commands: [{ name: 'dim', type: 'command' }],
};

async function eventually<T>(what: string, look: () => Promise<T>): Promise<Exclude<T, undefined | false>> {
  const end = Date.now() + 10_000;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found as Exclude<T, undefined | false>;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function city(mosquitto: Mosquitto, dataDir = ':memory:') {
  const broker = await inMemoryBroker({
    config: {
      dataDir,
      mqtt: false,
      mqttOutside: mosquitto.url,
      mqttOutsideControl: 'dynamic-security',
      mqttOutsideConnections: 4,
    },
  });
  onTestFinished(() => broker[Symbol.asyncDispose]());
  await broker.broker.listen();
  await eventually('the group', async () => {
    const answer = await broker.request('POST', '/iot/groups', { groups: [GROUP] }, PLACE);
    return answer.statusCode === 201 || answer.statusCode === 409;
  });
  const token = async (device_id: string) => {
    const answer = await broker.request('POST', '/iot/devices', { devices: [{ device_id, newToken: true }] }, PLACE);
    expect(answer.statusCode, answer.body).toBe(201);
    return answer.json().devices[0] as { token: string; mqttUsername: string };
  };
  const connect = async ({ token, mqttUsername }: { token: string; mqttUsername: string }, protocolVersion: 4 | 5 = 5) => {
    const client = await mqtt.connectAsync(
      mosquitto.openUrl,
      { username: mqttUsername, password: token, reconnectPeriod: 0, protocolVersion },
      false,
    );
    client.on('error', () => {});
    onTestFinished(() => void client.end(true));
    return client;
  };
  return { broker, token, connect };
}

const lamp = async (broker: TestBroker, id: string) => {
  const answer = await broker.request(
    'GET',
    `/ngsi-ld/v1/entities/urn:ngsi-ld:Lamp:${id}?options=keyValues`,
    undefined,
    TENANT,
  );
  // With commands it is there before the device has said anything.
  return answer.statusCode === 200 && answer.json().level !== undefined ? answer.json() : undefined;
};

const closed = (client: MqttClient) => new Promise<number>((resolve) => client.once('close', () => resolve(Date.now())));

describe.skipIf(!hasDynamicSecurity)('devices at a Mosquitto outside (needs mosquitto)', () => {
  it('measures are stored, commands arrive, and results come back', async () => {
    await using mosquitto = await mosquittoWithDynamicSecurity();
    const { broker, token, connect } = await city(mosquitto);
    const device = await connect(await token('lamp3'));
    await eventually('a measure', async () => {
      await device.publishAsync('/json/lampKey/lamp3/attrs', '{"level":7}', { qos: 1 });
      return lamp(broker, 'lamp3');
    });
    const heard: string[] = [];
    device.on('message', (topic, payload) => heard.push(`${topic} ${payload}`));
    const granted = await device.subscribeAsync('/lampKey/lamp3/cmd', { qos: 1 });
    expect(granted[0]?.qos).toBe(1);
    await broker.request('PATCH', '/ngsi-ld/v1/entities/urn:ngsi-ld:Lamp:lamp3/attrs/dim', { value: 40 }, TENANT);
    await eventually('the command', async () => heard.length > 0);
    expect(heard).toEqual(['/lampKey/lamp3/cmd {"dim":40}']);
    await eventually('DELIVERED', async () => (await lamp(broker, 'lamp3')).dim_status === 'DELIVERED');
    await device.publishAsync('/json/lampKey/lamp3/cmdexe', '{"dim":"done"}', { qos: 1 });
    await eventually('OK', async () => (await lamp(broker, 'lamp3')).dim_status === 'OK');
    expect(await lamp(broker, 'lamp3')).toMatchObject({ level: 7, dim_info: 'done' });
  });

  it('a device can neither publish nor listen outside its topics, nor without its token', async () => {
    await using mosquitto = await mosquittoWithDynamicSecurity();
    const { broker, token, connect } = await city(mosquitto);
    const one = await token('lamp1');
    const device = await connect(one, 4);
    const other = await connect(await token('lamp2'));
    for (const filter of [
      '#',
      '+/+/cmd',
      '/lampKey/lamp2/cmd',
      'lampKey/+/cmd',
      '$share/mizar/json/+/+/attrs',
      '$CONTROL/#',
      '$SYS/#',
    ]) {
      const granted = await device.subscribeAsync(filter, { qos: 1 }).catch(() => [{ qos: 128 }]);
      expect(granted[0]?.qos, filter).toBeGreaterThan(2);
    }
    for (const topic of [
      '/json/lampKey/lamp2/attrs',
      'json/lampKey/lamp2/attrs',
      '/ul/lampKey/lamp2/attrs',
      'lampKey/lamp2/attrs/level',
    ]) {
      // Mosquitto 2.0 closes the connection of who tries; others acknowledge and drop.
      const trying = await connect(one, 4);
      await Promise.race([trying.publishAsync(topic, '{"level":1}', { qos: 1 }).catch(() => {}), closed(trying)]);
      trying.end(true);
    }
    await eventually('its own measure', async () => {
      await device.publishAsync('/json/lampKey/lamp1/attrs', '{"level":1}', { qos: 1 });
      return lamp(broker, 'lamp1');
    });
    expect(await lamp(broker, 'lamp2')).toBeUndefined();
    expect(other.connected).toBe(true);
    await expect(connect({ ...one, token: 'wrong' })).rejects.toThrow();
    await expect(connect({ token: 'nothing', mqttUsername: 'nobody' })).rejects.toThrow();
  });

  it('a revoked token ends the session within a second, and nothing later is accepted', async () => {
    await using mosquitto = await mosquittoWithDynamicSecurity();
    const { broker, token, connect } = await city(mosquitto);
    const issued = await token('lamp3');
    const device = await connect(issued);
    await eventually('a measure', async () => {
      await device.publishAsync('/json/lampKey/lamp3/attrs', '{"level":7}', { qos: 1 });
      return lamp(broker, 'lamp3');
    });
    const ended = closed(device);
    const revokedAt = Date.now();
    expect((await broker.request('DELETE', '/iot/devices/lamp3/token', undefined, PLACE)).statusCode).toBe(204);
    expect((await ended) - revokedAt).toBeLessThan(1000);
    await expect(connect(issued)).rejects.toThrow();
    // A new token lets it in again; the old one stays dead.
    const answer = await broker.request('POST', '/iot/devices/lamp3/token', {}, PLACE);
    await connect(answer.json());
    await expect(connect(issued)).rejects.toThrow();
  });

  it('what was revoked while Mosquitto was away is revoked when it is back; meanwhile no token is given that would not hold', async () => {
    await using mosquitto = await mosquittoWithDynamicSecurity();
    const { broker, token, connect } = await city(mosquitto);
    const issued = await token('lamp3');
    (await connect(issued)).end(true);
    await mosquitto.stop();
    expect((await broker.request('DELETE', '/iot/devices/lamp3/token', undefined, PLACE)).statusCode).toBe(204);
    const refused = await broker.request('POST', '/iot/devices/lamp3/token', {}, PLACE);
    expect(refused.statusCode).toBe(503);
    await mosquitto.start();
    await eventually('the revocation', async () =>
      connect(issued).then(
        (client) => {
          client.end(true);
          return false;
        },
        () => true,
      ),
    );
    const answer = await eventually('a new token', async () => {
      const given = await broker.request('POST', '/iot/devices/lamp3/token', {}, PLACE);
      return given.statusCode === 201 && given.json();
    });
    await connect(answer);
  });

  it('what is published while the broker is away is there when it is back', async () => {
    await using mosquitto = await mosquittoWithDynamicSecurity();
    const dataDir = mkdtempSync(join(tmpdir(), 'mizar-outside-'));
    onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
    const first = await city(mosquitto, dataDir);
    const device = await first.connect(await first.token('lamp3'));
    await eventually('a measure', async () => {
      await device.publishAsync('/json/lampKey/lamp3/attrs', '{"level":0,"TimeInstant":"2026-03-01T09:00:00Z"}', { qos: 1 });
      return lamp(first.broker, 'lamp3');
    });
    await first.broker[Symbol.asyncDispose]();
    for (let level = 1; level <= 50; level++) {
      await device.publishAsync(
        '/json/lampKey/lamp3/attrs',
        `{"level":${level},"TimeInstant":"2026-03-01T10:00:${String(level).padStart(2, '0')}Z"}`,
        { qos: 1 },
      );
    }
    const second = await city(mosquitto, dataDir);
    // Several connections share what waited, and one may be behind the others.
    const values = async (): Promise<unknown[]> => {
      const url =
        '/ngsi-ld/v1/temporal/entities/urn:ngsi-ld:Lamp:lamp3?timerel=before&timeAt=2030-01-01T00:00:00Z&options=temporalValues';
      return (await second.broker.request('GET', url, undefined, TENANT)).json().level.values;
    };
    await eventually('what waited', async () => (await values()).length >= 51);
    expect(await values()).toHaveLength(51);
    expect((await lamp(second.broker, 'lamp3'))?.level).toBe(50);
  });
});
