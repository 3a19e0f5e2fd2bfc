import { describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../support/broker.ts';

const BASE = '/ngsi-ld/v1';
const car = (number: number, speed: number) => ({ id: `urn:x:Car:${number}`, type: 'Car', speed });

/** A broker with car 1 and 2, and another one with car 2 and 3 that it knows as a context source. */
async function neighbours() {
  const near = await inMemoryBroker({ config: { brokerId: 'near', mqtt: false } });
  const far = await inMemoryBroker({ config: { brokerId: 'far', mqtt: false } });
  const { url } = await far.broker.listen();
  const create = (broker: TestBroker, body: unknown) => broker.request('POST', `${BASE}/entityOperations/create`, body);
  await create(near, [car(1, 10), car(2, 20)]);
  await create(far, [{ ...car(2, 20), doors: 4 }, car(3, 30)]);
  const registered = await near.request('POST', `${BASE}/csourceRegistrations`, {
    id: 'urn:r:far',
    type: 'ContextSourceRegistration',
    information: [{ entities: [{ type: 'Car' }] }],
    endpoint: url,
  });
  expect(registered.statusCode).toBe(201);
  return {
    near,
    far,
    async [Symbol.asyncDispose]() {
      await near[Symbol.asyncDispose]();
      await far[Symbol.asyncDispose]();
    },
  };
}

const ids = (body: unknown) => (body as { id: string }[]).map(({ id }) => id.slice(-1));

describe('4.5.25: EntityMaps over several brokers', () => {
  it('say which registration has which entity, and page through all of them', async () => {
    await using at = await neighbours();
    const made = await at.near.request('GET', `${BASE}/entityMaps?type=Car`);
    expect(made.json()).toMatchObject({
      entityMap: { 'urn:x:Car:1': ['@none'], 'urn:x:Car:2': ['@none', 'urn:r:far'], 'urn:x:Car:3': ['urn:r:far'] },
    });
    const headers = { 'NGSILD-EntityMap': String(made.headers['ngsild-entitymap']) };
    await at.far.request('POST', `${BASE}/entities`, car(4, 40));
    const page = async (offset: number) => {
      const answer = await at.near.request('GET', `${BASE}/entities?type=Car&limit=2&offset=${offset}`, undefined, headers);
      return ids(answer.json());
    };
    expect(await page(0)).toEqual(['1', '2']);
    // Car 4 came later: it is not in the map.
    expect(await page(2)).toEqual(['3']);
    const local = await at.near.request('GET', `${BASE}/entityMaps?type=Car&local=true`);
    expect(Object.keys((local.json() as { entityMap: object }).entityMap)).toEqual(['urn:x:Car:1', 'urn:x:Car:2']);
  });
});

describe('5.16.1.4: Snapshots over several brokers', () => {
  it('hold what the sources had, also when they are gone', async () => {
    await using at = await neighbours();
    const body = { type: 'Snapshot', snapshotQueries: [{ type: 'Query', entities: [{ type: 'Car' }], q: 'speed>=20' }] };
    const created = await at.near.request('POST', `${BASE}/snapshots`, body);
    const location = String(created.headers['location']);
    const status = async () => (await at.near.request('GET', location)).json() as { id: string; snapshotStatus: string };
    let snapshot = await status();
    while (snapshot.snapshotStatus === 'preparing') {
      // Time for the network, which requests inside the process do not give.
      await new Promise((wake) => setTimeout(wake, 5));
      snapshot = await status();
    }
    expect(snapshot.snapshotStatus).toBe('success');
    await at.far.request('DELETE', `${BASE}/entities/urn:x:Car:3`);
    const headers = { 'NGSILD-Snapshot': snapshot.id };
    const found = await at.near.request('GET', `${BASE}/entities?type=Car&format=simplified`, undefined, headers);
    expect(found.json()).toEqual([{ id: 'urn:x:Car:2', type: 'Car', speed: 20, doors: 4 }, car(3, 30)]);
  });
});
