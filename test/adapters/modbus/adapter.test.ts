import { createServer } from 'node:net';
import { Aedes } from 'aedes';
import mqtt from 'mqtt';
import { describe, expect, it, vi } from 'vitest';
import type { DeviceMessage, Surroundings } from '../../../adapters/adapter.ts';
import { modbusAdapter } from '../../../adapters/modbus/adapter.ts';
import { readSettings } from '../../../adapters/modbus/read-settings.ts';
import type { JsonValue } from '../../../broker/domain/json.ts';
import type { Instant } from '../../../broker/domain/time.ts';
import { until as holds } from '../../support/devices.ts';
import { ptyPair, type SlaveProcess, slaveProcess } from '../../support/modbus.ts';

// Slaves are processes, and back-offs are seconds: on a busy machine that adds up.
vi.setConfig({ testTimeout: 90_000 });
const until = (condition: () => boolean, what: string) => holds(condition, what, 60);

const pair = await ptyPair();
if (pair === undefined && process.env['MIZAR_TEST_ALL_SERVERS'])
  throw new Error('Python 3 is missing, and this run must leave nothing out');
await pair?.[Symbol.asyncDispose]();

const MAP = [
  { name: 'flowTemp', type: 'input', address: 10, datatype: '16int', factor: 0.1 },
  { name: 'energy', type: 'holding', address: 40, datatype: '32uint', wordOrder: 'little' },
  { name: 'fault', type: 'holding', address: 7, datatype: '16uint', shift: 6, mask: 7 },
  {
    name: 'mode',
    type: 'holding',
    address: 3,
    datatype: '16uint',
    translation: [
      [0, 'OFF'],
      [1, 'ECO'],
      [2, 'BOOST'],
    ],
  },
  { name: 'serial', type: 'input', address: 100, datatype: 'string', datasize: 8 },
  { name: 'pumpOn', type: 'coil', address: 4, datatype: 'bits', datasize: 1, writable: true },
  { name: 'open', type: 'discrete', address: 0, datatype: 'bits', datasize: 2 },
];

async function fill(slave: SlaveProcess, unit = 1): Promise<void> {
  await slave.put('input', 10, 334, unit);
  await slave.put('holding', 40, [0xe240, 0x0001], unit);
  await slave.put('holding', 7, 0x2b40, unit);
  await slave.put('holding', 3, 1, unit);
  await slave.put('input', 100, [0x4d54, 0x522d, 0x3037, 0], unit);
  await slave.put('coil', 4, true, unit);
  await slave.put('discrete', 0, [true, false], unit);
}
const EXPECTED = { flowTemp: 33.4, energy: 123456, fault: 5, mode: 'ECO', serial: 'MTR-07', pumpOn: true, open: [true, false] };

/** An adapter and what it handed in. */
function started(document: object) {
  const messages: DeviceMessage[] = [];
  const logged: string[] = [];
  const surroundings: Surroundings = {
    name: 'test',
    sink: { take: async (taken) => void messages.push(...taken) },
    now: () => new Date().toISOString() as Instant,
    log: (level, message, details) => void logged.push(`${level} ${message} ${JSON.stringify(details ?? {})}`),
    mayContact: async () => {},
  };
  const adapter = modbusAdapter(readSettings(document as JsonValue), surroundings);
  const readings = (device = 'hp7') =>
    messages
      .filter((message) => message.device === device)
      .map((message) => ({
        at: message.at,
        values: Object.fromEntries(
          (JSON.parse(message.payload) as { readings: { address: string; value: JsonValue }[] }).readings.map(
            ({ address, value }) => [address, value],
          ),
        ),
      }));
  return { adapter, messages, logged, readings, [Symbol.asyncDispose]: () => adapter.stop() };
}

const tcp = (slave: SlaveProcess, more: object = {}) => ({
  ip: '127.0.0.1',
  port: slave.port,
  map: 'HEATPUMP',
  device: 'hp7',
  timeoutMs: 300,
  ...more,
});
const settings = (slaves: readonly object[], more: object = {}) => ({
  modbusMaps: { HEATPUMP: MAP },
  modbusSlaves: slaves,
  period: 0.1,
  ...more,
});
type Figures = { offline: boolean; rounds: number; failedRounds: number; skippedRounds: number; lastError?: string };
const figures = (adapter: { state(): unknown }, at = 0): Figures => (adapter.state() as { slaves: Figures[] }).slaves[at]!;

describe('Modbus TCP against a slave in another process', () => {
  it('reads every table in as few requests as it takes, all with one time', async () => {
    await using slave = await slaveProcess();
    await fill(slave);
    // What lies between registers 3 and 7 is there too, so one request reads both.
    await slave.put('holding', 4, [0, 0, 0]);
    await using running = started(settings([tcp(slave)], { period: 60 }));
    await until(() => running.messages.length === 1, 'the first round');
    expect(running.readings()[0]!.values).toEqual(EXPECTED);
    const requests = await slave.seen();
    expect([...requests].sort()).toEqual([
      '1:0100040001',
      '1:0200000002',
      '1:0300030005',
      '1:0300280002',
      '1:04000a0001',
      '1:0400640004',
    ]);
  });

  it('a refused read is split once, and the split is remembered', async () => {
    await using slave = await slaveProcess();
    await fill(slave);
    await using running = started(settings([tcp(slave)]));
    await until(() => running.messages.length >= 3, 'three rounds');
    for (const { values } of running.readings()) expect(values).toEqual(EXPECTED);
    const joint = (await slave.seen()).filter((request) => request === '1:0300030005');
    expect(joint).toHaveLength(1);
  });

  it('a variable that is not there costs nothing but itself', async () => {
    await using slave = await slaveProcess();
    await fill(slave);
    const missing = { name: 'ghost', type: 'holding', address: 41_000, datatype: '16uint' };
    await using running = started({ ...settings([tcp(slave)]), modbusMaps: { HEATPUMP: [...MAP, missing] } });
    await until(() => running.messages.length >= 2, 'two rounds');
    expect(running.readings().at(-1)!.values).toEqual(EXPECTED);
    expect(figures(running.adapter)).toMatchObject({
      offline: false,
      lastError: expect.stringContaining('ghost: the slave answers with exception 2'),
    });
  });

  it.each([
    [{ kind: 'exception', code: 6 } as const, 'busy'],
    [{ kind: 'exception', code: 4 } as const, 'device failure'],
    [{ kind: 'silent' } as const, 'silent'],
    [{ kind: 'slow', ms: 450 } as const, 'slower than the time-out'],
    [{ kind: 'drop' } as const, 'closing the connection'],
    [{ kind: 'drop', half: true } as const, 'closing the connection after half an answer'],
  ])('goes on after a slave that was %j', async (fault, _what) => {
    await using slave = await slaveProcess();
    await fill(slave);
    await using running = started(settings([tcp(slave)]));
    await until(() => running.messages.length >= 1, 'the first round');
    await slave.fault(fault, 2);
    const before = running.messages.length;
    await until(() => running.messages.length >= before + 3, 'rounds after the fault');
    // Late answers are never taken for those of later requests: whatever came is right.
    for (const { values } of running.readings())
      for (const [name, value] of Object.entries(values)) expect(value).toEqual(EXPECTED[name as 'mode']);
    expect(running.readings().at(-1)!.values).toEqual(EXPECTED);
  });

  it('two slaves, one dead: the living one keeps its pace, the dead one is told offline once and online again', async () => {
    await using living = await slaveProcess();
    let dead = await slaveProcess();
    await fill(living);
    await fill(dead);
    const { port } = dead;
    await using running = started(settings([tcp(living, { device: 'a', timeoutMs: 5000 }), { ...tcp(dead), device: 'b' }]));
    await until(() => running.readings('a').length >= 1 && running.readings('b').length >= 1, 'both');
    await dead.kill();
    await until(() => figures(running.adapter, 1).offline, 'offline');
    const before = running.readings('a').length;
    await until(() => running.readings('a').length >= before + 5, 'rounds of the living one');
    expect(figures(running.adapter, 0)).toMatchObject({ offline: false, failedRounds: 0 });
    dead = await slaveProcess('tcp', port);
    await using _dead = dead;
    await fill(dead);
    await until(() => !figures(running.adapter, 1).offline, 'online again');
    await until(() => running.readings('b').some(({ values }) => values['deviceState'] === 'online'), 'the state');
    const states = running
      .readings('b')
      .flatMap(({ values }) => (values['deviceState'] === undefined ? [] : [values['deviceState']]));
    expect(states).toEqual(['offline', 'online']);
    expect(running.readings('a').some(({ values }) => 'deviceState' in values)).toBe(false);
  });

  it('units behind one gateway share its connection; one that does not answer leaves the others theirs', async () => {
    await using gateway = await slaveProcess();
    await fill(gateway, 1);
    await fill(gateway, 2);
    await using running = started(
      settings(
        [1, 2, 3].map((unit) =>
          tcp(gateway, { slaveId: unit, device: `u${unit}`, timeoutMs: unit === 3 ? 60 : 5000, retries: 0 }),
        ),
      ),
    );
    await until(() => figures(running.adapter, 2).offline, 'unit 3 offline');
    const before = running.readings('u2').length;
    await until(() => running.readings('u2').length >= before + 3 && running.readings('u1').length >= 3, 'the others');
    expect(running.readings('u1').at(-1)!.values).toEqual(EXPECTED);
    expect(figures(running.adapter, 0)).toMatchObject({ failedRounds: 0, offline: false });
  });

  it('a disk that takes nothing is no fault of the slave, which stays online', async () => {
    await using slave = await slaveProcess();
    await fill(slave);
    let refusals = 0;
    const document = settings([tcp(slave, { timeoutMs: 5000 })]);
    const adapter = modbusAdapter(readSettings(document as unknown as JsonValue), {
      name: 'test',
      sink: {
        take: async () => {
          refusals++;
          throw new Error('the disk is full');
        },
      },
      now: () => new Date().toISOString() as Instant,
      log: () => {},
      mayContact: async () => {},
    });
    await until(() => refusals > 4, 'refusals');
    expect(figures(adapter)).toMatchObject({
      offline: false,
      failedRounds: 0,
      rounds: 0,
      lastError: 'not kept: the disk is full',
    });
    await adapter.stop();
  });

  it('rounds never overlap: one that takes longer than its period makes the next be left out', async () => {
    await using slave = await slaveProcess();
    await fill(slave);
    await slave.fault({ kind: 'slow', ms: 60 }, 1_000_000);
    await using running = started(settings([tcp(slave, { timeoutMs: 5000 })]));
    await until(() => figures(running.adapter).skippedRounds > 2 && running.messages.length >= 2, 'skipped rounds');
    const times = running.readings().map(({ at }) => at);
    expect([...times].sort()).toEqual(times);
    expect(figures(running.adapter).failedRounds).toBe(0);
  });
});

describe('writing', () => {
  it('a command is written backwards through the chain, and says what was really written', async () => {
    await using slave = await slaveProcess();
    await fill(slave);
    await slave.put('holding', 50, 0);
    const more = [
      { name: 'setpoint', type: 'holding', address: 50, datatype: '16int', factor: 0.1 },
      { name: 'ventilation', type: 'holding', address: 7, datatype: '16uint', shift: 6, mask: 7, writable: true },
      { name: 'reset', type: 'holding', address: 40, datatype: '32uint', wordOrder: 'little', writable: true },
    ];
    await using running = started({ ...settings([tcp(slave)], { period: 60 }), modbusMaps: { HEATPUMP: [...MAP, ...more] } });
    const { command } = running.adapter;
    expect(await command!('hp7', 'mode', 'BOOST')).toBe('BOOST');
    expect(await slave.get('holding', 3)).toBe(2);
    expect(await command!('hp7', 'setpoint', 21.57)).toBe(21.6);
    expect(await slave.get('holding', 50)).toBe(216);
    expect(await command!('hp7', 'pumpOn', false)).toBe(false);
    expect(await slave.get('coil', 4)).toBe(false);
    expect(await command!('hp7', 'ventilation', 2)).toBe(2);
    expect(await slave.get('holding', 7)).toBe(0x2a80 | 0x0000 | (0x2b40 & ~0x1c0 & ~0x2a80));
    expect(await command!('hp7', 'reset', 70_000)).toBe(70_000);
    expect([await slave.get('holding', 40), await slave.get('holding', 41)]).toEqual([0x1170, 1]);
    const sent = await slave.seen();
    expect(sent).toContain('1:0600030002');
    expect(sent).toContain('1:0500040000');
  });

  it('what cannot be written is refused before anything is sent; what the slave refuses is told with its words', async () => {
    await using slave = await slaveProcess();
    await fill(slave);
    await using running = started(settings([tcp(slave)], { period: 60 }));
    const { command } = running.adapter;
    await until(() => running.messages.length === 1, 'the first round');
    await slave.seen();
    await expect(command!('hp7', 'mode', 'WARM')).rejects.toThrow('mode has no value "WARM"; it has "OFF", "ECO", "BOOST"');
    await expect(command!('hp7', 'flowTemp', 1)).rejects.toThrow('read-only');
    await expect(command!('hp7', 'energy', 1)).rejects.toThrow('not writable');
    await expect(command!('hp7', 'wind', 1)).rejects.toThrow('no variable "wind"');
    await expect(command!('nobody', 'mode', 'ECO')).rejects.toThrow('no slave is the device "nobody"');
    expect(await slave.seen()).toEqual([]);
    await slave.fault({ kind: 'exception', code: 4 });
    await expect(command!('hp7', 'mode', 'OFF')).rejects.toThrow('exception 4: device failure');
    expect(await slave.get('holding', 3)).toBe(1);
  });

  it('the MQTT side is that of the seed: a status is published, a message writes, a retained one does not', async () => {
    await using slave = await slaveProcess();
    await fill(slave);
    const aedes = await Aedes.createBroker();
    const server = createServer(aedes.handle);
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const { port } = server.address() as { port: number };
    const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`);
    try {
      const heard: JsonValue[] = [];
      client.on('message', (_topic, payload) => void heard.push(JSON.parse(payload.toString())));
      await client.subscribeAsync('hp/7/status');
      await client.publishAsync('hp/7/command', '{"mode":"OFF"}', { retain: true, qos: 1 });
      const { device: _, ...slaveOnly } = tcp(slave, {
        mqttPublications: [{ topic: 'hp/7/status', messageBase: 'HP', messageExtras: { id: 'hp7' } }],
        mqttSubscriptions: ['hp/7/command'],
      });
      await using running = started({
        ...settings([slaveOnly]),
        mqttMessages: { HP: { at: '_DATE_', flow: '_flowTemp_', mode: '_mode_', note: 'unit _serial_' } },
        mqtt: { host: '127.0.0.1', port },
      });
      await until(() => heard.length > 0, 'a status');
      expect(heard[0]).toEqual({
        at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        flow: 33.4,
        mode: 'ECO',
        note: 'unit MTR-07',
        id: 'hp7',
      });
      await until(() => running.logged.some((line) => line.includes('retained message is no command')), 'the retained one');
      await client.publishAsync('hp/7/command', '{"mode":"BOOST","wind":3}', { qos: 1 });
      await until(
        () => running.logged.some((line) => line.includes('no variable \\"wind\\"') || line.includes('no variable "wind"')),
        'the report',
      );
      expect(await slave.get('holding', 3)).toBe(2);
      await until(() => heard.some((status) => (status as { mode?: string }).mode === 'BOOST'), 'the new mode');
      // A slave without a device is published over MQTT alone.
      expect(running.messages).toEqual([]);
    } finally {
      await client.endAsync(true);
      await new Promise<void>((closed) => aedes.close(closed));
      server.close();
    }
  });
});

describe.skipIf(pair === undefined)(
  'Modbus RTU over a serial line (left out without Python 3, which makes the pseudo terminals)',
  () => {
    it('two units on one line, silence, garbage in between, and writing', async () => {
      await using cable = (await ptyPair())!;
      await using slave = await slaveProcess(cable.paths[1]);
      await fill(slave, 1);
      await fill(slave, 2);
      // A frame of a serial line does not say which request it answers. Here no two requests to a unit have answers of one shape, so that a late one is told from the next.
      for (const unit of [1, 2]) await slave.put('holding', 4, [0, 0, 0], unit);
      const serial = {
        serialPort: cable.paths[0],
        baudRate: 9600,
        byteSize: 8,
        parity: 'none',
        stopBits: 1,
        map: 'HEATPUMP',
        timeoutMs: 150,
        retries: 1,
      };
      await using running = started(
        settings([
          { ...serial, slaveId: 1, device: 'a' },
          { ...serial, slaveId: 2, device: 'b' },
        ]),
      );
      await until(() => running.readings('a').length >= 2 && running.readings('b').length >= 2, 'both units');
      expect(running.readings('a')[0]!.values).toEqual(EXPECTED);
      expect(running.readings('b')[0]!.values).toEqual(EXPECTED);

      for (const fault of [
        { kind: 'silent' },
        { kind: 'slow', ms: 200 },
        { kind: 'drop', half: true },
        { kind: 'exception', code: 6 },
      ] as const) {
        await slave.fault(fault, 2);
        const before = running.readings('a').length;
        await until(() => running.readings('a').length >= before + 2, `rounds after ${fault.kind}`);
      }
      for (const device of ['a', 'b'])
        for (const { values } of running.readings(device))
          for (const [name, value] of Object.entries(values))
            if (name !== 'deviceState') expect(value).toEqual(EXPECTED[name as 'mode']);

      expect(await running.adapter.command!('b', 'mode', 'BOOST')).toBe('BOOST');
      expect(await slave.get('holding', 3, 2)).toBe(2);
      expect(await slave.get('holding', 3, 1)).toBe(1);
    });
  },
);
