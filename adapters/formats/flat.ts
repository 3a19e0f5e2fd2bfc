import { isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { isValue, type Reading } from '../reading.ts';

/** The values of an object as readings; members of objects inside are addressed `outer.inner`. Null, NaN and empty texts are no readings. */
export function flatReadings(members: Readonly<Record<string, JsonValue>>, prefix = ''): readonly Reading[] {
  return Object.entries(members).flatMap(([name, value]): readonly Reading[] => {
    if (isObject(value)) return flatReadings(value as Record<string, JsonValue>, `${prefix}${name}.`);
    return isValue(value) && value !== '' ? [{ address: prefix + name, value }] : [];
  });
}
