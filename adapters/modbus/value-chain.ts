import type { JsonValue } from '../../broker/ports/ingest.ts';
import {
  bytesOf,
  type Decoded,
  decodeBits,
  decodeRegisters,
  float16,
  float16Word,
  isFloat,
  sizeOf,
  unsignedOf,
  widthOf,
  wordsOf,
} from './registers.ts';
import type { Variable } from './settings.ts';

/** A value of the device, as it is told on. */
export interface ModbusValue {
  readonly value: JsonValue;
  /** The translation does not know this code, so the number is told. */
  readonly unknownCode?: true;
}

/**
 * From what the slave sent to the value: decode, `>> shift`, `& mask`, `× factor`, translation.
 * @param data words of registers, or bits of coils and discrete inputs, shape [sizeOf(variable)]
 * @returns undefined if there is no reading
 */
export function modbusValue(variable: Variable, data: readonly number[] | readonly boolean[]): ModbusValue | undefined {
  const decoded =
    variable.type === 'coil' || variable.type === 'discrete'
      ? decodeBits(variable, data as readonly boolean[])
      : decodeRegisters(variable, data as readonly number[]);
  if (decoded === undefined) return undefined;
  const value = scaledValue(variable, decoded, data);
  if (variable.translation === undefined) return { value };
  const found = variable.translation.find(([code]) => isCode(code, value));
  return found === undefined ? { value, unknownCode: true } : { value: found[1] };
}

function scaledValue(variable: Variable, decoded: Decoded, data: readonly number[] | readonly boolean[]): JsonValue {
  if (typeof decoded !== 'number' && typeof decoded !== 'bigint') return decoded as JsonValue;
  let value: number | bigint = decoded;
  if (cutsBits(variable)) {
    const unsigned = unsignedOf(variable, bytesOf(data as readonly number[], variable.byteOrder, variable.wordOrder));
    const shifted = unsigned >> BigInt(variable.shift ?? 0);
    value = variable.mask === undefined ? shifted : shifted & BigInt(variable.mask);
    if (widthOf(variable.datatype) !== 64) value = Number(value);
  }
  if (variable.factor !== undefined && variable.factor !== 1) return withoutNoise(Number(value) * variable.factor);
  if (typeof value === 'number') return value;
  // What a number of JSON cannot hold stays exact as text.
  return value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER ? Number(value) : String(value);
}

/** 3 × 0.1 is 0.3 and not 0.30000000000000004: one multiplication is exact to fifteen digits. */
const withoutNoise = (value: number): number => Number(value.toPrecision(15));

/** Whether only some bits of the register are the value. */
const cutsBits = ({ shift, mask }: Variable): boolean => (shift !== undefined && shift > 0) || mask !== undefined;

const isCode = (code: number | string, value: JsonValue): boolean =>
  code === value || (typeof value === 'boolean' ? Number(code) === Number(value) : String(code) === String(value));

/** What is to be sent to write a value, and what the device will then say. */
export type ModbusWrite = { readonly address: number; readonly value: JsonValue } & (
  | { readonly kind: 'coils'; readonly bits: readonly boolean[] }
  | { readonly kind: 'registers'; readonly words: readonly number[] }
  /** Read the register, replace the bits of `mask`, write it: nothing may come between. */
  | { readonly kind: 'modify'; readonly mask: number; readonly bits: number }
);

/** A value that cannot be written; the message says why. Nothing was sent. */
export class WriteRefusal extends Error {}

/** Why a variable can never be written; undefined: it can. */
export function whyReadOnly(variable: Variable): string | undefined {
  const { type, datatype, writable, name } = variable;
  if (type === 'input' || type === 'discrete' || datatype === 'ignore') return `${name} is read-only: it is of type ${type}`;
  if (writable === true) return undefined;
  const plain = type === 'holding' && widthOf(datatype) === 16 && !cutsBits(variable);
  if (writable === undefined && plain) return undefined;
  return `${name} is not writable: only plain variables of one holding register are, unless the map says "writable": true`;
}

/**
 * From a value to what is sent: label → code, `÷ factor`, range, nearest step.
 * @throws WriteRefusal if the variable cannot be written, the label is unknown, or the value is out of range
 */
export function modbusWrite(variable: Variable, wanted: JsonValue): ModbusWrite {
  const readOnly = whyReadOnly(variable);
  if (readOnly !== undefined) throw new WriteRefusal(readOnly);
  const { name, type, address, datatype } = variable;
  const code = codeOf(variable, wanted);
  if (type === 'coil') {
    const bits = bitsOf(variable, code, sizeOf(variable));
    return { kind: 'coils', address, bits, value: told(variable, sizeOf(variable) === 1 ? (bits[0] as boolean) : bits) };
  }
  if (datatype === 'string') return stringWrite(variable, code);
  if (datatype === 'bits') {
    const bits = bitsOf(variable, code, variable.datasize ?? 16);
    const bytes = Buffer.alloc(sizeOf(variable) * 2);
    bits.forEach((bit, at) => {
      const word = Math.floor(at / 16) * 2;
      if (bit) bytes.writeUInt16BE(bytes.readUInt16BE(word) | (1 << (at % 16)), word);
    });
    // Bits of the register that the variable does not have stay as they are.
    if (bits.length < 16) {
      const mask = swapped((1 << bits.length) - 1, variable);
      return {
        kind: 'modify',
        address,
        mask,
        bits: swapped(bytes.readUInt16BE(0), variable),
        value: bits.length === 1 ? (bits[0] as boolean) : bits,
      };
    }
    return { kind: 'registers', address, words: wordsOf(bytes, variable.byteOrder), value: bits };
  }
  const number = typeof code === 'string' && code.trim() !== '' ? Number(code) : code;
  if (typeof number !== 'number' || !Number.isFinite(number))
    throw new WriteRefusal(`${name} takes a number, not ${JSON.stringify(wanted)}`);
  const raw = variable.factor === undefined || variable.factor === 1 ? number : withoutNoise(number / variable.factor);
  if (isFloat(datatype)) return floatWrite(variable, raw);
  const exact = typeof code === 'string' && /^-?\d{1,20}$/.test(code.trim()) && (variable.factor ?? 1) === 1;
  return integerWrite(variable, exact ? BigInt(code.trim()) : BigInt(Math.round(raw)), wanted);
}

/** The code of a label; without translation the value itself. */
function codeOf({ name, translation }: Variable, wanted: JsonValue): JsonValue {
  if (translation === undefined) return wanted;
  const found = translation.find(([, label]) => label === wanted || JSON.stringify(label) === JSON.stringify(wanted));
  if (found !== undefined) return found[0];
  const labels = translation.map(([, label]) => JSON.stringify(label)).slice(0, 20);
  throw new WriteRefusal(`${name} has no value ${JSON.stringify(wanted)}; it has ${labels.join(', ')}`);
}

function integerWrite(variable: Variable, raw: bigint, wanted: JsonValue): ModbusWrite {
  const { name, datatype, address } = variable;
  const width = widthOf(datatype) ?? 16;
  const signed = !datatype.endsWith('uint') && !cutsBits(variable);
  const mask = cutsBits(variable)
    ? BigInt(variable.mask ?? (1 << (Math.min(width, 16) - (variable.shift ?? 0))) - 1)
    : undefined;
  const least = signed ? -(1n << BigInt(width - 1)) : 0n;
  const most = mask ?? (1n << BigInt(signed ? width - 1 : width)) - 1n;
  if (raw < least || raw > most || (mask !== undefined && (raw & mask) !== raw)) {
    throw new WriteRefusal(
      `${name} cannot be ${JSON.stringify(wanted)}: it takes ${shown(variable, least)} to ${shown(variable, most)}`,
    );
  }
  const value = told(
    variable,
    variable.factor === undefined || variable.factor === 1 ? plain(raw) : withoutNoise(Number(raw) * variable.factor),
  );
  if (mask !== undefined || width === 8) {
    if (width > 16) throw new WriteRefusal(`${name} is a part of several registers, which cannot be written at once`);
    const high = width === 8 && variable.half !== 'low' ? 8 : 0;
    const shift = (variable.shift ?? 0) + high;
    const field = Number(mask ?? 0xffn) << shift;
    const bits = (Number(BigInt.asUintN(16, raw)) << shift) & field;
    return { kind: 'modify', address, mask: swapped(field, variable), bits: swapped(bits, variable), value };
  }
  const bytes = Buffer.from(
    BigInt.asUintN(width, raw)
      .toString(16)
      .padStart(width / 4, '0'),
    'hex',
  );
  return { kind: 'registers', address, words: wordsOf(bytes, variable.byteOrder, variable.wordOrder), value };
}

function floatWrite(variable: Variable, raw: number): ModbusWrite {
  const { name, address, datatype, byteOrder, wordOrder } = variable;
  const bytes = Buffer.alloc((widthOf(datatype) ?? 32) / 8);
  let kept = raw;
  try {
    if (datatype === '16float') {
      bytes.writeUInt16BE(float16Word(raw));
      kept = float16(bytes.readUInt16BE());
    } else if (datatype === '32float') {
      bytes.writeFloatBE(raw);
      kept = Number(bytes.readFloatBE().toPrecision(7));
      if (!Number.isFinite(kept)) throw new RangeError();
    } else bytes.writeDoubleBE(raw);
  } catch {
    throw new WriteRefusal(`${name} cannot be ${raw}: that does not fit into a ${datatype}`);
  }
  const value = variable.factor === undefined || variable.factor === 1 ? kept : withoutNoise(kept * variable.factor);
  return { kind: 'registers', address, words: wordsOf(bytes, byteOrder, wordOrder), value: told(variable, value) };
}

function stringWrite(variable: Variable, wanted: JsonValue): ModbusWrite {
  const { name, address, byteOrder, datasize = 2 } = variable;
  if (typeof wanted !== 'string') throw new WriteRefusal(`${name} takes a text, not ${JSON.stringify(wanted)}`);
  const text = Buffer.from(wanted, variable.encoding ?? 'latin1');
  if (text.length > datasize) throw new WriteRefusal(`${name} takes a text of at most ${datasize} bytes`);
  const bytes = Buffer.alloc(sizeOf(variable) * 2);
  text.copy(bytes);
  return { kind: 'registers', address, words: wordsOf(bytes, byteOrder), value: wanted };
}

function bitsOf({ name }: Variable, wanted: JsonValue, count: number): readonly boolean[] {
  const list = count === 1 && !Array.isArray(wanted) ? [wanted] : wanted;
  if (!Array.isArray(list) || list.length !== count)
    throw new WriteRefusal(`${name} takes ${count === 1 ? 'true or false' : `${count} times true or false`}`);
  return list.map((bit: JsonValue) => {
    if (bit === true || bit === 1 || bit === '1') return true;
    if (bit === false || bit === 0 || bit === '0') return false;
    throw new WriteRefusal(`${name} takes true or false, not ${JSON.stringify(bit)}`);
  });
}

/** The label of what was written, if the variable has labels. */
function told({ translation }: Variable, value: JsonValue): JsonValue {
  return translation?.find(([code]) => isCode(code, value))?.[1] ?? value;
}

const plain = (raw: bigint): JsonValue =>
  raw <= Number.MAX_SAFE_INTEGER && raw >= Number.MIN_SAFE_INTEGER ? Number(raw) : String(raw);
const shown = ({ factor = 1 }: Variable, raw: bigint): string =>
  String(factor === 1 ? raw : withoutNoise(Number(raw) * factor));
const swapped = (word: number, { byteOrder }: Variable): number =>
  byteOrder === 'little' ? ((word & 0xff) << 8) | (word >> 8) : word;
