import type { AttributeInstance } from './attribute.ts';
import type { Iri, TenantId } from './iri.ts';
import type { JsonValue } from './json.ts';
import type { Instant } from './time.ts';

/**
 * How far a command has come, in the words of the IoT agents. PENDING: accepted, and on disk. DELIVERED: the device, or who speaks for it, has it.
 * OK, ERROR and EXPIRED are final: nothing changes them any more.
 */
export type CommandState = 'PENDING' | 'DELIVERED' | 'OK' | 'ERROR' | 'EXPIRED';

/** What can be asked of a device: one entry of its `commands`, with the names that it has in the entity. */
export interface Commandable {
  /** As the device calls it. */
  readonly name: string;
  /** The attribute that a client writes to; it never gets a value. */
  readonly attribute: Iri;
  /** The attributes that show state and result. */
  readonly statusAttribute: Iri;
  readonly infoAttribute: Iri;
}

/** A device's entity, and what can be asked of it. */
export interface CommandedEntity {
  readonly id: Iri;
  readonly types: readonly Iri[];
  readonly commands: readonly Commandable[];
}

/** Something that a device shall do. */
export interface Command extends Commandable {
  /** Unique in this broker; later commands have larger ids. */
  readonly id: string;
  readonly tenant: TenantId;
  /** Identity of the device in the registry. */
  readonly device: string;
  readonly entity: Iri;
  readonly types: readonly Iri[];
  readonly value: JsonValue;
  readonly state: CommandState;
  /** The device's answer, or why there is none. */
  readonly info?: JsonValue;
  readonly createdAt: Instant;
  /** When it reached the device. */
  readonly deliveredAt?: Instant;
  /** When it came to its end. */
  readonly endedAt?: Instant;
  /** From this moment on it is not carried out any more. */
  readonly expiresAt: Instant;
  /** What asked for it, where that wants to know it again: the id of a SensorThings Task, for instance. */
  readonly origin?: string;
}

export const isFinal = ({ state }: Pick<Command, 'state'>): boolean =>
  state === 'OK' || state === 'ERROR' || state === 'EXPIRED';

/** What clients see in `<name>_status` and `<name>_info`: IoT agents show an expired command as ERROR with the word EXPIRED. */
export function shownState({ state, info }: Pick<Command, 'state' | 'info'>): {
  readonly status: 'PENDING' | 'DELIVERED' | 'OK' | 'ERROR';
  readonly info?: JsonValue;
} {
  if (state === 'EXPIRED') return { status: 'ERROR', info: 'EXPIRED' };
  return { status: state, ...(info !== undefined && { info }) };
}

/** What an attribute instance that is written to a command asks for. @returns undefined if it carries no value */
export function commandValue(instance: AttributeInstance): JsonValue | undefined {
  switch (instance.type) {
    case 'Property':
      return instance.value;
    case 'GeoProperty':
      return instance.value as unknown as JsonValue;
    case 'Relationship':
      return instance.object;
    case 'LanguageProperty':
      return instance.languageMap as JsonValue;
    case 'VocabProperty':
      return instance.vocab;
    case 'ListProperty':
      return instance.valueList;
    case 'ListRelationship':
      return instance.objectList;
    case 'JsonProperty':
      return instance.json;
  }
}
