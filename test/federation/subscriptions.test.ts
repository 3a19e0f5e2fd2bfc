import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../broker/domain/json.ts';
import { type Endpoint, endpoint, type Json, type ListeningBroker, listeningBroker, until } from '../support/federation.ts';

const CAR = 'urn:ngsi-ld:Car:1';
const property = (value: unknown, more: object = {}) => ({ type: 'Property', value, ...more });
const car = (attributes: object, id = CAR) => ({ id, type: 'Car', ...attributes });
const registration = (url: string, more: object = {}) => ({
  id: 'urn:r:far',
  type: 'ContextSourceRegistration',
  information: [{ entities: [{ type: 'Car' }] }],
  endpoint: url,
  ...more,
});
const subscription = (url: string, more: Record<string, unknown> = {}) => {
  const { notification, ...rest } = more as { notification?: object };
  return {
    id: 'urn:s:1',
    type: 'Subscription',
    entities: [{ type: 'Car' }],
    notification: { endpoint: { uri: `${url}/notify` }, ...notification },
    ...rest,
  };
};

/** Two brokers, the second a source of the first, and a subscriber. */
async function trio(more: object = {}) {
  const far = await listeningBroker('far');
  const near = await listeningBroker('near');
  const subscriber = await endpoint();
  await near.do('POST', 'csourceRegistrations', registration(far.url, more));
  return {
    near,
    far,
    subscriber,
    async [Symbol.asyncDispose]() {
      await near[Symbol.asyncDispose]();
      await far[Symbol.asyncDispose]();
      await subscriber[Symbol.asyncDispose]();
    },
  };
}

/** Waits until the source has what is wanted of it. */
async function settled(near: ListeningBroker): Promise<void> {
  await near.broker.distributed.idle();
  await until('all copies are settled', () => near.broker.distributed.outstanding() === 0);
}

const copiesAt = async (far: ListeningBroker, headers?: Record<string, string>): Promise<JsonObject[]> =>
  far.do('GET', 'subscriptions?limit=100', undefined, headers);
const valuesOf = (subscriber: Endpoint, name: string): unknown[] =>
  subscriber.notifications().flatMap(({ data }) => (data as Json[]).map((entity) => entity[name]?.value));
const received = (subscriber: Endpoint, count: number) =>
  until(`${count} notifications have come`, () => subscriber.notifications().length >= count);

describe('Distributed subscriptions (5.8.1.4)', () => {
  it('a change at a source reaches the subscriber here, as the subscription wants it written', async () => {
    await using all = await trio();
    const { near, far, subscriber } = all;
    await near.do(
      'POST',
      'subscriptions',
      subscription(subscriber.url, {
        q: 'speed>10',
        notification: {
          format: 'concise',
          attributes: ['speed'],
          endpoint: { uri: `${subscriber.url}/notify`, receiverInfo: [{ key: 'X-Key', value: 'secret' }] },
        },
      }),
    );
    await settled(near);
    const [copy] = await copiesAt(far);
    expect(copy).toMatchObject({
      entities: [{ type: 'Car' }],
      q: 'speed>10',
      notification: {
        format: 'normalized',
        endpoint: { uri: `${near.url}/ngsi-ld/ex/remote-notify`, accept: 'application/json' },
      },
    });
    // Neither the subscriber nor what it alone is told is known to the source.
    expect(JSON.stringify(copy)).not.toMatch(/secret|urn:s:1|attributes/);
    await far.do('POST', 'entities', car({ speed: property(5), colour: property('red') }));
    await far.do('PATCH', `entities/${CAR}/attrs`, { speed: property(50, { unitCode: 'KMH' }) });
    await received(subscriber, 1);
    expect(subscriber.notifications()).toMatchObject([{ subscriptionId: 'urn:s:1' }]);
    expect(subscriber.notifications()[0]?.['data']).toEqual([{ id: CAR, type: 'Car', speed: { value: 50, unitCode: 'KMH' } }]);
    expect(subscriber.requests[0]?.headers['x-key']).toBe('secret');
    // It counts as any other notification.
    await near.broker.distributed.idle();
    expect((await near.do('GET', 'subscriptions/urn:s:1')).notification).toMatchObject({ timesSent: 1, status: 'ok' });
    expect((await near.request('GET', '/metrics')).body).toContain('mizar_notifications_delivered_total 1\n');
  });

  it('is reduced to what is registered; what concerns nothing there makes no copy', async () => {
    await using all = await trio({ information: [{ entities: [{ type: 'Car' }], propertyNames: ['speed'] }] });
    const { near, far, subscriber } = all;
    await near.do('POST', 'subscriptions', subscription(subscriber.url, { entities: [{ type: 'Car,Bus' }] }));
    await near.do('POST', 'subscriptions', subscription(subscriber.url, { id: 'urn:s:bus', entities: [{ type: 'Bus' }] }));
    await near.do('POST', 'subscriptions', subscription(subscriber.url, { id: 'urn:s:colour', watchedAttributes: ['colour'] }));
    await near.do('POST', 'subscriptions', subscription(subscriber.url, { id: 'urn:s:here', localOnly: true }));
    await settled(near);
    const copies = await copiesAt(far);
    expect(copies).toHaveLength(1);
    expect(copies[0]).toMatchObject({
      entities: [{ type: 'Car' }],
      watchedAttributes: ['speed'],
      notification: { attributes: ['speed'] },
    });
    await far.do('POST', 'entities', car({ speed: property(1), colour: property('red') }));
    await far.do('PATCH', `entities/${CAR}/attrs`, { colour: property('blue') });
    await far.do('PATCH', `entities/${CAR}/attrs`, { speed: property(2) });
    await received(subscriber, 2);
    expect(valuesOf(subscriber, 'speed')).toEqual([1, 2]);
    expect(JSON.stringify(subscriber.notifications())).not.toContain('colour');
  });

  it('changes with its subscription: a new q, a pause, a resumption, the end (5.8.2.4, 5.8.5.4)', async () => {
    await using all = await trio();
    const { near, far, subscriber } = all;
    await near.do('POST', 'subscriptions', subscription(subscriber.url, { q: 'speed>10' }));
    await near.do('POST', 'subscriptions', subscription(subscriber.url, { id: 'urn:s:2', q: 'speed>900' }));
    await settled(near);
    const [before] = (await copiesAt(far)).filter(({ q }) => q === 'speed>10');
    await far.do('POST', 'entities', car({ speed: property(11) }));
    await received(subscriber, 1);

    await near.do('PATCH', 'subscriptions/urn:s:1', { q: 'speed>100' });
    await settled(near);
    expect((await copiesAt(far)).find(({ id }) => id === before?.['id'])).toMatchObject({ q: 'speed>100' });
    await far.do('PATCH', `entities/${CAR}/attrs`, { speed: property(60) });
    await far.do('PATCH', `entities/${CAR}/attrs`, { speed: property(150) });
    await received(subscriber, 2);

    await near.do('PATCH', 'subscriptions/urn:s:1', { isActive: false });
    await settled(near);
    expect((await copiesAt(far)).find(({ id }) => id === before?.['id'])).toMatchObject({ status: 'paused' });
    await far.do('PATCH', `entities/${CAR}/attrs`, { speed: property(160) });
    await near.do('PATCH', 'subscriptions/urn:s:1', { isActive: true, q: 'urn:ngsi-ld:null' });
    await settled(near);
    expect((await copiesAt(far)).find(({ id }) => id === before?.['id'])).not.toHaveProperty('q');
    await far.do('PATCH', `entities/${CAR}/attrs`, { speed: property(7) });
    await received(subscriber, 3);

    await near.do('DELETE', 'subscriptions/urn:s:1');
    await settled(near);
    expect((await copiesAt(far)).map(({ q }) => q)).toEqual(['speed>900']);
    await far.do('PATCH', `entities/${CAR}/attrs`, { speed: property(1000) });
    await received(subscriber, 4);
    expect(subscriber.notifications().map(({ subscriptionId }) => subscriptionId)).toEqual([
      'urn:s:1',
      'urn:s:1',
      'urn:s:1',
      'urn:s:2',
    ]);
    expect(valuesOf(subscriber, 'speed')).toEqual([11, 150, 7, 1000]);
  });

  it('registrations that come, change and go wire and dismantle it', async () => {
    await using all = await trio({ information: [{ entities: [{ type: 'Bus' }] }] });
    const { near, far, subscriber } = all;
    await near.do('POST', 'subscriptions', subscription(subscriber.url));
    await settled(near);
    expect(await copiesAt(far)).toEqual([]);
    await near.do('PATCH', 'csourceRegistrations/urn:r:far', { information: [{ entities: [{ type: 'Car' }] }] });
    await settled(near);
    expect(await copiesAt(far)).toHaveLength(1);
    await near.do('PATCH', 'csourceRegistrations/urn:r:far', { information: [{ entities: [{ type: 'Car', id: CAR }] }] });
    await settled(near);
    expect(await copiesAt(far)).toMatchObject([{ entities: [{ type: 'Car', id: CAR }] }]);
    await far.do('POST', 'entities', car({ speed: property(1) }));
    await far.do('POST', 'entities', car({ speed: property(2) }, 'urn:ngsi-ld:Car:2'));
    await received(subscriber, 1);
    // A source that does not offer to be subscribed to is not subscribed to.
    await near.do('PATCH', 'csourceRegistrations/urn:r:far', { operations: ['retrieveOps', 'deleteSubscription'] });
    await settled(near);
    expect(await copiesAt(far)).toEqual([]);
    await near.do('PATCH', 'csourceRegistrations/urn:r:far', { operations: ['federationOps'] });
    await settled(near);
    expect(await copiesAt(far)).toHaveLength(1);
    await near.do('DELETE', 'csourceRegistrations/urn:r:far');
    await settled(near);
    expect(await copiesAt(far)).toEqual([]);
    await far.do('PATCH', `entities/${CAR}/attrs`, { speed: property(666) });
    await near.do('POST', 'entities', car({ speed: property(3) }, 'urn:ngsi-ld:Car:3'));
    await received(subscriber, 2);
    expect(valuesOf(subscriber, 'speed')).toEqual([1, 3]);
  });

  it('a deletion at a source tells deletedAt only; changes with showChanges tell what was before (5.8.6)', async () => {
    await using all = await trio();
    const { near, far, subscriber } = all;
    const triggers = { notificationTrigger: ['entityCreated', 'entityUpdated', 'entityDeleted'] };
    await near.do('POST', 'subscriptions', subscription(subscriber.url, triggers));
    await near.do(
      'POST',
      'subscriptions',
      subscription(subscriber.url, { ...triggers, id: 'urn:s:2', notification: { showChanges: true } }),
    );
    await settled(near);
    await far.do('POST', 'entities', car({ speed: property(31), owner: { type: 'Relationship', object: 'urn:p:1' } }));
    await far.do('PATCH', `entities/${CAR}/attrs`, { owner: { type: 'Relationship', object: 'urn:p:2' } });
    await far.do('DELETE', `entities/${CAR}/attrs/speed`);
    await far.do('DELETE', `entities/${CAR}`);
    await received(subscriber, 8);
    const of = (id: string) =>
      subscriber.notifications().flatMap(({ subscriptionId, data }) => (subscriptionId === id ? (data as Json[]) : []));
    const [, changed, without, gone] = of('urn:s:1');
    expect(changed.owner).toEqual({ type: 'Relationship', object: 'urn:p:2' });
    expect(without.speed).toMatchObject({ type: 'Property', value: 'urn:ngsi-ld:null' });
    expect(
      Object.keys(gone)
        .filter((name) => name !== 'owner')
        .sort(),
    ).toEqual(['deletedAt', 'id', 'type']);
    const [, changedBefore, withoutBefore] = of('urn:s:2');
    expect(changedBefore.owner).toMatchObject({ object: 'urn:p:2', previousObject: 'urn:p:1' });
    expect(withoutBefore.speed).toMatchObject({ value: 'urn:ngsi-ld:null', previousValue: 31 });
  });

  it('tenants are kept apart on both sides: that of the registration there, that of the subscription here (4.14)', async () => {
    await using all = await trio();
    const { near, far, subscriber } = all;
    const ours = { 'ngsild-tenant': 'ours' };
    const theirs = { 'ngsild-tenant': 'theirs' };
    await near.do('POST', 'csourceRegistrations', registration(far.url, { id: 'urn:r:t', tenant: 'theirs' }), ours);
    await near.do('POST', 'subscriptions', subscription(subscriber.url), ours);
    await settled(near);
    expect(await copiesAt(far)).toEqual([]);
    expect(await copiesAt(far, theirs)).toHaveLength(1);
    await far.do('POST', 'entities', car({ speed: property(1) }));
    await far.do('POST', 'entities', car({ speed: property(2) }), theirs);
    await received(subscriber, 1);
    expect(valuesOf(subscriber, 'speed')).toEqual([2]);
    expect(subscriber.requests[0]?.headers['ngsild-tenant']).toBe('ours');
  });

  it('what nobody here is waiting for is not delivered, and told to be unknown', async () => {
    await using all = await trio();
    const { near, far, subscriber } = all;
    await near.do('POST', 'subscriptions', subscription(subscriber.url));
    await settled(near);
    const [copy] = await copiesAt(far);
    const forged = (subscriptionId: unknown) => ({
      id: 'urn:n:1',
      type: 'Notification',
      subscriptionId,
      notifiedAt: '2026-01-01T00:00:00Z',
      data: [car({ speed: property(31337) })],
    });
    const inbound = '/ngsi-ld/ex/remote-notify';
    for (const unknown of ['urn:s:1', 'urn:ngsi-ld:Subscription:distsub:unknown', 7, undefined])
      expect((await near.request('POST', inbound, forged(unknown))).statusCode).toBe(404);
    expect((await near.request('POST', inbound, { type: 'Subscription' })).statusCode).toBe(400);
    expect((await near.request('POST', inbound, { ...forged(copy?.['id']), data: ['x'] })).statusCode).toBe(400);
    // Of another type than is subscribed to: taken in, and not for the subscriber.
    const bus = { ...forged(copy?.['id']), data: [{ id: 'urn:b:1', type: 'Bus', speed: property(1) }] };
    expect((await near.request('POST', inbound, bus)).statusCode).toBe(200);
    await near.do('POST', 'entities', car({ speed: property(1) }));
    await received(subscriber, 1);
    expect(valuesOf(subscriber, 'speed')).toEqual([1]);
  });

  it('brokers that are registered with each other do not notify each other round and round (6.3.18)', async () => {
    await using all = await trio();
    const { near, far, subscriber } = all;
    await far.do('POST', 'csourceRegistrations', registration(near.url, { id: 'urn:r:back' }));
    await near.do('POST', 'subscriptions', subscription(subscriber.url));
    await near.broker.distributed.idle();
    await until('the copy is there', async () => (await copiesAt(far)).length === 1);
    await far.broker.distributed.idle();
    // The source would subscribe here in its turn, and is refused.
    await until('the loop is told', async () =>
      JSON.stringify(await far.do('GET', '/admin/subscription-copies')).includes('508'),
    );
    expect(await copiesAt(near)).toMatchObject([{ id: 'urn:s:1' }]);
    await far.do('POST', 'entities', car({ speed: property(1) }));
    await near.do('POST', 'entities', car({ speed: property(2) }, 'urn:ngsi-ld:Car:2'));
    await received(subscriber, 2);
    // With the alias it is not even asked.
    await far.do('PATCH', 'csourceRegistrations/urn:r:back', { contextSourceAlias: 'near' });
    await until('nothing is wanted any more', async () => (await far.do('GET', '/admin/subscription-copies')).length === 0);
    expect(valuesOf(subscriber, 'speed').sort()).toEqual([1, 2]);
  });

  it('goes on from a source to its sources, once each, and stops where a registration says so (4.3.6.4, 5.2.34)', async () => {
    await using all = await trio();
    await using farthest = await listeningBroker('farthest');
    const { near, far, subscriber } = all;
    await far.do('POST', 'csourceRegistrations', registration(farthest.url, { id: 'urn:r:farthest' }));
    await farthest.do(
      'POST',
      'csourceRegistrations',
      registration(near.url, { id: 'urn:r:round', contextSourceAlias: 'near' }),
    );
    await near.do('POST', 'subscriptions', subscription(subscriber.url));
    await until('the last one has a copy', async () => (await copiesAt(farthest)).length === 1);
    await settled(far);
    await settled(farthest);
    // What came from there does not go back there, also when registered later.
    expect(await copiesAt(near)).toHaveLength(1);
    await farthest.do('POST', 'entities', car({ speed: property(7) }));
    await received(subscriber, 1);
    expect(subscriber.notifications()).toMatchObject([{ subscriptionId: 'urn:s:1', data: [{ id: CAR, speed: { value: 7 } }] }]);
    await near.do('PATCH', 'csourceRegistrations/urn:r:far', { management: { localOnly: true } });
    await until('the chain is cut', async () => (await copiesAt(farthest)).length === 0);
    expect(await copiesAt(far)).toMatchObject([{ localOnly: true }]);
    await farthest.do('PATCH', `entities/${CAR}/attrs`, { speed: property(8) });
    await far.do('POST', 'entities', car({ speed: property(9) }, 'urn:ngsi-ld:Car:9'));
    await received(subscriber, 2);
    expect(valuesOf(subscriber, 'speed')).toEqual([7, 9]);
    await near.do('DELETE', 'subscriptions/urn:s:1');
    await until('all is gone', async () => (await copiesAt(far)).length === 0);
  });

  it('a context source filter chooses the sources (csf); an auxiliary one has none of it', async () => {
    await using all = await trio({ registrationName: 'far away', owner: 'city' });
    const { near, far, subscriber } = all;
    const auxiliary = registration(far.url, { id: 'urn:r:aux', mode: 'auxiliary', tenant: 'aux' });
    await near.do('POST', 'csourceRegistrations', auxiliary);
    await near.do('POST', 'subscriptions', subscription(subscriber.url, { csf: 'owner=="state"' }));
    await near.do(
      'POST',
      'subscriptions',
      subscription(subscriber.url, { id: 'urn:s:2', csf: 'owner=="city"', isActive: false }),
    );
    await settled(near);
    expect(await copiesAt(far)).toMatchObject([{ status: 'paused' }]);
    expect(await copiesAt(far, { 'ngsild-tenant': 'aux' })).toEqual([]);
  });

  it('comes with a subscription to registrations that is shown, and cannot be changed by itself', async () => {
    await using all = await trio();
    const { near, subscriber } = all;
    await near.do('POST', 'subscriptions', subscription(subscriber.url, { q: 'speed>1' }));
    await near.do('POST', 'subscriptions', subscription(subscriber.url, { id: 'urn:s:here', localOnly: true }));
    const [shown, ...others] = await near.do('GET', 'csourceSubscriptions');
    expect(others).toEqual([]);
    expect(shown).toMatchObject({ type: 'Subscription', entities: [{ type: 'Car' }], q: 'speed>1', status: 'active' });
    expect(JSON.stringify(shown)).not.toContain(subscriber.url);
    expect(await near.do('GET', `csourceSubscriptions/${shown.id}`)).toEqual(shown);
    expect((await near.request('DELETE', `/ngsi-ld/v1/csourceSubscriptions/${shown.id}`)).statusCode).toBe(422);
    expect((await near.request('PATCH', `/ngsi-ld/v1/csourceSubscriptions/${shown.id}`, { q: 'a' })).statusCode).toBe(422);
    await near.do('DELETE', 'subscriptions/urn:s:1');
    expect(await near.do('GET', 'csourceSubscriptions')).toEqual([]);
  });
});
