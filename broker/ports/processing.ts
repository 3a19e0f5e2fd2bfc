import type { KnownDevice } from '../domain/device.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Instant } from '../domain/time.ts';
import type { Fragment } from './ingest.ts';

/** What a device's message is turned into before it is mapped, as an operator wrote it down. */
export interface TransformationRecord {
  /** Another one after every change, and for every tenant. */
  readonly key: string;
  readonly name: string;
  readonly document: JsonObject;
}

/** What is left of a fragment, and what is to be told of the rest. */
export interface Judged {
  /** undefined: nothing. */
  readonly fragment: Fragment | undefined;
  /** Values that were not stored as they came, and why, as sentences. */
  readonly refused: readonly string[];
}

/**
 * What operators want done with everything that devices and adapters say, before it is stored: transformation (of messages), then bad-data rules, then
 * validation (of fragments). All of it is in memory, and found once for every device.
 */
export interface Processing {
  /** False: nobody has configured anything, and none of the following need be asked. */
  readonly active: boolean;
  /** There are transformations. */
  readonly transforms: boolean;
  /** The transformation that the device names; undefined: none. @throws Error if it is gone */
  transformation(known: KnownDevice): TransformationRecord | undefined;
  /** Whether fragments of this device are to be judged. */
  judges(known: KnownDevice): boolean;
  /** Reads from the store what judging these will compare with; undefined: it is all there. */
  prepare(said: readonly Said[]): Promise<void> | undefined;
  /** Applies rules and validation to one fragment, in the order in which fragments will be stored. Call {@link prepare} before. */
  judge(said: Said, heardAt: Instant): Judged;
  /** These were judged and could not be stored. */
  forget(said: readonly Said[]): void;
}

export interface Said {
  readonly known: KnownDevice;
  readonly fragment: Fragment;
}

/** Looks after the devices themselves: what is wrong with one becomes an alert. */
export interface DeviceHealth {
  /** False: nobody has asked for it, and none of the following need be told. */
  readonly active: boolean;
  /** A device has said something, whatever became of it. */
  heard(identity: string): void;
  /** This was stored. Resolves when what follows from it is, too; never rejects. */
  stored(said: readonly Said[]): Promise<void>;
}
