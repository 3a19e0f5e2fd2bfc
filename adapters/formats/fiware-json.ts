import { type Instant, isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { deviceTime } from '../device-time.ts';
import { checkCount, isValue, LIMITS, type Measure, type Parsed, PayloadError, parseJson, type Reading } from '../reading.ts';
import { entityMeasure } from './typed-entities.ts';

export interface JsonOptions {
  /** `payloadType` of the device or group: how the message is built. */
  readonly payloadType?: string;
  readonly zone?: string;
  /** What to do with a time that cannot be read: HTTP can refuse, over MQTT nobody would hear it. */
  readonly badTime: 'refuse' | 'ignore';
}

/**
 * Reads a message of the FIWARE JSON agent: an object is one measure, an array several, applied oldest first. Values stay what JSON says.
 * @throws PayloadError if it is not JSON, not made of objects, or a time is bad and `badTime` says so
 */
export function parseFiwareJson(text: string, options: JsonOptions): Parsed {
  const message = parseJson(text);
  const warnings: string[] = [];
  const objects = messageObjects(message);
  const measures =
    options.payloadType === 'ngsild'
      ? objects.map((object) => entityMeasure(object, true, warnings))
      : options.payloadType === 'ngsiv2'
        ? objects.flatMap(v2Entities).map((object) => entityMeasure(object, false, warnings))
        : objects.map((object) => measureOf(object, options, warnings));
  return { measures: oldestFirst(checkCount(measures)), warnings };
}

function messageObjects(message: JsonValue): readonly Record<string, JsonValue>[] {
  const list = Array.isArray(message) ? message : [message];
  const objects = list.filter(isObject);
  if (objects.length !== list.length || list.length === 0) {
    throw new PayloadError('PARSE_ERROR', 'The message must be a JSON object, or an array of objects');
  }
  return objects;
}

function measureOf(object: Record<string, JsonValue>, options: JsonOptions, warnings: string[]): Measure {
  let observedAt: Instant | undefined;
  const readings: Reading[] = [];
  for (const name in object) {
    const value = object[name];
    if (name === 'TimeInstant') {
      observedAt = deviceTime(value, options.zone);
      if (observedAt === undefined) {
        const sentence = 'TimeInstant is not an ISO 8601 time with a zone';
        if (options.badTime === 'refuse') throw new PayloadError('BAD_TIMESTAMP', sentence);
        warnings.push(`${sentence}; the time of reception is used`);
      }
    } else if (!isValue(value)) warnings.push(`"${name.slice(0, 64)}" has no value`);
    else if (name.length > LIMITS.nameChars) warnings.push(`"${name.slice(0, 64)}…" is too long for a name`);
    else readings.push({ address: measureName(name), value });
  }
  return { ...(observedAt !== undefined && { observedAt }), readings };
}

/** `id` and `type` belong to the entity, so measures of that name get another one. */
export function measureName(name: string): string {
  return name === 'id' || name === 'type' ? `measure_${name}` : name;
}

function oldestFirst(measures: readonly Measure[]): readonly Measure[] {
  if (measures.length < 2 || measures.some((measure) => measure.observedAt === undefined)) return measures;
  return measures
    .map((measure) => ({ measure, at: Date.parse(measure.observedAt as string) }))
    .sort((a, b) => a.at - b.at)
    .map(({ measure }) => measure);
}

/** payloadType "ngsiv2": one entity, or the body of a batch update. */
function v2Entities(object: Record<string, JsonValue>): readonly Record<string, JsonValue>[] {
  const entities = object['entities'];
  return 'actionType' in object && Array.isArray(entities) ? entities.filter(isObject) : [object];
}

/**
 * Reads the value of one attribute that has a topic or URL of its own. What is not JSON is taken as bytes and becomes lower-case
 * hexadecimal digits, as agents in the field do it; that is mostly a bug of the device, so a warning comes with it.
 */
export function parseSingleValue(name: string, payload: Uint8Array): Parsed {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  let value: JsonValue;
  const warnings: string[] = [];
  try {
    value = parseJson(bytes.toString('utf8'));
  } catch {
    value = bytes.toString('hex');
    warnings.push(`The value of "${name.slice(0, 64)}" is not JSON and was taken as bytes`);
  }
  if (!isValue(value) || bytes.length === 0) {
    return { measures: [{ readings: [] }], warnings: [`"${name.slice(0, 64)}" has no value`] };
  }
  return { measures: [{ readings: [{ address: measureName(name), value }] }], warnings };
}
