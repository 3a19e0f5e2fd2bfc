import { isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { deviceTime } from '../device-time.ts';
import { checkCount, isValue, type Parsed, PayloadError, parseJson, type Reading } from '../reading.ts';
import { type CodecField, decode } from './codec.ts';

/** An uplink of The Things Stack v3. Members with the value 0, false or "" are left out on the wire, and are back here. */
export interface Uplink {
  readonly applicationId: string;
  readonly deviceId: string;
  readonly devEui: string;
  readonly frameCount: number;
  readonly port: number;
  /** The same uplink has the same key, however often and through how many gateways it came; a new session starts a new count. */
  readonly duplicateKey: string;
  readonly parsed: Parsed;
}

/**
 * Reads an uplink. Readings come from `decoded_payload` (members of objects inside are addressed `outer.inner`), else from the bytes by
 * the codec. The strongest gateway gives `rssi` and `snr`. The time is the network server's, then the application server's.
 * @param codec of the device; empty if it has none
 * @returns undefined if the message is not an uplink (joins, acknowledgements …), which is not an error
 * @throws PayloadError
 */
export function parseUplink(text: string, codec: (deviceId: string) => readonly CodecField[]): Uplink | undefined {
  const message = parseJson(text);
  if (!isObject(message)) throw new PayloadError('PARSE_ERROR', 'The message must be a JSON object');
  const ids = object(message['end_device_ids']);
  const deviceId = ids['device_id'];
  if (typeof deviceId !== 'string' || deviceId === '') {
    throw new PayloadError('PARSE_ERROR', 'The message has no end_device_ids.device_id');
  }
  if (!isObject(message['uplink_message'])) return undefined;
  const uplink = object(message['uplink_message']);
  const observedAt = deviceTime(uplink['received_at']) ?? deviceTime(message['received_at']);
  if (observedAt === undefined) throw new PayloadError('BAD_TIMESTAMP', 'The uplink has no readable received_at');
  const port = number(uplink['f_port']);
  const frameCount = number(uplink['f_cnt']);
  const warnings: string[] = [];
  const quality = message['simulated'] === true ? { quality: 'simulated' as const } : {};
  const values = valuesOf(uplink, codec(deviceId), port, warnings);
  const readings = [...values, ...radio(uplink)].map((reading) => ({ ...reading, ...quality }));
  const devEui = string(ids['dev_eui']);
  const session = string(uplink['session_key_id']) || string(ids['dev_addr']);
  return {
    applicationId: string(object(ids['application_ids'])['application_id']),
    deviceId,
    devEui,
    frameCount,
    port,
    duplicateKey: `${devEui || deviceId}/${session}/${frameCount}`,
    parsed: { measures: checkCount([{ observedAt, readings }]), warnings },
  };
}

/** Whose message it is. @throws PayloadError if it names no device */
export function uplinkDevice(text: string): string {
  const message = parseJson(text);
  const deviceId = isObject(message) ? object(message['end_device_ids'])['device_id'] : undefined;
  if (typeof deviceId === 'string' && deviceId !== '') return deviceId;
  throw new PayloadError('PARSE_ERROR', 'The message has no end_device_ids.device_id');
}

function valuesOf(
  uplink: Record<string, JsonValue>,
  codec: readonly CodecField[],
  port: number,
  warnings: string[],
): readonly Reading[] {
  if (isObject(uplink['decoded_payload'])) return flat(uplink['decoded_payload'], '');
  const payload = uplink['frm_payload'];
  if (payload === undefined || payload === '') return [];
  if (typeof payload !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(payload) || payload.length % 4 === 1) {
    throw new PayloadError('PARSE_ERROR', 'frm_payload is not base64');
  }
  const readings = decode(codec, port, Buffer.from(payload, 'base64'));
  if (readings.length === 0) warnings.push(`The bytes of port ${port} have no codec, and the uplink no decoded_payload`);
  return readings;
}

function flat(members: Record<string, JsonValue>, prefix: string): readonly Reading[] {
  return Object.entries(members).flatMap(([name, value]): readonly Reading[] => {
    if (isObject(value)) return flat(value, `${prefix}${name}.`);
    return isValue(value) ? [{ address: prefix + name, value }] : [];
  });
}

function radio(uplink: Record<string, JsonValue>): readonly Reading[] {
  const gateways = uplink['rx_metadata'];
  if (!Array.isArray(gateways)) return [];
  let best: Record<string, JsonValue> | undefined;
  for (const gateway of gateways) {
    if (!isObject(gateway) || typeof gateway['rssi'] !== 'number') continue;
    if (best === undefined || gateway['rssi'] > number(best['rssi'])) best = gateway;
  }
  if (best === undefined) return [];
  return [
    { address: 'rssi', value: number(best['rssi']) },
    { address: 'snr', value: number(best['snr']) },
  ];
}

const object = (value: unknown): Record<string, JsonValue> => (isObject(value) ? value : {});
const number = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0);
const string = (value: unknown): string => (typeof value === 'string' ? value : '');
