import type { CommandState } from '../command.ts';
import { badRequest } from '../errors.ts';
import { isObject, type JsonObject, type JsonValue } from '../json.ts';
import { parseMoment } from './time.ts';

/** What a command of a device takes, as a DataRecord of SWE Common (OGC 08-094r1, in its JSON form): one value of any kind. */
export const commandParameters = (name: string): JsonObject => ({
  type: 'DataRecord',
  field: [{ type: 'Text', name, label: name, description: 'Any JSON value: the device is given it as it is' }],
});

/**
 * Checks what a Task asks for against the taskingParameters of its TaskingCapability (17-079r1, 8.2.1).
 * @param record a DataRecord; what is none says nothing about its fields
 * @throws DomainError BadRequestData that names the field
 */
export function checkTaskingParameters(record: JsonValue | undefined, given: JsonObject): void {
  const fields = isObject(record) && Array.isArray(record['field']) ? (record['field'] as readonly JsonValue[]) : undefined;
  if (fields === undefined) return;
  const known = new Set<string>();
  for (const field of fields) {
    if (!isObject(field) || typeof field['name'] !== 'string') continue;
    const { name } = field;
    known.add(name);
    const value = given[name];
    if (value === undefined || value === null) {
      if (field['optional'] !== true) throw badRequest(`"taskingParameters" lacks "${name}"`);
      continue;
    }
    const wrong = wrongValue(field, value);
    if (wrong !== undefined) {
      throw badRequest(`"${name}" of "taskingParameters" must be ${wrong}, not ${JSON.stringify(value).slice(0, 100)}`);
    }
  }
  const unknown = Object.keys(given).find((name) => !known.has(name));
  if (unknown !== undefined) {
    throw badRequest(`The TaskingCapability has no parameter "${unknown}"; there are: ${[...known].join(', ')}`);
  }
}

/** What a value should have been; undefined: it is right. */
function wrongValue({ type, constraint }: JsonObject, value: JsonValue): string | undefined {
  switch (type) {
    case 'Count':
      if (typeof value !== 'number' || !Number.isInteger(value)) return 'a whole number';
      break;
    case 'Quantity':
      if (typeof value !== 'number') return 'a number';
      break;
    case 'Boolean':
      return typeof value === 'boolean' ? undefined : 'true or false';
    case 'Category':
      if (typeof value !== 'string') return 'a text';
      break;
    case 'Time':
      return typeof value === 'string' && parseMoment(value) !== undefined
        ? undefined
        : 'an instant of ISO 8601 with a time zone';
    default:
      // Text stands for anything: actuators take objects, too.
      break;
  }
  return isObject(constraint) ? outside(constraint, value) : undefined;
}

/** AllowedValues and AllowedTokens of SWE Common. */
function outside(constraint: JsonObject, value: JsonValue): string | undefined {
  const listed = ([constraint['value'], constraint['values']].flat() as readonly (JsonValue | undefined)[]).filter(
    (one) => one !== undefined && one !== null,
  );
  const intervals = Array.isArray(constraint['interval']) ? (constraint['interval'] as readonly JsonValue[]) : [];
  // One interval may be written without a list around it.
  const pairs = (
    intervals.length === 2 && typeof intervals[0] === 'number' ? [intervals] : intervals
  ) as readonly (readonly JsonValue[])[];
  const within = pairs.some(([least, most]) => typeof value === 'number' && value >= Number(least) && value <= Number(most));
  if (within || listed.some((one) => one === value)) return undefined;
  if (listed.length > 0 && pairs.length === 0) return `one of ${listed.map(String).join(', ')}`;
  if (pairs.length > 0) return `within ${pairs.map((pair) => pair.join(' to ')).join(' or ')}`;
  return undefined;
}

/** Where each command of a Task is, by the command's name. */
export type CommandStates = Readonly<Record<string, CommandState>>;

/** How far a Task is: as far as the last of its commands, or failed as soon as one has. */
export function taskStatus(states: CommandStates): CommandState {
  const all = Object.values(states);
  for (const state of ['ERROR', 'EXPIRED', 'PENDING', 'DELIVERED'] as const) if (all.includes(state)) return state;
  return 'OK';
}
