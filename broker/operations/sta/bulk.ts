import { badRequest, DomainError } from '../../domain/errors.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import { checkProperty } from '../../domain/sta/lens/attributes.ts';
import type { ObservationFrame } from '../../domain/sta/lens/observation.ts';
import type { TypeModel } from '../../domain/sta/model.ts';
import { Creation, type Ref } from './create.ts';
import { checkResults, frameFor, observeAt } from './observations.ts';
import type { Reader } from './reader.ts';

/** What became of one row: the number of the Observation, or why there is none. */
export type BulkResult = { readonly number: number } | { readonly error: string };

/** Most rows of one document. */
const MOST_ROWS = 100_000;

/**
 * CreateObservations (18-088, 12.2): rows of values under the names of their components. A bad row does not hold back the others; what is good of one Datastream
 * is one write.
 * @throws DomainError BadRequestData if the document cannot be read
 */
export async function createObservations(reader: Reader, body: JsonValue): Promise<readonly BulkResult[]> {
  if (!Array.isArray(body)) throw badRequest('CreateObservations takes an array of data arrays');
  const groups = (body as readonly JsonValue[]).map(readGroup);
  const rows = groups.reduce((sum, { data }) => sum + data.length, 0);
  if (rows > MOST_ROWS) throw badRequest(`CreateObservations takes at most ${MOST_ROWS} rows at once, not ${rows}`);
  const planned = await plan(reader, groups);
  try {
    await planned.creation.plan.commit('createObservations');
    return planned.results;
  } catch (error) {
    // A Datastream went at this very moment: the others are tried alone.
    if (!(error instanceof DomainError) || error.type === 'Unavailable' || groups.length === 0) throw error;
    if (groups.length === 1) return planned.results.map((one) => ('error' in one ? one : { error: error.message }));
  }
  const results: BulkResult[] = [];
  for (const group of groups) results.push(...(await createObservations(reader, [group.sent])));
  return results;
}

/** All rows as one plan: those of one Datastream are one write, and a Location gets one feature. */
async function plan(reader: Reader, groups: readonly Group[]): Promise<{ creation: Creation; results: readonly BulkResult[] }> {
  const creation = new Creation(reader);
  const results: BulkResult[] = [];
  for (const group of groups) await planGroup(creation, group, results);
  return { creation, results };
}

interface Group {
  readonly sent: JsonValue;
  readonly set: 'Datastreams' | 'MultiDatastreams';
  readonly id: JsonValue;
  readonly components: readonly string[];
  readonly data: readonly JsonValue[];
}

function readGroup(group: JsonValue, at: number): Group {
  const where = `Element ${at} of CreateObservations`;
  if (!isObject(group)) throw badRequest(`${where} must be an object`);
  const { Datastream: single, MultiDatastream: multi, components, dataArray } = group;
  const named = single ?? multi;
  if (!isObject(named) || named['@iot.id'] === undefined) throw badRequest(`${where} lacks a "Datastream" with its "@iot.id"`);
  if (!Array.isArray(components) || !components.every((name) => typeof name === 'string'))
    throw badRequest(`${where} lacks "components"`);
  if (!Array.isArray(dataArray)) throw badRequest(`${where} lacks its "dataArray"`);
  return {
    sent: group,
    set: single === undefined ? 'MultiDatastreams' : 'Datastreams',
    id: named['@iot.id'],
    components: components as string[],
    data: dataArray,
  };
}

async function planGroup(creation: Creation, group: Group, results: BulkResult[]): Promise<void> {
  const { reader } = creation;
  const refused = (error: unknown): BulkResult => {
    if (error instanceof DomainError && error.type !== 'Unauthorized') return { error: error.message };
    throw error;
  };
  let series: Ref['series'];
  let columns: readonly Column[];
  try {
    columns = columnsOf(reader.model.of('Observations'), group.components);
    series = (await creation.reference(group.set, group.id, group.set)).series;
    if (series === undefined) throw badRequest(`${group.set} take no Observations`);
    await creation.rules.observe(series);
  } catch (error) {
    const result = refused(error);
    for (const _ of group.data) results.push(result);
    return;
  }
  reader.dependencies.extents.forget(reader.tenant, { id: series.thing.iri, name: series.name, datasetId: series.datasetId });
  const frames = new Map<JsonValue | undefined, ObservationFrame>();
  const block = Math.min(group.data.length, 10_000);
  for (const row of group.data) {
    try {
      const { properties, feature } = readRow(columns, row);
      checkResults(series, properties);
      let frame = frames.get(feature);
      if (frame === undefined) {
        const given = feature === undefined ? undefined : await named(creation, feature);
        frame = await frameFor(creation, series, given);
        frames.set(feature, frame);
      }
      const reserved = creation.newNumber(block);
      const number = typeof reserved === 'number' ? reserved : await reserved;
      observeAt(creation, series, properties, frame, number);
      results.push({ number });
    } catch (error) {
      results.push(refused(error));
    }
  }
}

const named = (creation: Creation, feature: JsonValue): Promise<Ref> =>
  creation.reference('FeaturesOfInterest', feature, 'FeatureOfInterest/id');

/** What is done with the values in one place of each row. */
interface Column {
  /** Refuses what is wrong, and returns what is stored. @throws DomainError BadRequestData */
  readonly read: ((value: JsonValue) => JsonValue) | undefined;
  /** undefined: the feature of interest. */
  readonly name: string | undefined;
}

/** Looked up once for all rows. @throws DomainError BadRequestData for what is no component, or lacks */
function columnsOf(type: TypeModel, components: readonly string[]): readonly Column[] {
  const columns = components.map((name): Column => {
    if (/^FeatureOfInterest\/(@iot\.)?id$/.test(name)) return { name: undefined, read: undefined };
    const property = type.properties.find((one) => one.name === name);
    if (property === undefined) throw badRequest(`Observation has no component "${name}"`);
    const read = (value: JsonValue): JsonValue => {
      if (value !== null && value !== undefined) return checkProperty(type, property, value);
      if (property.mandatory) throw lacking(name);
      return null;
    };
    return { name, read: property.computed ? undefined : read };
  });
  const missing = type.properties.find(({ name, mandatory }) => mandatory && !components.includes(name));
  if (missing !== undefined) throw lacking(missing.name);
  return columns;
}

const lacking = (name: string): DomainError => badRequest(`Observation lacks the mandatory property "${name}"`);

function readRow(columns: readonly Column[], row: JsonValue): { properties: JsonObject; feature: JsonValue | undefined } {
  if (!Array.isArray(row)) throw badRequest('A row of "dataArray" must be an array');
  if (row.length !== columns.length) throw badRequest(`The row has ${row.length} values for ${columns.length} components`);
  const properties: Record<string, JsonValue> = {};
  let feature: JsonValue | undefined;
  for (let at = 0; at < columns.length; at++) {
    const { name, read } = columns[at] as Column;
    const value = row[at] as JsonValue;
    if (name === undefined) feature = value ?? undefined;
    else if (read !== undefined) properties[name] = read(value);
  }
  return { properties, feature };
}
