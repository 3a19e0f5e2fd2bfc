import { describe, expect, it } from 'vitest';
import type { TestBroker } from '../support/broker.ts';
import { pair } from './pair.ts';

const ENTITIES = '/ngsi-ld/v1/entities';
const CAR = 'urn:x:Car:1';
const link = (object: string, objectType?: string) => ({ type: 'Relationship', object, ...(objectType ? { objectType } : {}) });
const PEOPLE = { information: [{ entities: [{ type: 'Person' }] }] };

async function create(broker: TestBroker, ...entities: object[]) {
  for (const entity of entities) expect((await broker.request('POST', ENTITIES, entity)).statusCode).toBe(201);
}
const ask = async (broker: TestBroker, query: string) => broker.request('GET', `${ENTITIES}/${CAR}?${query}`);

describe('linked entities at context sources (4.5.23.1)', () => {
  it('are joined if the Relationship says their type, level by level, and put together from their parts', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await create(near, { id: CAR, type: 'Car', owner: link('urn:x:Person:1', 'Person'), seller: link('urn:x:Person:2') });
    await create(near, { id: 'urn:x:Person:1', type: 'Person', age: { type: 'Property', value: 50 } });
    await create(far, {
      id: 'urn:x:Person:1',
      type: 'Person',
      name: { type: 'Property', value: 'Ann' },
      boss: link('urn:x:Person:3', 'Person'),
    });
    await create(far, { id: 'urn:x:Person:2', type: 'Person', name: { type: 'Property', value: 'Bob' } });
    await create(far, { id: 'urn:x:Person:3', type: 'Person', name: { type: 'Property', value: 'Eve' } });
    await register(PEOPLE);
    const inline = (await ask(near, 'join=inline&joinLevel=2')).json();
    expect(inline.owner.entity).toMatchObject({
      age: { value: 50 },
      name: { value: 'Ann' },
      boss: { entity: { name: { value: 'Eve' } } },
    });
    // Nothing says what the seller is, and it is not stored here.
    expect(inline.seller).not.toHaveProperty('entity');
    const flat = (await near.request('GET', `${ENTITIES}?type=Car&join=flat&joinLevel=1`)).json();
    expect(flat.map(({ id }: { id: string }) => id)).toEqual([CAR, 'urn:x:Person:1']);
  });

  it('are not asked for with local=true, and not if they were met before (containedBy)', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await create(near, { id: CAR, type: 'Car', owner: link('urn:x:Person:1', 'Person') });
    await create(far, { id: 'urn:x:Person:1', type: 'Person' });
    await register(PEOPLE);
    expect((await ask(near, 'join=inline')).json().owner).toHaveProperty('entity');
    expect((await ask(near, 'join=inline&local=true')).json().owner).not.toHaveProperty('entity');
    expect((await ask(near, 'join=inline&containedBy=urn:x:Person:1')).json().owner).not.toHaveProperty('entity');
  });

  it('that cannot be had are left out, with a warning', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await create(near, { id: CAR, type: 'Car', owner: link('urn:x:Person:1', 'Person') });
    await register(PEOPLE);
    await far.broker.close();
    const answer = await ask(near, 'join=inline');
    expect(answer.statusCode).toBe(200);
    expect(answer.json().owner).not.toHaveProperty('entity');
    expect(answer.headers['ngsild-warning']).toMatch(/^199 urn:r:far /);
  });
});
