import { describe, expect, it } from 'vitest';
import { type Endpoint, endpoint, type Json, type ListeningBroker, listeningBroker, until } from '../support/federation.ts';

const CAR = 'urn:ngsi-ld:Car:1';
const property = (value: unknown, more: object = {}) => ({ type: 'Property', value, ...more });
const car = (attributes: object, id = CAR) => ({ id, type: 'Car', ...attributes });
const subscription = (url: string, more: object = {}) => ({
  id: 'urn:s:1',
  type: 'Subscription',
  entities: [{ type: 'Car' }],
  splitEntities: true,
  notification: { format: 'keyValues', endpoint: { uri: `${url}/notify` } },
  ...more,
});
const register = (near: ListeningBroker, id: string, url: string, more: object = {}) =>
  near.do('POST', 'csourceRegistrations', {
    id,
    type: 'ContextSourceRegistration',
    information: [{ entities: [{ type: 'Car' }] }],
    endpoint: url,
    ...more,
  });

/** Three brokers, of which the second and third are sources of the first, and a subscriber. */
async function all(config: object = {}) {
  const near = await listeningBroker('near', config);
  const left = await listeningBroker('left');
  const right = await listeningBroker('right');
  const subscriber = await endpoint();
  return {
    near,
    left,
    right,
    subscriber,
    async [Symbol.asyncDispose]() {
      for (const one of [near, left, right, subscriber]) await one[Symbol.asyncDispose]();
    },
  };
}

async function settled(near: ListeningBroker): Promise<void> {
  await near.broker.distributed.idle();
  await until('all copies are settled', () => near.broker.distributed.outstanding() === 0);
}
/** Waits until what happened so far is told: the whole is put together when it is sent, so that what comes next may be part of it. */
async function quiet({
  near,
  left,
  right,
}: {
  near: ListeningBroker;
  left: ListeningBroker;
  right: ListeningBroker;
}): Promise<void> {
  for (const { broker } of [left, right, near]) await broker.notifications.idle();
  await near.broker.distributed.idle();
}
const told = (subscriber: Endpoint): Json[] => subscriber.notifications().flatMap(({ data }) => data as Json[]);
const received = (subscriber: Endpoint, count: number) =>
  until(`${count} notifications have come`, () => subscriber.notifications().length >= count);

describe('Subscriptions to entities that are spread over several brokers (5.8.6, splitEntities)', () => {
  it('the whole is put together, whoever tells of a change, and conditions hold for the whole', async () => {
    await using brokers = await all();
    const { near, left, right, subscriber } = brokers;
    await register(near, 'urn:r:left', left.url);
    await register(near, 'urn:r:right', right.url);
    await near.do('POST', 'subscriptions', subscription(subscriber.url, { q: 'speed>20;brand=="Tesla"' }));
    await settled(near);
    const [copy] = await left.do('GET', 'subscriptions');
    expect(copy).toMatchObject({ splitEntities: true });
    expect(copy).not.toHaveProperty('q');
    await left.do('POST', 'entities', car({ speed: property(1) }));
    await quiet(brokers);
    await right.do('POST', 'entities', car({ brand: property('Tesla') }));
    await quiet(brokers);
    await near.do('POST', 'entities', car({ doors: property(4) }));
    await quiet(brokers);
    await left.do('PATCH', `entities/${CAR}/attrs`, { speed: property(42) });
    await quiet(brokers);
    await near.do('PATCH', `entities/${CAR}/attrs`, { doors: property(5) });
    await quiet(brokers);
    await right.do('PATCH', `entities/${CAR}/attrs`, { brand: property('Fiat') });
    await quiet(brokers);
    await left.do('PATCH', `entities/${CAR}/attrs`, { speed: property(43) });
    await quiet(brokers);
    await right.do('PATCH', `entities/${CAR}/attrs`, { brand: property('Tesla') });
    await quiet(brokers);
    expect(told(subscriber)).toEqual([
      { id: CAR, type: 'Car', speed: 42, brand: 'Tesla', doors: 4 },
      { id: CAR, type: 'Car', speed: 42, brand: 'Tesla', doors: 5 },
      { id: CAR, type: 'Car', speed: 43, brand: 'Tesla', doors: 5 },
    ]);
    expect(new Set(subscriber.notifications().map(({ id }) => id)).size).toBe(3);
    expect(subscriber.notifications().every(({ subscriptionId }) => subscriptionId === 'urn:s:1')).toBe(true);
  });

  it('what the source told of is newer than what others have of it, and a source that is down holds up nothing', async () => {
    await using brokers = await all({ sourceTimeoutMs: 300 });
    const { near, left, subscriber } = brokers;
    await using dead = await endpoint();
    dead.answer = ({ method }) => (method === 'POST' ? 201 : undefined);
    await register(near, 'urn:r:left', left.url);
    await register(near, 'urn:r:dead', dead.url);
    await near.do('POST', 'subscriptions', subscription(subscriber.url));
    await settled(near);
    await left.do('POST', 'entities', car({ speed: property(1) }));
    for (const speed of [2, 3, 4]) await left.do('PATCH', `entities/${CAR}/attrs`, { speed: property(speed) });
    await received(subscriber, 4);
    expect(told(subscriber).map(({ speed }) => speed)).toEqual([1, 2, 3, 4]);
    // Asked once, and then left alone for a while.
    expect(dead.requests.filter(({ method }) => method === 'GET')).toHaveLength(1);
  });

  it('throttling counts what is sent, not what was left out by a condition on the whole', async () => {
    await using brokers = await all();
    const { near, left, subscriber } = brokers;
    await register(near, 'urn:r:left', left.url);
    await near.do('POST', 'subscriptions', subscription(subscriber.url, { q: 'speed>20', throttling: 3600 }));
    await settled(near);
    expect((await left.do('GET', 'subscriptions'))[0]).not.toHaveProperty('throttling');
    await left.do('POST', 'entities', car({ speed: property(1) }));
    await near.do('POST', 'entities', car({ speed: property(2) }, 'urn:ngsi-ld:Car:2'));
    await quiet(brokers);
    await left.do('PATCH', `entities/${CAR}/attrs`, { speed: property(30) });
    await received(subscriber, 1);
    await left.do('PATCH', `entities/${CAR}/attrs`, { speed: property(31) });
    await near.do('PATCH', 'entities/urn:ngsi-ld:Car:2/attrs', { speed: property(32) });
    await quiet(brokers);
    await near.do('PATCH', 'subscriptions/urn:s:1', { throttling: 'urn:ngsi-ld:null' });
    await settled(near);
    await left.do('PATCH', `entities/${CAR}/attrs`, { speed: property(33) });
    await received(subscriber, 2);
    expect(told(subscriber).map(({ speed }) => speed)).toEqual([30, 33]);
  });

  it('by default they are taken to be whole, unless the broker is told otherwise', async () => {
    await using brokers = await all({ splitEntities: true });
    const { near, left, subscriber } = brokers;
    await register(near, 'urn:r:left', left.url);
    const { splitEntities: _, ...unsaid } = subscription(subscriber.url, { q: 'speed>20' });
    await near.do('POST', 'subscriptions', unsaid);
    await near.do('POST', 'subscriptions', { ...unsaid, id: 'urn:s:whole', splitEntities: false });
    await settled(near);
    const copies: Json[] = await left.do('GET', 'subscriptions');
    expect(copies.map(({ q }) => q).sort()).toEqual(['speed>20', undefined]);
  });
});

describe('Subscriptions with a timeInterval over several brokers (5.8.6)', () => {
  it('one notification has all that match, here and at sources; a source without queries is subscribed to', async () => {
    await using brokers = await all();
    const { near, left, right, subscriber } = brokers;
    await register(near, 'urn:r:left', left.url);
    await register(near, 'urn:r:right', right.url, { operations: ['createSubscription', 'deleteSubscription'] });
    await near.do('POST', 'entities', car({ speed: property(1) }, 'urn:c:near'));
    await left.do('POST', 'entities', car({ speed: property(2) }, 'urn:c:left'));
    await left.do('POST', 'entities', car({ speed: property(0) }, 'urn:c:slow'));
    await right.do('POST', 'entities', car({ speed: property(3) }, 'urn:c:right'));
    const { splitEntities: _, ...whole } = subscription(subscriber.url, { q: 'speed>0', timeInterval: 0.2 });
    await near.do('POST', 'subscriptions', whole);
    await near.do('POST', 'subscriptions', { ...whole, id: 'urn:s:here', localOnly: true });
    await settled(near);
    expect(await left.do('GET', 'subscriptions')).toEqual([]);
    expect(await right.do('GET', 'subscriptions')).toMatchObject([{ timeInterval: 0.2 }]);
    const ids = (id: string) =>
      subscriber
        .notifications()
        .filter(({ subscriptionId }) => subscriptionId === id)
        .map(({ data }) => (data as Json[]).map((entity) => entity.id).sort());
    await until('the union has come', () => ids('urn:s:1').some((some) => some.length === 2));
    await until('the other source has told', () => ids('urn:s:1').some((some) => some.includes('urn:c:right')));
    await until('what is here has come', () => ids('urn:s:here').length > 0);
    expect(ids('urn:s:1').find((some) => some.length === 2)).toEqual(['urn:c:left', 'urn:c:near']);
    expect(new Set(ids('urn:s:here').flat())).toEqual(new Set(['urn:c:near']));
  });
});
