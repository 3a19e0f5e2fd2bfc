import { describe, expect, it } from 'vitest';
import type { CodecField } from '../../../adapters/formats/codec.ts';
import { chirpStackDownlink, readDownlinks, thingsStackDownlink } from '../../../adapters/formats/downlinks.ts';
import { parseSigfox } from '../../../adapters/formats/sigfox.ts';
import { parseTasmota, tasmotaCommand, tasmotaFilter, tasmotaTopic } from '../../../adapters/formats/tasmota.ts';
import { parseZigbee, zigbeeDevices } from '../../../adapters/formats/zigbee2mqtt.ts';
import type { Parsed } from '../../../adapters/reading.ts';
import type { JsonValue } from '../../../broker/domain/json.ts';

const values = (parsed: Parsed) =>
  Object.fromEntries(parsed.measures[0]!.readings.map(({ address, value }) => [address, value]));
const time = (parsed: Parsed) => parsed.measures[0]!.observedAt;

describe('Sigfox callbacks', () => {
  const codec: readonly CodecField[] = [{ offset: 0, length: 2, type: 'int', factor: 0.1, name: 'temperature' }];
  const parse = (body: object) => parseSigfox(JSON.stringify(body), () => codec);

  it('bytes are read by the codec, members of the operator are readings, everything may be text', () => {
    const read = parse({ device: '1cfab2', time: '1772355600', data: '00d7', seqNumber: '4095', rssi: '-121.5', note: 'x' });
    expect(read.device).toBe('1CFAB2');
    expect(time(read.parsed)).toBe('2026-03-01T09:00:00Z');
    expect(values(read.parsed)).toEqual({ temperature: 21.5, rssi: -121.5, note: 'x' });
  });
  it('the counter wraps, so the time belongs to the key of an uplink', () => {
    const at = (seconds: number) => parse({ device: 'A', time: seconds, data: '00', seqNumber: 1 }).duplicateKey;
    expect(at(1772355600)).toBe(at(1772355600));
    expect(at(1772355600)).not.toBe(at(1772355601));
  });
  it.each([
    [{ device: 'xyz', time: 1, data: '00' }, 'device must be'],
    [{ device: 'A1', time: 'now', data: '00' }, 'time must be seconds'],
    [{ device: 'A1', data: '00' }, 'time must be seconds'],
    [{ device: 'A1', time: 1, data: '0' }, 'data must be up to 12 bytes'],
    [{ device: 'A1', time: 1, data: '00'.repeat(13) }, 'data must be up to 12 bytes'],
  ])('%j is refused: %s', (body, reason) => expect(() => parse(body)).toThrow(reason));
});

describe('Tasmota', () => {
  const SENSOR =
    '{"Time":"2026-03-01T11:00:00","DS18B20-1":{"Id":"01AB","Temperature":19.8},"ENERGY":{"Total":812.4,"Power":[140,0,12],"Factor":null},"TempUnit":"C"}';

  it('values are addressed by sensor and field; phases stay lists; null is no reading', () => {
    expect(values(parseTasmota(SENSOR, 'SENSOR', 'Europe/Bratislava'))).toEqual({
      'DS18B20-1.Id': '01AB',
      'DS18B20-1.Temperature': 19.8,
      'ENERGY.Total': 812.4,
      'ENERGY.Power': [140, 0, 12],
      TempUnit: 'C',
    });
  });
  it('its time is local: the zone of the device makes it a moment; without one, and in the hour that autumn has twice, it says nothing', () => {
    expect(time(parseTasmota(SENSOR, 'SENSOR', 'Europe/Bratislava'))).toBe('2026-03-01T10:00:00Z');
    expect(time(parseTasmota(SENSOR, 'SENSOR'))).toBeUndefined();
    expect(time(parseTasmota('{"Time":"2026-10-25T02:30:00","A":1}', 'SENSOR', 'Europe/Bratislava'))).toBeUndefined();
  });
  it('LWT and POWER are plain texts', () => {
    expect(values(parseTasmota('Offline', 'LWT'))).toEqual({ deviceState: 'offline' });
    expect(values(parseTasmota('ON', 'POWER2'))).toEqual({ POWER2: 'ON' });
    expect(() => parseTasmota('maybe', 'LWT')).toThrow('Online or Offline');
    expect(() => parseTasmota('ON', 'SENSOR')).toThrow('not JSON');
  });
  it('the full topic may be in any order', () => {
    expect(tasmotaTopic('%prefix%/%topic%/', 'tele/plug-1/SENSOR')).toEqual({
      prefix: 'tele',
      device: 'plug-1',
      kind: 'SENSOR',
    });
    expect(tasmotaTopic('home/%topic%/%prefix%', 'home/plug-1/stat/RESULT')).toEqual({
      prefix: 'stat',
      device: 'plug-1',
      kind: 'RESULT',
    });
    expect(tasmotaTopic('%prefix%/%topic%/', 'other/plug-1/SENSOR')).toBeUndefined();
    expect(tasmotaTopic('%prefix%/%topic%/', 'tele/a/b/SENSOR')).toBeUndefined();
    expect(tasmotaFilter('home/%topic%/%prefix%', 'tele')).toBe('home/+/tele/+');
    expect(tasmotaCommand('%prefix%/%topic%/', 'plug-1', 'POWER2')).toBe('cmnd/plug-1/POWER2');
    expect(() => tasmotaFilter('%topic%', 'tele')).toThrow('must contain %prefix%');
  });
});

describe('Zigbee2MQTT', () => {
  it('a state is flat readings; last_seen is its time, in either form', () => {
    const read = parseZigbee(
      '{"temperature":20.9,"color":{"x":0.3},"action":"","update":null,"last_seen":"2026-03-01T11:00:00+01:00"}',
      undefined,
    );
    expect(values(read)).toEqual({ temperature: 20.9, 'color.x': 0.3 });
    expect(time(read)).toBe('2026-03-01T10:00:00Z');
    expect(time(parseZigbee('{"a":1,"last_seen":1772359200000}', undefined))).toBe('2026-03-01T10:00:00Z');
  });
  it('a retained state without last_seen is flagged, one with it is not', () => {
    expect(parseZigbee('{"a":1}', 'retained').measures[0]!.readings[0]).toEqual({ address: 'a', value: 1, quality: 'suspect' });
    expect(parseZigbee('{"a":1,"last_seen":1772359200000}', 'retained').measures[0]!.readings[0]).not.toHaveProperty('quality');
  });
  it('availability comes as text and as JSON', () => {
    expect(values(parseZigbee('online', 'availability'))).toEqual({ deviceState: 'online' });
    expect(values(parseZigbee('{"state":"offline"}', 'availability'))).toEqual({ deviceState: 'offline' });
    expect(() => parseZigbee('perhaps', 'availability')).toThrow('online or offline');
  });
  it('what a device exposes says what can be read and set, with units', () => {
    const exposes = [
      { type: 'numeric', property: 'temperature', unit: '°C', access: 1 },
      { type: 'light', features: [{ type: 'binary', property: 'state', access: 7, value_on: 'ON', value_off: 'OFF' }] },
    ];
    const list = [
      { friendly_name: 'Coordinator', type: 'Coordinator' },
      { friendly_name: 'hall/lamp', ieee_address: '0x01', type: 'Router', definition: { exposes } },
      { friendly_name: 'unknown thing', definition: null },
    ];
    expect(zigbeeDevices(JSON.stringify(list))).toEqual([
      {
        friendlyName: 'hall/lamp',
        ieeeAddress: '0x01',
        attributes: [{ name: 'temperature', unitCode: 'CEL' }, { name: 'state' }],
        settable: ['state'],
      },
      { friendlyName: 'unknown thing', ieeeAddress: '', attributes: [], settable: [] },
    ]);
  });
});

describe('downlinks', () => {
  const specs = readDownlinks({
    valve: { port: 15, hex: '01', type: 'uint', length: 2, factor: 0.1, confirmed: true },
    reset: { port: 2, hex: 'ff00', priority: 'HIGH' },
    level: { port: 3, type: 'float', length: 4, endian: 'little' },
    light: { port: 4, type: 'bool' },
  } as JsonValue);

  it('a command becomes bytes, in the words of either network server', () => {
    expect(JSON.parse(thingsStackDownlink('valve', 26.7, specs))).toEqual({
      downlinks: [
        { f_port: 15, frm_payload: Buffer.from('01010b', 'hex').toString('base64'), priority: 'NORMAL', confirmed: true },
      ],
    });
    expect(JSON.parse(thingsStackDownlink('reset', '', specs))).toEqual({
      downlinks: [{ f_port: 2, frm_payload: '/wA=', priority: 'HIGH' }],
    });
    expect(JSON.parse(chirpStackDownlink('0011223344556677', 'level', 1, specs))).toEqual({
      devEui: '0011223344556677',
      confirmed: false,
      fPort: 3,
      data: Buffer.from('0000803f', 'hex').toString('base64'),
    });
    expect(JSON.parse(chirpStackDownlink('0011223344556677', 'light', true, specs)).data).toBe('AQ==');
  });
  it('a value can say port and bytes itself', () => {
    expect(JSON.parse(thingsStackDownlink('raw', { port: 15, hex: '0102', confirmed: true }, {}))).toEqual({
      downlinks: [{ f_port: 15, frm_payload: 'AQI=', priority: 'NORMAL', confirmed: true }],
    });
  });
  it.each([
    ['unknown', 1, 'is not said'],
    ['raw', { port: 300, hex: '00' }, 'is not said'],
    ['valve', 'open', 'takes a number'],
    ['valve', 7000, 'does not fit into 2 bytes'],
    ['light', 'on', 'takes true or false'],
  ])('%s %j is refused: %s', (name, value, reason) =>
    expect(() => thingsStackDownlink(name, value as JsonValue, specs)).toThrow(reason),
  );
  it.each([
    [{ a: { port: 0, hex: '00' } }, 'downlinks.a.port'],
    [{ a: { port: 1, hex: '0' } }, 'downlinks.a.hex'],
    [{ a: { port: 1 } }, 'downlinks.a: needs hex'],
    [{ a: { port: 1, type: 'float', length: 3 } }, 'downlinks.a.length'],
  ])('settings %j are refused at %s', (given, path) => expect(() => readDownlinks(given as JsonValue)).toThrow(path));
});
