import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inMemoryBroker } from '../support/broker.ts';
import { testClock } from '../support/writes.ts';

export const MODELS = join(import.meta.dirname, '../fixtures/sensor-things-pairs');

/** What SensorThings shows of an entity, without ids and links, which depend on what else there is. */
export async function seenAs(type: string): Promise<unknown> {
  const entity = JSON.parse(readFileSync(join(MODELS, type, 'example.ngsild.json'), 'utf8')) as object;
  const broker = await inMemoryBroker({ clock: testClock('2026-03-01T07:00:00Z') });
  try {
    const made = await broker.request('POST', '/ngsi-ld/v1/entities', entity, { 'content-type': 'application/ld+json' });
    if (made.statusCode !== 201) throw new Error(`${type}: ${made.body}`);
    const expand =
      'Locations($select=name,encodingType,location),Datastreams($orderby=name;$select=name,description,observationType,unitOfMeasurement,observedArea,phenomenonTime;$expand=Sensor($select=name,metadata),ObservedProperty($select=name,definition),Observations($select=phenomenonTime,result,resultTime;$expand=FeatureOfInterest($select=feature)))';
    const url = `/sta/v1.1/Things?$select=name,description,properties&$expand=${expand}`;
    return (await broker.request('GET', url)).json().value;
  } finally {
    await broker[Symbol.asyncDispose]();
  }
}
