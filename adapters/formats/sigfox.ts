import { fromMicros, isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { checkCount, type Parsed, PayloadError, parseJson } from '../reading.ts';
import { type CodecField, decode } from './codec.ts';
import { flatReadings } from './flat.ts';

/** A callback of the Sigfox backend. */
export interface SigfoxUplink {
  readonly device: string;
  readonly duplicateKey?: string;
  readonly parsed: Parsed;
}

/** Members that say whose message it is and when; all others are readings, because the operator composes the body. */
const OWN = new Set(['device', 'time', 'data', 'seqNumber', 'deviceTypeId', 'ack']);

/**
 * Reads a callback `{"device","time","data","seqNumber", …}`: `time` in seconds since 1970, often as text; `data` in hexadecimal digits, read by the codec.
 * Members that the operator added, such as `rssi` or decoded values, are readings; texts that are numbers are numbers, as the backend puts everything between quotes.
 * @throws PayloadError
 */
export function parseSigfox(text: string, codec: (device: string) => readonly CodecField[]): SigfoxUplink {
  const message = messageOf(text);
  const device = deviceOf(message);
  const seconds = Number(message['time']);
  if (message['time'] === undefined || message['time'] === '' || !Number.isFinite(seconds) || seconds < 0 || seconds > 1e11) {
    throw new PayloadError('BAD_TIMESTAMP', 'time must be seconds since 1970');
  }
  const warnings: string[] = [];
  const others = Object.fromEntries(Object.entries(message).filter(([name]) => !OWN.has(name)));
  const readings = [
    ...bytes(message['data'], () => codec(device), warnings),
    ...flatReadings(others).map(({ address, value }) => ({ address, value: numeric(value) })),
  ];
  const sequence = message['seqNumber'];
  return {
    device,
    // The counter has 12 bits and wraps, so the time belongs to it.
    ...(sequence !== undefined && { duplicateKey: `${device}/${String(sequence)}/${seconds}` }),
    parsed: { measures: checkCount([{ observedAt: fromMicros(Math.round(seconds * 1000) * 1000), readings }]), warnings },
  };
}

/** @throws PayloadError if the callback names no device */
export const sigfoxDevice = (text: string): string => deviceOf(messageOf(text));

function messageOf(text: string): Readonly<Record<string, JsonValue>> {
  const message = parseJson(text);
  if (!isObject(message)) throw new PayloadError('PARSE_ERROR', 'The callback must send a JSON object');
  return message as Record<string, JsonValue>;
}

function deviceOf({ device }: Readonly<Record<string, JsonValue>>): string {
  if (typeof device === 'string' && /^[0-9a-f]{1,8}$/i.test(device)) return device.toUpperCase();
  throw new PayloadError('PARSE_ERROR', 'device must be the Sigfox id: 1 to 8 hexadecimal digits');
}

function bytes(data: JsonValue | undefined, codec: () => readonly CodecField[], warnings: string[]) {
  if (data === undefined || data === null || data === '') return [];
  if (typeof data !== 'string' || !/^([0-9a-f]{2}){1,12}$/i.test(data))
    throw new PayloadError('PARSE_ERROR', 'data must be up to 12 bytes in hexadecimal digits');
  const fields = codec();
  const readings = decode(fields, 0, Buffer.from(data, 'hex'));
  if (readings.length === 0)
    warnings.push(fields.length === 0 ? 'The bytes have no codec' : 'The codec reads nothing from these bytes');
  return readings;
}

const numeric = (value: JsonValue): JsonValue =>
  typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value;
