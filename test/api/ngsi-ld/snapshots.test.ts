import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { Config } from '../../../broker/config.ts';
import type { Clock } from '../../../broker/ports/clock.ts';
import { systemClock } from '../../../broker/stores/system-clock.ts';
import { inMemoryBroker } from '../../support/broker.ts';

type Json = Record<string, unknown>;
type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';
const CARS = { type: 'Query', entities: [{ type: 'Car' }] };
const car = (number: number): Json => ({ id: `urn:x:Car:${number}`, type: 'Car', speed: number * 10, colour: 'red' });

async function site(clock?: Clock, config: Partial<Config> = {}) {
  const broker = await inMemoryBroker({ config, ...(clock ? { clock } : {}) });
  const send = async (method: Method, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const response = await broker.request(method, path.startsWith('/ngsi-ld') ? path : `/ngsi-ld/v1${path}`, body, headers);
    const json = (response.body === '' ? undefined : response.json()) as Json & Json[];
    return { status: response.statusCode, body: json, headers: response.headers };
  };
  await send('POST', '/entityOperations/create', [car(1), car(2), car(3)]);
  /** Creates a Snapshot, or a clone, and waits until it is ready. */
  const make = async (body: Json, path = '/snapshots', headers: Record<string, string> = {}) => {
    const created = await send('POST', path, { type: 'Snapshot', ...body }, headers);
    expect(created.status).toBe(201);
    const location = created.headers['location'] as string;
    for (;;) {
      const { body: snapshot } = await send('GET', location, undefined, headers);
      if (snapshot['snapshotStatus'] !== 'preparing')
        return { location, snapshot, on: { 'NGSILD-Snapshot': snapshot['id'] as string } };
      await new Promise((wake) => setTimeout(wake, 5));
    }
  };
  const ids = ({ body }: { body: Json[] }) => body.map((entity) => Number(String(entity['id']).slice(-1)));
  return { broker, send, make, ids, [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose]() };
}

describe('5.16.1: what a Snapshot holds', () => {
  it('5.5.15: entities as they were, with their times, whatever happens outside; and nothing of the inside is seen there', async () => {
    await using at = await site();
    const before = (await at.send('GET', '/entities/urn:x:Car:3?options=sysAttrs')).body;
    const { snapshot, on } = await at.make({ snapshotQueries: [{ ...CARS, q: 'speed>10' }] });
    expect(snapshot).toMatchObject({
      type: 'Snapshot',
      snapshotStatus: 'success',
      snapshotPriority: 5,
      snapshotQueries: [{ ...CARS, q: 'speed>10' }],
      snapshotQueriesDetails: [{ resultStatus: 'success' }],
    });
    await at.send('PATCH', '/entities/urn:x:Car:3/attrs', { speed: 99 });
    await at.send('DELETE', '/entities/urn:x:Car:2');
    const inside = await at.send('GET', '/entities?type=Car', undefined, on);
    expect(at.ids(inside)).toEqual([2, 3]);
    expect(inside.headers['ngsild-snapshot']).toBe(snapshot['id']);
    expect((await at.send('GET', '/entities/urn:x:Car:3?options=sysAttrs', undefined, on)).body).toEqual(before);
    // What-if: a write inside changes nothing outside.
    expect((await at.send('PATCH', '/entities/urn:x:Car:3/attrs', { speed: 1 }, on)).status).toBe(204);
    expect((await at.send('GET', '/entities/urn:x:Car:3?format=simplified', undefined, on)).body['speed']).toBe(1);
    expect((await at.send('GET', '/entities/urn:x:Car:3?format=simplified')).body['speed']).toBe(99);
    expect((await at.send('GET', '/entities/urn:x:Car:1', undefined, on)).status).toBe(404);
    expect((await at.send('GET', '/types', undefined, on)).body['typeList']).toEqual(['Car']);
    // 5.5.15: everything is local there, so a query may be as wide as it wants.
    expect(at.ids(await at.send('GET', '/entities', undefined, on))).toEqual([2, 3]);
    expect((await at.send('GET', '/entities')).status).toBe(400);
  });

  it('5.2.42: says for each query what became of it, and what all of them mean together', async () => {
    await using at = await site();
    const none = { ...CARS, q: 'speed>1000' };
    const wide = { type: 'Query', entities: [{ idPattern: '.*' }] };
    const mixed = await at.make({ snapshotQueries: [CARS, none, wide] });
    expect(mixed.snapshot['snapshotStatus']).toBe('partial');
    expect(mixed.snapshot['snapshotQueriesDetails']).toMatchObject([
      { resultStatus: 'success' },
      { resultStatus: 'empty' },
      { resultStatus: 'failure', problemDetails: { title: 'BadRequestData' } },
    ]);
    expect((await at.make({ snapshotQueries: [none, wide] })).snapshot['snapshotStatus']).toBe('empty');
    expect((await at.make({ snapshotQueries: [wide] })).snapshot['snapshotStatus']).toBe('failure');
    const empty = await at.make({ snapshotQueries: [none] });
    expect((await at.send('GET', '/entities?type=Car', undefined, empty.on)).body).toEqual([]);
  });

  it('4.21, 4.5.23: projections reduce what is kept, several queries add up, linked entities come along', async () => {
    await using at = await site();
    await at.send('POST', '/entities', {
      id: 'urn:x:Trip:1',
      type: 'Trip',
      by: { type: 'Relationship', object: 'urn:x:Car:1' },
    });
    const { on } = await at.make({
      snapshotQueries: [
        { ...CARS, pick: ['id', 'type', 'speed'], q: 'speed==20' },
        { ...CARS, attrs: ['colour'], q: 'speed>=20' },
        { type: 'Query', entities: [{ type: 'Trip' }], join: 'flat' },
      ],
    });
    const all = await at.send('GET', '/entities?type=Car&format=simplified', undefined, on);
    expect(all.body).toEqual([
      { id: 'urn:x:Car:1', type: 'Car', speed: 10, colour: 'red' },
      { id: 'urn:x:Car:2', type: 'Car', speed: 20, colour: 'red' },
      { id: 'urn:x:Car:3', type: 'Car', colour: 'red' },
    ]);
  });

  it('temporal queries bring evolutions', async () => {
    await using at = await site();
    for (const speed of [11, 12]) await at.send('PATCH', '/entities/urn:x:Car:1/attrs', { speed });
    const temporalQ = { timerel: 'after', timeAt: '2000-01-01T00:00:00Z', timeproperty: 'modifiedAt' };
    const { snapshot, on } = await at.make({ snapshotTemporalQueries: [{ ...CARS, q: 'speed<=12', temporalQ }] });
    expect(snapshot['snapshotTemporalQueriesDetails']).toEqual([{ resultStatus: 'success' }]);
    await at.send('PATCH', '/entities/urn:x:Car:1/attrs', { speed: 13 });
    const path = '/temporal/entities/urn:x:Car:1?options=temporalValues&timeproperty=modifiedAt&attrs=speed';
    const values = (await at.send('GET', path, undefined, on)).body['speed'] as { values: [number][] };
    expect(values.values.map(([value]) => value)).toEqual([10, 11, 12]);
  });

  it.each([
    [{}, /snapshotQueries or snapshotTemporalQueries/],
    [{ snapshotQueries: [] }, /not empty/],
    [{ snapshotQueries: [{ type: 'Quest' }] }, /Query/],
    [{ snapshotQueries: [{ ...CARS, temporalQ: { timerel: 'after', timeAt: '2020-01-01T00:00:00Z' } }] }, /temporalQ/],
    [{ snapshotTemporalQueries: [CARS] }, /must have temporalQ/],
    [{ snapshotQueries: [CARS], type: 'Snap' }, /type/],
    [{ snapshotQueries: [CARS], id: 'mine' }, /URI/],
    [{ snapshotQueries: [CARS], snapshotPriority: 11 }, /snapshotPriority/],
    [{ snapshotQueries: [CARS], snapshotLifetime: 'long' }, /snapshotLifetime/],
    [{ snapshotQueries: [CARS], endpoint: 'file:///etc/passwd' }, /endpoint/],
    [{ snapshotQueries: [CARS], receiverInfo: [{ key: 'a b', value: 'c' }] }, /receiverInfo/],
    [{ snapshotQueries: Array.from({ length: 51 }, () => CARS) }, /50 queries/],
  ])('refuses %j', async (body, why) => {
    await using at = await site();
    const answer = await at.send('POST', '/snapshots', { type: 'Snapshot', ...body });
    expect(answer.status).toBe(400);
    expect(answer.body['detail']).toMatch(why);
  });
});

describe('5.16.2 to 5.16.7: Snapshots afterwards', () => {
  it('5.16.1.4: an id is taken once; 6.3.22: one that is not there is refused; 4.14: each tenant has its own', async () => {
    await using at = await site();
    const named = { id: 'urn:x:Snapshot:1', snapshotQueries: [CARS] };
    const { on } = await at.make(named);
    expect((await at.send('POST', '/snapshots', { type: 'Snapshot', ...named })).status).toBe(409);
    expect((await at.send('GET', '/entities?type=Car', undefined, { 'NGSILD-Snapshot': 'urn:x:Snapshot:2' })).status).toBe(404);
    expect((await at.send('GET', '/entities?type=Car', undefined, { 'NGSILD-Snapshot': 'mine' })).status).toBe(400);
    const city = { 'NGSILD-Tenant': 'city' };
    expect((await at.send('GET', '/entities?type=Car', undefined, { ...on, ...city })).status).toBe(404);
    await at.send('POST', '/entities', car(9), city);
    const theirs = await at.make(named, '/snapshots', city);
    expect(at.ids(await at.send('GET', '/entities?type=Car', undefined, { ...theirs.on, ...city }))).toEqual([9]);
    expect(at.ids(await at.send('GET', '/entities?type=Car', undefined, on))).toEqual([1, 2, 3]);
    expect((await at.send('GET', '/csourceRegistrations?type=Car', undefined, on)).status).toBe(422);
    // No client can name the tenant that a Snapshot is kept under.
    expect((await at.send('GET', '/entities?type=Car', undefined, { 'NGSILD-Tenant': '~urn:x:Snapshot:1' })).status).toBe(400);
    expect(await at.broker.broker.store.entities.tenants()).toEqual(['', 'city']);
  });

  it('5.16.4: priority and lifetime can be changed, queries and id cannot', async () => {
    await using at = await site();
    const { location, snapshot } = await at.make({ snapshotQueries: [CARS], snapshotLifetime: 'P100Y' });
    const week = Date.parse(snapshot['createdAt'] as string) + 7 * 86_400_000;
    expect(Date.parse(snapshot['expiresAt'] as string)).toBeLessThanOrEqual(week + 1000);
    const changed = await at.send('PATCH', location, {
      snapshotPriority: 2,
      snapshotLifetime: 'PT1M',
      snapshotStatus: 'failure',
    });
    expect(changed.status).toBe(200);
    expect(changed.body).toMatchObject({ snapshotPriority: 2, snapshotStatus: 'success', snapshotLifetime: 'PT1M' });
    expect(Date.parse(changed.body['expiresAt'] as string)).toBeLessThan(Date.now() + 61_000);
    for (const wrong of [{ snapshotQueries: [CARS] }, { id: 'urn:x:other' }, { snapshotPriority: 0 }, { type: 'Car' }]) {
      expect((await at.send('PATCH', location, wrong)).status).toBe(400);
    }
    expect((await at.send('PATCH', '/snapshots/urn:x:none', { snapshotPriority: 1 })).status).toBe(404);
    expect((await at.send('GET', '/snapshots/none')).status).toBe(400);
  });

  it('5.16.2: a clone is a copy of its own; 5.16.5: deleted, nothing is left of it', async () => {
    await using at = await site();
    const original = await at.make({ snapshotQueries: [CARS] });
    await at.send('PATCH', '/entities/urn:x:Car:1/attrs', { speed: 77 }, original.on);
    const clone = await at.make({ snapshotPriority: 9 }, `${original.location}/clone`);
    expect(clone.snapshot).toMatchObject({ snapshotStatus: 'success', snapshotPriority: 9 });
    expect((await at.send('POST', `${original.location}/clone`, { type: 'Snapshot', snapshotQueries: [CARS] })).status).toBe(
      400,
    );
    await at.send(
      'POST',
      '/subscriptions',
      { type: 'Subscription', entities: [{ type: 'Car' }], notification: { endpoint: { uri: 'http://127.0.0.1:9/' } } },
      original.on,
    );
    expect((await at.send('DELETE', original.location)).status).toBe(204);
    expect((await at.send('DELETE', original.location)).status).toBe(404);
    expect((await at.send('GET', '/entities/urn:x:Car:1', undefined, original.on)).status).toBe(404);
    expect((await at.send('GET', '/entities/urn:x:Car:1?format=simplified', undefined, clone.on)).body['speed']).toBe(77);
    // One that is made again under the same id begins empty.
    const again = await at.make({ id: original.snapshot['id'], snapshotQueries: [{ ...CARS, q: 'speed==30' }] });
    expect(at.ids(await at.send('GET', '/entities', undefined, again.on))).toEqual([3]);
    expect((await at.send('GET', '/temporal/entities/urn:x:Car:1', undefined, again.on)).status).toBe(404);
    expect((await at.send('GET', '/subscriptions', undefined, again.on)).body).toEqual([]);
  });

  it('5.16.7: purges what q picks, by members of Snapshots only', async () => {
    await using at = await site();
    const low = await at.make({ snapshotQueries: [CARS], snapshotPriority: 1 });
    const high = await at.make({ snapshotQueries: [CARS], snapshotPriority: 8 });
    const purge = (q?: string) => at.send('DELETE', `/snapshots${q === undefined ? '' : `?q=${encodeURIComponent(q)}`}`);
    for (const q of [undefined, 'speed>1', 'snapshotPriority.x>1', 'snapshotPriority>'])
      expect((await purge(q)).status).toBe(400);
    expect((await purge('snapshotPriority>8')).status).toBe(404);
    expect((await purge('snapshotPriority<5;snapshotStatus=="success"')).status).toBe(204);
    expect((await at.send('GET', low.location)).status).toBe(404);
    expect((await at.send('GET', high.location)).status).toBe(200);
  });

  it('5.5.15: when there are as many as may be, the least important one goes, and a less important one is refused', async () => {
    await using at = await site();
    const made = [];
    for (let count = 0; count < 20; count++)
      made.push(await at.make({ snapshotQueries: [CARS], snapshotPriority: count === 7 ? 2 : 4 }));
    const refused = await at.send('POST', '/snapshots', { type: 'Snapshot', snapshotQueries: [CARS], snapshotPriority: 1 });
    expect(refused.status).toBe(429);
    await at.make({ snapshotQueries: [CARS], snapshotPriority: 5 });
    expect((await at.send('GET', made[7]!.location)).status).toBe(404);
    expect((await at.send('GET', made[6]!.location)).status).toBe(200);
  });

  it('holds no more entities than the limit: the query that would exceed it fails, and says so', async () => {
    await using at = await site(undefined, { snapshotEntities: 4 });
    const { snapshot } = await at.make({ snapshotQueries: [CARS, CARS] });
    expect(snapshot).toMatchObject({
      snapshotStatus: 'partial',
      snapshotQueriesDetails: [
        { resultStatus: 'success' },
        { resultStatus: 'failure', problemDetails: { title: 'TooManyResults' } },
      ],
    });
  });

  it('ends when its time is over', async () => {
    const real = systemClock('test');
    let ahead = 0;
    const clock: Clock = { now: real.now, micros: () => real.micros() + ahead, stamp: real.stamp, saw: real.saw };
    await using at = await site(clock);
    const { location, on } = await at.make({ snapshotQueries: [CARS], snapshotLifetime: 'PT10S' });
    ahead = 11e6;
    expect((await at.send('GET', location)).status).toBe(404);
    expect((await at.send('GET', '/entities?type=Car', undefined, on)).status).toBe(404);
  });
});

describe('5.16.6: notifications of Snapshots', () => {
  it('tells the endpoint when it is ready, with its headers; subscriptions inside say which Snapshot they are of', async () => {
    const received: { body: Json; headers: Record<string, unknown> }[] = [];
    const server = createServer((request, response) => {
      let text = '';
      request.on('data', (part) => {
        text += part;
      });
      request.on('end', () => {
        received.push({ body: JSON.parse(text) as Json, headers: request.headers });
        response.end();
      });
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const until = async (count: number) => {
      while (received.length < count) await new Promise((wake) => setTimeout(wake, 5));
      return received[count - 1]!;
    };
    try {
      await using at = await site();
      const { snapshot, location, on } = await at.make({
        snapshotQueries: [CARS],
        endpoint,
        receiverInfo: [{ key: 'X-Key', value: 'k' }],
      });
      const ready = await until(1);
      expect(ready.headers['x-key']).toBe('k');
      expect(ready.body).toMatchObject({
        type: 'SnapshotNotification',
        snapshotId: snapshot['id'],
        snapshotStatus: 'success',
        snapshotPriority: 5,
        snapshotQueriesDetails: [{ resultStatus: 'success' }],
      });
      await at.send('PATCH', location, { snapshotPriority: 6 });
      expect((await until(2)).body['snapshotPriority']).toBe(6);
      await at.send(
        'POST',
        '/subscriptions',
        { type: 'Subscription', entities: [{ type: 'Car' }], notification: { endpoint: { uri: endpoint } } },
        on,
      );
      await at.send('PATCH', '/entities/urn:x:Car:1/attrs', { speed: 55 });
      await at.send('PATCH', '/entities/urn:x:Car:2/attrs', { speed: 66 }, on);
      const inside = await until(3);
      expect(inside.headers['ngsild-snapshot']).toBe(snapshot['id']);
      expect(inside.headers).not.toHaveProperty('ngsild-tenant');
      expect((inside.body['data'] as Json[])[0]?.['id']).toBe('urn:x:Car:2');
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});
