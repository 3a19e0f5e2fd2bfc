import { describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../support/broker.ts';
import { freePorts } from '../support/broker-process.ts';

const ENTITIES = '/ngsi-ld/v1/entities';
const CAR = 'urn:ngsi-ld:Car:1';
const property = (value: unknown, observedAt?: string) => ({ type: 'Property', value, ...(observedAt ? { observedAt } : {}) });

async function register(near: TestBroker, id: string, endpoint: string): Promise<void> {
  const answer = await near.request('POST', '/ngsi-ld/v1/csourceRegistrations', {
    id,
    type: 'ContextSourceRegistration',
    information: [{ entities: [{ type: 'Car' }] }],
    endpoint,
  });
  expect(answer.statusCode, answer.body).toBe(201);
}

const create = async (broker: TestBroker, body: unknown) =>
  expect((await broker.request('POST', ENTITIES, body)).statusCode).toBe(201);

describe('what a federated answer is made of (Prefer: sources)', () => {
  it('tells for each source what it contributed, how fresh, and what is missing and why', async () => {
    await using near = await inMemoryBroker({ config: { brokerId: 'near', mqtt: false } });
    await using far = await inMemoryBroker({ config: { brokerId: 'far', mqtt: false } });
    const { url } = await far.broker.listen();
    await create(near, { id: CAR, type: 'Car', speed: property(10, '2026-01-01T00:00:00Z'), colour: property('red') });
    await create(far, { id: CAR, type: 'Car', speed: property(20, '2026-01-02T00:00:00Z'), doors: property(4) });
    await create(far, { id: 'urn:ngsi-ld:Car:2', type: 'Car', speed: property(30, '2026-01-03T00:00:00Z') });
    const [dead] = await freePorts(1);
    await register(near, 'urn:r:far', url);
    await register(near, 'urn:r:gone', `http://127.0.0.1:${dead}`);
    const answer = await near.request('GET', `${ENTITIES}?type=Car&options=keyValues`, undefined, { prefer: 'sources' });
    expect(answer.json()).toHaveLength(2);
    expect(answer.headers['preference-applied']).toBe('sources');
    const told = JSON.parse(String(answer.headers['mizar-sources'])) as { source: string }[];
    const by = (source: string) => told.find((one) => one.source === source);
    // The speed of this broker is older than that of the other, so only the colour came from here.
    expect(by('local')).toMatchObject({ entities: 1, attributes: 1 });
    expect(by('urn:r:far')).toMatchObject({
      entities: 2,
      attributes: 3,
      newest: expect.any(String),
      tookMs: expect.any(Number),
    });
    expect(by('urn:r:far')).not.toHaveProperty('missing');
    expect(by('urn:r:gone')).toMatchObject({ entities: 0, attributes: 0, missing: [expect.stringContaining('urn:r:gone')] });
  });

  it('for one entity too, and only if it is asked for', async () => {
    await using near = await inMemoryBroker({ config: { brokerId: 'near', mqtt: false } });
    await using far = await inMemoryBroker({ config: { brokerId: 'far', mqtt: false } });
    const { url } = await far.broker.listen();
    await create(far, { id: CAR, type: 'Car', speed: property(20, '2026-01-02T00:00:00Z') });
    await register(near, 'urn:r:far', url);
    const asked = await near.request('GET', `${ENTITIES}/${CAR}`, undefined, { prefer: 'sources' });
    expect(JSON.parse(String(asked.headers['mizar-sources']))).toMatchObject([
      { source: 'local', entities: 0, attributes: 0 },
      { source: 'urn:r:far', entities: 1, attributes: 1, newest: '2026-01-02T00:00:00Z' },
    ]);
    const plain = await near.request('GET', `${ENTITIES}/${CAR}`);
    expect(plain.headers).not.toHaveProperty('mizar-sources');
    expect(plain.json()).toEqual(asked.json());
  });
});
