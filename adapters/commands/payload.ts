import { type Command, type CommandEntry, isObject, type JsonValue, type KnownDevice } from '../../broker/ports/ingest.ts';
import { compileExpression } from '../mapping/expressions.ts';
import { provisionedMapping } from '../mapping/provisioned.ts';
import { protocolOf } from '../protocol.ts';
import { commandEntries } from './targets.ts';

/** A command as its device reads it. */
export interface CommandPayload {
  readonly body: string | Uint8Array;
  readonly contentType: string;
  /** How the device's command is provisioned; undefined: it is no longer. */
  readonly entry: CommandEntry | undefined;
}

/**
 * Writes one command in the format of the device's agent: UltraLight `lamp3@dim|40`, JSON `{"dim":40}`; with a `payloadType` of its own the bare
 * value as text or bytes.
 */
export function commandPayload(command: Command, known: KnownDevice): CommandPayload {
  const entry = commandEntries(known).find(({ name }) => name === command.name);
  const value = transformed(command, entry, known);
  const contentType = (fallback: string) => entry?.contentType ?? fallback;
  switch (entry?.payloadType?.toLowerCase()) {
    case 'binaryfromstring':
      return { body: Buffer.from(text(value)), contentType: contentType('application/octet-stream'), entry };
    case 'binaryfromhex':
      return { body: Buffer.from(text(value), 'hex'), contentType: contentType('application/octet-stream'), entry };
    case 'binaryfromjson':
      return { body: Buffer.from(JSON.stringify(value)), contentType: contentType('application/octet-stream'), entry };
    case 'text':
      return { body: text(value), contentType: contentType('text/plain'), entry };
  }
  if (protocolOf(known) === 'ultralight') {
    return {
      body: ultraLightCommand(known.device.device_id, command.name, value),
      contentType: contentType('text/plain'),
      entry,
    };
  }
  return { body: JSON.stringify({ [command.name]: value }), contentType: contentType('application/json'), entry };
}

/** The answer to a device that asks for its commands: all in one text. JSON can hold one value of each name. */
export function pollPayload(commands: readonly Command[], known: KnownDevice, format: 'json' | 'ultralight'): string {
  const entries = commandEntries(known);
  const values = commands.map((command) => ({
    name: command.name,
    value: transformed(
      command,
      entries.find(({ name }) => name === command.name),
      known,
    ),
  }));
  if (format === 'json') return JSON.stringify(Object.fromEntries(values.map(({ name, value }) => [name, value])));
  return values.map(({ name, value }) => ultraLightCommand(known.device.device_id, name, value)).join('#');
}

/** The value after the command's `expression`, which knows the value under the command's name, static values, and what is known of the device. */
function transformed(command: Command, entry: CommandEntry | undefined, known: KnownDevice): JsonValue {
  if (entry?.expression === undefined) return command.value;
  const { constants } = provisionedMapping(known);
  return compileExpression(entry.expression).evaluate({ ...constants, [command.name]: command.value }) ?? command.value;
}

function ultraLightCommand(deviceId: string, name: string, value: JsonValue): string {
  const parameters = isObject(value)
    ? Object.entries(value).map(([key, member]) => `${key}=${text(member as JsonValue)}`)
    : [text(value)];
  return [`${deviceId}@${name}`, ...parameters].join('|');
}

const text = (value: JsonValue): string => (typeof value === 'string' ? value : JSON.stringify(value));
