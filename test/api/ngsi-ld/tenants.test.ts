import { describe, expect, it } from 'vitest';
import { inMemoryBroker } from '../../support/broker.ts';

const BASE = '/ngsi-ld/v1';
const subscription = {
  type: 'Subscription',
  entities: [{ type: 'Car' }],
  notification: { endpoint: { uri: 'http://127.0.0.1:9/' } },
};
const registration = {
  type: 'ContextSourceRegistration',
  information: [{ entities: [{ type: 'Car' }] }],
  endpoint: 'http://127.0.0.1:9',
};

describe('5.5.10: tenants are created by operations that create something', () => {
  it.each([
    ['entities', { id: 'urn:x:1', type: 'Car' }],
    ['entityOperations/create', [{ id: 'urn:x:1', type: 'Car' }]],
    [
      'temporal/entities',
      { id: 'urn:x:1', type: 'Car', a: [{ type: 'Property', value: 1, observedAt: '2026-01-01T00:00:00Z' }] },
    ],
    ['subscriptions', subscription],
    ['csourceRegistrations', registration],
    ['csourceSubscriptions', subscription],
  ])('POST %s', async (path, body) => {
    await using broker = await inMemoryBroker({ config: { mqtt: false, sourceTimeoutMs: 100 } });
    const as = { 'ngsild-tenant': 'city' };
    const read = () => broker.request('GET', `${BASE}/entities?type=Bus&local=true`, undefined, as);
    const unknown = await read();
    expect(unknown.statusCode).toBe(404);
    expect(unknown.json().type).toBe('https://uri.etsi.org/ngsi-ld/errors/NonexistentTenant');
    expect((await broker.request('POST', `${BASE}/${path}`, body, as)).statusCode).toBe(201);
    expect((await read()).json()).toEqual([]);
    expect((await broker.request('GET', `${BASE}/types`, undefined, { ...as, via: '1.1 test.city' })).statusCode).toBe(200);
    // Another tenant is still unknown, and the default one always there.
    const other = { 'ngsild-tenant': 'village' };
    expect((await broker.request('GET', `${BASE}/entities?type=Bus`, undefined, other)).statusCode).toBe(404);
    expect((await broker.request('GET', `${BASE}/entities?type=Bus`)).json()).toEqual([]);
  });
});
