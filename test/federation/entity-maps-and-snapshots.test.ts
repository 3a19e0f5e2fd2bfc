import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../support/broker.ts';
import { source } from './source.ts';

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

describe('5.7.2.4, 5.14.4.4: an EntityMap in use alone says who is asked', () => {
  const far = car(3, 30);
  /** A source of cars with EntityMaps of its own, or without. */
  const cars = (maps: boolean) =>
    source(({ url }) => {
      if (url.startsWith(`${BASE}/entityMaps`))
        return maps
          ? {
              status: 201,
              body: {
                id: 'urn:map:far',
                type: 'EntityMap',
                expiresAt: '2099-01-01T00:00:00Z',
                entityMap: { [far.id]: ['@none'] },
              },
            }
          : { status: 404 };
      return {
        body: url.includes(`/entities/`)
          ? { ...far, speed: { type: 'Property', value: 30 } }
          : [{ ...far, speed: { type: 'Property', value: 30 } }],
      };
    });
  async function neighbour(endpoint: string) {
    const near = await inMemoryBroker({ config: { brokerId: 'near', mqtt: false } });
    await near.request('POST', `${BASE}/entityOperations/create`, [car(1, 10), car(2, 20)]);
    await near.request('POST', `${BASE}/csourceRegistrations`, {
      id: 'urn:r:far',
      type: 'ContextSourceRegistration',
      information: [{ entities: [{ type: 'Car' }] }],
      endpoint,
    });
    return near;
  }

  it('sources make maps of their own, which are linked, and are asked for what is theirs through these', async () => {
    await using there = await cars(true);
    await using near = await neighbour(there.url);
    const first = await near.request('GET', `${BASE}/entities?type=Car&limit=2&entityMap=true`);
    expect(first.statusCode).toBe(201);
    expect(ids(first.json())).toEqual(['1', '2']);
    // What the page needs is here: the source was asked for its map, and nothing else.
    expect(there.heard.map(({ url }) => url.split('?')[0])).toEqual([`${BASE}/entityMaps`]);
    const reference = String(first.headers['ngsild-entitymap']);
    expect((await near.request('GET', reference)).json()).toMatchObject({ linkedMaps: { 'urn:r:far': 'urn:map:far' } });
    const headers = { 'NGSILD-EntityMap': reference };
    const second = await near.request('GET', `${BASE}/entities?type=Car&limit=2&offset=2`, undefined, headers);
    expect(ids(second.json())).toEqual(['3']);
    expect(there.heard).toHaveLength(2);
    expect(there.heard[1]?.headers['ngsild-entitymap']).toContain('urn%3Amap%3Afar');
    expect(new URL(there.heard[1]?.url ?? '', there.url).searchParams.get('id')).toBe(far.id);
  });

  it('a source that has none is asked for the entities, and later for those that it had', async () => {
    await using there = await cars(false);
    await using near = await neighbour(there.url);
    const made = await near.request('GET', `${BASE}/entityMaps?type=Car`);
    expect(made.json()).toMatchObject({ entityMap: { [far.id]: ['urn:r:far'] } });
    expect(made.json()).not.toHaveProperty('linkedMaps');
    const headers = { 'NGSILD-EntityMap': String(made.headers['ngsild-entitymap']) };
    const asked = there.heard.length;
    expect(ids((await near.request('GET', `${BASE}/entities?type=Car&limit=2`, undefined, headers)).json())).toEqual([
      '1',
      '2',
    ]);
    expect(there.heard).toHaveLength(asked);
    expect(ids((await near.request('GET', `${BASE}/entities?type=Car&offset=2`, undefined, headers)).json())).toEqual(['3']);
    expect(there.heard.at(-1)?.headers).not.toHaveProperty('ngsild-entitymap');
  });

  it('for one entity too (5.7.1.4)', async () => {
    await using there = await cars(false);
    await using near = await neighbour(there.url);
    const made = await near.request('GET', `${BASE}/entities/${far.id}?entityMap=true`);
    const reference = String(made.headers['ngsild-entitymap']);
    expect((await near.request('GET', reference)).json()).toMatchObject({ entityMap: { [far.id]: ['urn:r:far'] } });
    const headers = { 'NGSILD-EntityMap': reference };
    const asked = there.heard.length;
    expect((await near.request('GET', `${BASE}/entities/${far.id}`, undefined, headers)).json().speed.value).toBe(30);
    expect(there.heard).toHaveLength(asked + 1);
    // The map has nothing of car 1 at the source.
    expect((await near.request('GET', `${BASE}/entities/urn:x:Car:1`, undefined, headers)).json().speed.value).toBe(10);
    expect(there.heard).toHaveLength(asked + 1);
  });
});

describe('5.14.5.4, 5.7.4.4: EntityMaps of evolutions', () => {
  it('link the map that a source makes, and refer to it when its evolutions are asked for', async () => {
    const speed = [{ type: 'Property', value: 30, observedAt: '2026-05-01T01:00:00Z' }];
    await using there = await source(({ url }) =>
      url.startsWith(`${BASE}/temporal/entityMaps`)
        ? { status: 201, body: { id: 'urn:map:far', type: 'EntityMap', entityMap: { 'urn:x:Car:3': ['@none'] } } }
        : { body: [{ id: 'urn:x:Car:3', type: 'Car', speed }] },
    );
    await using near = await inMemoryBroker({ config: { brokerId: 'near', mqtt: false } });
    await near.request('POST', `${BASE}/temporal/entities`, { id: 'urn:x:Car:1', type: 'Car', speed });
    await near.request('POST', `${BASE}/csourceRegistrations`, {
      id: 'urn:r:far',
      type: 'ContextSourceRegistration',
      information: [{ entities: [{ type: 'Car' }] }],
      operations: ['queryTemporal', 'createEntityMapQueryTemporal'],
      endpoint: there.url,
    });
    const query = `type=Car&timerel=after&timeAt=2026-05-01T00:00:00Z`;
    const made = await near.request('GET', `${BASE}/temporal/entityMaps?${query}`);
    expect(made.json()).toMatchObject({
      entityMap: { 'urn:x:Car:1': ['@none'], 'urn:x:Car:3': ['urn:r:far'] },
      linkedMaps: { 'urn:r:far': 'urn:map:far' },
    });
    expect(there.heard.map(({ url }) => url.split('?')[0])).toEqual([`${BASE}/temporal/entityMaps`]);
    const headers = { 'NGSILD-EntityMap': String(made.headers['ngsild-entitymap']) };
    const page = async (offset: number) =>
      ids(
        (await near.request('GET', `${BASE}/temporal/entities?${query}&limit=1&offset=${offset}`, undefined, headers)).json(),
      );
    expect(await page(0)).toEqual(['1']);
    // Car 1 is here alone, so nobody was asked for it.
    expect(there.heard).toHaveLength(1);
    expect(await page(1)).toEqual(['3']);
    expect(there.heard[1]?.headers['ngsild-entitymap']).toContain('urn%3Amap%3Afar');
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

  const ready = async (broker: TestBroker, location: string) => {
    const status = async () => (await broker.request('GET', location)).json() as { id: string; snapshotStatus: string };
    let snapshot = await status();
    while (snapshot.snapshotStatus === 'preparing') {
      await new Promise((wake) => setTimeout(wake, 5));
      snapshot = await status();
    }
    return snapshot;
  };

  it('hold the history that the sources had too', async () => {
    await using at = await neighbours();
    const history = (value: number, hour: number) => ({
      id: 'urn:x:Car:9',
      type: 'Car',
      speed: [{ type: 'Property', value, observedAt: `2026-05-01T0${hour}:00:00Z` }],
    });
    await at.near.request('POST', `${BASE}/temporal/entities`, history(1, 1));
    await at.far.request('POST', `${BASE}/temporal/entities`, history(2, 2));
    const registration = { operations: ['queryTemporal', 'retrieveTemporal'] };
    await at.near.request('PATCH', `${BASE}/csourceRegistrations/urn:r:far`, registration);
    const temporalQ = { timerel: 'between', timeAt: '2026-05-01T00:00:00Z', endTimeAt: '2026-05-02T00:00:00Z' };
    const body = {
      type: 'Snapshot',
      snapshotTemporalQueries: [{ type: 'Query', entities: [{ type: 'Car' }], temporalQ }],
    };
    const created = await at.near.request('POST', `${BASE}/snapshots`, body);
    const snapshot = await ready(at.near, String(created.headers['location']));
    expect(snapshot.snapshotStatus).toBe('success');
    expect(snapshot).not.toHaveProperty('preparation');
    const url = `${BASE}/temporal/entities/urn:x:Car:9?options=temporalValues`;
    const found = await at.near.request('GET', url, undefined, { 'NGSILD-Snapshot': snapshot.id });
    expect(found.json().speed.values.map(([value]: [number]) => value)).toEqual([1, 2]);
  });

  it('that were being prepared when the broker ended are prepared again, and their clones', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'mizar-snapshot-'));
    onTestFinished(() => rmSync(dataDir, { recursive: true }));
    let answering = false;
    await using there = await source(() =>
      answering ? { body: [{ ...car(3, 30), speed: { type: 'Property', value: 30 } }] } : undefined,
    );
    const config = { brokerId: 'near', mqtt: false, dataDir, sourceTimeoutMs: 60_000 };
    const locations: string[] = [];
    {
      await using near = await inMemoryBroker({ config });
      await near.request('POST', `${BASE}/entities`, car(1, 10));
      await near.request('POST', `${BASE}/csourceRegistrations`, {
        id: 'urn:r:far',
        type: 'ContextSourceRegistration',
        information: [{ entities: [{ type: 'Car' }] }],
        endpoint: there.url,
      });
      const body = { id: 'urn:s:1', type: 'Snapshot', snapshotQueries: [{ type: 'Query', entities: [{ type: 'Car' }] }] };
      locations.push(String((await near.request('POST', `${BASE}/snapshots`, body)).headers['location']));
      const clone = { id: 'urn:s:0', type: 'Snapshot' };
      locations.push(String((await near.request('POST', `${BASE}/snapshots/urn:s:1/clone`, clone)).headers['location']));
      while (there.heard.length === 0) await new Promise((wake) => setTimeout(wake, 5));
    }
    answering = true;
    await using near = await inMemoryBroker({ config });
    for (const location of locations) {
      const snapshot = await ready(near, location);
      expect(snapshot.snapshotStatus, location).toBe('success');
      const found = await near.request('GET', `${BASE}/entities?type=Car`, undefined, { 'NGSILD-Snapshot': snapshot.id });
      expect(ids(found.json())).toEqual(['1', '3']);
    }
  });
});
