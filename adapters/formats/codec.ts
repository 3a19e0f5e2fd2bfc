import { isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { PayloadError, type Reading } from '../reading.ts';
import { decodeCayenne } from './cayenne-lpp.ts';

/** One value inside the bytes of a LoRaWAN payload. Data, not code: nothing that a client provides is executed. */
export interface CodecValue {
  /** f_port of the uplinks that it is in; absent: all. */
  readonly port?: number;
  /** From the first byte, 0-based. */
  readonly offset: number;
  /** In bytes: 1 to 6, and 4 or 8 for `float`. */
  readonly length: number;
  readonly type: 'int' | 'uint' | 'float' | 'bool' | 'hex' | 'text';
  /** Absent: big. */
  readonly endian?: 'big' | 'little';
  readonly factor?: number;
  /** Added after the factor. */
  readonly shift?: number;
  readonly name: string;
}

/** All bytes of an uplink are Cayenne LPP, which says itself what it holds. */
export interface CayenneField {
  readonly port?: number;
  readonly type: 'cayenne-lpp';
}

export type CodecField = CodecValue | CayenneField;

const TYPES = ['int', 'uint', 'float', 'bool', 'hex', 'text'];

/** Checks a codec as a client provides it. @throws PayloadError WRONG_SYNTAX naming the field */
export function checkCodec(codec: JsonValue): readonly CodecField[] {
  if (!Array.isArray(codec)) throw new PayloadError('WRONG_SYNTAX', 'codec must be an array of fields');
  codec.forEach((field, index) => {
    const wrong = (what: string) => new PayloadError('WRONG_SYNTAX', `codec[${index}]: ${what}`);
    if (isObject(field) && field['type'] === 'cayenne-lpp') {
      if (field['port'] !== undefined && !whole(field['port'], 1, 255)) throw wrong('port must be 1 to 255');
      return;
    }
    if (!isObject(field) || typeof field['name'] !== 'string' || field['name'] === '') throw wrong('name must be a text');
    const { port, offset, length, type, endian, factor, shift } = field;
    if (port !== undefined && !whole(port, 1, 255)) throw wrong('port must be 1 to 255');
    if (!whole(offset, 0, 255)) throw wrong('offset must be 0 to 255');
    if (!TYPES.includes(type as string)) throw wrong(`type must be one of ${TYPES.join(', ')}`);
    const most = type === 'hex' || type === 'text' ? 255 : 6;
    if (type === 'float' ? length !== 4 && length !== 8 : !whole(length, 1, most)) throw wrong('length does not suit the type');
    if (endian !== undefined && endian !== 'big' && endian !== 'little') throw wrong('endian must be big or little');
    for (const number of [factor, shift]) {
      if (number !== undefined && !Number.isFinite(number)) throw wrong('factor and shift must be numbers');
    }
  });
  return codec as unknown as readonly CodecField[];
}

const whole = (value: unknown, least: number, most: number): boolean =>
  Number.isInteger(value) && (value as number) >= least && (value as number) <= most;

/** Decodes the bytes of one uplink. A field that reaches beyond the end is left out: devices send short frames when there is little to say. */
export function decode(codec: readonly CodecField[], port: number, bytes: Buffer): readonly Reading[] {
  return codec.flatMap((field): Reading[] => {
    if (field.port !== undefined && field.port !== port) return [];
    if (field.type === 'cayenne-lpp') return [...decodeCayenne(bytes)];
    if (field.offset + field.length > bytes.length) return [];
    const value = fieldValue(field, bytes);
    return typeof value === 'number' && !Number.isFinite(value) ? [] : [{ address: field.name, value }];
  });
}

function fieldValue(field: CodecValue, bytes: Buffer): number | boolean | string {
  const { offset, length } = field;
  const little = field.endian === 'little';
  switch (field.type) {
    case 'hex':
      return bytes.toString('hex', offset, offset + length);
    case 'text':
      return bytes
        .toString('latin1', offset, offset + length)
        .replace(/\0.*$/s, '')
        .trimEnd();
    case 'bool':
      return bytes.readUIntBE(offset, length) !== 0;
    case 'float': {
      const raw =
        length === 4
          ? little
            ? bytes.readFloatLE(offset)
            : bytes.readFloatBE(offset)
          : little
            ? bytes.readDoubleLE(offset)
            : bytes.readDoubleBE(offset);
      return scaled(length === 4 ? Number(raw.toPrecision(7)) : raw, field);
    }
    case 'int':
      return scaled(little ? bytes.readIntLE(offset, length) : bytes.readIntBE(offset, length), field);
    case 'uint':
      return scaled(little ? bytes.readUIntLE(offset, length) : bytes.readUIntBE(offset, length), field);
  }
}

/** 267 × 0.1 is 26.7, not 26.700000000000003: twelve digits are more than any sensor has. */
function scaled(raw: number, field: CodecValue): number {
  if (field.factor === undefined && field.shift === undefined) return raw;
  return Number((raw * (field.factor ?? 1) + (field.shift ?? 0)).toPrecision(12));
}
