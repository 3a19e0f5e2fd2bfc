import { describe, expect, it } from 'vitest';
import { readSettings } from '../../../adapters/modbus/read-settings.ts';
import { checkTemplate, fillTemplate } from '../../../adapters/modbus/template.ts';
import type { JsonValue } from '../../../broker/domain/json.ts';

/** The document of the X-FLEX deliverable D6.3, 3.3.5.1, as printed there but for the brackets that it misses. */
const SEED = {
  modbusMaps: {
    PANASONIC: [
      { name: 'temperature', type: 'holding', address: 1, datatype: '16uint', factor: 1 },
      { name: 'luminance', type: 'holding', address: 2, datatype: '16int', factor: 10 },
      {
        name: 'mode',
        type: 'holding',
        address: 3,
        datatype: '16int',
        translation: [
          [1, 'COLD'],
          [2, 'HEAT'],
          [3, 'FAN'],
        ],
      },
    ],
  },
  mqttMessages: { SENSOR: { timestamp: '_DATE_', temperature: '_temperature_', luminance: '_luminance_', mode: '_mode_' } },
  modbusSlaves: [
    {
      ip: '172.31.2.43',
      slaveId: 1,
      map: 'PANASONIC',
      mqttPublications: [{ topic: 'SENSOR_ABC/STATUS', messageBase: 'SENSOR', messageExtras: { id: 'SENSOR_ABC' } }],
      mqttSubscriptions: ['SENSOR_ABC/DIMMING', 'SENSOR_ABC/THERMOSTAT'],
    },
  ],
  mqtt: { host: '192.168.168.59', credentials: { username: 'etra', password: 'etra' } },
  period: 10,
  logLevel: 'Info',
};

/** The seed with something in it replaced, by path. */
function changed(path: string, value: unknown): JsonValue {
  const copy = structuredClone(SEED) as unknown as Record<string, unknown>;
  const steps = path.split('.');
  let at: Record<string, unknown> = copy;
  for (const step of steps.slice(0, -1)) at = at[step] as Record<string, unknown>;
  if (value === undefined) delete at[steps.at(-1)!];
  else at[steps.at(-1)!] = value;
  return copy as JsonValue;
}

describe('the settings document of X-FLEX', () => {
  it('is taken unchanged, with its defaults filled in', () => {
    const settings = readSettings(SEED as unknown as JsonValue);
    expect(settings).toMatchObject({
      logLevel: 'Info',
      mqtt: { url: 'mqtt://192.168.168.59:1883', username: 'etra', password: 'etra' },
      slaves: [
        {
          line: { kind: 'tcp', host: '172.31.2.43', port: 502, framing: 'tcp' },
          unit: 1,
          periodMs: 10_000,
          timeoutMs: 1000,
          retries: 1,
          maxGap: 8,
          writeRetained: false,
          subscriptions: ['SENSOR_ABC/DIMMING', 'SENSOR_ABC/THERMOSTAT'],
          publications: [{ topic: 'SENSOR_ABC/STATUS', extras: { id: 'SENSOR_ABC' }, missing: 'drop' }],
        },
      ],
    });
    expect(settings.slaves[0]!.variables[2]!.translation).toEqual([
      [1, 'COLD'],
      [2, 'HEAT'],
      [3, 'FAN'],
    ]);
    expect(settings.slaves[0]).not.toHaveProperty('device');
  });

  it('takes both spellings of the seed, and a translation as an object', () => {
    const extra = changed('modbusSlaves.0.mqttPublications', [{ topic: 't', messageBase: 'SENSOR', messageExtra: { id: 1 } }]);
    expect(readSettings(extra).slaves[0]!.publications[0]!.extras).toEqual({ id: 1 });
    const one = changed('modbusSlaves.0', { ip: '127.0.0.1', map: 'PANASONIC', mqttSubscription: 'a/b' });
    expect(readSettings(one).slaves[0]).toMatchObject({ subscriptions: ['a/b'], unit: 1 });
    const object = changed('modbusMaps.PANASONIC.2.translation', { 1: 'COLD' });
    expect(readSettings(object).slaves[0]!.variables[2]!.translation).toEqual([['1', 'COLD']]);
  });

  it('a serial line needs all of its parameters', () => {
    const serial = {
      serialPort: '/dev/ttyS1',
      baudRate: 9600,
      byteSize: 8,
      parity: 'E',
      stopBits: 1,
      slaveId: 3,
      map: 'PANASONIC',
    };
    expect(readSettings(changed('modbusSlaves.0', serial)).slaves[0]!.line).toEqual({
      kind: 'serial',
      path: '/dev/ttyS1',
      baudRate: 9600,
      dataBits: 8,
      parity: 'even',
      stopBits: 1,
    });
    for (const member of ['baudRate', 'byteSize', 'parity', 'stopBits']) {
      const { [member as 'parity']: _, ...rest } = serial;
      expect(() => readSettings(changed('modbusSlaves.0', rest))).toThrow(`modbusSlaves[0].${member}: must be`);
    }
  });

  it('orders come from the variable, else the slave, else the document', () => {
    const settings = readSettings({
      ...(changed('modbusSlaves.0.wordOrder', 'little') as Record<string, JsonValue>),
      byteOrder: 'little',
    });
    expect(settings.slaves[0]!.variables[0]).toMatchObject({ wordOrder: 'little', byteOrder: 'little' });
  });

  it('an entity makes the slave a device, without any MQTT section', () => {
    const { mqtt: _, ...rest } = changed('modbusSlaves.0', {
      ip: '127.0.0.1',
      map: 'PANASONIC',
      entity: { type: 'Device', id: 'urn:ngsi-ld:Device:hp7' },
    }) as Record<string, JsonValue>;
    expect(readSettings(rest as JsonValue).slaves[0]).toMatchObject({
      device: 'hp7',
      entity: { type: 'Device', id: 'urn:ngsi-ld:Device:hp7' },
    });
  });

  it.each([
    ['modbusSlaves.0.map', 'SIEMENS', 'modbusSlaves[0].map: modbusMaps has no "SIEMENS"'],
    ['modbusSlaves.0.ip', undefined, 'modbusSlaves[0]: needs ip (for TCP) or serialPort'],
    ['modbusSlaves.0.slaveId', 300, 'modbusSlaves[0].slaveId: must be a whole number from 1 to 255'],
    [
      'modbusSlaves.0.mqttPublications.0.messageBase',
      'X',
      'modbusSlaves[0].mqttPublications[0].messageBase: mqttMessages has no "X"',
    ],
    ['modbusSlaves.0.mqttSubscriptions', ['a/#'], 'modbusSlaves[0].mqttSubscriptions[0]: must be a topic without + and #'],
    ['modbusMaps.PANASONIC.0.datatype', '24int', 'modbusMaps.PANASONIC[0].datatype: must be one of'],
    ['modbusMaps.PANASONIC.0.address', -1, 'modbusMaps.PANASONIC[0].address: must be a whole number'],
    ['modbusMaps.PANASONIC.0.factor', 0, 'modbusMaps.PANASONIC[0].factor: must not be 0'],
    ['modbusMaps.PANASONIC.0.datatype', 'string', 'modbusMaps.PANASONIC[0].datasize: is missing'],
    [
      'modbusMaps.PANASONIC.1',
      { name: 'x', type: 'input', address: 0, datatype: '32float', mask: 3 },
      'modbusMaps.PANASONIC[1]: shift and mask work on whole numbers',
    ],
    ['modbusMaps.PANASONIC.1.name', 'temperature', 'modbusMaps.PANASONIC: two variables are called "temperature"'],
    ['mqttMessages.SENSOR.wind', '_wind_', 'mqttMessages.SENSOR.wind: no variable is called "wind"'],
    ['mqtt', undefined, 'mqtt: is missing, but modbusSlaves[0] publishes or subscribes'],
    ['period', 0, 'period: must be a number from 0.1'],
    ['logLevel', 'Debug', 'logLevel: must be Info or Error'],
  ])('%s = %j is refused and named', (path, value, message) => {
    expect(() => readSettings(changed(path, value))).toThrow(message);
  });
});

describe('message templates', () => {
  const names = ['flow', 'flow_temp', 'mode', 'serial'];
  const values = new Map<string, JsonValue>([
    ['flow', 33.4],
    ['flow_temp', 21],
    ['mode', 'ECO'],
  ]);
  const fill = (template: JsonValue, missing: 'drop' | 'null' = 'drop') =>
    fillTemplate(template, values, names, '2026-03-01T10:00:00.000Z', missing);

  it('a placeholder that is the whole text keeps its type; inside a text it is text', () => {
    expect(fill({ at: '_DATE_', flow: '_flow_', note: 'mode _mode_ at _flow_' })).toEqual({
      at: '2026-03-01T10:00:00.000Z',
      flow: 33.4,
      note: 'mode ECO at 33.4',
    });
  });
  it('of several names that fit the longest is meant', () => {
    expect(fill('_flow_temp_')).toBe(21);
    expect(fill('_flow__mode_')).toBe('33.4ECO');
  });
  it('a variable without a reading drops its member, or is null', () => {
    expect(fill({ a: '_serial_', b: 'unit _serial_', c: 1, d: ['_serial_', '_mode_'] })).toEqual({ c: 1, d: ['ECO'] });
    expect(fill({ a: '_serial_' }, 'null')).toEqual({ a: null });
  });
  it('text that only looks a little like a placeholder is text', () => {
    expect(fill('snake_case_text and _')).toBe('snake_case_text and _');
    expect(() => checkTemplate('snake_case_text', names, 't')).not.toThrow();
    expect(() => checkTemplate({ a: ['x _wind_ y'] }, names, 't')).toThrow('t.a[0]: no variable is called "wind"');
  });
});
