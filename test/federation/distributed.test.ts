import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { Config } from '../../broker/config.ts';
import { inMemoryBroker, type TestBroker } from '../support/broker.ts';

const ENTITIES = '/ngsi-ld/v1/entities';
const CAR = 'urn:ngsi-ld:Car:1';
const property = (value: unknown, more: object = {}) => ({ type: 'Property', value, ...more });
const car = (attributes: Record<string, unknown>, id = CAR) => ({ id, type: 'Car', ...attributes });

/** Two brokers, of which the second really listens. */
async function pair(config: Partial<Config> = {}) {
  const near = await inMemoryBroker({ config: { brokerId: 'near', mqtt: false, ...config } });
  const far = await inMemoryBroker({ config: { brokerId: 'far', mqtt: false } });
  const { url } = await far.broker.listen();
  const register = async (more: Record<string, unknown> = {}) => {
    const answer = await near.request('POST', '/ngsi-ld/v1/csourceRegistrations', {
      id: 'urn:r:far',
      type: 'ContextSourceRegistration',
      information: [{ entities: [{ type: 'Car' }] }],
      operations: ['redirectionOps', 'queryBatch', 'createBatch', 'deleteBatch'],
      endpoint: url,
      ...more,
    });
    expect(answer.statusCode, answer.body).toBe(201);
  };
  return {
    near,
    far,
    url,
    register,
    async [Symbol.asyncDispose]() {
      await near.broker.close();
      await far.broker.close();
    },
  };
}

const create = async (broker: TestBroker, body: unknown, query = '') => {
  const answer = await broker.request('POST', `${ENTITIES}${query}`, body);
  expect(answer.statusCode, answer.body).toBe(201);
};
const get = async (broker: TestBroker, path: string) => (await broker.request('GET', `${ENTITIES}${path}`)).json();

describe('Distributed reads (4.3.6)', () => {
  it('an entity that is here and there is one entity, with the value that was observed last (4.5.5.3)', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await create(near, car({ speed: property(10, { observedAt: '2026-01-01T00:00:00Z' }), colour: property('red') }));
    await create(far, car({ speed: property(20, { observedAt: '2026-01-02T00:00:00Z' }), doors: property(4) }));
    await create(far, car({ doors: property(2) }, 'urn:ngsi-ld:Car:2'));
    await register();
    const one = await get(near, `/${CAR}`);
    expect(one).toMatchObject({ speed: { value: 20 }, colour: { value: 'red' }, doors: { value: 4 } });
    expect(one.speed).not.toHaveProperty('modifiedAt');
    const page = await near.request('GET', `${ENTITIES}?type=Car&count=true&options=keyValues`);
    expect(page.json()).toEqual([
      { id: CAR, type: 'Car', speed: 20, colour: 'red', doors: 4 },
      { id: 'urn:ngsi-ld:Car:2', type: 'Car', doors: 2 },
    ]);
    expect(page.headers['ngsild-results-count']).toBe('2');
    expect(page.headers).not.toHaveProperty('ngsild-warning');
    expect(await get(near, `/${CAR}?local=true`)).not.toHaveProperty('doors');
    expect(await get(near, '?type=Car&limit=1&offset=1')).toMatchObject([{ id: 'urn:ngsi-ld:Car:2' }]);
    expect(await get(near, '?type=Bus')).toEqual([]);
  });

  it('filters of entities that may be split are applied to the whole, not to the parts (5.7.2.4)', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await create(near, car({ speed: property(10) }));
    await create(far, car({ doors: property(4) }));
    await register();
    expect(await get(near, '?type=Car&q=speed>5;doors==4')).toEqual([]);
    expect(await get(near, '?type=Car&q=speed>5;doors==4&splitEntities=true')).toMatchObject([
      { id: CAR, doors: { value: 4 } },
    ]);
    expect(await get(near, '?type=Car&q=speed>5;doors==5&splitEntities=true')).toEqual([]);
  });

  it('integers that a number cannot hold stay what they are on the way from a source, and to it', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    const text = `{"id":"${CAR}","type":"Car","serial":{"type":"Property","value":9007199254740993}}`;
    await register({ mode: 'redirect' });
    expect((await near.request('POST', ENTITIES, text)).statusCode).toBe(201);
    for (const broker of [far, near])
      expect((await broker.request('GET', `${ENTITIES}/${CAR}`)).body).toContain('9007199254740993');
  });

  it('the deployment says whether entities may be split, unless the request does (5.7.2.4)', async () => {
    await using two = await pair({ splitEntities: true });
    const { near, far, register } = two;
    await create(near, car({ speed: property(10) }));
    await create(far, car({ doors: property(4) }));
    await register();
    expect(await get(near, '?type=Car&q=speed>5;doors==4')).toHaveLength(1);
    expect(await get(near, '?type=Car&q=speed>5;doors==4&splitEntities=false')).toEqual([]);
    const body = { type: 'Query', entities: [{ type: 'Car' }], q: 'speed>5;doors==4' };
    const post = async (more: object) =>
      (await near.request('POST', '/ngsi-ld/v1/entityOperations/query', { ...body, ...more })).json();
    expect(await post({})).toHaveLength(1);
    expect(await post({ splitEntities: false })).toEqual([]);
  });

  it('what ends only at one place, ends attribute by attribute (4.5.5.2)', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    const end = '2099-01-01T00:00:00Z';
    const sooner = '2098-01-01T00:00:00Z';
    await create(near, car({ speed: property(10) }));
    await create(far, { ...car({ doors: property(4), seats: property(5, { expiresAt: sooner }) }), expiresAt: end });
    await register();
    const one = await get(near, `/${CAR}?options=sysAttrs`);
    expect(one).toMatchObject({ doors: { value: 4, expiresAt: end }, seats: { expiresAt: sooner } });
    expect(one).not.toHaveProperty('expiresAt');
    expect(one.speed).not.toHaveProperty('expiresAt');
    const told = await near.request('GET', `${ENTITIES}/${CAR}`, undefined, { prefer: 'sources' });
    expect(JSON.parse(String(told.headers['mizar-sources']))).toMatchObject([{ attributes: 1 }, { attributes: 2 }]);
  });

  it('an auxiliary source adds what nobody else has, and changes nothing (4.3.6.2)', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await create(near, car({ speed: property(10) }));
    await create(far, car({ speed: property(99, { observedAt: '2026-01-01T00:00:00Z' }), doors: property(4) }));
    await register({ mode: 'auxiliary', operations: ['retrieveOps'] });
    expect(await get(near, `/${CAR}?options=keyValues`)).toEqual({ id: CAR, type: 'Car', speed: 10, doors: 4 });
  });

  it('the tenant of the registration travels, never that of the caller (4.14)', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    const at = { 'ngsild-tenant': 'city' };
    expect((await far.request('POST', ENTITIES, car({ doors: property(4) }), at)).statusCode).toBe(201);
    await create(far, car({ doors: property(7) }));
    await register({ tenant: 'city' });
    expect(await get(near, `/${CAR}`)).toMatchObject({ doors: { value: 4 } });
  });

  it('a source that is gone, slow or talks nonsense is warned of, and the rest is answered (6.3.17)', async () => {
    let behave: (request: IncomingMessage) => string | undefined = () => undefined;
    const server = createServer((request, response) => {
      const text = behave(request);
      if (text !== undefined) response.end(text);
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    await using near = await inMemoryBroker({ config: { sourceTimeoutMs: 200, sourceReplyLimitBytes: 2000, mqtt: false } });
    await create(near, car({ speed: property(10) }));
    await near.request('POST', '/ngsi-ld/v1/csourceRegistrations', {
      id: 'urn:r:odd',
      type: 'ContextSourceRegistration',
      information: [{ entities: [{ type: 'Car' }] }],
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    });
    const ask = async () => {
      const answer = await near.request('GET', `${ENTITIES}/${CAR}`);
      expect(answer.statusCode).toBe(200);
      expect(answer.json().speed.value).toBe(10);
      return String(answer.headers['ngsild-warning']);
    };
    expect(await ask()).toMatch(/^199 urn:r:odd /);
    behave = () => 'this is not JSON';
    expect(await ask()).toMatch(/^111 /);
    behave = () => JSON.stringify(car({ text: property('x'.repeat(3000)) }));
    expect(await ask()).toMatch(/^111 .*larger/);
    behave = () => JSON.stringify({ neither: 'an', entity: 1 });
    expect(await ask()).toMatch(/^111 /);
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
    expect(await ask()).toMatch(/^199 /);
  });

  it('asks no more sources than configured, and says which it left out', async () => {
    await using far = await inMemoryBroker({ config: { brokerId: 'far', mqtt: false } });
    await using near = await inMemoryBroker({ config: { sourceFanOut: 1, mqtt: false } });
    const { url } = await far.broker.listen();
    await create(far, car({ doors: property(4) }));
    for (const name of ['a', 'b']) {
      await near.request('POST', '/ngsi-ld/v1/csourceRegistrations', {
        id: `urn:r:${name}`,
        type: 'ContextSourceRegistration',
        information: [{ entities: [{ type: 'Car' }] }],
        endpoint: url,
      });
    }
    for (const path of [`${ENTITIES}?type=Car`, `${ENTITIES}/${CAR}`]) {
      const answer = await near.request('GET', path);
      expect(answer.statusCode).toBe(200);
      expect(String(answer.headers['ngsild-warning'])).toMatch(/^199 urn:r:b "was not asked[^,]*$/);
    }
    const asked = (await near.request('GET', '/ngsi-ld/v1/csourceRegistrations?type=Car')).json();
    expect(asked.map(({ timesSent }: { timesSent?: number }) => timesSent)).toEqual([2, undefined]);
  });

  it('an order needs local=true as soon as a source takes part (5.7.2.4)', async () => {
    await using two = await pair();
    const { near, register } = two;
    await register();
    expect((await near.request('GET', `${ENTITIES}?type=Car&orderBy=speed`)).statusCode).toBe(400);
    expect((await near.request('GET', `${ENTITIES}?type=Car&orderBy=speed&local=true`)).statusCode).toBe(200);
    expect((await near.request('GET', `${ENTITIES}?type=Bus&orderBy=speed`)).statusCode).toBe(200);
  });
});

describe('Distributed discovery (5.7.5 to 5.7.10)', () => {
  it('names what is here and what is there, once, and only what is registered', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await create(near, car({ speed: property(10) }));
    await create(far, car({ doors: property(4) }, 'urn:ngsi-ld:Car:2'));
    await create(far, { id: 'urn:ngsi-ld:Secret:1', type: 'Secret', plan: property('x') });
    await register();
    const ask = async (path: string) => (await near.request('GET', `/ngsi-ld/v1/${path}`)).json();
    expect((await ask('types')).typeList).toEqual(['Car']);
    expect((await ask('types?details=true'))[0].attributeNames.sort()).toEqual(['doors', 'speed']);
    expect(await ask('types/Car')).toMatchObject({ entityCount: 2 });
    expect((await ask('attributes')).attributeList).toEqual(expect.arrayContaining(['doors', 'speed']));
    expect(await ask('attributes/doors')).toMatchObject({ attributeCount: 1, typeNames: ['Car'] });
    expect((await ask('types?local=true&details=true'))[0].attributeNames).toEqual(['speed']);
    expect((await near.request('GET', '/ngsi-ld/v1/attributes/doors?local=true')).statusCode).toBe(404);
    // What the source has beyond what it is registered for is not told by any of them (4.3.6.1).
    expect((await ask('attributes')).attributeList).not.toContain('plan');
    for (const path of ['attributes/plan', 'types/Secret'])
      expect((await near.request('GET', `/ngsi-ld/v1/${path}`)).statusCode, path).toBe(404);
  });

  it('a source that is registered for some attributes is not believed about others', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await create(far, car({ doors: property(4), owner: property('x') }));
    await register({ information: [{ entities: [{ type: 'Car' }], propertyNames: ['doors'] }], operations: ['federationOps'] });
    const ask = async (path: string) => (await near.request('GET', `/ngsi-ld/v1/${path}`)).json();
    expect((await ask('attributes')).attributeList).toEqual(['doors']);
    expect((await ask('types/Car')).attributeDetails.map((one: { attributeName: string }) => one.attributeName)).toEqual([
      'doors',
    ]);
    expect((await near.request('GET', '/ngsi-ld/v1/attributes/owner')).statusCode).toBe(404);
  });

  it('a broker says who it is, one name for each tenant (5.15.1)', async () => {
    await using near = await inMemoryBroker({ config: { brokerId: 'near', mqtt: false } });
    const ask = async (headers = {}) =>
      (await near.request('GET', '/ngsi-ld/v1/info/sourceIdentity', undefined, headers)).json();
    const identity = await ask();
    expect(identity).toMatchObject({ type: 'ContextSourceIdentity', contextSourceAlias: 'near' });
    expect(identity.contextSourceUptime).toMatch(/^PT\d+S$/);
    expect((await ask({ 'ngsild-tenant': 'city' })).contextSourceAlias).not.toBe(identity.contextSourceAlias);
  });
});

describe('Distributed history (5.7.3, 5.7.4)', () => {
  it('has the instances of all places in order of time, each once, and only from sources whose interval fits', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    const at = (day: number) => `2026-01-0${day}T00:00:00Z`;
    const speeds = (...days: number[]) => car({ speed: days.map((day) => property(day, { observedAt: at(day) })) });
    for (const [broker, days] of [
      [near, [1, 3]],
      [far, [2, 3, 4]],
    ] as const) {
      expect((await broker.request('POST', '/ngsi-ld/v1/temporal/entities', speeds(...days))).statusCode).toBe(201);
    }
    await register({
      operations: ['retrieveTemporal', 'queryTemporal'],
      observationInterval: { startAt: at(1), endAt: at(9) },
    });
    const span = `timerel=between&timeAt=${at(1)}&endTimeAt=${at(9)}&options=temporalValues`;
    const values = (evolution: { speed: { values: [number, string][] } }) => evolution.speed.values.map(([value]) => value);
    const history = '/ngsi-ld/v1/temporal/entities';
    expect(values((await near.request('GET', `${history}/${CAR}?${span}`)).json())).toEqual([1, 2, 3, 4]);
    expect(values((await near.request('GET', `${history}?type=Car&${span}`)).json()[0])).toEqual([1, 2, 3, 4]);
    expect(values((await near.request('GET', `${history}/${CAR}?${span}&local=true`)).json())).toEqual([1, 3]);
    expect(values((await near.request('GET', `${history}/${CAR}?${span}&lastN=2`)).json())).toEqual([3, 4]);
    const later = `timerel=after&timeAt=2027-01-01T00:00:00Z`;
    expect((await near.request('GET', `${history}?type=Car&${later}`)).json()).toEqual([]);
    // A source of history is not asked what is now (5.9.1).
    await create(far, car({ doors: property(4) }));
    expect((await near.request('GET', `${ENTITIES}/${CAR}`)).statusCode).toBe(404);
  });
});

describe('Distributed writes (4.3.6.2, 4.3.6.3)', () => {
  it('an exclusive source gets its attributes, and this broker the others', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await register({ mode: 'exclusive', information: [{ entities: [{ id: CAR, type: 'Car' }], propertyNames: ['speed'] }] });
    await create(near, car({ speed: property(1), colour: property('red') }));
    expect(await get(near, `/${CAR}?local=true&options=keyValues`)).toEqual({ id: CAR, type: 'Car', colour: 'red' });
    expect(await get(far, `/${CAR}?options=keyValues`)).toEqual({ id: CAR, type: 'Car', speed: 1 });
    expect((await near.request('PATCH', `${ENTITIES}/${CAR}/attrs/speed`, { value: 2 })).statusCode).toBe(204);
    expect(await get(near, `/${CAR}?options=keyValues`)).toEqual({ id: CAR, type: 'Car', speed: 2, colour: 'red' });
    expect((await near.request('DELETE', `${ENTITIES}/${CAR}`)).statusCode).toBe(204);
    expect((await far.request('GET', `${ENTITIES}/${CAR}`)).statusCode).toBe(404);
  });

  it('an inclusive source and this broker get all of it; what only one of them did is told with 207 (5.2.16)', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await register();
    await create(near, car({ speed: property(1) }));
    expect(await get(far, `/${CAR}?options=keyValues`)).toEqual({ id: CAR, type: 'Car', speed: 1 });
    await far.request('DELETE', `${ENTITIES}/${CAR}`);
    const again = await near.request('POST', ENTITIES, car({ speed: property(2) }));
    expect(again.statusCode).toBe(207);
    expect(again.json()).toMatchObject({ success: [CAR], errors: [{ entityId: CAR, error: { status: 409 } }] });
    expect(again.json().errors[0]).not.toHaveProperty('registrationId');
    expect(await get(near, `/${CAR}?local=true`)).toMatchObject({ speed: { value: 1 } });
  });

  it('a tenant that has nothing but a proxied source can be written to', async () => {
    await using two = await pair();
    const { near, far, url } = two;
    await create(far, car({ speed: property(1) }));
    const at = { 'ngsild-tenant': 'empty' };
    const registered = await near.request(
      'POST',
      '/ngsi-ld/v1/csourceRegistrations',
      {
        type: 'ContextSourceRegistration',
        mode: 'redirect',
        information: [{ entities: [{ type: 'Car' }] }],
        operations: ['redirectionOps'],
        endpoint: url,
      },
      at,
    );
    expect(registered.statusCode, registered.body).toBe(201);
    const answer = await near.request('PATCH', `${ENTITIES}/${CAR}/attrs`, { speed: property(2) }, at);
    expect(answer.statusCode, answer.body).toBe(204);
    expect(await get(far, `/${CAR}`)).toMatchObject({ speed: { value: 2 } });
    expect((await near.request('GET', `${ENTITIES}/${CAR}`)).statusCode).toBe(404);
  });

  it('what a proxied source cannot do is a Conflict, and nothing is done here instead (5.6.1.4)', async () => {
    await using two = await pair();
    const { near, register } = two;
    await register({ mode: 'redirect', operations: ['retrieveOps'] });
    const answer = await near.request('POST', ENTITIES, car({ speed: property(1) }));
    expect(answer.statusCode).toBe(409);
    expect(answer.json().type).toMatch(/Conflict$/);
    expect((await near.request('GET', `${ENTITIES}/${CAR}?local=true`)).statusCode).toBe(404);
  });

  it('a batch is split over sources as single writes are (5.6.7, 5.6.10)', async () => {
    await using two = await pair();
    const { near, far, register } = two;
    await register({ mode: 'redirect' });
    const body = [car({ speed: property(1) }), { id: 'urn:ngsi-ld:Bus:1', type: 'Bus', seats: property(50) }];
    const made = await near.request('POST', '/ngsi-ld/v1/entityOperations/create', body);
    expect(made.statusCode, made.body).toBe(201);
    expect(await get(near, '?type=Car,Bus&local=true&options=keyValues')).toEqual([
      { id: 'urn:ngsi-ld:Bus:1', type: 'Bus', seats: 50 },
    ]);
    expect(await get(far, '?type=Car,Bus&options=keyValues')).toEqual([{ id: CAR, type: 'Car', speed: 1 }]);
    const gone = await near.request('POST', '/ngsi-ld/v1/entityOperations/delete', [CAR]);
    expect(gone.statusCode, gone.body).toBe(204);
    expect(await get(far, '?type=Car')).toEqual([]);
  });

  it('brokers that know each other do not ask each other for ever (6.3.18)', async () => {
    await using two = await pair();
    const { near, far, url, register } = two;
    const { url: back } = await near.broker.listen();
    await register();
    await far.request('POST', '/ngsi-ld/v1/csourceRegistrations', {
      type: 'ContextSourceRegistration',
      information: [{ entities: [{ type: 'Car' }] }],
      operations: ['redirectionOps'],
      endpoint: back,
    });
    await create(far, car({ doors: property(4) }), '?local=true');
    expect(await get(near, `/${CAR}`)).toMatchObject({ doors: { value: 4 } });
    expect(await get(near, '?type=Car')).toHaveLength(1);
    const deleted = await near.request('DELETE', `${ENTITIES}/${CAR}`, undefined, { via: '1.1 near' });
    expect(deleted.statusCode).toBe(508);
    expect((await fetch(`${url}${ENTITIES}/${CAR}?local=true`)).status).toBe(200);
  });
});
