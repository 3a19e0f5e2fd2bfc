import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../support/broker.ts';

interface Heard {
  readonly headers: IncomingHttpHeaders;
  readonly body: { id: string; type: string; subscriptionId: string; notifiedAt: string; data: Record<string, unknown>[] };
}

/** An endpoint that a test can switch off. */
class Listener {
  readonly heard: Heard[] = [];
  status = 200;
  #server: Server | undefined;
  url = '';

  async start(): Promise<void> {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        if (this.status === 200)
          this.heard.push({ headers: request.headers, body: JSON.parse(Buffer.concat(chunks).toString()) });
        response.writeHead(this.status).end();
      });
    });
    await new Promise<void>((listening) => this.#server?.listen(0, '127.0.0.1', listening));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/notify`;
  }

  async stop(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise((closed) => this.#server?.close(closed));
  }
}

const listener = new Listener();
beforeEach(async () => {
  listener.heard.length = 0;
  listener.status = 200;
  await listener.start();
});
afterEach(() => listener.stop());

const ROOM = 'urn:ngsi-ld:Room:1';
const room = (more: Record<string, unknown> = {}) => ({
  id: ROOM,
  type: 'Room',
  temperature: { type: 'Property', value: 20 },
  ...more,
});

async function must(status: number, answer: ReturnType<TestBroker['request']>): Promise<void> {
  const got = await answer;
  expect(got.statusCode, got.body).toBe(status);
}

const subscribe = (
  broker: TestBroker,
  more: Record<string, unknown> = {},
  notification: Record<string, unknown> = {},
  endpoint: Record<string, unknown> = {},
) =>
  must(
    201,
    broker.request('POST', '/ngsi-ld/v1/subscriptions', {
      id: 'urn:ngsi-ld:Subscription:1',
      type: 'Subscription',
      entities: [{ type: 'Room' }],
      ...more,
      notification: { ...notification, endpoint: { uri: listener.url, ...endpoint } },
    }),
  );

const create = (broker: TestBroker, body: unknown = room(), headers = {}) =>
  must(201, broker.request('POST', '/ngsi-ld/v1/entities', body, headers));
const patch = (broker: TestBroker, attributes: unknown) =>
  must(204, broker.request('PATCH', `/ngsi-ld/v1/entities/${ROOM}/attrs`, attributes));
const temperature = (value: number) => ({ temperature: { type: 'Property', value } });

describe('notifications (5.8.6)', () => {
  it('a change reaches the subscriber with what 5.3.1 and 6.3.8 ask for', async () => {
    await using broker = await inMemoryBroker();
    await subscribe(broker, {}, {}, { receiverInfo: [{ key: 'Authorization', value: 'Bearer abc' }] });
    await create(broker);
    await broker.broker.notifications.idle();
    expect(listener.heard).toHaveLength(1);
    const { headers, body } = listener.heard[0]!;
    expect(body).toMatchObject({
      type: 'Notification',
      subscriptionId: 'urn:ngsi-ld:Subscription:1',
      data: [{ id: ROOM, type: 'Room', temperature: { type: 'Property', value: 20 } }],
    });
    expect(body.id).toMatch(/^urn:ngsi-ld:Notification:/);
    expect(body.notifiedAt).toMatch(/Z$/);
    expect(headers).toMatchObject({ 'content-type': 'application/json', authorization: 'Bearer abc' });
    expect(headers['link']).toContain('ngsi-ld-core-context');
    expect(Number(headers['mizar-sequence'])).toBeGreaterThan(0);
  });

  it('a write that leaves everything equal notifies nobody', async () => {
    await using broker = await inMemoryBroker();
    await create(broker);
    await subscribe(broker);
    await patch(broker, temperature(20));
    await broker.broker.notifications.idle();
    expect(listener.heard).toHaveLength(0);
    await patch(broker, temperature(21));
    await broker.broker.notifications.idle();
    expect(listener.heard).toHaveLength(1);
  });

  it('only the watched attribute, and only while q holds', async () => {
    await using broker = await inMemoryBroker();
    await create(broker, room({ humidity: { type: 'Property', value: 40 } }));
    await subscribe(broker, { watchedAttributes: ['temperature'], q: 'temperature>25' });
    await patch(broker, { humidity: { type: 'Property', value: 41 } });
    await patch(broker, temperature(24));
    await patch(broker, temperature(26));
    await broker.broker.notifications.idle();
    expect(listener.heard.map((one) => one.body.data[0])).toMatchObject([{ temperature: { value: 26 } }]);
  });

  it('another tenant hears nothing', async () => {
    await using broker = await inMemoryBroker();
    await subscribe(broker);
    await create(broker, room(), { 'NGSILD-Tenant': 'other' });
    await broker.broker.notifications.idle();
    expect(listener.heard).toHaveLength(0);
  });

  it('a paused or deleted subscription is silent', async () => {
    await using broker = await inMemoryBroker();
    await subscribe(broker, { isActive: false });
    await create(broker);
    await broker.broker.notifications.idle();
    expect(listener.heard).toHaveLength(0);
    await must(
      204,
      broker.request('PATCH', '/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:1', { type: 'Subscription', isActive: true }),
    );
    await patch(broker, temperature(21));
    await broker.broker.notifications.idle();
    expect(listener.heard).toHaveLength(1);
    await must(204, broker.request('DELETE', '/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:1'));
    await patch(broker, temperature(22));
    await broker.broker.notifications.idle();
    expect(listener.heard).toHaveLength(1);
  });

  it('an endpoint that fails gets everything later, in order, and the subscription tells of the failure', async () => {
    await using broker = await inMemoryBroker();
    await subscribe(broker);
    listener.status = 503;
    await create(broker);
    for (let value = 21; value <= 25; value++) await patch(broker, temperature(value));
    await broker.broker.notifications.idle();
    expect(listener.heard).toHaveLength(0);
    const failing = (await broker.request('GET', '/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:1')).json();
    expect(failing).toMatchObject({ status: 'active', notification: { status: 'failed', timesFailed: expect.any(Number) } });
    listener.status = 200;
    const until = Date.now() + 5000;
    while (listener.heard.length < 6 && Date.now() < until) await new Promise((wake) => setTimeout(wake, 10));
    expect(listener.heard.map((one) => (one.body.data[0]!['temperature'] as { value: number }).value)).toEqual([
      20, 21, 22, 23, 24, 25,
    ]);
    const sequence = listener.heard.map((one) => Number(one.headers['mizar-sequence']));
    expect([...sequence].sort((a, b) => a - b)).toEqual(sequence);
    expect(new Set(listener.heard.map((one) => one.body.id)).size).toBe(6);
  });

  it('what was given up is listed with the reason, and an operator replays or drops it', async () => {
    await using broker = await inMemoryBroker({ config: { notificationRetryHours: 0 } });
    await subscribe(broker);
    listener.status = 500;
    await create(broker);
    const dead = async () => (await broker.request('GET', '/admin/deliveries/dead')).json() as unknown[];
    const until = Date.now() + 15_000;
    while ((await dead()).length === 0 && Date.now() < until) await new Promise((wake) => setTimeout(wake, 20));
    expect(await dead()).toEqual([
      {
        subscription: 'urn:ngsi-ld:Subscription:1',
        sequence: expect.any(Number),
        attempts: expect.any(Number),
        reason: 'answered 500',
      },
    ]);
    const other = await broker.request('GET', '/admin/deliveries/dead', undefined, { 'NGSILD-Tenant': 'other' });
    expect(other.json()).toEqual([]);
    listener.status = 200;
    expect((await broker.request('POST', '/admin/deliveries/dead/replay')).json()).toEqual({ replayed: 1 });
    while (listener.heard.length === 0 && Date.now() < until) await new Promise((wake) => setTimeout(wake, 20));
    expect(listener.heard).toHaveLength(1);
    expect(await dead()).toEqual([]);
  });

  it('by default deletions are not told; with the trigger an entity comes as id, type and deletedAt', async () => {
    await using broker = await inMemoryBroker();
    await create(broker);
    await subscribe(broker, { notificationTrigger: ['entityDeleted'] });
    await patch(broker, temperature(21));
    await must(204, broker.request('DELETE', `/ngsi-ld/v1/entities/${ROOM}`));
    await broker.broker.notifications.idle();
    expect(listener.heard.map((one) => one.body.data)).toEqual([
      [{ id: ROOM, type: 'Room', deletedAt: expect.stringMatching(/Z$/) }],
    ]);
  });

  it('a deleted attribute comes as NGSI-LD Null, with its previous value if showChanges asks for it', async () => {
    await using broker = await inMemoryBroker();
    await create(broker, room({ name: { type: 'LanguageProperty', languageMap: { fr: 'salle' } } }));
    await subscribe(broker, { notificationTrigger: ['attributeDeleted', 'attributeUpdated'] }, { showChanges: true });
    await patch(broker, temperature(21));
    await must(204, broker.request('DELETE', `/ngsi-ld/v1/entities/${ROOM}/attrs/name`));
    await broker.broker.notifications.idle();
    expect(listener.heard.map((one) => one.body.data[0])).toMatchObject([
      { temperature: { type: 'Property', value: 21, previousValue: 20 } },
      {
        name: { type: 'LanguageProperty', languageMap: { '@none': 'urn:ngsi-ld:null' }, previousLanguageMap: { fr: 'salle' } },
      },
    ]);
  });

  it('formats: simplified, JSON-LD with its @context inside, GeoJSON as FeatureCollection', async () => {
    await using broker = await inMemoryBroker();
    const location = { location: { type: 'GeoProperty', value: { type: 'Point', coordinates: [4.4, 50.8] } } };
    await subscribe(broker, { id: 'urn:s:a' }, { format: 'simplified' });
    await subscribe(broker, { id: 'urn:s:b' }, {}, { accept: 'application/ld+json' });
    await subscribe(broker, { id: 'urn:s:c' }, {}, { accept: 'application/geo+json' });
    await create(broker, room(location));
    await broker.broker.notifications.idle();
    const by = (id: string) => listener.heard.find((one) => one.body.subscriptionId === id)!;
    expect(by('urn:s:a').body.data).toEqual([{ id: ROOM, type: 'Room', temperature: 20, location: location.location.value }]);
    expect(by('urn:s:b').headers['link']).toBeUndefined();
    expect(by('urn:s:b').body.data[0]).toHaveProperty('@context');
    expect(by('urn:s:c').headers['content-type']).toBe('application/geo+json');
    expect(by('urn:s:c').body.data).toMatchObject({
      type: 'FeatureCollection',
      features: [{ type: 'Feature', id: ROOM, geometry: location.location.value }],
    });
  });

  it('ngsildConformance: entities as an earlier version has them (4.3.6.8), for the subscriber that asked for it only', async () => {
    await using broker = await inMemoryBroker();
    await subscribe(broker, { id: 'urn:s:a', ngsildConformance: '1.5' }, { showChanges: true });
    await subscribe(broker, { id: 'urn:s:b' }, { showChanges: true });
    const colour = (vocab: string) => ({ colour: { type: 'VocabProperty', vocab } });
    await create(broker, room(colour('red')));
    await patch(broker, colour('blue'));
    await broker.broker.notifications.idle();
    const last = (id: string) =>
      listener.heard.filter((one) => one.body.subscriptionId === id).at(-1)?.body.data[0]?.['colour'];
    expect(last('urn:s:a')).toEqual({ type: 'Property', value: 'blue', previousValue: 'red' });
    expect(last('urn:s:b')).toEqual({ type: 'VocabProperty', vocab: 'blue', previousVocab: 'red' });
  });

  it('throttling drops what comes too soon after the last notification', async () => {
    await using broker = await inMemoryBroker();
    await subscribe(broker, { throttling: 3600 });
    await create(broker);
    await patch(broker, temperature(21));
    await broker.broker.notifications.idle();
    expect(listener.heard).toHaveLength(1);
  });

  it('timeInterval notifies without a change, and not about entities that do not match', async () => {
    await using broker = await inMemoryBroker();
    await create(broker);
    await create(broker, { id: 'urn:ngsi-ld:Room:2', type: 'Room', temperature: { type: 'Property', value: 5 } });
    await subscribe(broker, { timeInterval: 0.05, q: 'temperature>10' });
    const until = Date.now() + 5000;
    while (listener.heard.length < 2 && Date.now() < until) await new Promise((wake) => setTimeout(wake, 10));
    expect(listener.heard.length).toBeGreaterThanOrEqual(2);
    expect(listener.heard[0]?.body.data.map((entity) => entity['id'])).toEqual([ROOM]);
  });
});

describe('subscriptions (5.8.1 to 5.8.5)', () => {
  it('comes back as it was sent, with status and in the terms of the asker', async () => {
    await using broker = await inMemoryBroker();
    await subscribe(
      broker,
      { watchedAttributes: ['temperature'], description: 'd', throttling: 5 },
      { attributes: ['temperature'] },
    );
    const answer = await broker.request('GET', '/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:1');
    expect(answer.json()).toMatchObject({
      id: 'urn:ngsi-ld:Subscription:1',
      type: 'Subscription',
      entities: [{ type: 'Room' }],
      watchedAttributes: ['temperature'],
      description: 'd',
      throttling: 5,
      status: 'active',
      notification: { attributes: ['temperature'], endpoint: { uri: listener.url } },
    });
  });

  it('the same id twice is a conflict, and the first one stays', async () => {
    await using broker = await inMemoryBroker();
    await subscribe(broker, { description: 'first' });
    const again = await broker.request('POST', '/ngsi-ld/v1/subscriptions', {
      id: 'urn:ngsi-ld:Subscription:1',
      type: 'Subscription',
      entities: [{ type: 'Other' }],
      notification: { endpoint: { uri: listener.url } },
    });
    expect(again.statusCode).toBe(409);
    expect((await broker.request('GET', '/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:1')).json()).toMatchObject({
      description: 'first',
    });
  });

  const endpoint = { endpoint: { uri: 'http://localhost:1/' } };
  it.each([
    ['no entities and no watchedAttributes', { notification: endpoint }, 'needs entities or watchedAttributes'],
    ['empty entities', { entities: [], notification: endpoint }, 'at least one'],
    ['an entity selector without type', { entities: [{ id: ROOM }], notification: endpoint }, 'entities[0].type'],
    ['no notification', { entities: [{ type: 'A' }] }, 'notification'],
    [
      'an endpoint that is no URI',
      { entities: [{ type: 'A' }], notification: { endpoint: { uri: 'here' } } },
      'notification.endpoint.uri',
    ],
    [
      'an endpoint of another scheme',
      { entities: [{ type: 'A' }], notification: { endpoint: { uri: 'ftp://a/' } } },
      'http, https, mqtt or mqtts',
    ],
    [
      'an unknown trigger',
      { entities: [{ type: 'A' }], notificationTrigger: ['never'], notification: endpoint },
      'notificationTrigger',
    ],
    [
      'a version that is none',
      { entities: [{ type: 'A' }], ngsildConformance: 'new', notification: endpoint },
      'ngsildConformance',
    ],
    ['broken q', { entities: [{ type: 'A' }], q: 'a==', notification: endpoint }, 'q'],
    ['throttling of 0', { entities: [{ type: 'A' }], throttling: 0, notification: endpoint }, 'throttling'],
    [
      'timeInterval with throttling',
      { entities: [{ type: 'A' }], throttling: 1, timeInterval: 1, notification: endpoint },
      'exclude each other',
    ],
    [
      'expiry in the past',
      { entities: [{ type: 'A' }], expiresAt: '2020-01-01T00:00:00Z', notification: endpoint },
      'in the past',
    ],
    [
      'showChanges with simplified',
      { entities: [{ type: 'A' }], notification: { ...endpoint, format: 'simplified', showChanges: true } },
      'showChanges',
    ],
    [
      'a header that cannot be sent',
      {
        entities: [{ type: 'A' }],
        notification: { endpoint: { uri: 'http://a/', receiverInfo: [{ key: 'a b', value: 'c' }] } },
      },
      'receiverInfo',
    ],
    [
      'the same member in pick and omit',
      { entities: [{ type: 'A' }], notification: { ...endpoint, pick: ['a'], omit: ['a'] } },
      'pick and in omit',
    ],
    ['csf that is no query', { entities: [{ type: 'A' }], csf: '==', notification: endpoint }, 'csf'],
  ])('%s is refused with what is wrong, and nothing is stored', async (_what, body, message) => {
    await using broker = await inMemoryBroker();
    const answer = await broker.request('POST', '/ngsi-ld/v1/subscriptions', { type: 'Subscription', ...body });
    expect(answer.statusCode).toBe(400);
    expect(answer.json().detail).toContain(message);
    expect((await broker.request('GET', '/ngsi-ld/v1/subscriptions')).json()).toEqual([]);
  });

  it('an update changes what it names and keeps the rest; null takes a member away', async () => {
    await using broker = await inMemoryBroker();
    await subscribe(broker, { description: 'd', q: 'temperature>25' }, { format: 'concise' });
    const path = '/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:1';
    await must(
      204,
      broker.request('PATCH', path, { type: 'Subscription', q: 'temperature>30', description: 'urn:ngsi-ld:null' }),
    );
    const after = (await broker.request('GET', path)).json();
    expect(after).toMatchObject({ q: 'temperature>30', entities: [{ type: 'Room' }], notification: { format: 'concise' } });
    expect(after).not.toHaveProperty('description');
    const refused = await broker.request('PATCH', path, { type: 'Subscription', throttling: -1 });
    expect(refused.statusCode).toBe(400);
    expect((await broker.request('GET', path)).json()).toEqual(after);
  });

  it('unknown ids are 404 for every method', async () => {
    await using broker = await inMemoryBroker();
    for (const method of ['GET', 'PATCH', 'DELETE'] as const) {
      const answer = await broker.request(
        method,
        '/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:none',
        method === 'PATCH' ? { type: 'Subscription' } : undefined,
      );
      expect(answer.statusCode).toBe(404);
    }
  });
});
