import { type Instant, isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { deviceTime } from '../device-time.ts';
import { isValue, LIMITS, type Measure, type Reading } from '../reading.ts';

/** Members that carry the value of an NGSI-LD attribute, by kind. */
const VALUES = ['value', 'object', 'languageMap', 'vocab', 'valueList', 'objectList', 'json'] as const;
/** Members of an attribute that are neither value nor metadata. */
const FRAME = new Set<string>([
  ...VALUES,
  'type',
  'observedAt',
  'metadata',
  'datasetId',
  'createdAt',
  'modifiedAt',
  'instanceId',
]);

/**
 * A message that is an entity (payloadType "ngsild", "ngsiv2"): each attribute is a reading with its own time, sub-properties and unit are its metadata.
 * `id` and `type` are readings `measure_id` and `measure_type`; the entity that is written to is the provisioned one.
 */
export function entityMeasure(entity: Readonly<Record<string, JsonValue>>, ld: boolean, warnings: string[]): Measure {
  const readings: Reading[] = [];
  let observedAt: Instant | undefined;
  for (const [name, attribute] of Object.entries(entity)) {
    if (name === '@context') continue;
    if (name === 'TimeInstant') {
      observedAt = deviceTime(isObject(attribute) ? attribute['value'] : attribute, 'UTC');
      if (observedAt === undefined)
        warnings.push('TimeInstant is not an ISO 8601 time with a zone; the time of reception is used');
      continue;
    }
    const reading = readingOf(name === 'id' || name === 'type' ? `measure_${name}` : name, attribute, ld);
    if (reading === undefined) warnings.push(`"${name.slice(0, 64)}" has no value`);
    else readings.push(reading);
  }
  return { ...(observedAt !== undefined && { observedAt }), readings };
}

function readingOf(address: string, attribute: JsonValue, ld: boolean): Reading | undefined {
  if (address.length > LIMITS.nameChars) return undefined;
  if (!isObject(attribute)) return isValue(attribute) ? { address, value: attribute } : undefined;
  const member = ld ? VALUES.find((key) => key in attribute) : 'value' in attribute ? 'value' : undefined;
  const value = (member === undefined ? attribute : attribute[member]) as JsonValue;
  if (!isValue(value)) return undefined;
  if (member === undefined) return { address, value };
  const metadata = ld ? subProperties(attribute) : (attribute['metadata'] as Record<string, JsonValue> | undefined);
  const { TimeInstant, ...rest } = isObject(metadata) ? metadata : {};
  const time = deviceTime(ld ? attribute['observedAt'] : isObject(TimeInstant) ? TimeInstant['value'] : undefined, 'UTC');
  return {
    address,
    value,
    ...(time !== undefined && { observedAt: time }),
    ...(Object.keys(rest).length > 0 && { metadata: rest as Record<string, JsonValue> }),
  };
}

function subProperties(attribute: Record<string, JsonValue>): Record<string, JsonValue> {
  const metadata: Record<string, JsonValue> = {};
  for (const [name, sub] of Object.entries(attribute)) {
    if (FRAME.has(name)) continue;
    if (!isObject(sub)) metadata[name] = sub;
    else {
      const member = VALUES.find((key) => key in sub);
      const type = sub['type'] as JsonValue;
      metadata[name] =
        member === undefined ? sub : { ...(typeof type === 'string' && { type }), value: sub[member] as JsonValue };
    }
  }
  return metadata;
}
