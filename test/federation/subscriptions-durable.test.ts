import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type BrokerProcess, freePorts, startBrokerProcess } from '../support/broker-process.ts';
import { endpoint, type Json, listeningBroker, until } from '../support/federation.ts';

const CAR = 'urn:ngsi-ld:Car:1';
const property = (value: unknown) => ({ type: 'Property', value });
const car = (speed: number, id = CAR) => ({ id, type: 'Car', speed: property(speed) });
const registration = (url: string, more: object = {}) => ({
  id: 'urn:r:far',
  type: 'ContextSourceRegistration',
  information: [{ entities: [{ type: 'Car' }] }],
  endpoint: url,
  ...more,
});
const subscription = (url: string, more: object = {}) => ({
  id: 'urn:s:1',
  type: 'Subscription',
  entities: [{ type: 'Car' }],
  notification: { endpoint: { uri: `${url}/notify` } },
  ...more,
});

/** A broker in a process of its own, whose data outlives it. */
async function restartable() {
  const dataDir = await mkdtemp(join(tmpdir(), 'mizar-copies-'));
  const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
  const environment = { MIZAR_MQTT: 'false', MIZAR_BROKER_ID: 'near' };
  let running: BrokerProcess | undefined;
  return {
    url: `http://127.0.0.1:${httpPort}`,
    async start() {
      running = await startBrokerProcess({ dataDir, httpPort, mqttPort, environment });
    },
    kill: async () => running?.kill(),
    async do(method: string, path: string, body?: unknown): Promise<Json> {
      const prefix = path.startsWith('admin/') ? '' : 'ngsi-ld/v1/';
      const headers = { 'content-type': 'application/json' };
      const init = body === undefined ? { method } : { method, headers, body: JSON.stringify(body) };
      const answer = await fetch(`http://127.0.0.1:${httpPort}/${prefix}${path}`, init);
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${text}`);
      return text === '' ? undefined : JSON.parse(text);
    },
    async [Symbol.asyncDispose]() {
      await running?.kill();
      await rm(dataDir, { recursive: true });
    },
  };
}

describe('Distributed subscriptions over crashes and outages', () => {
  it('what a source was told to be received is delivered, although the subscriber is down and the broker is killed', async () => {
    await using near = await restartable();
    await using far = await listeningBroker('far');
    const [port] = (await freePorts(1)) as [number];
    await near.start();
    await near.do('POST', 'csourceRegistrations', registration(far.url));
    await near.do('POST', 'subscriptions', subscription(`http://127.0.0.1:${port}`));
    await until('the copy is there', async () => (await far.do('GET', 'subscriptions')).length === 1);
    await far.do('POST', 'entities', car(1));
    await far.do('PATCH', `entities/${CAR}/attrs`, { speed: property(2) });
    // The source has nothing left to tell: both are this broker's to deliver now.
    await until('the source is done', async () => (await far.do('GET', 'subscriptions'))[0].notification.timesSent === 2);
    await far.broker.notifications.idle();
    await near.kill();
    // Its data is all it has: copies and what waits for delivery.
    await near.start();
    await using subscriber = await endpoint(port);
    await until('both have come', () => subscriber.notifications().length >= 2);
    const values = subscriber.notifications().map(({ data }) => (data as Json[])[0].speed.value);
    expect(values).toEqual([1, 2]);
    await far.do('PATCH', `entities/${CAR}/attrs`, { speed: property(3) });
    await until('the third has come', () => subscriber.notifications().length >= 3);
    expect(await far.do('GET', 'subscriptions')).toHaveLength(1);
    expect(new Set(subscriber.notifications().map(({ id }) => id)).size).toBe(3);
  });

  it('a notification that a source sends again can be recognised', async () => {
    await using near = await listeningBroker('near');
    await using far = await listeningBroker('far');
    await using subscriber = await endpoint();
    await near.do('POST', 'csourceRegistrations', registration(far.url));
    await near.do('POST', 'subscriptions', subscription(subscriber.url));
    await until('the copy is there', async () => (await far.do('GET', 'subscriptions')).length === 1);
    const [copy] = await far.do('GET', 'subscriptions');
    const notification = (id: string) => ({ id, type: 'Notification', subscriptionId: copy.id, data: [car(1)] });
    for (const id of ['urn:n:1', 'urn:n:1', 'urn:n:2'])
      expect((await near.request('POST', '/ngsi-ld/ex/remote-notify', notification(id))).statusCode).toBe(200);
    await until('all have come', () => subscriber.notifications().length >= 3);
    const [first, again, other] = subscriber.notifications().map(({ id }) => id);
    expect(again).toBe(first);
    expect(other).not.toBe(first);
  });

  it('what a subscriber cannot take stays with the source beyond a limit, which /health shows', async () => {
    await using near = await listeningBroker('near', { waitingNotifications: 2 });
    await using source = await endpoint();
    await using subscriber = await endpoint();
    source.answer = () => 201;
    subscriber.answer = () => 500;
    await near.do('POST', 'csourceRegistrations', registration(source.url));
    await near.do('POST', 'subscriptions', subscription(subscriber.url));
    await until('the copy is asked for', () => source.requests.length === 1);
    const notify = (id: string) =>
      near.request('POST', '/ngsi-ld/ex/remote-notify', {
        id,
        type: 'Notification',
        subscriptionId: source.requests[0]?.body.id,
        data: [car(1)],
      });
    expect((await near.request('GET', '/health')).json().limits.waitingNotifications).toBe(2);
    for (const id of ['urn:n:1', 'urn:n:2']) expect((await notify(id)).statusCode).toBe(200);
    const refused = await notify('urn:n:3');
    expect(refused.statusCode).toBe(503);
    expect(refused.headers['retry-after']).toBe('1');
    subscriber.answer = () => 200;
    const accepted = () => new Set(subscriber.notifications().map(({ id }) => id)).size;
    await until('both are delivered', async () => accepted() === 2 && (await notify('urn:n:3')).statusCode === 200);
    await until('the third is, too', () => accepted() === 3);
  });

  it('a source that is down delays no client; what is wanted of it is kept over a restart, shown, and done when it is back', async () => {
    await using near = await restartable();
    const [port] = (await freePorts(1)) as [number];
    await using subscriber = await endpoint();
    await near.start();
    const url = `http://127.0.0.1:${port}`;
    await near.do('POST', 'csourceRegistrations', registration(url));
    await near.do('POST', 'subscriptions', subscription(subscriber.url));
    await near.do('POST', 'subscriptions', subscription(subscriber.url, { id: 'urn:s:2' }));
    const copies = async (): Promise<Json[]> => near.do('GET', 'admin/subscription-copies');
    await until('the failure is shown', async () => (await copies()).some(({ reason }) => /ECONNREFUSED/.test(reason ?? '')));
    expect(await copies()).toMatchObject([
      { registration: 'urn:r:far', endpoint: url, state: 'outstanding' },
      { registration: 'urn:r:far', endpoint: url, state: 'outstanding' },
    ]);
    await until(
      'the registration shows it',
      async () => (await near.do('GET', 'csourceRegistrations/urn:r:far')).status === 'failed',
    );
    await near.do('DELETE', 'subscriptions/urn:s:2');
    await near.do('DELETE', 'csourceRegistrations/urn:r:far');
    await near.do('POST', 'csourceRegistrations', registration(url, { id: 'urn:r:again' }));
    await near.kill();
    await near.start();
    const states = async () =>
      (await copies())
        .map(({ state }) => state)
        .sort()
        .join();
    await until('all is known again', async () => (await states()) === 'ending,ending,outstanding');

    await using source = await endpoint(port);
    source.answer = ({ method }) => (method === 'POST' ? 201 : 404);
    await until('nothing is left to do', async () => (await copies()).every(({ state }) => state === 'there'), 20_000);
    expect(await copies()).toMatchObject([{ subscription: 'urn:s:1', registration: 'urn:r:again', attempts: 0 }]);
    expect(source.requests.map(({ method }) => method).sort()).toEqual(['DELETE', 'DELETE', 'POST']);
    expect(source.requests.every(({ headers }) => headers.via === '1.1 near')).toBe(true);
  });
});

describe('What sources make of copies', () => {
  async function pair(more: object = {}) {
    const near = await listeningBroker('near');
    const source = await endpoint();
    const subscriber = await endpoint();
    await near.do('POST', 'csourceRegistrations', registration(source.url, more));
    return {
      near,
      source,
      subscriber,
      copies: async (): Promise<Json[]> => near.do('GET', '/admin/subscription-copies'),
      asked: () => source.requests.map(({ method, path }) => `${method} ${path.replace(/distsub:.*/, '…')}`),
      async [Symbol.asyncDispose]() {
        for (const one of [near, source, subscriber]) await one[Symbol.asyncDispose]();
      },
    };
  }
  const SUBSCRIPTIONS = '/ngsi-ld/v1/subscriptions';

  it('one that has the copy already, because its answer was lost, is told all of it again', async () => {
    await using all = await pair();
    const { near, source, subscriber, copies, asked } = all;
    source.answer = ({ method }) => (method === 'POST' ? 409 : 204);
    await near.do('POST', 'subscriptions', subscription(subscriber.url, { q: 'speed>1' }));
    await until('it is settled', async () => (await copies())[0]?.state === 'there');
    expect(asked()).toEqual([`POST ${SUBSCRIPTIONS}`, `PATCH ${SUBSCRIPTIONS}/urn:ngsi-ld:Subscription:…`]);
    expect(source.requests[1]?.body).toMatchObject({ q: 'speed>1', geoQ: 'urn:ngsi-ld:null', entities: [{ type: 'Car' }] });
  });

  it('one that may have carried out a change, or not, is told everything, also if it is to be as it was', async () => {
    await using near = await listeningBroker('near', { sourceTimeoutMs: 150 });
    await using source = await endpoint();
    await near.do('POST', 'csourceRegistrations', registration(source.url));
    const changes = () => source.requests.filter(({ method }) => method === 'PATCH');
    source.answer = ({ method }) => (method === 'POST' ? 201 : changes().length === 1 ? undefined : 204);
    await near.do('POST', 'subscriptions', subscription('http://127.0.0.1:9', { q: 'speed>1' }));
    const state = async () => (await near.do('GET', '/admin/subscription-copies'))[0].state;
    await until('it is there', async () => (await state()) === 'there');
    await near.do('PATCH', 'subscriptions/urn:s:1', { q: 'speed>2' });
    await until('the source has it', () => changes().length === 1);
    await near.do('PATCH', 'subscriptions/urn:s:1', { q: 'speed>1' });
    await until('the source is told again', () => changes().length === 2);
    expect(changes().map(({ body }) => body.q)).toEqual(['speed>2', 'speed>1']);
    expect(changes()[1]?.body).toMatchObject({ entities: [{ type: 'Car' }] });
    await until('it is settled', async () => (await state()) === 'there');
  });

  it('one that has lost the copy gets it anew with the next change', async () => {
    await using all = await pair();
    const { near, source, subscriber, copies, asked } = all;
    source.answer = ({ method }) => (method === 'POST' ? 201 : 404);
    await near.do('POST', 'subscriptions', subscription(subscriber.url));
    await until('it is there', async () => (await copies())[0]?.state === 'there');
    await near.do('PATCH', 'subscriptions/urn:s:1', { q: 'speed>2' });
    await until('it is there again', () => asked().length === 3);
    expect(asked()).toEqual([
      `POST ${SUBSCRIPTIONS}`,
      `PATCH ${SUBSCRIPTIONS}/urn:ngsi-ld:Subscription:…`,
      `POST ${SUBSCRIPTIONS}`,
    ]);
    expect(source.requests[1]?.body).toEqual({ type: 'Subscription', q: 'speed>2' });
    expect(source.requests[2]?.body).toMatchObject({ q: 'speed>2', entities: [{ type: 'Car' }] });
  });

  it('one that has lost the copy without telling gets it anew when it is looked for', async () => {
    await using near = await listeningBroker('near', { copyCheckS: 1 });
    await using far = await listeningBroker('far');
    await using subscriber = await endpoint();
    await near.do('POST', 'csourceRegistrations', registration(far.url));
    await near.do('POST', 'subscriptions', subscription(subscriber.url));
    const copies = async (): Promise<Json[]> => far.do('GET', 'subscriptions');
    await until('the copy is there', async () => (await copies()).length === 1);
    await near.broker.distributed.idle();
    await until('it is known to be', () => near.broker.distributed.outstanding() === 0);
    await far.do('DELETE', `subscriptions/${(await copies())[0].id}`);
    await until('it is there again', async () => (await copies()).length === 1);
    await far.do('POST', 'entities', car(1));
    await until('it is heard of', () => subscriber.notifications().length === 1);
  });

  it('one that cannot change subscriptions gets a new copy in place of the old one', async () => {
    await using all = await pair({ operations: ['createSubscription', 'deleteSubscription'] });
    const { near, source, subscriber, copies, asked } = all;
    source.answer = ({ method }) => (method === 'POST' ? 201 : 204);
    await near.do('POST', 'subscriptions', subscription(subscriber.url));
    await until('it is there', async () => (await copies())[0]?.state === 'there');
    const [before] = await copies();
    await near.do('PATCH', 'subscriptions/urn:s:1', { q: 'speed>2' });
    await until('it is replaced', async () => (await copies()).every(({ id, state }) => id !== before.id && state === 'there'));
    expect(asked().sort()).toEqual([
      `DELETE ${SUBSCRIPTIONS}/urn:ngsi-ld:Subscription:…`,
      `POST ${SUBSCRIPTIONS}`,
      `POST ${SUBSCRIPTIONS}`,
    ]);
    await until('it can be removed', async () => (await copies()).length === 1);
  });

  it('one that refuses the copy is not asked round and round, and the reason is shown', async () => {
    await using all = await pair();
    const { near, source, subscriber, copies, asked } = all;
    source.answer = () => 403;
    await near.do('POST', 'subscriptions', subscription(subscriber.url));
    await until('the reason is shown', async () => (await copies())[0]?.reason === 'answered 403');
    expect(asked()).toEqual([`POST ${SUBSCRIPTIONS}`]);
    source.answer = () => 201;
    await near.do('PATCH', 'csourceRegistrations/urn:r:far', { description: 'now it may' });
    await until('it is there', async () => (await copies())[0]?.state === 'there');
    expect((await copies())[0]).not.toHaveProperty('reason');
  });

  it('contextSourceInfo goes along, values of the request among them, and is not asked for again (4.3.6.5)', async () => {
    const info = [
      { key: 'X-Fixed', value: 'a' },
      { key: 'X-User', value: 'urn:ngsi-ld:request' },
    ];
    await using all = await pair({ contextSourceInfo: info, management: { localOnly: true } });
    const { near, source, subscriber, copies } = all;
    source.answer = ({ method }) => (method === 'POST' ? 201 : 204);
    await near.do('POST', 'subscriptions', subscription(subscriber.url), { 'x-user': 'abcd', 'x-other': 'not told' });
    await until('it is there', async () => (await copies())[0]?.state === 'there');
    expect(source.requests[0]?.headers).toMatchObject({ 'x-fixed': 'a', 'x-user': 'abcd' });
    expect(source.requests[0]?.headers).not.toHaveProperty('x-other');
    expect(source.requests[0]).toMatchObject({ path: SUBSCRIPTIONS, body: { localOnly: true } });
  });

  it('the @context of the subscription is that of the copy, and of its notifications that name none', async () => {
    await using all = await pair({ information: [{ propertyNames: ['https://example.org/tempo'] }] });
    const { near, source, subscriber, copies } = all;
    source.answer = ({ method }) => (method === 'POST' ? 201 : 204);
    const context = { tempo: 'https://example.org/tempo', Car: 'https://example.org/Car' };
    const body = { ...subscription(subscriber.url, { q: 'tempo>1' }), '@context': context };
    await near.do('POST', 'subscriptions', body, { 'content-type': 'application/ld+json' });
    await until('it is there', async () => (await copies())[0]?.state === 'there');
    const [created] = source.requests;
    // This broker serves it, so that it need not travel inside.
    expect(created?.headers.link).toContain('/ngsi-ld/v1/jsonldContexts/');
    expect(created?.body).not.toHaveProperty('@context');
    expect(created?.body).toMatchObject({ q: 'tempo>1', watchedAttributes: ['tempo'], entities: [{ type: 'Car' }] });
    const data = [{ id: CAR, type: 'Car', tempo: property(7) }];
    const told = { id: 'urn:n:1', type: 'Notification', subscriptionId: created?.body.id, data };
    expect((await near.request('POST', '/ngsi-ld/ex/remote-notify', told)).statusCode).toBe(200);
    // The other @context says that this is something else.
    const core = 'https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld';
    const link = { link: `<${core}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"` };
    expect((await near.request('POST', '/ngsi-ld/ex/remote-notify', told, link)).statusCode).toBe(200);
    await near.broker.distributed.idle();
    expect(subscriber.notifications().map(({ data: sent }) => sent)).toMatchObject([[{ id: CAR, tempo: { value: 7 } }]]);
  });
});
