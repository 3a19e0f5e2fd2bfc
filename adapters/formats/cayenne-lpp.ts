import type { JsonValue } from '../../broker/ports/ingest.ts';
import type { Reading } from '../reading.ts';

interface Kind {
  readonly name: string;
  readonly length: number;
  readonly read: (bytes: Buffer, at: number) => JsonValue;
}

const scaled = (raw: number, factor: number): number => Number((raw * factor).toPrecision(12));
const signed = (length: number, factor: number) => (bytes: Buffer, at: number) => scaled(bytes.readIntBE(at, length), factor);
const unsigned = (length: number, factor: number) => (bytes: Buffer, at: number) =>
  scaled(bytes.readUIntBE(at, length), factor);
const axes = (factor: number) => (bytes: Buffer, at: number) => ({
  x: scaled(bytes.readInt16BE(at), factor),
  y: scaled(bytes.readInt16BE(at + 2), factor),
  z: scaled(bytes.readInt16BE(at + 4), factor),
});
const point = (bytes: Buffer, at: number) => ({
  type: 'Point',
  coordinates: [
    scaled(bytes.readIntBE(at + 3, 3), 0.0001),
    scaled(bytes.readIntBE(at, 3), 0.0001),
    scaled(bytes.readIntBE(at + 6, 3), 0.01),
  ],
});

/** Data types of the Cayenne Low Power Payload, by their number: IPSO object id less 3200. */
const KINDS: Readonly<Record<number, Kind>> = {
  0: { name: 'digital_in', length: 1, read: unsigned(1, 1) },
  1: { name: 'digital_out', length: 1, read: unsigned(1, 1) },
  2: { name: 'analog_in', length: 2, read: signed(2, 0.01) },
  3: { name: 'analog_out', length: 2, read: signed(2, 0.01) },
  101: { name: 'luminosity', length: 2, read: unsigned(2, 1) },
  102: { name: 'presence', length: 1, read: unsigned(1, 1) },
  103: { name: 'temperature', length: 2, read: signed(2, 0.1) },
  104: { name: 'relative_humidity', length: 1, read: unsigned(1, 0.5) },
  113: { name: 'accelerometer', length: 6, read: axes(0.001) },
  115: { name: 'barometric_pressure', length: 2, read: unsigned(2, 0.1) },
  134: { name: 'gyrometer', length: 6, read: axes(0.01) },
  136: { name: 'gps', length: 9, read: point },
};

/**
 * Decodes Cayenne LPP: channel, data type, value, again and again. A value is addressed `<name>_<channel>` (`temperature_3`); a position is a GeoJSON point with its height.
 * What comes behind a data type that is not known, or is cut off, cannot be read and is left out.
 */
export function decodeCayenne(bytes: Buffer): readonly Reading[] {
  const readings: Reading[] = [];
  for (let at = 0; at + 2 <= bytes.length; ) {
    const kind = KINDS[bytes[at + 1] as number];
    if (kind === undefined || at + 2 + kind.length > bytes.length) break;
    readings.push({ address: `${kind.name}_${bytes[at]}`, value: kind.read(bytes, at + 2) });
    at += 2 + kind.length;
  }
  return readings;
}
