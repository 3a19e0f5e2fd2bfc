import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';

const API = '/ngsi-ld/v1';
const CAR = 'urn:ngsi-ld:Car:1';
let broker: TestBroker;
beforeAll(async () => {
  broker = await inMemoryBroker();
  const colour = { type: 'VocabProperty', vocab: 'red' };
  await broker.request('POST', `${API}/entities`, { id: CAR, type: 'Car', colour });
  const subscription = {
    type: 'Subscription',
    entities: [{ type: 'Car' }],
    notification: { endpoint: { uri: 'http://127.0.0.1:9/' } },
  };
  await broker.request('POST', `${API}/subscriptions`, { id: 'urn:s:1', expiresAt: '2099-01-01T00:00:00Z', ...subscription });
});
afterAll(() => broker[Symbol.asyncDispose]());

const get = async (path: string, headers: Record<string, string>) => {
  const { statusCode, headers: answered, body } = await broker.request('GET', `${API}${path}`, undefined, headers);
  return { status: statusCode, applied: answered['preference-applied'], body: JSON.parse(body) };
};

describe('6.3.6: the preference of a version', () => {
  it.each([
    ['ngsi-ld=1.5', '1.5'],
    ['NGSI-LD=1.5', '1.5'],
    ['ngsi-ld="1.5"', '1.5'],
    ['ngsi-ld = 1.5; q=0.1; x="a,b"', '1.5'],
    ['respond-async, wait=10, ngsi-ld=1.5', '1.5'],
    ['body=json, ngsi-ld=1.5, ngsi-ld=1.9', '1.5'],
  ])('is understood in %s', async (prefer, version) => {
    const { status, applied, body } = await get(`/entities/${CAR}`, { prefer });
    expect([status, applied]).toEqual([203, `ngsi-ld=${version}`]);
    expect(body.colour).toEqual({ type: 'Property', value: 'red' });
  });

  it.each(['respond-async', 'ngsi-ld', 'ngsi-ld=new', 'note="a, ngsi-ld=1.5"', 'x-ngsi-ld=1.5'])(
    'is not read out of %s',
    async (prefer) => {
      const { status, applied, body } = await get(`/entities/${CAR}`, { prefer });
      expect([status, applied, body.colour.type]).toEqual([200, undefined, 'VocabProperty']);
    },
  );

  it.each([
    ['ngsi-ld=1.9', '1.9'],
    ['ngsi-ld=1.8', '1.8'],
    ['ngsi-ld=3.0', '1.9'],
  ])('alters nothing that conforms already: %s', async (prefer, version) => {
    const { status, applied, body } = await get(`/entities/${CAR}`, { prefer });
    expect([status, applied, body.colour.type]).toEqual([200, `ngsi-ld=${version}`, 'VocabProperty']);
  });

  it('holds for queries, in JSON-LD and GeoJSON too, and not for the next client', async () => {
    for (const accept of ['application/json', 'application/ld+json', 'application/geo+json']) {
      const { status, body } = await get('/entities?type=Car', { prefer: 'ngsi-ld=1.5', accept });
      expect([status, JSON.stringify(body).includes('VocabProperty')]).toEqual([203, false]);
    }
    expect(JSON.stringify((await get('/entities?type=Car', {})).body)).toContain('VocabProperty');
  });

  it('alters nothing but entities', async () => {
    const { status, applied, body } = await get('/subscriptions/urn:s:1', { prefer: 'ngsi-ld=1.0' });
    expect([status, applied, body.expiresAt]).toEqual([200, 'ngsi-ld=1.0', '2099-01-01T00:00:00Z']);
    const temporal = await get(`/temporal/entities/${CAR}?timeproperty=modifiedAt`, { prefer: 'ngsi-ld=1.5' });
    expect([temporal.status, temporal.applied]).toEqual([200, 'ngsi-ld=1.9']);
  });
});
