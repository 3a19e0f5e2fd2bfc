import type { JsonValue } from '../../broker/ports/ingest.ts';

/** Which table of the slave a variable is in: function codes 3, 4, 1 and 2 read them. */
export type Table = 'holding' | 'input' | 'coil' | 'discrete';

export const DATATYPES = [
  '8int',
  '8uint',
  '16int',
  '16uint',
  '32int',
  '32uint',
  '64int',
  '64uint',
  '16float',
  '32float',
  '64float',
  'string',
  'bits',
  'ignore',
] as const;
export type Datatype = (typeof DATATYPES)[number];

/** `big`: the high byte or word first. The standard fixes only the bytes inside one register; the rest is the vendor's choice. */
export type Order = 'big' | 'little';

/** One variable of a register map, as the settings document has it. */
export interface Variable {
  readonly name: string;
  readonly type: Table;
  /** As in messages: 0-based. Manuals often print 40001 for holding register 0. */
  readonly address: number;
  readonly datatype: Datatype;
  /** Bytes of `string` and `ignore`; bits of `bits`. */
  readonly datasize?: number;
  /** Which byte of the register an 8-bit value is in. Absent: high. */
  readonly half?: 'high' | 'low';
  readonly byteOrder?: Order;
  readonly wordOrder?: Order;
  /** To the right; before `mask`. */
  readonly shift?: number;
  readonly mask?: number;
  readonly factor?: number;
  /** From the value after the factor to what is said instead. */
  readonly translation?: readonly (readonly [number | string, JsonValue])[];
  /** Raw numbers by which the vendor says "not available". */
  readonly invalid?: readonly number[];
  /** Of `string`. Absent: latin1. */
  readonly encoding?: 'latin1' | 'utf8' | 'ascii';
  /** UN/CEFACT code for the attribute that it becomes. */
  readonly unitCode?: string;
  /** true: may be written although it is longer than a register, a coil, or part of a register. false: never. */
  readonly writable?: boolean;
}

/** How to reach a slave: over TCP, or a serial line. Slaves with the same one share the connection, as units behind a gateway do. */
export type Line =
  | {
      readonly kind: 'tcp';
      readonly host: string;
      readonly port: number;
      /** `rtu`: the gateway passes serial frames through as they are. */
      readonly framing: 'tcp' | 'rtu';
    }
  | {
      readonly kind: 'serial';
      readonly path: string;
      readonly baudRate: number;
      readonly dataBits: 7 | 8;
      readonly parity: 'none' | 'even' | 'odd';
      readonly stopBits: 1 | 2;
    };

export interface Publication {
  readonly topic: string;
  /** With placeholders. */
  readonly template: JsonValue;
  readonly extras: Readonly<Record<string, JsonValue>>;
  /** What a variable without a reading leaves: no member, or null. */
  readonly missing: 'drop' | 'null';
}

export interface Slave {
  readonly line: Line;
  /** 1 to 247; 255 for a TCP slave that ignores it. */
  readonly unit: number;
  readonly variables: readonly Variable[];
  /** The device that the readings are of; undefined: they are published over MQTT alone. */
  readonly device?: string;
  readonly entity?: { readonly type: string; readonly id: string };
  readonly publications: readonly Publication[];
  readonly subscriptions: readonly string[];
  readonly periodMs: number;
  readonly timeoutMs: number;
  /** After a time-out, before the round counts as failed. */
  readonly retries: number;
  readonly maxGap: number;
  /** Whether a retained message is a command. */
  readonly writeRetained: boolean;
}

/** The settings document, checked and with every default filled in. */
export interface ModbusSettings {
  readonly slaves: readonly Slave[];
  readonly mqtt?: { readonly url: string; readonly username?: string; readonly password?: string };
  /** Info: every round is logged. */
  readonly logLevel: 'Info' | 'Error';
}

/** Something about the settings cannot be used; the message begins with its path. */
export class SettingsError extends Error {}

/** The name of a line: the same for slaves that share it. */
export const lineName = (line: Line): string => (line.kind === 'tcp' ? `${line.host}:${line.port}` : line.path);
