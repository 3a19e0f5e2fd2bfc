import { type Instant, isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import type { Reading } from '../reading.ts';
import { cellTime } from './csv.ts';
import { flatReadings } from './flat.ts';

/** How a JSON document of somebody else is to be read: where its items are, and in each of them the device, the time and the values. */
export interface JsonMapping {
  /** JSON pointer (RFC 6901) to a list, or to one item. */
  readonly list: string;
  readonly device: { readonly fixed: string } | { readonly pointer: string };
  readonly time?: { readonly pointer: string; readonly format: string; readonly zone?: string };
  /** JSON pointer to the object of values in an item. */
  readonly values: string;
}

export type JsonItem =
  | { readonly index: number; readonly device: string; readonly at: Instant | undefined; readonly readings: readonly Reading[] }
  | { readonly index: number; readonly error: string };

/** @throws Error that begins with the path of what cannot be used */
export function readJsonMapping(given: JsonValue | undefined, path = 'json'): JsonMapping {
  if (!isObject(given)) throw new Error(`${path}: must be an object`);
  const { list = '', device, time, values = '' } = given as Readonly<Record<string, JsonValue>>;
  const pointer = (value: JsonValue | undefined, at: string): string => {
    if (typeof value === 'string' && (value === '' || value.startsWith('/'))) return value;
    throw new Error(`${at}: must be a JSON pointer, such as /data/items`);
  };
  if (time !== undefined && !isObject(time)) throw new Error(`${path}.time: must be an object with a pointer`);
  const named = isObject(device)
    ? { pointer: pointer(device['pointer'] as JsonValue | undefined, `${path}.device.pointer`) }
    : undefined;
  if (named === undefined && (typeof device !== 'string' || device === ''))
    throw new Error(`${path}.device: must be a device_id, or {"pointer": …} into each item`);
  const format = isObject(time) ? (time['format'] ?? 'iso') : 'iso';
  if (typeof format !== 'string')
    throw new Error(`${path}.time.format: must be iso, epoch, epochMs or a pattern such as DD.MM.YYYY HH:mm`);
  return {
    list: pointer(list, `${path}.list`),
    device: named ?? { fixed: device as string },
    ...(isObject(time) && {
      time: {
        pointer: pointer(time['pointer'] as JsonValue | undefined, `${path}.time.pointer`),
        format,
        ...(typeof time['zone'] === 'string' && { zone: time['zone'] }),
      },
    }),
    values: pointer(values, `${path}.values`),
  };
}

/** The items of a document. An item that cannot be read is told and does not cost the others. @throws Error if there is no list where it should be */
export function jsonItems(document: JsonValue, mapping: JsonMapping): readonly JsonItem[] {
  const found = at(document, mapping.list);
  if (found === undefined) throw new Error(`the document has nothing at "${mapping.list}"`);
  const items = Array.isArray(found) ? (found as readonly JsonValue[]) : [found];
  return items.map((item, index): JsonItem => {
    const values = at(item, mapping.values);
    if (!isObject(values)) return { index, error: 'the item has no object of values' };
    const device = 'fixed' in mapping.device ? mapping.device.fixed : at(item, mapping.device.pointer);
    if ((typeof device !== 'string' && typeof device !== 'number') || device === '')
      return { index, error: 'the item names no device' };
    const told = mapping.time === undefined ? undefined : at(item, mapping.time.pointer);
    const time = mapping.time === undefined || told === undefined ? undefined : cellTime(String(told), mapping.time);
    if (mapping.time !== undefined && time === undefined)
      return { index, error: `the item has no time of the form ${mapping.time.format}` };
    return { index, device: String(device), at: time, readings: flatReadings(values as Record<string, JsonValue>) };
  });
}

/** What a JSON pointer names; undefined: nothing. */
function at(document: JsonValue, pointer: string): JsonValue | undefined {
  let value: JsonValue | undefined = document;
  for (const step of pointer.split('/').slice(1)) {
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~');
    if (Array.isArray(value)) value = value[Number(name)] as JsonValue | undefined;
    else if (isObject(value) && Object.hasOwn(value, name)) value = value[name] as JsonValue | undefined;
    else return undefined;
  }
  return value;
}
