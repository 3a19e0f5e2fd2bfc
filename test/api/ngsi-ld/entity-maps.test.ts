import { describe, expect, it } from 'vitest';
import { allowEverything } from '../../../broker/domain/access.ts';
import { DEFAULT_TENANT, type Iri } from '../../../broker/domain/iri.ts';
import { fromMicros } from '../../../broker/domain/time.ts';
import { entityMapOperations } from '../../../broker/operations/entity-maps.ts';
import type { Clock } from '../../../broker/ports/clock.ts';
import { inMemoryBroker } from '../../support/broker.ts';
import { documentsInMemory } from '../../support/documents.ts';

type Json = Record<string, unknown>;
const car = (number: number): Json => ({ id: `urn:x:Car:${number}`, type: 'Car', speed: number * 10 });

async function site(cars = 5) {
  const broker = await inMemoryBroker();
  const created = await broker.request(
    'POST',
    '/ngsi-ld/v1/entityOperations/create',
    Array.from({ length: cars }, (_, at) => car(at + 1)),
  );
  expect(created.statusCode).toBe(201);
  const send = async (
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    { map, body, tenant }: { map?: string; body?: unknown; tenant?: string } = {},
  ) => {
    const headers = { ...(map ? { 'NGSILD-EntityMap': map } : {}), ...(tenant ? { 'NGSILD-Tenant': tenant } : {}) };
    const response = await broker.request(method, path.startsWith('/ngsi-ld') ? path : `/ngsi-ld/v1${path}`, body, headers);
    const json = response.body === '' ? undefined : (response.json() as Json & Json[]);
    return { status: response.statusCode, body: json as Json & Json[], headers: response.headers };
  };
  const ids = ({ body }: { body: Json[] }) => body.map((entity) => Number(String(entity['id']).slice(-1)));
  return { send, ids, [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose]() };
}

describe('5.14.4: EntityMaps of queries', () => {
  it('remembers which entities a query found, by GET and by POST, and nothing of their content', async () => {
    await using at = await site();
    const made = await at.send('GET', '/entityMaps?type=Car&q=speed>30&limit=1');
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      type: 'EntityMap',
      entityMap: { 'urn:x:Car:4': ['@none'], 'urn:x:Car:5': ['@none'] },
    });
    expect(Object.keys(made.body['entityMap'] as Json)).toHaveLength(2);
    expect(made.body).not.toHaveProperty('madeFor');
    const location = made.headers['ngsild-entitymap'] as string;
    expect((await at.send('GET', location)).body).toEqual(made.body);
    const posted = await at.send('POST', '/entityMaps', {
      body: { type: 'Query', entities: [{ type: 'Car' }], q: 'speed>30' },
    });
    expect(posted.body['entityMap']).toEqual(made.body['entityMap']);
  });

  it.each([
    ['/entityMaps?id=urn:x:Car:1', 400],
    ['/entityMaps?type=Car&entityMapLifetime=soon', 400],
    ['/entityMaps?type=Car&geometryProperty=place', 400],
    ['/entityMaps?type=Car&pick=drives{name}', 400],
    ['/entityMaps?type=Car&color=red', 400],
    ['/entityMaps/Car', 400],
    ['/entityMaps/urn:x:none', 404],
    ['/temporal/entityMaps?type=Car', 400],
  ])('%s → %i', async (path, status) => {
    await using at = await site(1);
    expect((await at.send('GET', path)).status).toBe(status);
  });

  it('5.14.2: only expiresAt can be changed, within the limit; 5.14.3: deleted means gone; 4.14: another tenant knows nothing of it', async () => {
    await using at = await site(2);
    const { headers, body } = await at.send('GET', '/entityMaps?type=Car&entityMapLifetime=P50Y');
    const location = headers['ngsild-entitymap'] as string;
    expect(Date.parse(body['expiresAt'] as string)).toBeLessThanOrEqual(Date.now() + 86_400_000);
    const fragment = { expiresAt: '2099-01-01T00:00:00Z', entityMap: { 'urn:x:Car:9': ['@none'] } };
    expect((await at.send('PATCH', location, { body: fragment })).status).toBe(204);
    const changed = (await at.send('GET', location)).body;
    expect(changed['entityMap']).toEqual(body['entityMap']);
    expect(Date.parse(changed['expiresAt'] as string)).toBeLessThanOrEqual(Date.now() + 86_400_000);
    expect((await at.send('PATCH', location, { body: { expiresAt: 'tomorrow' } })).status).toBe(400);
    for (const method of ['GET', 'DELETE'] as const)
      expect((await at.send(method, location, { tenant: 'other' })).status).toBe(404);
    expect((await at.send('DELETE', location)).status).toBe(204);
    expect((await at.send('GET', location)).status).toBe(404);
    expect((await at.send('DELETE', location)).status).toBe(404);
  });
});

describe('5.5.9.3: pages of an EntityMap', () => {
  it('what comes after the map is not in it, and what leaves it shifts no page', async () => {
    await using at = await site();
    const first = await at.send('GET', '/entities?type=Car&limit=2&entityMap=true');
    expect(first.status).toBe(201);
    expect(at.ids(first)).toEqual([1, 2]);
    const map = first.headers['ngsild-entitymap'] as string;
    await at.send('POST', '/entities', { body: car(0) });
    await at.send('DELETE', '/entities/urn:x:Car:1');
    await at.send('DELETE', '/entities/urn:x:Car:3');
    const next = /<([^>]+)>; rel="next"/.exec(first.headers['link'] as string)?.[1] as string;
    const second = await at.send('GET', next, { map });
    expect(second.status).toBe(200);
    expect(second.headers['ngsild-entitymap']).toBe(map);
    // Without the map these would be 3 and 4 by their places, and one of them passed over.
    expect(at.ids(second)).toEqual([4, 5]);
    expect(second.headers['link']).not.toContain('rel="next"');
    const all = await at.send('GET', '/entities?type=Car&count=true', { map });
    expect(at.ids(all)).toEqual([2, 4, 5]);
    expect(all.headers['ngsild-results-count']).toBe('3');
    expect(Object.keys((await at.send('GET', map)).body['entityMap'] as Json)).toEqual([
      'urn:x:Car:2',
      'urn:x:Car:4',
      'urn:x:Car:5',
    ]);
  });

  it('5.5.14: filters are checked again; another query sees less, and takes nothing away from the map', async () => {
    await using at = await site();
    const map = (await at.send('GET', '/entities?type=Car&q=speed>20&entityMap=true')).headers['ngsild-entitymap'] as string;
    await at.send('PATCH', '/entities/urn:x:Car:5/attrs', { body: { speed: 1 } });
    expect(at.ids(await at.send('GET', '/entities?type=Car&q=speed>30', { map }))).toEqual([4]);
    expect(at.ids(await at.send('GET', '/entities?type=Car&q=speed>20&id=urn:x:Car:3', { map }))).toEqual([3]);
    expect(Object.keys((await at.send('GET', map)).body['entityMap'] as Json)).toHaveLength(3);
    expect(at.ids(await at.send('GET', '/entities?type=Car&q=speed>20', { map }))).toEqual([3, 4]);
    expect(Object.keys((await at.send('GET', map)).body['entityMap'] as Json)).toHaveLength(2);
  });

  it('5.7.2.4: a map that is not there is replaced by a new one, which the answer names', async () => {
    await using at = await site(2);
    const answer = await at.send('GET', '/entities?type=Car', { map: '/ngsi-ld/v1/entityMaps/urn:x:gone' });
    expect(answer.status).toBe(201);
    expect(answer.headers['ngsild-entitymap']).not.toContain('urn:x:gone');
    expect((await at.send('GET', '/entities?type=Car')).headers).not.toHaveProperty('ngsild-entitymap');
    const one = await at.send('GET', '/entities/urn:x:Car:1?entityMap=true');
    expect(one.status).toBe(200);
    expect((await at.send('GET', one.headers['ngsild-entitymap'] as string)).body['entityMap']).toEqual({
      'urn:x:Car:1': ['@none'],
    });
    expect((await at.send('GET', '/entities/urn:x:Car:9?entityMap=true')).headers).not.toHaveProperty('ngsild-entitymap');
  });

  it('6.23: by POST, and in the order that was asked for', async () => {
    await using at = await site();
    const body = { type: 'Query', entities: [{ type: 'Car' }], ordering: { orderBy: ['speed;desc'] }, entityMap: true };
    const first = await at.send('POST', '/entityOperations/query?limit=2&local=true', { body });
    const map = first.headers['ngsild-entitymap'] as string;
    expect(at.ids(first)).toEqual([5, 4]);
    expect(at.ids(await at.send('POST', '/entityOperations/query?limit=2&offset=2&local=true', { body, map }))).toEqual([3, 2]);
  });

  it('5.7.4.4: temporal queries too', async () => {
    await using at = await site();
    const time = 'timerel=after&timeAt=2000-01-01T00:00:00Z&timeproperty=createdAt';
    const made = await at.send('GET', `/temporal/entityMaps?type=Car&q=speed>30&${time}`);
    expect(made.status).toBe(201);
    expect(Object.keys(made.body['entityMap'] as Json)).toEqual(['urn:x:Car:4', 'urn:x:Car:5']);
    const map = made.headers['ngsild-entitymap'] as string;
    expect(at.ids(await at.send('GET', `/temporal/entities?type=Car&${time}`, { map }))).toEqual([4, 5]);
    const page = await at.send('GET', `/temporal/entities?type=Car&${time}&limit=2&count=true&entityMap=true`);
    expect(page.status).toBe(201);
    expect(page.headers['ngsild-results-count']).toBe('5');
    expect(page.headers['link']).toContain('offset=2');
    const joined = await at.send('POST', '/temporal/entityOperations/query', {
      body: {
        type: 'Query',
        entities: [{ type: 'Car' }],
        temporalQ: { timerel: 'after', timeAt: '2000-01-01T00:00:00Z' },
        join: 'flat',
      },
    });
    expect(joined.status).toBe(400);
  });
});

describe('5.5.14: what EntityMaps may cost', () => {
  const caller = { tenant: DEFAULT_TENANT, principal: { kind: 'anonymous' } } as const;
  const limits = { entities: 3, maps: 2, lifetimeS: 60, longestLifetimeS: 60 };
  function maps() {
    let now = 1e15;
    let serial = 0;
    const clock = { micros: () => now, now: () => fromMicros(now) } as unknown as Clock;
    const newId = () => `urn:x:map:${++serial}` as Iri;
    const operations = entityMapOperations({ documents: documentsInMemory(), clock, access: allowEverything, newId, limits });
    const create = (count: number) =>
      operations.createEntityMap(
        caller,
        async (offset, limit) => ({
          ids: Array.from({ length: Math.min(limit, count - offset) }, (_, at) => `urn:x:${offset + at}` as Iri),
          more: offset + limit < count,
        }),
        'q',
        undefined,
      );
    return { operations, create, pass: (seconds: number) => (now += seconds * 1e6) };
  }

  it('refuses a map of too many entities, and keeps as many maps as it may: the one that ends first makes room', async () => {
    const { operations, create, pass } = maps();
    await expect(create(4)).rejects.toMatchObject({ type: 'TooManyResults' });
    const made = [];
    for (let count = 1; count <= 3; count++) {
      made.push(await create(count));
      pass(1);
    }
    expect(await operations.referredMap(caller, made[0]!.id)).toBeUndefined();
    expect((await operations.referredMap(caller, `/ngsi-ld/v1/entityMaps/${made[2]!.id}`))?.ids).toHaveLength(3);
    pass(60);
    await expect(operations.retrieveEntityMap(caller, made[2]!.id)).rejects.toMatchObject({ type: 'ResourceNotFound' });
  });
});
