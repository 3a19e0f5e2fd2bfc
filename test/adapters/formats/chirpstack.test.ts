import { describe, expect, it } from 'vitest';
import { chirpStackDevice, parseChirpStack } from '../../../adapters/formats/chirpstack.ts';
import type { CodecField } from '../../../adapters/formats/codec.ts';

/** In the form of ChirpStack v4's JSON marshaler, with names and numbers of ours. */
const UP = {
  deduplicationId: '5d0f8c1e-0000-4000-8000-000000000001',
  time: '2026-03-01T10:00:01.290+00:00',
  deviceInfo: {
    tenantName: 'city',
    applicationId: '6f1d2c3b-0000-4000-8000-00000000000a',
    applicationName: 'parks',
    deviceName: 'soil-12',
    devEui: '0011223344556677',
  },
  devAddr: '260b0011',
  fCnt: 941,
  fPort: 2,
  confirmed: false,
  data: 'AQsCjw==',
  object: { temp: 26.7, moist: 65.5, probe: { depth: 10 }, note: null },
  rxInfo: [
    { gatewayId: '00800000a0001234', rssi: -110, snr: -3.5 },
    { gatewayId: '00800000a0005678', rssi: -97 },
  ],
  txInfo: { frequency: 868100000 },
};
const CODEC: readonly CodecField[] = [
  { port: 2, offset: 0, length: 2, type: 'uint', factor: 0.1, name: 'temp' },
  { port: 2, offset: 2, length: 2, type: 'uint', factor: 0.1, name: 'moist' },
];
const parse = (event: object, codec: readonly CodecField[] = []) => parseChirpStack(JSON.stringify(event), () => codec);
const readings = (event: object, codec?: readonly CodecField[]) =>
  Object.fromEntries(parse(event, codec)!.parsed.measures[0]!.readings.map(({ address, value }) => [address, value]));

describe('events of ChirpStack', () => {
  it('an uplink gives its decoded values, the strongest gateway, and the time of the network server', () => {
    const read = parse(UP)!;
    expect(read.devEui).toBe('0011223344556677');
    expect(read.parsed.measures[0]!.observedAt).toBe('2026-03-01T10:00:01.290Z');
    // Zero values inside rxInfo are left out on the wire: this gateway heard with 0 dB.
    expect(readings(UP)).toEqual({ temp: 26.7, moist: 65.5, 'probe.depth': 10, rssi: -97, snr: 0 });
  });

  it('without decoded values the bytes are read by the codec of the device; without a codec that is said', () => {
    const { object: _, ...bare } = UP;
    expect(readings(bare, CODEC)).toMatchObject({ temp: 26.7, moist: 65.5 });
    expect(readings({ ...bare, object: {} }, CODEC)).toMatchObject({ temp: 26.7 });
    expect(parse(bare)!.parsed.warnings).toEqual(['The bytes of port 2 have no codec, and the event no object']);
  });

  it('the same uplink has the same key, another one another', () => {
    expect(parse(UP)!.duplicateKey).toBe(parse({ ...UP, rxInfo: [] })!.duplicateKey);
    expect(parse({ ...UP, deduplicationId: 'other' })!.duplicateKey).not.toBe(parse(UP)!.duplicateKey);
  });

  it('a device status gives margin and battery, if there is one', () => {
    const { deviceInfo } = UP;
    expect(
      readings({ deviceInfo, margin: 12, externalPowerSource: false, batteryLevelUnavailable: false, batteryLevel: 75.6 }),
    ).toEqual({ margin: 12, externalPowerSource: false, batteryLevel: 75.6 });
    expect(readings({ deviceInfo, margin: 12, externalPowerSource: true, batteryLevel: 0 })).toEqual({
      margin: 12,
      externalPowerSource: true,
    });
    expect(readings({ deviceInfo, margin: 12, batteryLevelUnavailable: true, batteryLevel: 0 })).not.toHaveProperty(
      'batteryLevel',
    );
  });

  it('a location is a point', () => {
    expect(readings({ deviceInfo: UP.deviceInfo, location: { latitude: 48.148, longitude: 17.107 } })).toEqual({
      location: { type: 'Point', coordinates: [17.107, 48.148] },
    });
  });

  it.each([
    ['join', { devAddr: '260b0011', deviceInfo: UP.deviceInfo, relayRxInfo: null }],
    ['ack', { deviceInfo: UP.deviceInfo, queueItemId: 'x', acknowledged: true, fCntDown: 3 }],
    ['txack', { deviceInfo: UP.deviceInfo, downlinkId: 3, queueItemId: 'x', fCntDown: 3, gatewayId: '00', txInfo: {} }],
    ['log', { deviceInfo: UP.deviceInfo, level: 'ERROR', code: 'UPLINK_CODEC', description: 'x' }],
  ])('%s tells nothing', (_name, event) => expect(parse(event)).toBeUndefined());

  it('version 3 is understood: no deviceInfo, EUI and values as text', () => {
    const event = {
      applicationID: '7',
      deviceName: 'soil-12',
      devEUI: 'ABEiM0RVZnc=',
      fCnt: 3,
      fPort: 2,
      data: 'AQsCjw==',
      objectJSON: '{"temp":26.7}',
      rxInfo: [{ gatewayID: 'AA==', time: '2026-03-01T10:00:01.29Z', rssi: -90, loRaSNR: 5 }],
    };
    expect(readings(event)).toEqual({ temp: 26.7, rssi: -90, snr: 5 });
    expect(chirpStackDevice(JSON.stringify(event))).toBe('0011223344556677');
    expect(parse(event)!.parsed.measures[0]!.observedAt).toBe('2026-03-01T10:00:01.290Z');
  });

  it.each([
    ['not JSON', '{', 'not JSON'],
    ['a list', '[]', 'must be a JSON object'],
    ['no EUI', JSON.stringify({ ...UP, deviceInfo: { devEui: 'x' } }), 'no deviceInfo.devEui'],
    ['no base64', JSON.stringify({ ...UP, object: undefined, data: 'A*' }), 'data is not base64'],
  ])('%s is refused', (_name, text, reason) => expect(() => parseChirpStack(text, () => [])).toThrow(reason));
});
