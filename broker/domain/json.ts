/**
 * JSON as it travels. Values inside attributes are opaque: nothing in the broker reinterprets their members (4.5.0). An integer that a number cannot
 * hold is a bigint; all others are numbers. {@link parseExact} reads them, JSON.stringify writes them.
 */
export type JsonScalar = string | number | bigint | boolean | null;
export type JsonValue = JsonScalar | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: JsonValue;
}

export function isObject(value: unknown): value is Record<string, JsonValue> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** How many bigints were written: what tells {@link storedText} that there was one, at no cost for texts that have none. */
let bigintsWritten = 0;

/** Without this JSON.stringify refuses a bigint; with it one is written like any other number. */
Object.defineProperty(BigInt.prototype, 'toJSON', {
  value(this: bigint): unknown {
    bigintsWritten++;
    return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(String(this));
  },
  writable: true,
  configurable: true,
});

/** Like JSON.parse, a few times slower: an integer beyond 2^53 that a number would change becomes a bigint. @throws SyntaxError */
export function parseExact(text: string): unknown {
  return JSON.parse(text, exactInteger as (key: string, value: unknown) => unknown);
}

function exactInteger(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  const source = context?.source;
  return source !== undefined && source !== String(value) && /^-?\d+$/.test(source) ? BigInt(source) : value;
}

/** JSON text for {@link fromStoredText}: a space in front says that there are integers in it that JSON.parse would change. */
export function storedText(value: unknown): string {
  const before = bigintsWritten;
  const text = JSON.stringify(value);
  return bigintsWritten === before ? text : ` ${text}`;
}

/** Reads what {@link storedText} wrote. */
export function fromStoredText(text: string): unknown {
  return text.charCodeAt(0) === 0x20 ? parseExact(text) : JSON.parse(text);
}

/** Equality of JSON values: numbers by value, objects regardless of member order, arrays in order. */
export function jsonEquals(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, at) => jsonEquals(item, b[at]));
  }
  if (Array.isArray(b)) return false;
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  const names = Object.keys(left);
  if (names.length !== Object.keys(right).length) return false;
  return names.every((name) => Object.hasOwn(right, name) && jsonEquals(left[name], right[name]));
}
