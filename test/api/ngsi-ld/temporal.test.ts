import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { discoveryRoutes } from '../../../broker/api/ngsi-ld/discovery.ts';
import { attributeRoutes } from '../../../broker/api/ngsi-ld/entity-attributes.ts';
import { temporalProvisionRoutes } from '../../../broker/api/ngsi-ld/temporal-provision.ts';
import { temporalQueryRoutes } from '../../../broker/api/ngsi-ld/temporal-query.ts';
import { allowEverything } from '../../../broker/domain/access.ts';
import { DEFAULT_TENANT, type Iri } from '../../../broker/domain/iri.ts';
import { discoveryOperations } from '../../../broker/operations/discovery.ts';
import { localEntities, NO_SOURCES } from '../../../broker/operations/distributed/entities.ts';
import { distributedHistoryProvision } from '../../../broker/operations/distributed/history-writes.ts';
import { entityOperations } from '../../../broker/operations/entities.ts';
import { historyOperations } from '../../../broker/operations/history.ts';
import { queryOperations } from '../../../broker/operations/query.ts';
import { openSqliteStore, type SqliteStore } from '../../../broker/stores/sqlite/sqlite-store.ts';
import { httpServer } from '../../../broker/transport/http.ts';
import { CORE, offlineContexts } from '../../support/contexts.ts';
import { creation, property, type TestClock, testClock } from '../../support/writes.ts';

let store: SqliteStore;
let clock: TestClock;
let app: FastifyInstance;

beforeEach(async () => {
  clock = testClock('2026-03-01T07:00:00Z');
  store = openSqliteStore({ file: ':memory:', clock });
  const contexts = await offlineContexts();
  const dependencies = {
    ...store,
    clock,
    access: allowEverything,
    ...queryOperations({ entities: store.entities, access: allowEverything }),
  };
  const history = historyOperations({ ...dependencies, instancesPerAttribute: 5 });
  app = await httpServer({
    logger: pino({ level: 'silent' }),
    resolveContext: (source) => contexts.resolve(source),
    routes: {
      '/ngsi-ld/v1': [
        temporalQueryRoutes(history),
        temporalProvisionRoutes(distributedHistoryProvision(history, NO_SOURCES)),
        discoveryRoutes(discoveryOperations(dependencies)),
        attributeRoutes(localEntities(entityOperations({ ...dependencies, history: store.history }))),
      ],
    },
    documentation: false,
  });
});
afterEach(async () => {
  await app.close();
  await store.close();
});

type Answer = { status: number; headers: Record<string, unknown>; body: unknown };
async function call(
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  url: string,
  payload?: object,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const answer = await app.inject({ method, url: `/ngsi-ld/v1${url}`, headers, ...(payload === undefined ? {} : { payload }) });
  return { status: answer.statusCode, headers: answer.headers, body: answer.body === '' ? undefined : answer.json() };
}
const get = (url: string, headers?: Record<string, string>) => call('GET', url, undefined, headers);

const CAR = 'urn:ngsi-ld:Car:1';
const speed = (minute: number, value: number, more: object = {}) => ({
  type: 'Property',
  value,
  observedAt: `2026-03-01T06:${String(minute).padStart(2, '0')}:00Z`,
  ...more,
});
/** Four speeds, a minute apart, and one brand. */
const createCar = () =>
  call('POST', '/temporal/entities', {
    id: CAR,
    type: 'Car',
    speed: [speed(0, 10), speed(1, 20), speed(2, 30), speed(3, 40)],
    brand: [{ type: 'Property', value: 'Tatra', observedAt: '2026-03-01T06:00:30Z' }],
  });
const series = (body: unknown, attribute = 'speed') =>
  (body as Record<string, { values: [unknown, string][] }>)[attribute]?.values.map(([value]) => value);

describe('5.6.11 to 5.6.16: writing history', () => {
  it('creates, then adds to what is there', async () => {
    const created = await createCar();
    expect(created.status).toBe(201);
    expect(created.headers['location']).toBe(`/ngsi-ld/v1/temporal/entities/${CAR}`);
    expect((await call('POST', '/temporal/entities', { id: CAR, type: 'Car', speed: [speed(4, 50)] })).status).toBe(204);
    expect((await call('POST', `/temporal/entities/${CAR}/attrs`, { speed: [speed(5, 60)] })).status).toBe(204);
    // The sixth speed is more than one answer carries here, so the oldest five come with the span they cover.
    expect(
      series((await get(`/temporal/entities/${CAR}?format=temporalValues&timerel=after&timeAt=2026-03-01T06:01:00Z`)).body),
    ).toEqual([20, 30, 40, 50, 60]);
    expect(await store.entities.get('' as never, CAR as never)).toBeUndefined();
  });

  it('replaces and removes single instances, attributes and everything', async () => {
    await createCar();
    const before = (await get(`/temporal/entities/${CAR}`)).body as { speed: { instanceId: string; value: number }[] };
    const [first, second] = before.speed;
    expect(first?.instanceId).toMatch(/^urn:/);
    const attribute = `/temporal/entities/${CAR}/attrs/speed`;
    expect((await call('PATCH', `${attribute}/${first?.instanceId}`, speed(0, 11))).status).toBe(204);
    expect((await call('PATCH', `${attribute}/${second?.instanceId}`, { speed: [speed(1, 21)] })).status).toBe(204);
    expect(series((await get(`/temporal/entities/${CAR}?options=temporalValues`)).body)).toEqual([11, 21, 30, 40]);
    expect((await call('PATCH', `${attribute}/urn:none`, speed(0, 11))).status).toBe(404);
    expect((await call('DELETE', `${attribute}/${first?.instanceId}`)).status).toBe(204);
    expect((await call('DELETE', `${attribute}/${first?.instanceId}`)).status).toBe(404);
    expect((await call('DELETE', attribute)).status).toBe(204);
    expect((await get(`/temporal/entities/${CAR}`)).body).not.toHaveProperty('speed');
    expect((await get(`/temporal/entities/${CAR}`)).body).toHaveProperty('brand');
    expect((await call('DELETE', attribute)).status).toBe(404);
    expect((await call('DELETE', `/temporal/entities/${CAR}`)).status).toBe(204);
    expect((await get(`/temporal/entities/${CAR}`)).status).toBe(404);
    expect((await call('DELETE', `/temporal/entities/${CAR}`)).status).toBe(404);
  });

  it.each<[string, object, number]>([
    ['no id', { type: 'Car', speed: [speed(0, 1)] }, 400],
    ['no type', { id: CAR, speed: [speed(0, 1)] }, 400],
    ['a wrong time', { id: CAR, type: 'Car', speed: [{ type: 'Property', value: 1, observedAt: 'yesterday' }] }, 400],
    ['an unknown kind', { id: CAR, type: 'Car', speed: [{ type: 'Speed', value: 1 }] }, 400],
    ['an empty array', { id: CAR, type: 'Car', speed: [] }, 400],
  ])('refuses %s and stores nothing', async (_, body, status) => {
    expect((await call('POST', '/temporal/entities', body)).status).toBe(status);
    expect((await get(`/temporal/entities/${CAR}`)).status).toBe(404);
  });

  it('adds nothing to an evolution that does not exist', async () => {
    expect((await call('POST', `/temporal/entities/${CAR}/attrs`, { speed: [speed(0, 1)] })).status).toBe(404);
    expect((await get(`/temporal/entities/${CAR}`)).status).toBe(404);
  });
});

describe('5.7.3: retrieving an evolution', () => {
  it('normalized, in order of time, with instanceId', async () => {
    await createCar();
    const { body } = await get(`/temporal/entities/${CAR}?attrs=speed&lastN=1`);
    expect(body).toEqual({ id: CAR, type: 'Car', speed: [{ ...speed(3, 40), instanceId: expect.stringMatching(/^urn:/) }] });
    const system = (await get(`/temporal/entities/${CAR}?attrs=speed&lastN=1&options=sysAttrs`)).body as { speed: object[] };
    expect(system.speed[0]).toMatchObject({ createdAt: '2026-03-01T07:00:00Z', modifiedAt: '2026-03-01T07:00:00Z' });
  });

  it.each([
    ['timerel=before&timeAt=2026-03-01T06:02:00Z', [10, 20]],
    ['timerel=after&timeAt=2026-03-01T06:02:00Z', [30, 40]],
    ['timerel=between&timeAt=2026-03-01T06:01:00Z&endTimeAt=2026-03-01T06:03:00.000Z', [20, 30]],
    ['timerel=after&timeAt=2026-03-01T06:00:00Z&lastN=2', [30, 40]],
    ['timeproperty=modifiedAt&timerel=after&timeAt=2026-03-01T07:00:00Z', [10, 20, 30, 40]],
  ])('4.11: %s', async (query, expected) => {
    await createCar();
    const { status, body } = await get(`/temporal/entities/${CAR}?format=temporalValues&${query}`);
    expect(status).toBe(200);
    expect(series(body)).toEqual(expected);
  });

  it.each([
    'timerel=around&timeAt=2026-03-01T06:02:00Z',
    'timerel=after',
    'timeAt=2026-03-01T06:02:00Z',
    'timerel=between&timeAt=2026-03-01T06:02:00Z',
    'timerel=after&timeAt=2026-03-01',
    'timeproperty=speed',
    'lastN=0',
    'lastN=1.5',
    'format=aggregatedValues',
    'format=aggregatedValues&aggrMethods=median',
    'format=aggregatedValues&aggrMethods=avg&aggrPeriodDuration=1h',
    'options=temporalValues,aggregatedValues',
    'join=inline',
  ])('refuses %s', async (query) => {
    await createCar();
    expect((await get(`/temporal/entities/${CAR}?${query}`)).status).toBe(400);
  });

  it.each(['timerel=after&timeAt=2027-01-01T00:00:00Z', 'attrs=colour', 'datasetId=urn:none'])(
    'has no answer to %s',
    async (query) => {
      await createCar();
      expect((await get(`/temporal/entities/${CAR}?${query}`)).status).toBe(404);
    },
  );

  it('4.5.6, 4.5.7: takes and gives deletions and the scope as instances', async () => {
    const deleted = { type: 'Property', value: 'urn:ngsi-ld:null', deletedAt: '2026-03-01T06:30:00Z' };
    const body = { id: CAR, type: 'Car', scope: ['/A', '/A/B'], speed: [speed(0, 10), deleted] };
    expect((await call('POST', '/temporal/entities', body)).status).toBe(201);
    const { body: found } = await get(`/temporal/entities/${CAR}?timeproperty=deletedAt`);
    expect(found).toMatchObject({ scope: [{ type: 'Property', value: ['/A', '/A/B'] }], speed: [deleted] });
    // 5.5.4: a deletion need not say when it was; nulls inside of other values are refused as everywhere.
    const observed = { type: 'Property', value: 'urn:ngsi-ld:null', observedAt: '2026-03-01T06:45:00Z' };
    const undated = { ...body, id: `${CAR}0`, speed: [speed(0, 10), observed] };
    expect((await call('POST', '/temporal/entities', undated)).status).toBe(201);
    const { body: ended } = await get(`/temporal/entities/${CAR}0?timeproperty=deletedAt`);
    expect(ended).toMatchObject({ speed: [{ ...observed, deletedAt: '2026-03-01T06:45:00Z' }] });
    const inside = { ...body, id: `${CAR}1`, speed: [{ type: 'Property', value: { a: 'urn:ngsi-ld:null' } }] };
    expect((await call('POST', '/temporal/entities', inside)).status).toBe(400);
    expect((await get(`/temporal/entities/${CAR}1`)).status).toBe(404);
  });

  it('5.6.5: an attribute of an entity that only history knows can be deleted, and what it was stays', async () => {
    const body = { id: CAR, type: 'Car', speed: [speed(0, 10)] };
    await call('POST', '/temporal/entities', body);
    const remove = async (attribute: string) => (await call('DELETE', `/entities/${CAR}/attrs/${attribute}`, undefined)).status;
    expect([await remove('colour'), await remove('speed'), await remove('speed')]).toEqual([404, 204, 404]);
    const { body: ended } = await get(`/temporal/entities/${CAR}?timeproperty=deletedAt`);
    expect(ended).toMatchObject({ speed: [{ value: 'urn:ngsi-ld:null' }] });
    const { body: before } = await get(`/temporal/entities/${CAR}`);
    expect((before as { speed: unknown[] }).speed).toHaveLength(1);
    expect(await store.entities.get(DEFAULT_TENANT, CAR as Iri)).toBeUndefined();
  });

  it('4.5.19: aggregated, per period and method', async () => {
    await createCar();
    const query = 'format=aggregatedValues&aggrMethods=avg,max&aggrPeriodDuration=PT2M';
    expect((await get(`/temporal/entities/${CAR}?${query}&timerel=after&timeAt=2026-03-01T06:00:00Z`)).body).toEqual({
      id: CAR,
      type: 'Car',
      speed: {
        type: 'Property',
        avg: [
          [15, '2026-03-01T06:00:00Z', '2026-03-01T06:02:00Z'],
          [35, '2026-03-01T06:02:00Z', '2026-03-01T06:04:00Z'],
        ],
        max: [
          [20, '2026-03-01T06:00:00Z', '2026-03-01T06:02:00Z'],
          [40, '2026-03-01T06:02:00Z', '2026-03-01T06:04:00Z'],
        ],
      },
      brand: { type: 'Property', max: [['Tatra', '2026-03-01T06:00:00Z', '2026-03-01T06:02:00Z']] },
    });
    const ineligible = await get(`/temporal/entities/${CAR}?format=aggregatedValues&aggrMethods=avg&attrs=brand`);
    expect(ineligible.status).toBe(400);
  });

  it('6.3.10: what is too long comes in parts, and the header says what they cover', async () => {
    await createCar();
    await call('POST', `/temporal/entities/${CAR}/attrs`, { speed: [speed(4, 50), speed(5, 60), speed(6, 70)] });
    const first = await get(`/temporal/entities/${CAR}?format=temporalValues&timerel=after&timeAt=2026-03-01T06:00:00Z`);
    expect(first.status).toBe(206);
    expect(first.headers['content-range']).toBe('DateTime 2026-03-01T06:00:00Z-2026-03-01T06:04:00Z/*');
    expect(series(first.body)).toEqual([10, 20, 30, 40, 50]);
    const last = await get(
      `/temporal/entities/${CAR}?format=temporalValues&lastN=100&timerel=before&timeAt=2026-03-01T06:30:00Z`,
    );
    expect(last.status).toBe(206);
    expect(last.headers['content-range']).toBe('DateTime 2026-03-01T06:30:00Z-2026-03-01T06:02:00Z/100');
    expect(series(last.body)).toEqual([30, 40, 50, 60, 70]);
    const all = await get(`/temporal/entities/${CAR}?format=temporalValues&lastN=2`);
    expect(all.status).toBe(200);
    expect(all.headers['content-range']).toBeUndefined();
  });

  it('4.5.9: every kind of attribute has its own member', async () => {
    const at = { observedAt: '2026-03-01T06:00:00Z' };
    await call('POST', '/temporal/entities', {
      id: CAR,
      type: 'Car',
      place: [{ type: 'GeoProperty', value: { type: 'Point', coordinates: [1, 2] }, ...at }],
      owner: [{ type: 'Relationship', object: 'urn:x:1', ...at }],
      says: [{ type: 'LanguageProperty', languageMap: { en: 'yes', fr: 'oui' }, ...at }],
      kind: [{ type: 'VocabProperty', vocab: 'Fast', ...at }],
      list: [{ type: 'ListProperty', valueList: [1, 2], ...at }],
      route: [{ type: 'ListRelationship', objectList: ['urn:x:1'], ...at }],
      raw: [{ type: 'JsonProperty', json: { a: 1 }, ...at }],
      speed: [speed(0, 1), speed(0, 2, { datasetId: 'urn:d' })],
    });
    const time = at.observedAt;
    expect((await get(`/temporal/entities/${CAR}?format=temporalValues`)).body).toEqual({
      id: CAR,
      type: 'Car',
      place: { type: 'GeoProperty', values: [[{ type: 'Point', coordinates: [1, 2] }, time]] },
      owner: { type: 'Relationship', objects: [['urn:x:1', time]] },
      says: { type: 'LanguageProperty', languageMaps: [[{ languageMap: { en: 'yes', fr: 'oui' } }, time]] },
      kind: { type: 'VocabProperty', vocabs: [[{ vocab: 'Fast' }, time]] },
      list: { type: 'ListProperty', valueLists: [[[1, 2], time]] },
      route: { type: 'ListRelationship', objectLists: [[['urn:x:1'], time]] },
      raw: { type: 'JsonProperty', jsons: [[{ json: { a: 1 } }, time]] },
      speed: [
        { type: 'Property', values: [[1, time]] },
        { type: 'Property', datasetId: 'urn:d', values: [[2, time]] },
      ],
    });
    expect((await get(`/temporal/entities/${CAR}?format=temporalValues&lang=fr&pick=says`)).body).toEqual({
      says: { type: 'Property', values: [['oui', time]] },
    });
    const own = await get(`/temporal/entities/${CAR}?format=temporalValues&datasetId=urn:d`, { accept: 'application/ld+json' });
    expect(own.body).toEqual({
      '@context': CORE,
      id: CAR,
      type: 'Car',
      speed: { type: 'Property', datasetId: 'urn:d', values: [[2, time]] },
    });
  });
});

describe('5.7.4: querying evolutions', () => {
  const between = 'timerel=between&timeAt=2026-03-01T06:00:00Z&endTimeAt=2026-03-01T06:02:00Z';
  beforeEach(async () => {
    await createCar();
    await call('POST', '/temporal/entities', { id: 'urn:ngsi-ld:Car:2', type: 'Car', speed: [speed(1, 99)] });
    await call('POST', '/temporal/entities', { id: 'urn:ngsi-ld:Bus:1', type: 'Bus', speed: [speed(30, 5)] });
  });
  const ids = (body: unknown) => (body as { id: string }[]).map(({ id }) => id);

  it.each<[string, string[]]>([
    [`type=Car&${between}`, [CAR, 'urn:ngsi-ld:Car:2']],
    [`type=Car,Bus&${between}`, [CAR, 'urn:ngsi-ld:Car:2']],
    [`type=Car&q=speed%3E50&${between}`, ['urn:ngsi-ld:Car:2']],
    // 40 is there, but not in the time asked about.
    [`type=Car&q=speed==40&${between}`, []],
    [`attrs=brand&${between}`, [CAR]],
    [`type=Car&limit=1&offset=1&${between}`, ['urn:ngsi-ld:Car:2']],
    [`id=urn:ngsi-ld:Car:2&local=true&${between}`, ['urn:ngsi-ld:Car:2']],
  ])('%s', async (query, expected) => {
    const { status, body } = await get(`/temporal/entities?${query}`);
    expect(status).toBe(200);
    expect(ids(body)).toEqual(expected);
  });

  it.each([
    'type=Car',
    between,
    `id=${CAR}&${between}`,
    `type=Car&orderBy=speed&local=true&${between}`,
    `type=Car&q=owner%7Bname%7D&${between}`,
  ])('refuses %s', async (query) => {
    expect((await get(`/temporal/entities?${query}`)).status).toBe(400);
  });

  it('4.18: a scope holds from when it was set until the next one', async () => {
    const at = (hour: string, value: string) => ({ type: 'Property', value, observedAt: `2026-03-01T${hour}:00:00Z` });
    await call('POST', '/temporal/entities', {
      id: 'urn:ngsi-ld:Tram:1',
      type: 'Tram',
      scope: [at('05', '/A'), at('07', '/B')],
      speed: [speed(1, 1)],
    });
    const scoped = async (scope: string) => ids((await get(`/temporal/entities?type=Tram&scopeQ=${scope}&${between}`)).body);
    expect(await scoped('/A')).toEqual(['urn:ngsi-ld:Tram:1']);
    expect(await scoped('/B')).toEqual([]);
    const wrong = { id: 'urn:ngsi-ld:Tram:2', type: 'Tram', scope: [at('05', '1A')], speed: [speed(1, 1)] };
    expect((await call('POST', '/temporal/entities', wrong)).status).toBe(400);
  });

  it('by POST, also aggregated', async () => {
    const temporalQ = { timerel: 'between', timeAt: '2026-03-01T06:00:00Z', endTimeAt: '2026-03-01T06:02:00Z', lastN: 1 };
    const body = { type: 'Query', entities: [{ type: 'Car' }], attrs: ['speed'], temporalQ };
    const found = await call('POST', '/temporal/entityOperations/query?format=temporalValues&count=true', body);
    expect(found.status).toBe(200);
    expect(found.headers['ngsild-results-count']).toBe('2');
    expect((found.body as object[]).map((one) => series(one))).toEqual([[20], [99]]);
    const aggregated = await call('POST', '/temporal/entityOperations/query?format=aggregatedValues', {
      ...body,
      temporalQ: { ...temporalQ, aggrMethods: ['sum'] },
    });
    expect((aggregated.body as { speed: object }[]).map((one) => one.speed)).toEqual([
      { type: 'Property', sum: [[30, '2026-03-01T06:00:00Z', '2026-03-01T06:02:00Z']] },
      { type: 'Property', sum: [[99, '2026-03-01T06:00:00Z', '2026-03-01T06:02:00Z']] },
    ]);
    expect(
      (await call('POST', '/temporal/entityOperations/query', { type: 'Query', entities: [{ type: 'Car' }] })).status,
    ).toBe(400);
  });
});

describe('5.7.5 to 5.7.10: which types and attributes exist', () => {
  const name = (term: string) => `https://uri.etsi.org/ngsi-ld/default-context/${term}` as never;
  beforeEach(async () => {
    await store.entities.commit([
      creation(clock, CAR as never, [name('Car')], { [name('speed')]: [property(1)] }),
      creation(clock, 'urn:ngsi-ld:Car:2' as never, [name('Car')], { [name('brand')]: [property('x')] }),
      creation(clock, 'urn:ngsi-ld:Bus:1' as never, [name('Bus')], { [name('speed')]: [property(1)] }),
    ]);
  });

  it('types', async () => {
    expect((await get('/types')).body).toEqual({
      id: expect.stringMatching(/^urn:/),
      type: 'EntityTypeList',
      typeList: ['Bus', 'Car'],
    });
    expect((await get('/types?details=true')).body).toEqual([
      { id: name('Bus'), type: 'EntityType', typeName: 'Bus', attributeNames: ['speed'] },
      { id: name('Car'), type: 'EntityType', typeName: 'Car', attributeNames: ['brand', 'speed'] },
    ]);
    expect((await get('/types/Car')).body).toEqual({
      id: name('Car'),
      type: 'EntityTypeInfo',
      typeName: 'Car',
      entityCount: 2,
      attributeDetails: [
        { id: name('brand'), type: 'Attribute', attributeName: 'brand', attributeTypes: ['Property'] },
        { id: name('speed'), type: 'Attribute', attributeName: 'speed', attributeTypes: ['Property'] },
      ],
    });
    expect((await get(`/types/${encodeURIComponent(name('Car'))}`)).status).toBe(200);
    expect((await get('/types/Tram')).status).toBe(404);
    expect((await get('/types', { 'NGSILD-Tenant': 'nobody' })).status).toBe(404);
  });

  it('attributes', async () => {
    expect((await get('/attributes')).body).toMatchObject({ type: 'AttributeList', attributeList: ['brand', 'speed'] });
    expect((await get('/attributes?details=true')).body).toEqual([
      { id: name('brand'), type: 'Attribute', attributeName: 'brand', typeNames: ['Car'] },
      { id: name('speed'), type: 'Attribute', attributeName: 'speed', typeNames: ['Bus', 'Car'] },
    ]);
    expect((await get('/attributes/speed', { accept: 'application/ld+json' })).body).toEqual({
      '@context': CORE,
      id: name('speed'),
      type: 'Attribute',
      attributeName: 'speed',
      attributeCount: 2,
      attributeTypes: ['Property'],
      typeNames: ['Bus', 'Car'],
    });
    expect((await get('/attributes/colour')).status).toBe(404);
  });
});
