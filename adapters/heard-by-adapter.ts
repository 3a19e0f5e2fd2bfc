import {
  type AdapterMeasure,
  type DeviceDirectory,
  type DeviceOutcome,
  type Instant,
  toMicros,
} from '../broker/ports/ingest.ts';
import { FORMATS, type Format, type Heard } from './interpret.ts';
import { RESOURCES } from './mqtt/topics.ts';

/** A clock that is further ahead than this is wrong. */
const AHEAD_MICROS = 24 * 3_600_000_000;

/** The device that an adapter heard, and how to read what it said; or why not. */
export async function heardByAdapter(
  measure: AdapterMeasure,
  directory: DeviceDirectory,
  now: Instant,
): Promise<Heard | DeviceOutcome> {
  const { tenant, path, keyHash, device, format, payload, at, attribute } = measure;
  if (!(FORMATS as readonly string[]).includes(format)) return refused('PARSE_ERROR', `"${format.slice(0, 32)}" is no format`);
  if (toMicros(at) > toMicros(now) + AHEAD_MICROS)
    return refused('BAD_TIMESTAMP', `The clock of the adapter is more than a day ahead: ${at}`);
  const known =
    keyHash === undefined
      ? (directory.byPlace(tenant, path, device) ?? 'unknown-device')
      : await directory.bySession({ kind: 'group', keyHash }, device, RESOURCE[format as Format] ?? '');
  if (known === 'unknown-key') return refused('DEVICE_GROUP_NOT_FOUND', 'The group that the adapter names is gone');
  if (known === 'unknown-device') return refused('DEVICE_NOT_FOUND', `The device "${device.slice(0, 128)}" is not provisioned`);
  return {
    known,
    format: format as Format,
    payload,
    // The adapter has nobody to tell of it, and the time at which it heard the message is a good one.
    badTime: 'ignore',
    receivedAt: at,
    ...(attribute !== undefined && { attribute }),
  };
}

const RESOURCE: Readonly<Partial<Record<Format, string>>> = RESOURCES;

const refused = (code: string, reason: string): DeviceOutcome => ({ accepted: false, code, reason });
