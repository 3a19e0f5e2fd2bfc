import type { JsonValue } from '../../broker/ports/ingest.ts';
import type { Datatype, Order, Variable } from './settings.ts';

/** Bits of the datatypes that are numbers. */
const WIDTH: Readonly<Partial<Record<Datatype, 8 | 16 | 32 | 64>>> = {
  '8int': 8,
  '8uint': 8,
  '16int': 16,
  '16uint': 16,
  '32int': 32,
  '32uint': 32,
  '64int': 64,
  '64uint': 64,
  '16float': 16,
  '32float': 32,
  '64float': 64,
};

/** Bits of a number's datatype; undefined for string, bits and ignore. */
export const widthOf = (datatype: Datatype): 8 | 16 | 32 | 64 | undefined => WIDTH[datatype];
export const isInteger = (datatype: Datatype): boolean => datatype.endsWith('int');
export const isFloat = (datatype: Datatype): boolean => datatype.endsWith('float');

/** How many registers, or coils and discrete inputs, a variable takes. */
export function sizeOf({ type, datatype, datasize }: Pick<Variable, 'type' | 'datatype' | 'datasize'>): number {
  const ofBits = type === 'coil' || type === 'discrete';
  if (datatype === 'bits') return ofBits ? (datasize ?? 1) : Math.ceil((datasize ?? 16) / 16);
  // On tables of bits "ignore" skips bits, because there are no registers to skip.
  if (ofBits) return datasize ?? 1;
  if (datatype === 'string' || datatype === 'ignore') return Math.ceil((datasize ?? 2) / 2);
  return Math.max(1, (WIDTH[datatype] ?? 16) / 16);
}

/**
 * The bytes of a value, most significant first.
 * @param words unsigned 16-bit words in the order in which they arrived
 */
export function bytesOf(words: readonly number[], byteOrder: Order = 'big', wordOrder: Order = 'big'): Buffer {
  const bytes = Buffer.alloc(words.length * 2);
  const ordered = wordOrder === 'little' ? [...words].reverse() : words;
  ordered.forEach((word, at) => {
    if (byteOrder === 'little') bytes.writeUInt16LE(word, at * 2);
    else bytes.writeUInt16BE(word, at * 2);
  });
  return bytes;
}

/** The reverse of {@link bytesOf}: words in the order in which they are sent. */
export function wordsOf(bytes: Buffer, byteOrder: Order = 'big', wordOrder: Order = 'big'): readonly number[] {
  const words: number[] = [];
  for (let at = 0; at < bytes.length; at += 2) {
    words.push(byteOrder === 'little' ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at));
  }
  return wordOrder === 'little' ? words.reverse() : words;
}

/** What words hold, before shift, mask, factor and translation. */
export type Decoded = number | bigint | string | boolean | readonly boolean[];

/**
 * Reads a variable from its registers.
 * @param words shape [sizeOf(variable)]: unsigned 16-bit words in the order in which they arrived
 * @returns undefined if there is no reading: NaN, infinity, `ignore`, or a value that is listed as invalid
 */
export function decodeRegisters(variable: Variable, words: readonly number[]): Decoded | undefined {
  const { datatype, byteOrder, wordOrder, datasize } = variable;
  if (datatype === 'ignore') return undefined;
  if (datatype === 'string') {
    const bytes = bytesOf(words, byteOrder).subarray(0, datasize ?? 2);
    const end = bytes.indexOf(0);
    return bytes.toString(variable.encoding ?? 'latin1', 0, end < 0 ? bytes.length : end).trimEnd();
  }
  if (datatype === 'bits') {
    const bytes = bytesOf(words, byteOrder);
    const bits = Array.from({ length: datasize ?? 16 }, (_, bit) => {
      const word = bytes.readUInt16BE(Math.floor(bit / 16) * 2);
      return ((word >> (bit % 16)) & 1) === 1;
    });
    return datasize === 1 ? (bits[0] as boolean) : bits;
  }
  const value = numberOf(variable, bytesOf(words, byteOrder, wordOrder));
  if (typeof value === 'number' && !Number.isFinite(value)) return undefined;
  if (variable.invalid?.some((code) => isInvalid(code, value, datatype))) return undefined;
  return value;
}

/** Reads a variable from coils or discrete inputs. @param bits shape [sizeOf(variable)] */
export function decodeBits({ datatype, datasize }: Variable, bits: readonly boolean[]): Decoded | undefined {
  if (datatype === 'ignore') return undefined;
  return (datasize ?? 1) === 1 ? (bits[0] ?? false) : bits.slice(0, datasize);
}

/** The unsigned integer of the same width, which shift and mask work on. */
export function unsignedOf({ datatype, half }: Variable, bytes: Buffer): bigint {
  if (WIDTH[datatype] === 8) return BigInt(half === 'low' ? (bytes[1] as number) : (bytes[0] as number));
  return BigInt(`0x${bytes.toString('hex')}`);
}

function numberOf(variable: Variable, bytes: Buffer): number | bigint {
  switch (variable.datatype) {
    case '16float':
      return float16(bytes.readUInt16BE(0));
    case '32float':
      // A single has seven digits; printing its double would show nine more that nobody measured.
      return Number(bytes.readFloatBE(0).toPrecision(7));
    case '64float':
      return bytes.readDoubleBE(0);
    default: {
      const unsigned = unsignedOf(variable, bytes);
      const bits = WIDTH[variable.datatype] ?? 16;
      const value = variable.datatype.endsWith('uint') ? unsigned : BigInt.asIntN(bits, unsigned);
      return bits === 64 ? value : Number(value);
    }
  }
}

/** A vendor's code is given as it is printed: signed or unsigned. */
function isInvalid(code: number, value: number | bigint, datatype: Datatype): boolean {
  if (typeof value === 'number' && value === code) return true;
  if (!isInteger(datatype) || !Number.isInteger(code)) return false;
  const bits = WIDTH[datatype] ?? 16;
  return BigInt.asUintN(bits, BigInt(value)) === BigInt.asUintN(bits, BigInt(code));
}

/** IEEE 754 half precision: 1 sign, 5 exponent, 10 fraction bits. */
export function float16(word: number): number {
  const sign = word & 0x8000 ? -1 : 1;
  const exponent = (word >> 10) & 0x1f;
  const fraction = word & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The half-precision word nearest to a number. @throws RangeError if it is too large for one */
export function float16Word(value: number): number {
  if (Math.abs(value) > 65_504 || !Number.isFinite(value)) throw new RangeError(`${value} does not fit into a half float`);
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size < 2 ** -14) return sign | Math.round(size * 2 ** 24);
  let exponent = Math.floor(Math.log2(size));
  let fraction = Math.round((size / 2 ** exponent - 1) * 1024);
  if (fraction === 1024) {
    exponent += 1;
    fraction = 0;
  }
  return sign | ((exponent + 15) << 10) | fraction;
}

/** The four readings of one variable by byte and word order: what an operator compares with the device's display. */
export function fourOrders(variable: Variable, words: readonly number[]): Readonly<Record<string, JsonValue>> {
  const orders = {
    ABCD: ['big', 'big'],
    CDAB: ['big', 'little'],
    BADC: ['little', 'big'],
    DCBA: ['little', 'little'],
  } as const;
  return Object.fromEntries(
    Object.entries(orders).map(([name, [byteOrder, wordOrder]]) => {
      const value = decodeRegisters({ ...variable, byteOrder, wordOrder }, words);
      return [name, value === undefined ? null : typeof value === 'bigint' ? String(value) : (value as JsonValue)];
    }),
  );
}
