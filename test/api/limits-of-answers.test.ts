import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Config } from '../../broker/config.ts';
import { source } from '../federation/source.ts';
import { inMemoryBroker, type TestBroker } from '../support/broker.ts';

const API = '/ngsi-ld/v1';
const LD = { 'content-type': 'application/ld+json' };
const room = (number: number, more: object = {}) => ({ id: `urn:x:Room:${number}`, type: 'Room', ...more });
const QUIET = { mqtt: false } as const;

/** A broker, which says in /health that it has this limit. */
async function limited(name: string, config: Partial<Config>): Promise<TestBroker> {
  const broker = await inMemoryBroker({ config: { ...QUIET, ...config } });
  const { limits } = (await broker.request('GET', '/health')).json() as { limits: Record<string, number> };
  expect(limits[name]).toBe(Object.values(config)[0]);
  return broker;
}

describe('limits on @contexts that are fetched', () => {
  let server: Server;
  let base = '';
  beforeAll(async () => {
    server = createServer((request, response) => {
      const [, kind, depth] = /^\/(\w+)\/(\d+)/.exec(request.url ?? '') ?? [];
      const count = Number(depth);
      if (kind === 'slow') return;
      const content =
        kind === 'large'
          ? { a: 'urn:x:a', pad: `urn:x:${'p'.repeat(count)}` }
          : count > 0
            ? `${base}/deep/${count - 1}`
            : { a: 'urn:x:a' };
      response.setHeader('content-type', 'application/ld+json').end(JSON.stringify({ '@context': content }));
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    return new Promise((closed) => server.close(closed));
  });

  it.each([
    ['contextBytes', { contextLimitBytes: 4096 }, '/large/100', '/large/5000'],
    ['contextDepth', { contextDepth: 3 }, '/deep/1', '/deep/9'],
    ['contextMs', { contextTimeoutMs: 200 }, '/deep/0', '/slow/1'],
  ] as const)('%s: beyond it the context is not available, and nothing stored', async (name, config, within, beyond) => {
    await using broker = await limited(name, config);
    const create = (path: string) =>
      broker.request('POST', `${API}/entities`, room(1, { '@context': `${base}${path}`, a: 1 }), LD);
    const refused = await create(beyond);
    expect([400, 504], refused.body).toContain(refused.statusCode);
    expect((await broker.request('GET', `${API}/entities/urn:x:Room:1`)).statusCode).toBe(404);
    expect((await create(within)).statusCode).toBe(201);
  });
});

describe('limits on what an answer, a map or a Snapshot holds', () => {
  const rooms = async (broker: TestBroker, count: number) => {
    const batch = Array.from({ length: count }, (_, at) => room(at));
    expect((await broker.request('POST', `${API}/entityOperations/create`, batch)).statusCode).toBe(201);
  };

  it('temporalInstances: an answer about time ends there, and says so (206)', async () => {
    await using broker = await limited('temporalInstances', { temporalLimit: 2 });
    const instances = [1, 2, 3].map((hour) => ({ type: 'Property', value: hour, observedAt: `2026-05-01T0${hour}:00:00Z` }));
    await broker.request('POST', `${API}/temporal/entities`, room(1, { a: instances }));
    const answer = await broker.request('GET', `${API}/temporal/entities/urn:x:Room:1`);
    expect(answer.statusCode).toBe(206);
    expect(answer.json().a).toHaveLength(2);
    expect((await broker.request('GET', `${API}/temporal/entities/urn:x:Room:1?lastN=1`)).statusCode).toBe(200);
  });

  it('joinedEntities: more are not joined', async () => {
    await using broker = await limited('joinedEntities', { joinedEntities: 1 });
    await rooms(broker, 3);
    const next = (number: number) => ({ type: 'Relationship', object: `urn:x:Room:${number}` });
    await broker.request('POST', `${API}/entities/urn:x:Room:0/attrs`, { one: next(1) });
    const ask = () => broker.request('GET', `${API}/entities/urn:x:Room:0?join=inline`);
    expect((await ask()).statusCode).toBe(200);
    await broker.request('POST', `${API}/entities/urn:x:Room:0/attrs`, { two: next(2) });
    expect((await ask()).statusCode).toBe(403);
  });

  it('entityMapEntities: a map of more is not made', async () => {
    await using broker = await limited('entityMapEntities', { entityMapEntities: 2 });
    await rooms(broker, 3);
    expect((await broker.request('GET', `${API}/entityMaps?type=Room`)).statusCode).toBe(403);
    expect((await broker.request('GET', `${API}/entityMaps?type=Room&id=urn:x:Room:1,urn:x:Room:2`)).statusCode).toBe(201);
  });

  it('entityMaps: the one that ends first makes room', async () => {
    await using broker = await limited('entityMaps', { entityMaps: 1 });
    await rooms(broker, 1);
    const make = async () => (await broker.request('GET', `${API}/entityMaps?type=Room`)).json().id as string;
    const [first, second] = [await make(), await make()];
    expect((await broker.request('GET', `${API}/entityMaps/${first}`)).statusCode).toBe(404);
    expect((await broker.request('GET', `${API}/entityMaps/${second}`)).statusCode).toBe(200);
  });

  it('snapshots: what matters more is not given up for another', async () => {
    await using broker = await limited('snapshots', { snapshots: 1 });
    await rooms(broker, 1);
    const make = (snapshotPriority: number) => {
      const snapshotQueries = [{ type: 'Query', entities: [{ type: 'Room' }] }];
      return broker.request('POST', `${API}/snapshots`, { type: 'Snapshot', snapshotPriority, snapshotQueries });
    };
    expect((await make(5)).statusCode).toBe(201);
    expect((await make(1)).statusCode).toBe(429);
    expect((await make(9)).statusCode).toBe(201);
  });

  it('snapshotEntities: a query that finds more fails', async () => {
    await using broker = await limited('snapshotEntities', { snapshotEntities: 1 });
    await rooms(broker, 2);
    const snapshotQueries = [{ type: 'Query', entities: [{ type: 'Room' }] }];
    const { headers } = await broker.request('POST', `${API}/snapshots`, { type: 'Snapshot', snapshotQueries });
    const status = async () => (await broker.request('GET', String(headers['location']))).json().snapshotStatus as string;
    await expect.poll(status).toBe('failure');
  });
});

describe('limits on what context sources send', () => {
  const register = async (broker: TestBroker, endpoint: string, operations: string[]) => {
    const answer = await broker.request('POST', `${API}/csourceRegistrations`, {
      id: 'urn:r:1',
      type: 'ContextSourceRegistration',
      information: [{ entities: [{ type: 'Room' }] }],
      operations,
      endpoint,
    });
    expect(answer.statusCode).toBe(201);
  };

  it('sourceEntities: no more are gathered from one source, and that is told', async () => {
    // A source without end: every page has a next one.
    await using far = await source(({ url }) => ({
      body: [room(Number(new URL(url, 'http://x').searchParams.get('offset') ?? 0))],
      headers: {
        link: `<${API}/entities?type=Room&offset=${Number(new URL(url, 'http://x').searchParams.get('offset') ?? 0) + 1}>; rel="next"`,
      },
    }));
    await using near = await limited('sourceEntities', { sourceEntities: 3 });
    await register(near, far.url, ['queryEntity']);
    const answer = await near.request('GET', `${API}/entities?type=Room`);
    expect(answer.json()).toHaveLength(3);
    expect(answer.headers['ngsild-warning']).toMatch(/^199 urn:r:1 /);
    expect(far.heard).toHaveLength(3);
  });

  it('sourceInstances: more are not put together to be aggregated', async () => {
    const instances = [1, 2, 3].map((hour) => ({ type: 'Property', value: hour, observedAt: `2026-05-01T0${hour}:00:00Z` }));
    await using far = await source(() => ({ body: room(1, { a: instances }) }));
    await using near = await limited('sourceInstances', { sourceInstances: 2 });
    await register(near, far.url, ['retrieveTemporal']);
    const path = `${API}/temporal/entities/urn:x:Room:1`;
    const aggregate = 'format=aggregatedValues&aggrMethods=sum';
    expect((await near.request('GET', `${path}?${aggregate}`)).statusCode).toBe(403);
    expect((await near.request('GET', path)).json().a).toHaveLength(3);
  });

  it('sourceMs: what takes longer is answered without', async () => {
    await using far = await source(() => undefined);
    await using near = await limited('sourceMs', { sourceTimeoutMs: 100 });
    await register(near, far.url, ['queryEntity']);
    const answer = await near.request('GET', `${API}/entities?type=Room`);
    expect(answer.json()).toEqual([]);
    expect(answer.headers['ngsild-warning']).toMatch(/^199 urn:r:1 .*100 ms/);
  });

  it('sourceCacheBytes: what does not fit is asked for again', async () => {
    const far = () => source((_, count) => ({ body: [room(1, { n: { type: 'Property', value: count } })] }));
    for (const [bytes, second] of [
      [10_000, 1],
      [100, 2],
    ] as const) {
      await using there = await far();
      await using near = await limited('sourceCacheBytes', { sourceCacheBytes: bytes });
      await register(near, there.url, ['queryEntity']);
      await near.request('PATCH', `${API}/csourceRegistrations/urn:r:1`, { management: { cacheDuration: 'PT1H' } });
      const ask = async () => (await near.request('GET', `${API}/entities?type=Room`)).json()[0].n.value;
      expect([await ask(), await ask()], String(bytes)).toEqual([1, second]);
    }
  });
});
