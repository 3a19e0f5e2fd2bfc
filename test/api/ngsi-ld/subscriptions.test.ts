import { describe, expect, it } from 'vitest';
import { inMemoryBroker } from '../../support/broker.ts';
import { endpoint, until } from '../../support/federation.ts';

const SUBSCRIPTIONS = '/ngsi-ld/v1/subscriptions';
const WORDS = { Wagen: 'https://example.org/Car', tempo: 'https://example.org/speed', farbe: 'https://example.org/colour' };
const LD = { 'content-type': 'application/ld+json' };
const wagen = (tempo: number) => ({
  '@context': WORDS,
  id: 'urn:c:1',
  type: 'Wagen',
  tempo: { type: 'Property', value: tempo },
  farbe: { type: 'Property', value: 'rot' },
});

describe('Update Subscription (5.8.2)', () => {
  it('what a fragment leaves alone keeps the names it was given, and its notifications their @context (5.5.8)', async () => {
    await using broker = await inMemoryBroker({ config: { mqtt: false } });
    await using subscriber = await endpoint();
    const subscription = {
      '@context': WORDS,
      id: 'urn:s:1',
      type: 'Subscription',
      entities: [{ type: 'Wagen' }],
      watchedAttributes: ['tempo'],
      q: 'tempo>10',
      notification: { attributes: ['tempo'], format: 'keyValues', endpoint: { uri: subscriber.url } },
    };
    expect((await broker.request('POST', SUBSCRIPTIONS, subscription, LD)).statusCode).toBe(201);
    const before = (await broker.request('GET', `${SUBSCRIPTIONS}/urn:s:1`)).json();
    // Written with the core @context, in which "speed" and "tempo" are names of their own.
    const core = { q: 'https://example.org/speed>20', description: 'faster' };
    const patched = await broker.request('PATCH', `${SUBSCRIPTIONS}/urn:s:1`, core);
    expect(patched.statusCode, patched.body).toBe(204);
    const after = (await broker.request('GET', `${SUBSCRIPTIONS}/urn:s:1`)).json();
    expect(after).toMatchObject({
      entities: [{ type: 'https://example.org/Car' }],
      watchedAttributes: ['https://example.org/speed'],
      jsonldContext: before.jsonldContext,
    });
    for (const tempo of [15, 25]) {
      const answer = await broker.request('POST', '/ngsi-ld/v1/entityOperations/upsert', [wagen(tempo)], LD);
      expect(answer.statusCode, answer.body).toBeLessThan(300);
    }
    await until('it is told', () => subscriber.notifications().length > 0);
    await broker.broker.notifications.idle();
    expect(subscriber.notifications().map(({ data }) => data)).toEqual([[{ id: 'urn:c:1', type: 'Wagen', tempo: 25 }]]);
    // A second fragment does not undo what the first one said.
    const second = { '@context': WORDS, watchedAttributes: ['farbe'] };
    expect((await broker.request('PATCH', `${SUBSCRIPTIONS}/urn:s:1`, second, LD)).statusCode).toBe(204);
    expect((await broker.request('GET', `${SUBSCRIPTIONS}/urn:s:1`)).json()).toMatchObject({
      watchedAttributes: ['https://example.org/colour'],
      q: core.q,
    });
    const blue = { '@context': WORDS, farbe: { type: 'Property', value: 'blau' } };
    await broker.request('PATCH', '/ngsi-ld/v1/entities/urn:c:1/attrs', blue, LD);
    await until('the second is told', () => subscriber.notifications().length === 2);
  });

  it('with local=true a subscription is about what is here, as with localOnly', async () => {
    await using broker = await inMemoryBroker({ config: { mqtt: false } });
    const body = { id: 'urn:s:1', type: 'Subscription', notification: { endpoint: { uri: 'http://127.0.0.1:9/' } } };
    expect((await broker.request('POST', SUBSCRIPTIONS, body)).statusCode).toBe(400);
    expect((await broker.request('POST', `${SUBSCRIPTIONS}?local=true`, body)).statusCode).toBe(201);
    expect((await broker.request('GET', `${SUBSCRIPTIONS}/urn:s:1`)).json()).toMatchObject({ localOnly: true });
  });
});
