import { describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';

const API = '/ngsi-ld/v1';
const ERRORS = 'https://uri.etsi.org/ngsi-ld/errors/';
const QUIET = { config: { mqtt: false } } as const;
const unknown = async (broker: TestBroker, method: 'GET' | 'PATCH' | 'DELETE', path: string, body?: object) => {
  const answer = await broker.request(method, `${API}/${path}`, body);
  expect(answer.statusCode, answer.body).toBe(404);
  expect(answer.json().type).toBe(`${ERRORS}ResourceNotFound`);
};

describe('Retrieve Context Source Registration (5.10.1)', () => {
  it('gives the registration in the terms of the reader, with what became of it only for sysAttrs', async () => {
    await using broker = await inMemoryBroker(QUIET);
    await broker.request('POST', `${API}/csourceRegistrations`, {
      id: 'urn:r:1',
      type: 'ContextSourceRegistration',
      information: [{ entities: [{ type: 'Car' }], propertyNames: ['speed'] }],
      endpoint: 'http://127.0.0.1:9',
    });
    const get = (query = '') => broker.request('GET', `${API}/csourceRegistrations/urn:r:1${query}`);
    expect((await get()).json()).toMatchObject({
      id: 'urn:r:1',
      information: [{ entities: [{ type: 'Car' }], propertyNames: ['speed'] }],
    });
    expect((await get()).json()).not.toHaveProperty('modifiedAt');
    expect((await get('?options=sysAttrs')).json()).toHaveProperty('modifiedAt');
    await unknown(broker, 'GET', 'csourceRegistrations/urn:r:2');
    expect((await broker.request('GET', `${API}/csourceRegistrations/2`)).statusCode).toBe(400);
  });
});

describe('subscriptions to registrations', () => {
  const body = (more: object = {}) => ({
    type: 'Subscription',
    entities: [{ type: 'Car' }],
    notification: { endpoint: { uri: 'http://127.0.0.1:9/notify' } },
    ...more,
  });
  const path = 'csourceSubscriptions';
  const create = async (broker: TestBroker, more: object = {}) => broker.request('POST', `${API}/${path}`, body(more));

  it('5.11.2: are created once, under the id given or a new one, and not from what is wrong', async () => {
    await using broker = await inMemoryBroker(QUIET);
    const made = await create(broker);
    expect(made.statusCode).toBe(201);
    expect((await broker.request('GET', String(made.headers['location']))).statusCode).toBe(200);
    expect((await create(broker, { id: 'urn:s:1' })).headers['location']).toBe(`${API}/${path}/urn:s:1`);
    expect((await create(broker, { id: 'urn:s:1' })).statusCode).toBe(409);
    for (const wrong of [{ type: 'Subscribe' }, { notification: {} }, { entities: [] }, { expiresAt: '2020-01-01T00:00:00Z' }])
      expect((await create(broker, wrong)).statusCode, JSON.stringify(wrong)).toBe(400);
    expect((await broker.request('GET', `${API}/${path}`)).json()).toHaveLength(2);
  });

  it('5.11.3, 5.11.4: are changed member by member, and retrieved as they are then', async () => {
    await using broker = await inMemoryBroker(QUIET);
    await create(broker, { id: 'urn:s:1', description: 'old' });
    const change = (fragment: object) => broker.request('PATCH', `${API}/${path}/urn:s:1`, fragment);
    expect((await change({ description: 'new', entities: [{ type: 'Bus' }] })).statusCode).toBe(204);
    const now = (await broker.request('GET', `${API}/${path}/urn:s:1`)).json();
    expect(now).toMatchObject({ id: 'urn:s:1', description: 'new', entities: [{ type: 'Bus' }] });
    expect(now.notification.endpoint.uri).toBe('http://127.0.0.1:9/notify');
    expect((await change({ entities: 'Bus' })).statusCode).toBe(400);
    expect((await broker.request('GET', `${API}/${path}/urn:s:1`)).json()).toEqual(now);
    await unknown(broker, 'PATCH', `${path}/urn:s:2`, { description: 'x' });
    await unknown(broker, 'GET', `${path}/urn:s:2`);
  });

  it('5.11.5: are listed page by page, those of the tenant only', async () => {
    await using broker = await inMemoryBroker(QUIET);
    for (const number of [1, 2, 3]) await create(broker, { id: `urn:s:${number}` });
    const first = await broker.request('GET', `${API}/${path}?limit=2&count=true`);
    expect(first.json().map(({ id }: { id: string }) => id)).toEqual(['urn:s:1', 'urn:s:2']);
    expect(first.headers['ngsild-results-count']).toBe('3');
    expect(first.headers['link']).toContain('offset=2');
    const other = { 'ngsild-tenant': 'city' };
    await broker.request('POST', `${API}/${path}`, body({ id: 'urn:s:9' }), other);
    expect((await broker.request('GET', `${API}/${path}`, undefined, other)).json()).toHaveLength(1);
    // Those to entities are others.
    expect((await broker.request('GET', `${API}/subscriptions`)).json()).toEqual([]);
  });

  it('5.11.6: are gone when they are deleted, and cannot be deleted again', async () => {
    await using broker = await inMemoryBroker(QUIET);
    await create(broker, { id: 'urn:s:1' });
    expect((await broker.request('DELETE', `${API}/${path}/urn:s:1`)).statusCode).toBe(204);
    await unknown(broker, 'GET', `${path}/urn:s:1`);
    await unknown(broker, 'DELETE', `${path}/urn:s:1`);
  });
});

describe('Retrieve EntityMap (5.14.1)', () => {
  it('gives the map as JSON or JSON-LD, until it ends', async () => {
    await using broker = await inMemoryBroker(QUIET);
    await broker.request('POST', `${API}/entities`, { id: 'urn:x:1', type: 'Car' });
    const { id } = (await broker.request('GET', `${API}/entityMaps?type=Car`)).json();
    const get = (accept: string) => broker.request('GET', `${API}/entityMaps/${id}`, undefined, { accept });
    expect((await get('application/json')).json()).toMatchObject({
      id,
      type: 'EntityMap',
      entityMap: { 'urn:x:1': ['@none'] },
    });
    expect((await get('application/json')).json()).not.toHaveProperty('@context');
    expect((await get('application/ld+json')).json()).toHaveProperty('@context');
    await broker.request('PATCH', `${API}/entityMaps/${id}`, { type: 'EntityMap', expiresAt: '2020-01-01T00:00:00Z' });
    await unknown(broker, 'GET', `entityMaps/${id}`);
  });
});
