import { isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { deviceTime } from '../device-time.ts';
import { checkCount, isValue, type Measure, type Parsed, PayloadError, parseJson, type Reading } from '../reading.ts';

/**
 * Reads the JSON readings of a Smart Citizen kit: several times, several sensors at each. A reading's address is the sensor's number (or
 * short key) in the public catalogue. Times without zone are UTC there. What is wrong with one row or value does not cost the others.
 * @throws PayloadError if it is not of that shape, or no row has a time
 */
export function parseKitReadings(text: string): Parsed {
  const message = parseJson(text);
  const rows = isObject(message) ? message['data'] : undefined;
  if (!Array.isArray(rows)) throw new PayloadError('PARSE_ERROR', 'The message must be an object with an array "data"');
  const warnings: string[] = [];
  const measures: Measure[] = [];
  rows.forEach((row: JsonValue, index) => {
    const observedAt = isObject(row) ? deviceTime(row['recorded_at'], 'UTC') : undefined;
    if (!isObject(row) || observedAt === undefined) {
      warnings.push(`data[${index}] has no time in recorded_at`);
      return;
    }
    measures.push({ observedAt, readings: sensors(row['sensors'], index, warnings) });
  });
  if (measures.length === 0) {
    throw new PayloadError(rows.length === 0 ? 'PARSE_ERROR' : 'BAD_TIMESTAMP', warnings[0] ?? 'The message holds no readings');
  }
  return { measures: checkCount(measures), warnings };
}

function sensors(list: JsonValue | undefined, row: number, warnings: string[]): readonly Reading[] {
  if (!Array.isArray(list)) {
    warnings.push(`data[${row}] has no array "sensors"`);
    return [];
  }
  return list.flatMap((sensor: JsonValue, index): Reading[] => {
    const id = isObject(sensor) ? sensor['id'] : undefined;
    const value = isObject(sensor) ? sensor['value'] : undefined;
    if (typeof id !== 'number' && typeof id !== 'string') {
      warnings.push(`data[${row}].sensors[${index}] has no id`);
      return [];
    }
    return isValue(value) ? [{ address: String(id), value }] : [];
  });
}

/** What a kit says of itself in `info`, and a factory test in `inventory`: one reading each member. @throws PayloadError */
export function parseKitInfo(text: string): Parsed {
  const message = parseJson(text);
  if (!isObject(message)) throw new PayloadError('PARSE_ERROR', 'The message must be a JSON object');
  const observedAt = deviceTime(message['time'], 'UTC');
  const readings = Object.entries(message).flatMap(([address, value]): Reading[] =>
    address !== 'time' && isValue(value) ? [{ address, value: value as JsonValue }] : [],
  );
  return { measures: checkCount([{ ...(observedAt !== undefined && { observedAt }), readings }]), warnings: [] };
}
