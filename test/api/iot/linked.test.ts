import { describe, expect, it, onTestFinished } from 'vitest';
import { inMemoryBroker } from '../../support/broker.ts';

const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
const TENANT = { 'ngsild-tenant': 'city' };

async function city(group: object) {
  const broker = await inMemoryBroker();
  onTestFinished(() => broker[Symbol.asyncDispose]());
  const groups = [{ resource: '/iot/json', apikey: 'k', entity_type: 'Sensor', ...group }];
  const created = await broker.request('POST', '/iot/groups', { groups }, PLACE);
  const read = async (id: string) => (await broker.request('GET', `/ngsi-ld/v1/entities/${id}`, undefined, TENANT)).json();
  const measure = (body: unknown) => broker.request('POST', '/iot/json?k=k&i=s1', body);
  return { created, read, measure };
}

describe('a static attribute with a link', () => {
  const link = { attributes: ['temperature', 'co2'], name: 'providedBy', type: 'Building' };
  const asset = { name: 'controlledAsset', type: 'Relationship', value: 'urn:ngsi-ld:Building:001', link };

  it('copies the named measures to the other entity, with a Relationship back to the device', async () => {
    const attributes = [{ object_id: 't', name: 'temperature', type: 'Number', metadata: { unitCode: 'CEL' } }];
    const { read, measure } = await city({ attributes, static_attributes: [asset] });
    await measure({ t: '21', co2: 600, noise: 3, TimeInstant: '2026-03-01T09:00:00Z' });
    const observedAt = '2026-03-01T09:00:00Z';
    const temperature = { type: 'Property', value: 21, unitCode: 'CEL', observedAt };
    const providedBy = { type: 'Relationship', object: 'urn:ngsi-ld:Sensor:s1' };
    expect(await read('urn:ngsi-ld:Building:001')).toEqual({
      id: 'urn:ngsi-ld:Building:001',
      type: 'Building',
      temperature: { ...temperature, providedBy },
      co2: { type: 'Property', value: 600, observedAt, providedBy },
    });
    expect(await read('urn:ngsi-ld:Sensor:s1')).toMatchObject({
      temperature,
      co2: { value: 600 },
      noise: { value: 3 },
      controlledAsset: { type: 'Relationship', object: 'urn:ngsi-ld:Building:001' },
    });
  });

  it('is refused where it says nothing that can be done', async () => {
    const { created } = await city({ static_attributes: [{ ...asset, link: { attributes: 'temperature' } }] });
    expect(created.json()).toMatchObject({ name: 'WRONG_SYNTAX' });
  });
});

describe('messages that are entities (payloadType)', () => {
  it('keep units, sub-properties and times, under the provisioned id', async () => {
    const { read, measure } = await city({ payloadType: 'ngsild' });
    const answer = await measure({
      id: 'urn:ngsi-ld:Other:1',
      type: 'Other',
      temperature: {
        type: 'Property',
        value: 21,
        unitCode: 'CEL',
        observedAt: '2026-03-01T09:00:00Z',
        accuracy: { type: 'Property', value: 0.5 },
      },
      pos: { type: 'GeoProperty', value: { type: 'Point', coordinates: [17, 48] } },
    });
    expect(answer.statusCode).toBe(200);
    expect(await read('urn:ngsi-ld:Sensor:s1')).toMatchObject({
      type: 'Sensor',
      temperature: {
        value: 21,
        unitCode: 'CEL',
        observedAt: '2026-03-01T09:00:00Z',
        accuracy: { type: 'Property', value: 0.5 },
      },
      measure_id: { value: 'urn:ngsi-ld:Other:1' },
    });
  });

  it('of NGSI-v2 likewise, from their metadata', async () => {
    const { read, measure } = await city({ payloadType: 'ngsiv2' });
    const metadata = {
      unitCode: { type: 'Text', value: 'CEL' },
      TimeInstant: { type: 'DateTime', value: '2026-03-01T09:00:00Z' },
    };
    await measure({ id: 'x', temperature: { type: 'Number', value: 21, metadata } });
    expect(await read('urn:ngsi-ld:Sensor:s1')).toMatchObject({
      temperature: { value: 21, unitCode: 'CEL', observedAt: '2026-03-01T09:00:00Z' },
    });
  });
});
