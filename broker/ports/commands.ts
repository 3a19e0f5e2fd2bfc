import type { Command } from '../domain/command.ts';
import type { KnownDevice } from '../domain/device.ts';
import type { JsonValue } from '../domain/json.ts';

/** What became of an attempt to bring a command to its device. */
export type Carried =
  /** The device cannot be reached now. It is tried again when {@link CommandDesk.reachable} is called, and after `retryMs` if given. */
  | { readonly kind: 'waiting'; readonly retryMs?: number }
  /** The device has it; its answer comes by {@link CommandDesk.answered}. */
  | { readonly kind: 'delivered' }
  /** It is done, or failed for good. `info` is shown as the result. */
  | { readonly kind: 'done'; readonly ok: boolean; readonly info: JsonValue };

/**
 * One way to bring commands to devices: MQTT, HTTP push, a Modbus master, a LoRaWAN network server. Register it with {@link CommandDesk.register}.
 * A command may be carried twice if the broker dies in between; its answer counts once.
 */
export interface CommandCarrier {
  /** For logs: "mqtt", "modbus". */
  readonly name: string;
  /** Whether this is a way to this device. */
  carries(known: KnownDevice): boolean;
  /**
   * Brings one command. Commands of a device are carried one after the other, in the order in which they were given; those of other devices at the
   * same time. What it throws is logged, and counts as `waiting`.
   */
  carry(command: Command, known: KnownDevice): Promise<Carried>;
}

/** Where carriers and adapters find the commands of devices. */
export interface CommandDesk {
  register(carrier: CommandCarrier): void;
  /** The device can be reached again: what waits for it is carried now. */
  reachable(identity: string): void;
  /**
   * The device has answered a command that it calls `name`. Ends the oldest open one of that name.
   * @returns resolves when it is on disk; false if no such command is open: it was never given, is answered already or expired
   */
  answered(identity: string, name: string, answer: { readonly ok: boolean; readonly info: JsonValue }): Promise<boolean>;
  /**
   * What waits for a device that asks by itself; it counts as delivered when this resolves. Oldest first.
   * @param lastOfName of several with one name only the last is kept, because the format can carry one; the others end as ERROR
   * @param most how many the device can take; the others go on waiting
   */
  fetch(identity: string, lastOfName?: boolean, most?: number): Promise<readonly Command[]>;
  /** The commands of a device that are not at their end, oldest first. */
  open(identity: string): readonly Command[];
  /**
   * Calls back for every state that a command reaches, at least once, when it is on disk. What the listener returns is waited for: only then is the end of a
   * command done with. If it fails, or the broker ends before, the state is told again at the next start.
   */
  onState(listener: (command: Command) => void | Promise<void>): void;
}

/** An HTTP request to a device's endpoint, and what came back. */
export interface PushRequest {
  /** Absent: POST. A GET has no body. */
  readonly method?: 'GET' | 'POST';
  readonly uri: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
  readonly timeoutMs: number;
}
export type Pushed =
  | { readonly status: number; readonly body: string }
  /** `again`: the device has surely not seen it, and may be there later. */
  | { readonly failed: string; readonly again: boolean };

/** Sends one request to a device; egress rules apply. Never throws. */
export type HttpPush = (request: PushRequest) => Promise<Pushed>;
