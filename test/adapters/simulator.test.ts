import { describe, expect, it, vi } from 'vitest';
import { meterSettings, simulatedMeters } from '../../adapters/simulator/meters.ts';
import { crc16, serveTcp } from '../../adapters/simulator/modbus-slave.ts';
import {
  chirpStackSender,
  kitSender,
  type Sender,
  SIMULATION_GROUPS,
  simulatedKit,
  thingsStackSender,
} from '../../adapters/simulator/senders.ts';
import { AS_IN_THE_FIELD, CALM, randomNumbers, signal } from '../../adapters/simulator/signal.ts';
import { inMemoryBroker } from '../support/broker.ts';

vi.setConfig({ testTimeout: 60_000 });
const PLACE = { 'fiware-service': 'simulation', 'fiware-servicepath': '/' };
const TENANT = { 'NGSILD-Tenant': 'simulation' };
const START = Date.parse('2026-03-01T00:00:00Z');
const minutes = (count: number) => Array.from({ length: count }, (_, at) => new Date(START + at * 60_000));

describe('simulated signals', () => {
  it('are the same for the same seed, have the mean and the spread that they should, and rise by day', () => {
    const shape = { mean: 14, swing: 6, noise: 0.5 };
    const one = signal(shape, randomNumbers(7));
    const other = signal(shape, randomNumbers(7));
    const values = minutes(1440).map((at) => one(at));
    expect(minutes(1440).map((at) => other(at))).toEqual(values);
    expect(Math.abs(values.reduce((sum, value) => sum + value, 0) / values.length - 14)).toBeLessThan(0.5);
    expect(values[15 * 60]! - values[3 * 60]!).toBeGreaterThan(8);
    expect(Math.min(...values)).toBeGreaterThan(5);
  });
});

describe('the simulated slave', () => {
  it('has the checksum of the protocol', () => {
    // MODBUS over Serial Line V1.02, 6.2.2: 02 07 gives 41 12, the low byte first.
    expect(crc16(Buffer.from('0207', 'hex')).toString(16)).toBe('1241');
  });

  it('meters are read as they are by an adapter, obey what is written to them, and their faults cost single rounds', async () => {
    await using broker = await inMemoryBroker();
    await broker.broker.listen();
    const meters = simulatedMeters(2, 4711, CALM);
    meters.step(new Date(START), 3600);
    const gateway = await serveTcp(meters.slave);
    try {
      const settings = meterSettings('127.0.0.1', gateway.port, 2, 0.1);
      expect((await broker.request('PUT', '/iot/adapters/meters', { kind: 'modbus', settings }, PLACE)).statusCode).toBe(201);
      const id = `urn:ngsi-ld:ACMeasurement:simulated-${gateway.port}-2`;
      const read = async () => (await broker.request('GET', `/ngsi-ld/v1/entities/${id}`, undefined, TENANT)).json();
      await vi.waitFor(async () => expect((await read()).voltage).toBeDefined(), { timeout: 20_000 });
      expect(await read()).toMatchObject({
        serialNumber: { value: 'SM-112' },
        mode: { value: 'ECO' },
        relay: { value: true },
        activePower: { unitCode: 'KWT' },
      });
      const { voltage, frequency, totalActiveEnergyImport } = await read();
      expect(voltage.value).toBeGreaterThan(215);
      expect(Math.abs(frequency.value - 50)).toBeLessThan(0.3);
      expect(totalActiveEnergyImport.value).toBeGreaterThan(12_346);
      await broker.request('PATCH', `/ngsi-ld/v1/entities/${id}/attrs/mode`, { type: 'Property', value: 'OFF' }, TENANT);
      await vi.waitFor(async () => expect((await read()).mode.value).toBe('OFF'), { timeout: 20_000 });
      meters.step(new Date(START), 60);
      await vi.waitFor(async () => expect((await read()).activePower.value).toBe(0), { timeout: 20_000 });
    } finally {
      await broker.request('DELETE', '/iot/adapters/meters', undefined, PLACE);
      await gateway.close();
    }
  });
});

describe('simulated senders', () => {
  it('as in the field, they pause, catch up and repeat; every message is understood, and what comes twice is there once', async () => {
    await using broker = await inMemoryBroker();
    expect((await broker.request('POST', '/iot/groups', { groups: SIMULATION_GROUPS }, PLACE)).statusCode).toBe(201);
    const created = (await broker.request('POST', '/iot/devices', { devices: [simulatedKit(1)] }, PLACE)).json();
    const senders: readonly Sender[] = [
      kitSender(1, created.devices[0].token, AS_IN_THE_FIELD),
      chirpStackSender(1, AS_IN_THE_FIELD),
      thingsStackSender(1, AS_IN_THE_FIELD),
    ];
    const steps = minutes(150);
    let sent = 0;
    let steady = 0;
    for (const at of steps) {
      for (const sender of senders) {
        const messages = sender.step(at);
        steady += messages.length === 1 ? 1 : 0;
        for (const { path, key, body } of messages) {
          sent++;
          const answer = await broker.request('POST', path, body, { 'x-api-key': key });
          expect([path, answer.statusCode, answer.body]).toEqual([path, 200, '{}']);
        }
      }
    }
    expect(steady).toBeLessThan(steps.length * 3);
    expect(sent).toBeGreaterThan(steps.length * 2);
    const history = async (id: string, attribute: string) => {
      const url = `/ngsi-ld/v1/temporal/entities/${id}?options=temporalValues&attrs=${attribute}`;
      const body = (await broker.request('GET', url, undefined, TENANT)).json();
      return (Object.entries(body).find(([name]) => name.endsWith(attribute))![1] as { values: [number, string][] }).values.map(
        ([, time]) => time,
      );
    };
    for (const [id, attribute] of [
      ['urn:ngsi-ld:WeatherObserved:0a11000000000001', 'temperature'],
      ['urn:ngsi-ld:WaterObserved:simulated-river-1', 'height'],
    ] as const) {
      const times = await history(id, attribute);
      expect(new Set(times).size).toBe(times.length);
      expect(times.length).toBeGreaterThan(steps.length * 0.9);
      expect(times.length).toBeLessThanOrEqual(steps.length);
    }
  });
});
