import { type AttributeInstance, type Attributes, instanceValue, type Property } from '../../attribute.ts';
import { badRequest } from '../../errors.ts';
import type { Iri } from '../../iri.ts';
import type { JsonObject, JsonValue } from '../../json.ts';
import { type Instant, toMicros } from '../../time.ts';
import { parseMoment, writeMoment } from '../time.ts';
import { plainValue } from './attributes.ts';
import {
  FEATURE_OF_INTEREST,
  localName,
  PARAMETERS,
  PHENOMENON_END,
  RESULT_QUALITY,
  RESULT_TIME,
  VALID_TIME,
} from './vocabulary.ts';

const OWN = new Set<Iri>([PHENOMENON_END, RESULT_TIME, RESULT_QUALITY, VALID_TIME, PARAMETERS, FEATURE_OF_INTEREST]);

/** What an attribute instance says as an Observation. `at`: when, in micros, if the instance does not say. */
export function observationProperties(instance: AttributeInstance, at: number): JsonObject {
  const inner = (name: Iri): JsonValue | undefined => {
    const found = instance.attributes?.[name]?.[0];
    return found === undefined ? undefined : plainValue(found);
  };
  const from = writeMoment(instance.observedAt === undefined ? at : toMicros(instance.observedAt));
  const end = inner(PHENOMENON_END);
  const quality = inner(RESULT_QUALITY);
  const valid = inner(VALID_TIME);
  const parameters = inner(PARAMETERS) ?? foreign(instance);
  return {
    phenomenonTime: typeof end === 'string' ? `${from}/${end}` : from,
    result: instanceValue(instance),
    resultTime: inner(RESULT_TIME) ?? null,
    ...(quality === undefined ? {} : { resultQuality: quality }),
    ...(valid === undefined ? {} : { validTime: valid }),
    ...(parameters === undefined ? {} : { parameters }),
  };
}

/** Sub-attributes that somebody else gave it, by their short names. */
function foreign(instance: AttributeInstance): JsonObject | undefined {
  const names = (Object.keys(instance.attributes ?? {}) as Iri[]).filter((name) => !OWN.has(name));
  if (names.length === 0) return undefined;
  return Object.fromEntries(
    names.map((name) => {
      const inner = instance.attributes?.[name]?.[0] as AttributeInstance;
      return [localName(name), plainValue(inner)];
    }),
  );
}

export function featureOf(instance: AttributeInstance): Iri | undefined {
  const found = instance.attributes?.[FEATURE_OF_INTEREST]?.[0];
  return found?.type === 'Relationship' ? ([found.object].flat()[0] as Iri) : undefined;
}

/** What the series of an Observation says. */
export interface ObservationFrame {
  readonly datasetId?: Iri | undefined;
  readonly unitCode?: string | undefined;
  readonly feature?: Iri | undefined;
  /** That feature as attributes: most Observations say nothing else, and thousands of one series can share the object. */
  readonly placed?: Attributes | undefined;
}

/** {@link ObservationFrame.placed} */
export const placedAt = (feature: Iri): Attributes =>
  ({ [FEATURE_OF_INTEREST]: [{ type: 'Relationship', object: feature }] }) as Attributes;

/**
 * The attribute instance that an Observation is.
 * @param properties checked ones (lens/attributes.ts); null removes
 * @param before the instance that is changed: what `properties` leaves out stays
 */
export function observationInstance(
  properties: JsonObject,
  frame: ObservationFrame,
  before?: AttributeInstance,
  instanceId?: Iri,
): AttributeInstance {
  const result = properties['result'] ?? (before === undefined ? undefined : instanceValue(before));
  if (result === undefined) throw badRequest('Observation lacks the mandatory property "result"');
  if (before === undefined && saysLittle(properties)) {
    return written(result, frame, properties['phenomenonTime'] as Instant, placedIn(frame), undefined, instanceId);
  }
  const inner: Record<Iri, readonly AttributeInstance[]> = { ...before?.attributes };
  const put = (name: Iri, value: JsonValue | undefined): void => {
    if (value === null) delete inner[name];
    else if (value !== undefined) {
      inner[name] = [typeof value === 'object' ? { type: 'JsonProperty', json: value } : { type: 'Property', value }];
    }
  };
  let observedAt = before?.observedAt;
  const time = properties['phenomenonTime'];
  if (typeof time === 'string') {
    // Checked before (lens/attributes.ts), and so in the form that is stored.
    const slash = time.indexOf('/');
    observedAt = (slash < 0 ? time : time.slice(0, slash)) as Instant;
    put(PHENOMENON_END, slash < 0 ? null : time.slice(slash + 1));
  }
  put(RESULT_TIME, milliseconds(properties['resultTime']));
  put(RESULT_QUALITY, properties['resultQuality']);
  put(VALID_TIME, properties['validTime']);
  put(PARAMETERS, properties['parameters']);
  let attributes: Attributes | undefined;
  if (Object.keys(inner).length === 0) attributes = placedIn(frame);
  else attributes = (frame.feature === undefined ? inner : { ...inner, ...placedAt(frame.feature) }) as Attributes;
  const unitCode = (before as { unitCode?: string } | undefined)?.unitCode;
  return written(result, frame, observedAt, attributes, unitCode, instanceId);
}

const placedIn = ({ feature, placed }: ObservationFrame): Attributes | undefined => placed ?? (feature && placedAt(feature));

/** True of nearly all Observations, and of all rows of an import: an instant and a result. */
function saysLittle(properties: JsonObject): boolean {
  for (const name in properties) if (name !== 'phenomenonTime' && name !== 'result') return false;
  const time = properties['phenomenonTime'];
  return typeof time === 'string' && !time.includes('/');
}

function written(
  value: JsonValue,
  { datasetId, unitCode: own }: ObservationFrame,
  observedAt: Instant | undefined,
  attributes: Attributes | undefined,
  unitBefore: string | undefined,
  instanceId: Iri | undefined,
): AttributeInstance {
  const unitCode = typeof value === 'number' ? (own ?? unitBefore) : undefined;
  // As nearly all are: in one piece, because an object that grows is made several times.
  if (unitCode && datasetId && observedAt && attributes && instanceId)
    return { type: 'Property', value, unitCode, datasetId, observedAt, attributes, instanceId };
  if (unitCode && observedAt && attributes && instanceId && datasetId === undefined)
    return { type: 'Property', value, unitCode, observedAt, attributes, instanceId };
  const instance: { -readonly [K in keyof Property]: Property[K] } = { type: 'Property', value };
  if (unitCode !== undefined) instance.unitCode = unitCode;
  if (datasetId !== undefined) instance.datasetId = datasetId;
  if (observedAt !== undefined) instance.observedAt = observedAt;
  if (attributes !== undefined) instance.attributes = attributes;
  if (instanceId !== undefined) instance.instanceId = instanceId;
  return instance;
}

/** Result times are compared as texts by stores, so all have the same number of digits. */
function milliseconds(value: JsonValue | undefined): JsonValue | undefined {
  if (typeof value !== 'string' || value.length === 24) return value;
  const at = parseMoment(value);
  return at === undefined ? value : writeMoment(Math.floor(at / 1000) * 1000);
}
