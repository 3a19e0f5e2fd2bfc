import type { Instant, JsonValue } from '../broker/ports/ingest.ts';

/** How far a value can be trusted, as far as the adapter can tell. */
export type Quality = 'good' | 'suspect' | 'simulated' | 'unknownCode';

/** What an adapter heard: one value at one address of one device. What it means is the mapping's business. */
export interface Reading {
  /** Where in the device the value comes from: a name in its messages, a sensor number, a register. */
  readonly address: string;
  /** As the device gave it: no scale, no unit. Never null. */
  readonly value: JsonValue;
  /** When the device says it was true; absent: it does not say. */
  readonly observedAt?: Instant;
  readonly quality?: Quality;
  /** What the device says about the value: unit, sub-properties; as in the `metadata` of a provisioned attribute. */
  readonly metadata?: Readonly<Record<string, JsonValue>>;
}

/** Readings that belong together, because expressions may join them. */
export interface Measure {
  /** The time of all readings that have none of their own. */
  readonly observedAt?: Instant;
  readonly readings: readonly Reading[];
}

/** What a payload parser made of a message. */
export interface Parsed {
  readonly measures: readonly Measure[];
  /** What was left out and why, as sentences: one bad value never costs the others. */
  readonly warnings: readonly string[];
}

/** A payload that cannot be understood at all. The message is a sentence, the code what IoT agents answer. */
export class PayloadError extends Error {
  readonly code: 'PARSE_ERROR' | 'BAD_TIMESTAMP' | 'WRONG_SYNTAX';
  constructor(code: PayloadError['code'], message: string) {
    super(message);
    this.name = 'PayloadError';
    this.code = code;
  }
}

/** Limits that hold for every format: device-side bugs must not become the broker's. */
export const LIMITS = { readings: 1000, depth: 16, nameChars: 256 } as const;

/** @throws PayloadError if `value` nests deeper than a message may */
export function checkDepth(value: unknown, left: number = LIMITS.depth): void {
  if (typeof value !== 'object' || value === null) return;
  if (left === 0) throw new PayloadError('PARSE_ERROR', `The message nests deeper than ${LIMITS.depth} levels`);
  for (const member of Object.values(value)) checkDepth(member, left - 1);
}

/** @throws PayloadError if the measures hold more readings than one message may */
export function checkCount(measures: readonly Measure[]): readonly Measure[] {
  let count = 0;
  for (const measure of measures) count += measure.readings.length;
  if (count > LIMITS.readings) {
    throw new PayloadError('PARSE_ERROR', `The message holds ${count} readings; ${LIMITS.readings} are possible`);
  }
  return measures;
}

/** JSON.parse, with integers that a number cannot hold as bigints. @throws SyntaxError */
export function exactJson(text: string): JsonValue {
  return /\d{16}/.test(text) ? JSON.parse(text, exactInteger as (key: string, value: unknown) => unknown) : JSON.parse(text);
}

function exactInteger(_key: string, value: unknown, { source }: { readonly source?: string } = {}): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value) || source === undefined) return value;
  return source !== String(value) && /^-?\d+$/.test(source) ? BigInt(source) : value;
}

/** Reads JSON. @throws PayloadError */
export function parseJson(text: string): JsonValue {
  let value: JsonValue;
  try {
    value = exactJson(text);
  } catch (error) {
    throw new PayloadError('PARSE_ERROR', `The message is not JSON: ${(error as Error).message.slice(0, 120)}`);
  }
  checkDepth(value);
  return value;
}

/** True for a value that is a reading: null, and numbers that are none, are "no reading". */
export function isValue(value: unknown): value is Exclude<JsonValue, null> {
  return value !== null && value !== undefined && (typeof value !== 'number' || Number.isFinite(value));
}
