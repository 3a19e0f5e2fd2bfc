import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkCodec } from '../../../adapters/formats/codec.ts';
import { parseUplink } from '../../../adapters/formats/things-stack.ts';
import { PayloadError } from '../../../adapters/reading.ts';

const CODEC = checkCodec([
  { port: 2, offset: 0, length: 2, type: 'uint', factor: 0.1, name: 'temp' },
  { port: 2, offset: 2, length: 2, type: 'uint', factor: 0.1, name: 'moist' },
]);
const NONE = () => [];

const message = (uplink: object, outer: object = {}) =>
  JSON.stringify({
    end_device_ids: {
      device_id: 'soil-12',
      application_ids: { application_id: 'parks' },
      dev_eui: '0011223344556677',
      dev_addr: '260B0011',
    },
    received_at: '2026-03-01T10:00:01.500200300Z',
    uplink_message: uplink,
    ...outer,
  });
const readings = (text: string, codec: typeof CODEC = []) =>
  Object.fromEntries(parseUplink(text, () => codec)?.parsed.measures[0]?.readings.map((r) => [r.address, r.value]) ?? []);

describe('The Things Stack v3 uplink', () => {
  it('reads the decoded payload, and prefers the time of the network server, cut to milliseconds', () => {
    const uplink = parseUplink(
      message({
        f_port: 2,
        f_cnt: 941,
        frm_payload: 'AQsCjw==',
        decoded_payload: { temp: 26.7, air: { moist: 65.5, none: null } },
        received_at: '2026-03-01T10:00:01.290999999Z',
      }),
      () => CODEC,
    );
    expect(uplink).toMatchObject({ deviceId: 'soil-12', applicationId: 'parks', frameCount: 941, port: 2 });
    expect(uplink?.parsed.measures[0]?.observedAt).toBe('2026-03-01T10:00:01.290Z');
    expect(uplink?.parsed.measures[0]?.readings).toEqual([
      { address: 'temp', value: 26.7 },
      { address: 'air.moist', value: 65.5 },
    ]);
  });

  it('decodes the bytes by port if there is no decoded payload', () => {
    expect(readings(message({ f_port: 2, frm_payload: 'AQsCjw==' }), CODEC)).toEqual({ temp: 26.7, moist: 65.5 });
    expect(readings(message({ f_port: 3, frm_payload: 'AQsCjw==' }), CODEC)).toEqual({});
    expect(readings(message({ f_port: 2, frm_payload: 'AQs=' }), CODEC)).toEqual({ temp: 26.7 });
  });

  it('puts back the zeros that the wire leaves out', () => {
    const uplink = parseUplink(message({ rx_metadata: [{ rssi: -97 }] }), NONE);
    expect(uplink).toMatchObject({ frameCount: 0, port: 0 });
    expect(uplink?.parsed.measures[0]?.readings).toContainEqual({ address: 'snr', value: 0 });
  });

  it('takes several gateways as one uplink, by the strongest', () => {
    const gateways = [{ rssi: -110, snr: 1 }, { rssi: -90, snr: 7.2 }, { gateway_ids: {} }];
    expect(readings(message({ rx_metadata: gateways }))).toEqual({ rssi: -90, snr: 7.2 });
  });

  it('recognises a duplicate, and does not take a new session for one', () => {
    const key = (uplink: object) => parseUplink(message(uplink), NONE)?.duplicateKey;
    expect(key({ f_cnt: 7, rx_metadata: [{ rssi: -1 }] })).toBe(key({ f_cnt: 7 }));
    expect(key({ f_cnt: 7, session_key_id: 'a' })).not.toBe(key({ f_cnt: 7, session_key_id: 'b' }));
  });

  it('flags what was simulated', () => {
    const uplink = parseUplink(message({ decoded_payload: { t: 1 } }, { simulated: true }), NONE);
    expect(uplink?.parsed.measures[0]?.readings[0]?.quality).toBe('simulated');
  });

  it('passes over what is no uplink', () => {
    expect(parseUplink('{"end_device_ids":{"device_id":"a"},"join_accept":{}}', NONE)).toBeUndefined();
  });

  it.each(['{}', '[]', 'x', message({ frm_payload: '%%%' }), message({}, { received_at: 'now' })])('refuses %s', (text) =>
    expect(() => parseUplink(text, () => CODEC)).toThrow(PayloadError),
  );

  it('answers any JSON with an uplink, nothing, or a PayloadError', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (uplink, outer) => {
        try {
          parseUplink(message(uplink as object, { extra: outer }), () => CODEC);
          return true;
        } catch (error) {
          return error instanceof PayloadError;
        }
      }),
    );
  });
});

describe('declarative codec', () => {
  it.each([
    ['ff83', { type: 'int', length: 2 }, -125],
    ['83ff', { type: 'int', length: 2, endian: 'little' }, -125],
    ['4367b333', { type: 'float', length: 4 }, 231.7],
    ['01', { type: 'bool', length: 1 }, true],
    ['cafe', { type: 'hex', length: 2 }, 'cafe'],
    ['4d5400', { type: 'text', length: 3 }, 'MT'],
    ['0a', { type: 'uint', length: 1, factor: 0.5, shift: -40 }, -35],
  ])('reads %s', (hex, field, value) => {
    const codec = checkCodec([{ name: 'x', offset: 0, ...field }]);
    const uplink = message({ f_port: 1, frm_payload: Buffer.from(hex, 'hex').toString('base64') });
    expect(readings(uplink, codec)).toEqual({ x: value });
  });

  it.each([
    [{}],
    [{ name: '', offset: 0, length: 1, type: 'uint' }],
    [{ name: 'a', offset: -1, length: 1, type: 'uint' }],
    [{ name: 'a', offset: 0, length: 9, type: 'uint' }],
    [{ name: 'a', offset: 0, length: 3, type: 'float' }],
    [{ name: 'a', offset: 0, length: 1, type: 'eval' }],
    [{ name: 'a', offset: 0, length: 1, type: 'uint', port: 0 }],
  ])('refuses the field %j', (field) => expect(() => checkCodec([field] as never)).toThrow(PayloadError));
});
