import mqtt from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Clock } from '../../../broker/ports/clock.ts';
import { inMemoryBroker } from '../../support/broker.ts';
import { steppingClock } from '../../support/stepping-clock.ts';

const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };

async function city(group: object = {}, clock?: Clock) {
  const broker = await inMemoryBroker(clock ? { clock } : {});
  onTestFinished(() => broker[Symbol.asyncDispose]());
  const attributes = [{ name: 'level', type: 'Number' }];
  const groups = [{ resource: '/iot/json', apikey: 'binKey', entity_type: 'Bin', attributes, ...group }];
  await broker.request('POST', '/iot/groups', { groups }, PLACE);
  const measure = (body: unknown, device = 'bin1') => broker.request('POST', `/iot/json?k=binKey&i=${device}`, body);
  const refusals = async (device = 'bin1') =>
    (await broker.request('GET', `/iot/devices/${device}/refusals`, undefined, PLACE)).json();
  return { broker, measure, refusals };
}

describe('what devices say and is refused', () => {
  it('one bad value costs no other, and is in the list of its device with the reason', async () => {
    const { broker, measure, refusals } = await city();
    expect((await measure({ level: 'full', lid: 'open', odd: null })).statusCode).toBe(200);
    const entity = await broker.request('GET', '/ngsi-ld/v1/entities/urn:ngsi-ld:Bin:bin1?options=keyValues', undefined, {
      'ngsild-tenant': 'city',
    });
    expect(entity.json()).toEqual({ id: 'urn:ngsi-ld:Bin:bin1', type: 'Bin', lid: 'open' });
    const { count, refusals: list } = await refusals();
    expect(count).toBe(2);
    expect(list.map(({ code }: { code: string }) => code)).toEqual(['VALUE', 'VALUE']);
    expect(list.map(({ reason }: { reason: string }) => reason).join()).toMatch(/"level" has a value that does not suit/);
  });

  it('whole messages are listed too, newest first, at most twenty, and counted', async () => {
    const { broker, measure, refusals } = await city();
    await measure({ level: 1 });
    for (let time = 0; time < 25; time++) expect((await measure('{"level":')).statusCode).toBe(400);
    expect((await measure({ level: 1, TimeInstant: 'yesterday' })).statusCode).toBe(400);
    const { refusals: list } = await refusals();
    expect(list).toHaveLength(20);
    expect(list[0]).toMatchObject({ code: 'BAD_TIMESTAMP' });
    expect(list[1]).toMatchObject({ code: 'PARSE_ERROR', reason: expect.stringContaining('not JSON') });
    expect((await broker.request('GET', '/metrics')).body).toMatch(/^mizar_devices_refused_total 26$/m);
  });

  it('are gone with the device, and are nobody else’s business', async () => {
    const { broker, measure, refusals } = await city();
    await measure('{"level":');
    expect((await refusals()).count).toBe(1);
    const other = await broker.request('GET', '/iot/devices/bin1/refusals', undefined, { ...PLACE, 'fiware-service': 'other' });
    expect(other.statusCode).toBe(404);
    await broker.request('DELETE', '/iot/devices/bin1', undefined, PLACE);
    await measure({ level: 1 });
    expect((await refusals()).count).toBe(0);
  });

  it('unknown devices with a valid key are listed for onboarding, and write nothing', async () => {
    const { broker, measure } = await city({ autoprovision: false });
    for (let time = 0; time < 3; time++) expect((await measure({ level: 1 }, 'stranger')).statusCode).toBe(404);
    const unknown = await broker.request('GET', '/iot/unknown-devices', undefined, PLACE);
    expect(unknown.json()).toMatchObject({ count: 1, devices: [{ device_id: 'stranger', messages: 3 }] });
    const entities = await broker.request('GET', '/ngsi-ld/v1/entities?type=Bin', undefined, { 'ngsild-tenant': 'city' });
    expect(entities.json()).toEqual([]);
  });
});

describe('tokens', () => {
  const connect = (mqttUrl: string | undefined, token: string) =>
    mqtt.connectAsync(mqttUrl ?? '', { username: 'bin1', password: token, reconnectPeriod: 0, protocolVersion: 4 }, false);

  it('that end by themselves hold until then, and no longer: the session is closed and measures are refused', async () => {
    const clock = steppingClock();
    const { broker } = await city({}, clock);
    const { mqttUrl } = await broker.broker.listen();
    await broker.request('POST', '/iot/devices', { devices: [{ device_id: 'bin1' }] }, PLACE);
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    const issued = await broker.request('POST', '/iot/devices/bin1/token', { expiresAt }, PLACE);
    expect(issued.json()).toMatchObject({ device_id: 'bin1', expiresAt });
    const { token } = issued.json();
    const client = await connect(mqttUrl, token);
    const ended = new Promise<void>((resolve) => client.once('close', () => resolve()));
    await client.publishAsync('/json/binKey/bin1/attrs', '{"level":1}', { qos: 1 });
    clock.step(3_600_001);
    // From this moment on, whether or not the sweeper has come by.
    await expect(connect(mqttUrl, token)).rejects.toThrow();
    await ended;
    const shown = await broker.request('GET', '/iot/devices/bin1', undefined, PLACE);
    expect(shown.json()).toMatchObject({ hasToken: false });
    const past = await broker.request('POST', '/iot/devices/bin1/token', { expiresAt: '2020-01-01T00:00:00Z' }, PLACE);
    expect(past.statusCode).toBe(400);
  });

  it('that are revoked while the device publishes without pause: the session ends within a second, and nothing later is taken', async () => {
    const { broker, measure } = await city();
    const { mqttUrl } = await broker.broker.listen();
    await broker.request('POST', '/iot/devices', { devices: [{ device_id: 'bin1' }] }, PLACE);
    const { token } = (await broker.request('POST', '/iot/devices/bin1/token', {}, PLACE)).json();
    const client = await connect(mqttUrl, token);
    client.on('error', () => {});
    const ended = new Promise<number>((resolve) => client.once('close', () => resolve(Date.now())));
    let open = true;
    let sent = 0;
    const publishing = (async () => {
      while (open) {
        await client.publishAsync('/json/binKey/bin1/attrs', `{"level":${++sent}}`, { qos: 1 }).catch(() => {});
        // A client that is closed answers at once, and would not let anybody else have a turn.
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    while (sent < 20) await new Promise((resolve) => setTimeout(resolve, 1));
    const asked = Date.now();
    expect((await broker.request('DELETE', '/iot/devices/bin1/token', undefined, PLACE)).statusCode).toBe(204);
    expect((await ended) - asked).toBeLessThan(1000);
    const sentThen = sent;
    open = false;
    client.end(true);
    await publishing;
    await expect(connect(mqttUrl, token)).rejects.toThrow();
    // What was being stored when the token ended may be on disk a moment later, but before what comes now.
    expect((await measure({ level: 1 }, 'bin2')).statusCode).toBe(200);
    const entity = await broker.request('GET', '/ngsi-ld/v1/entities/urn:ngsi-ld:Bin:bin1?options=keyValues', undefined, {
      'ngsild-tenant': 'city',
    });
    expect(entity.json().level).toBeGreaterThan(0);
    expect(entity.json().level).toBeLessThanOrEqual(sentThen);
  });
});
