import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';

const BASE = '/ngsi-ld/v1/csourceRegistrations';
const WEATHER = 'urn:ngsi-ld:ContextSourceRegistration:weather';

const registration = (more: Record<string, unknown> = {}) => ({
  id: WEATHER,
  type: 'ContextSourceRegistration',
  information: [{ entities: [{ type: 'Station' }], propertyNames: ['wind', 'rain'], relationshipNames: ['operator'] }],
  endpoint: 'http://weather.example:1026',
  ...more,
});
const exclusive = (id: string, names: string[]) => ({
  mode: 'exclusive',
  operations: ['redirectionOps'],
  information: [{ entities: [{ id, type: 'Station' }], propertyNames: names }],
});

const post = (broker: TestBroker, more: Record<string, unknown> = {}) => broker.request('POST', BASE, registration(more));

describe('Register Context Source (5.9.2)', () => {
  it('answers 201 with the place of the registration, whose id is made if none is given', async () => {
    await using broker = await inMemoryBroker();
    const { id: _, ...withoutId } = registration();
    const made = await broker.request('POST', BASE, withoutId);
    expect(made.statusCode).toBe(201);
    expect(made.body).toBe('');
    const kept = await broker.request('GET', String(made.headers['location']));
    expect(kept.json()).toMatchObject({ type: 'ContextSourceRegistration', endpoint: 'http://weather.example:1026' });
    expect(kept.json()).not.toHaveProperty('createdAt');
  });

  it('knows a second registration with the same id already, and leaves the first as it is', async () => {
    await using broker = await inMemoryBroker();
    await post(broker);
    expect((await post(broker, { endpoint: 'http://other.example' })).statusCode).toBe(409);
    expect((await broker.request('GET', `${BASE}/${WEATHER}`)).json().endpoint).toBe('http://weather.example:1026');
  });

  it.each([
    ['no information', { information: [] }],
    ['an endpoint that is no URI', { endpoint: 'somewhere' }],
    ['an endpoint that is a file', { endpoint: 'file:///etc/passwd' }],
    ['an unknown mode', { mode: 'sometimes' }],
    ['an operation that 4.20 does not name', { operations: ['dance'] }],
    ['an end in the past', { expiresAt: '2001-01-01T00:00:00Z' }],
    ['exclusive without attributes', { mode: 'exclusive', information: [{ entities: [{ id: 'urn:x:1', type: 'T' }] }] }],
    ['exclusive for a type', { mode: 'exclusive' }],
    ['auxiliary with writes', { mode: 'auxiliary', operations: ['createEntity'] }],
    ['a header that would break the request', { contextSourceInfo: [{ key: 'X', value: 'a\r\nHost: b' }] }],
    ['an accept that no broker sends', { contextSourceInfo: [{ key: 'accept', value: 'text/html' }] }],
    ['a cooldown of nothing', { management: { cooldown: 0 } }],
    [
      'an interval that ends before it starts',
      { observationInterval: { startAt: '2026-01-02T00:00:00Z', endAt: '2026-01-01T00:00:00Z' } },
    ],
  ])('refuses %s, and keeps nothing', async (_what, wrong) => {
    await using broker = await inMemoryBroker();
    const answer = await post(broker, wrong);
    expect(answer.statusCode, answer.body).toBe(400);
    expect(answer.json().type).toMatch(/BadRequestData$/);
    expect((await broker.request('GET', `${BASE}/${WEATHER}`)).statusCode).toBe(404);
  });

  it('a proxied registration contradicts what is held here (4.3.6.3)', async () => {
    await using broker = await inMemoryBroker();
    const entity = { id: 'urn:ngsi-ld:Station:1', type: 'Station', wind: { type: 'Property', value: 3 } };
    expect((await broker.request('POST', '/ngsi-ld/v1/entities', entity)).statusCode).toBe(201);
    const answer = await post(broker, exclusive(entity.id, ['wind']));
    expect(answer.statusCode).toBe(409);
    expect(answer.json().type).toMatch(/Conflict$/);
    expect((await post(broker, { mode: 'redirect' })).statusCode).toBe(409);
    // Nothing of the refused ones is in force.
    expect((await broker.request('GET', `${BASE}/${WEATHER}`)).statusCode).toBe(404);
    // Other attributes of the same entity are no contradiction.
    expect((await post(broker, exclusive(entity.id, ['rain']))).statusCode).toBe(201);
  });

  it('of many exclusive registrations for one attribute at the same time, one is accepted (5.9.2.4)', async () => {
    await using broker = await inMemoryBroker();
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, at) =>
        post(broker, { ...exclusive('urn:ngsi-ld:Station:1', ['wind']), id: `urn:r:${at}` }),
      ),
    );
    expect(answers.map((one) => one.statusCode).sort()).toEqual([201, 409, 409, 409, 409, 409, 409, 409]);
    // Inclusive ones are never in the way.
    expect((await post(broker)).statusCode).toBe(201);
  });
});

describe('Update and Delete Registration (5.9.3, 5.9.4)', () => {
  it('replaces members, removes those that are null, and never the id', async () => {
    await using broker = await inMemoryBroker();
    await post(broker, { description: 'winds' });
    const change = { endpoint: 'http://new.example', description: 'urn:ngsi-ld:null' };
    expect((await broker.request('PATCH', `${BASE}/${WEATHER}`, change)).statusCode).toBe(204);
    const kept = (await broker.request('GET', `${BASE}/${WEATHER}`)).json();
    expect(kept).toMatchObject({ id: WEATHER, endpoint: 'http://new.example' });
    expect(kept).not.toHaveProperty('description');
    expect((await broker.request('PATCH', `${BASE}/${WEATHER}`, { mode: 'never' })).statusCode).toBe(400);
    expect((await broker.request('DELETE', `${BASE}/${WEATHER}`)).statusCode).toBe(204);
    expect((await broker.request('DELETE', `${BASE}/${WEATHER}`)).statusCode).toBe(404);
    expect((await broker.request('PATCH', `${BASE}/${WEATHER}`, change)).statusCode).toBe(404);
  });

  it('an expired registration is gone (5.9.2.4)', async () => {
    let now = Date.parse('2026-01-01T00:00:00Z') * 1000;
    const { fromMicros } = await import('../../../broker/domain/time.ts');
    const clock = { now: () => fromMicros(now), micros: () => now, stamp: () => ({ at: now++, origin: 't' }), saw() {} };
    await using broker = await inMemoryBroker({ clock });
    await post(broker, { expiresAt: '2026-01-01T00:01:00Z' });
    expect((await broker.request('GET', `${BASE}?type=Station`)).json()).toHaveLength(1);
    now += 61_000_000;
    expect((await broker.request('GET', `${BASE}?type=Station`)).json()).toEqual([]);
    expect((await broker.request('GET', `${BASE}/${WEATHER}`)).statusCode).toBe(404);
  });
});

describe('Query Registrations (5.10.2, 5.12)', () => {
  const found = async (broker: TestBroker, query: string) => {
    const answer = await broker.request('GET', `${BASE}?${query}`);
    expect(answer.statusCode, answer.body).toBe(200);
    return (answer.json() as { id: string }[]).map(({ id }) => id.split(':').at(-1));
  };

  it('by type, id, attribute, space, time and properties; never one that is about something else', async () => {
    await using broker = await inMemoryBroker();
    const square = {
      type: 'Polygon',
      coordinates: [
        [
          [0, 0],
          [10, 0],
          [10, 10],
          [0, 10],
          [0, 0],
        ],
      ],
    };
    const put = (name: string, more: Record<string, unknown>) => post(broker, { id: `urn:r:${name}`, ...more });
    await put('wind', {});
    await put('one', { information: [{ entities: [{ id: 'urn:s:1', type: 'Station' }] }] });
    await put('some', { information: [{ entities: [{ idPattern: '^urn:s:2', type: 'Station' }] }] });
    await put('place', { information: [{ entities: [{ type: 'Place' }] }], location: square });
    await put('old', { observationInterval: { startAt: '2020-01-01T00:00:00Z', endAt: '2021-01-01T00:00:00Z' } });
    await put('mine', { information: [{ entities: [{ type: 'Mine' }] }], quality: 'good' });
    expect(await found(broker, 'type=Station')).toEqual(['one', 'some', 'wind']);
    expect(await found(broker, 'type=Station&id=urn:s:1')).toEqual(['one', 'wind']);
    expect(await found(broker, 'type=Station&id=urn:s:22')).toEqual(['some', 'wind']);
    expect(await found(broker, 'type=Station&attrs=snow')).toEqual(['one', 'some']);
    expect(
      await found(broker, 'type=Place&georel=within&geometry=Polygon&coordinates=[[[5,5],[20,5],[20,20],[5,20],[5,5]]]'),
    ).toEqual(['place']);
    expect(await found(broker, 'type=Place&georel=near;maxDistance==10&geometry=Point&coordinates=[50,50]')).toEqual([]);
    expect(await found(broker, 'type=Station&timerel=before&timeAt=2020-06-01T00:00:00Z')).toEqual(['old']);
    expect(await found(broker, 'type=Station&timerel=after&timeAt=2022-01-01T00:00:00Z')).toEqual([]);
    expect(await found(broker, 'type=Station&timerel=before&timeAt=2020-06-01T00:00:00Z&timeproperty=modifiedAt')).toEqual([]);
    expect(await found(broker, 'type=Mine&csf=quality=="good"')).toEqual(['mine']);
    expect(await found(broker, 'type=Mine&csf=quality=="bad"')).toEqual([]);
    expect((await broker.request('GET', `${BASE}?id=urn:s:1`)).statusCode).toBe(400);
  });

  it('another tenant sees nothing of it', async () => {
    await using broker = await inMemoryBroker();
    await post(broker);
    const other = await broker.request('GET', `${BASE}/${WEATHER}`, undefined, { 'ngsild-tenant': 'other' });
    expect(other.statusCode).toBe(404);
  });
});

describe('Registration subscriptions (5.11)', () => {
  it('tell what matches at the beginning, what changes, and what no longer matches; nothing about others', async () => {
    const heard: { triggerReason: string; type: string; data: { id: string }[] }[] = [];
    const server = createServer((request, response) => {
      let text = '';
      request.on('data', (chunk: Buffer) => {
        text += chunk;
      });
      request.on('end', () => {
        heard.push(JSON.parse(text));
        response.writeHead(200).end();
      });
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    try {
      await using broker = await inMemoryBroker();
      await post(broker);
      const made = await broker.request('POST', '/ngsi-ld/v1/csourceSubscriptions', {
        type: 'Subscription',
        entities: [{ type: 'Station' }],
        notification: { endpoint: { uri, accept: 'application/json' } },
      });
      expect(made.statusCode, made.body).toBe(201);
      await expect.poll(() => heard.length).toBe(1);
      await post(broker, { id: 'urn:r:other', information: [{ entities: [{ type: 'Other' }] }] });
      await broker.request('PATCH', `${BASE}/${WEATHER}`, { description: 'more' });
      await broker.request('PATCH', `${BASE}/${WEATHER}`, { information: [{ entities: [{ type: 'Other' }] }] });
      await expect.poll(() => heard.length).toBe(3);
      expect(heard.map(({ triggerReason }) => triggerReason)).toEqual(['newlyMatching', 'updated', 'noLongerMatching']);
      expect(heard.every(({ type, data }) => type === 'ContextSourceNotification' && data[0]?.id === WEATHER)).toBe(true);
      const place = String(made.headers['location']);
      await expect
        .poll(async () => (await broker.request('GET', place)).json().notification)
        .toMatchObject({ status: 'ok', timesSent: 3 });
      expect((await broker.request('DELETE', place)).statusCode).toBe(204);
      await broker.request('DELETE', `${BASE}/${WEATHER}`);
      expect((await broker.request('GET', place)).statusCode).toBe(404);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
