import type { Instant, JsonObject, JsonValue } from '../broker/ports/ingest.ts';
import type { Format } from './interpret.ts';

/** What an adapter heard of one device, as it came. It is read when it reaches the broker, so a changed mapping reaches what was heard before. */
export interface DeviceMessage {
  /** `device_id`. */
  readonly device: string;
  readonly format: Format;
  /** Text, or the bytes as base64. */
  readonly payload: string;
  readonly encoding?: 'base64';
  /** When the adapter heard it: the time of readings that have none of their own. */
  readonly at: Instant;
  /** The payload is the value of this attribute alone. */
  readonly attribute?: string;
}

/** For sources that send again what they are not sure of: what was kept under this key and comes repeated is not kept twice. */
export interface Once {
  readonly key: string;
  readonly repeated: boolean;
}

/** Where adapters hand in what they heard. */
export interface Sink {
  /**
   * Resolves when the messages cannot be lost any more: on disk here, or stored by the broker. While it does not resolve, the adapter asks its devices for no more.
   * @throws if they were not taken
   */
  take(messages: readonly DeviceMessage[], once?: Once): Promise<void>;
}

/** What an operator is told about an adapter. */
export type AdapterState = JsonObject;

/** Something that was started from a settings document, and runs until it is stopped. */
export interface Adapter {
  state(): AdapterState;
  /** Carries a command out. @returns what the device says to it @throws Error whose message says why not */
  command?(device: string, name: string, value: JsonValue): Promise<JsonValue>;
  stop(): Promise<void>;
}

export type Log = (level: 'info' | 'warn' | 'error', message: string, details?: Readonly<Record<string, unknown>>) => void;

/** What every adapter is given. */
export interface Surroundings {
  readonly name: string;
  readonly sink: Sink;
  readonly now: () => Instant;
  readonly log: Log;
  /** Throws if this address may not be contacted; an adapter that runs beside its devices may contact all. */
  readonly mayContact: (target: URL) => Promise<void>;
  /** A folder of the operator's that files may be taken from; undefined: no files are. */
  readonly dropFolder?: string;
}

/** The device messages for one measure of readings that need no parser. */
export function readingsMessage(
  device: string,
  at: Instant,
  readings: readonly { readonly address: string; readonly value: JsonValue; readonly quality?: string }[],
): DeviceMessage {
  return { device, format: 'readings', payload: JSON.stringify({ readings }), at };
}
