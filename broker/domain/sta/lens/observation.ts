import { type AttributeInstance, type Attributes, instanceValue } from '../../attribute.ts';
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

/**
 * The attribute instance that an Observation is.
 * @param properties checked ones (lens/attributes.ts); null removes
 * @param frame what the series says: datasetId and unit
 * @param before the instance that is changed: what `properties` leaves out stays
 */
export function observationInstance(
  properties: JsonObject,
  frame: { readonly datasetId?: Iri | undefined; readonly unitCode?: string | undefined; readonly feature?: Iri | undefined },
  before?: AttributeInstance,
): AttributeInstance {
  const result = properties['result'] ?? (before === undefined ? undefined : instanceValue(before));
  if (result === undefined) throw badRequest('Observation lacks the mandatory property "result"');
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
  if (frame.feature !== undefined) inner[FEATURE_OF_INTEREST] = [{ type: 'Relationship', object: frame.feature }];
  const unitCode = frame.unitCode ?? (before as { unitCode?: string } | undefined)?.unitCode;
  return {
    type: 'Property',
    value: result,
    ...(unitCode === undefined || typeof result !== 'number' ? {} : { unitCode }),
    ...(frame.datasetId === undefined ? {} : { datasetId: frame.datasetId }),
    ...(observedAt === undefined ? {} : { observedAt }),
    ...(Object.keys(inner).length === 0 ? {} : { attributes: inner as Attributes }),
  };
}

/** Result times are compared as texts by stores, so all have the same number of digits. */
function milliseconds(value: JsonValue | undefined): JsonValue | undefined {
  if (typeof value !== 'string' || value.length === 24) return value;
  const at = parseMoment(value);
  return at === undefined ? value : writeMoment(Math.floor(at / 1000) * 1000);
}
