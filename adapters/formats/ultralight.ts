import type { JsonValue } from '../../broker/ports/ingest.ts';
import { deviceTime } from '../device-time.ts';
import {
  checkCount,
  checkDepth,
  exactJson,
  isValue,
  LIMITS,
  type Measure,
  type Parsed,
  PayloadError,
  type Reading,
} from '../reading.ts';

/**
 * Reads an UltraLight 2.0 message: `key|value` pairs joined by `|`, groups joined by `#`, an ISO 8601 time as the first field of a group.
 * An odd number of bars means pairs only, an even number that a time comes first.
 * @param groups false where the binding allows one group only (HTTP GET)
 * @param zone   of times without one
 * @throws PayloadError PARSE_ERROR if it is empty, a name or value is empty, or bars do not pair up; nothing of such a message is kept,
 *         because what follows a lost field would be read under the wrong names
 */
export function parseUltraLight(text: string, zone?: string, groups = true): Parsed {
  const warnings: string[] = [];
  const parts = text.trim().split('#');
  if (!groups && parts.length > 1) throw new PayloadError('PARSE_ERROR', 'A GET request can carry only one group of measures');
  const measures = parts.map((part) => group(part, zone, warnings));
  return { measures: checkCount(measures), warnings };
}

function group(text: string, zone: string | undefined, warnings: string[]): Measure {
  // A leading bar is tolerated: devices in the field send it.
  const fields = (text.startsWith('|') ? text.slice(1) : text).split('|');
  if (fields.length === 1) throw new PayloadError('PARSE_ERROR', 'There is no key|value pair in the measure');
  let observedAt: Measure['observedAt'];
  let at = 0;
  if (fields.length % 2 === 1) {
    observedAt = deviceTime(fields[0], zone);
    if (observedAt === undefined) {
      throw new PayloadError('PARSE_ERROR', 'Keys and values do not pair up, and the first field is not an ISO 8601 time');
    }
    at = 1;
  }
  const readings: Reading[] = [];
  for (; at < fields.length; at += 2) {
    const name = (fields[at] as string).trim();
    const raw = fields[at + 1] as string;
    if (name === '' || raw.trim() === '') throw new PayloadError('PARSE_ERROR', 'A key or a value of the measure is empty');
    if (name.length > LIMITS.nameChars) throw new PayloadError('PARSE_ERROR', 'A key of the measure is too long');
    const value = ultraLightValue(raw);
    if (isValue(value)) readings.push({ address: name, value });
    else warnings.push(`"${name}" has no value`);
  }
  return { ...(observedAt !== undefined && { observedAt }), readings };
}

/** A value with JSON syntax is what JSON says, everything else is text: `007` and `['a']` are. */
export function ultraLightValue(raw: string): JsonValue {
  let value: JsonValue;
  try {
    value = exactJson(raw);
  } catch {
    return raw;
  }
  checkDepth(value);
  return value;
}
