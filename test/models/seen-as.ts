import { readFileSync } from 'node:fs';
import type { DataModel } from '../../models/catalogue.ts';
import { inMemoryBroker, type TestBroker } from '../support/broker.ts';
import { testClock } from '../support/writes.ts';

/** A file of a model's folder, as JSON. */
export function fileOf({ subject, type }: Pick<DataModel, 'subject' | 'type'>, file: string): Record<string, unknown> {
  return JSON.parse(readFileSync(new URL(`../../models/${subject}/${type}/${file}`, import.meta.url), 'utf8'));
}

/** What both APIs show of the example of a model once it is stored. */
export interface Seen {
  readonly keyValues: unknown;
  readonly things: unknown;
}

const EXPAND = [
  'Locations($select=encodingType,location)',
  'Datastreams($orderby=name;$select=name,observationType,unitOfMeasurement,phenomenonTime;$expand=ObservedProperty($select=name,definition),Observations($select=phenomenonTime,result))',
].join();

/** A broker to look at models in. */
export const brokerForModels = (): Promise<TestBroker> => inMemoryBroker({ clock: testClock('2026-03-01T07:30:00Z') });

/** Stores the example of a model under a tenant of its own, and looks at it in the simplified form and through SensorThings, without ids and links, which depend on what else there is. */
export async function seenAs(broker: TestBroker, model: DataModel): Promise<Seen> {
  const tenant = { 'ngsild-tenant': model.type.toLowerCase() };
  const example = fileOf(model, 'example.json');
  const made = await broker.request('POST', '/ngsi-ld/v1/entities', example, {
    ...tenant,
    'content-type': 'application/ld+json',
  });
  if (made.statusCode !== 201) throw new Error(`${model.type}: ${made.body}`);
  const url = `/ngsi-ld/v1/entities/${encodeURIComponent(String(example['id']))}?format=simplified`;
  const link = `<${model.context}>; rel="http://www.w3.org/ns/json-ld#context"`;
  const { '@context': _, ...keyValues } = (await broker.request('GET', url, undefined, { ...tenant, link })).json();
  const things = `/sta/v1.1/Things?$select=name,description,properties&$expand=${EXPAND}`;
  return { keyValues, things: (await broker.request('GET', things, undefined, tenant)).json().value };
}
