import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { entityQueryRoutes } from '../../../broker/api/ngsi-ld/entity-query.ts';
import { type RenderingCache, renderingCache } from '../../../broker/api/ngsi-ld/rendering.ts';
import { allowEverything } from '../../../broker/domain/access.ts';
import type { Iri } from '../../../broker/domain/iri.ts';
import { contextTable } from '../../../broker/domain/jsonld/context.ts';
import { queryOperations } from '../../../broker/operations/query.ts';
import { httpServer } from '../../../broker/transport/http.ts';
import { attributesOf, entityOf, name, testContext } from '../../support/entities.ts';
import { type MemoryEntities, memoryEntities } from '../../support/memory-entities.ts';

const point = (x: number, y: number) => ({ type: 'GeoProperty', value: { type: 'Point', coordinates: [x, y] } });
const car = (number: number, more: object = {}) =>
  entityOf(
    { speed: { type: 'Property', value: number * 10 }, location: point(number, 48), ...more },
    { id: `urn:ngsi-ld:Car:${number}` as Iri, scopes: ['/Bratislava'] },
  );
const park = entityOf({ name: { type: 'Property', value: 'Sad' } }, { id: 'urn:ngsi-ld:Park:1' as Iri, types: [name('Park')] });

/** A @context that calls speed "rýchlosť". */
const slovak = contextTable({
  key: 'sk',
  source: ['https://example.org/sk.jsonld'],
  link: 'https://example.org/sk.jsonld',
  terms: new Map([['rýchlosť', { iri: name('speed') }]]),
  vocabulary: 'https://uri.etsi.org/ngsi-ld/default-context/',
});
const LINK = {
  link: '<https://example.org/sk.jsonld>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"',
};

const open: FastifyInstance[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((app) => app.close()));
});

interface Site {
  get(
    url: string,
    headers?: Record<string, string>,
  ): Promise<{ status: number; headers: Record<string, unknown>; body: unknown }>;
  post(body: object, url?: string): Promise<{ status: number; body: unknown }>;
  readonly entities: MemoryEntities;
  readonly cache: RenderingCache;
}

async function site(entities = memoryEntities(car(1), car(2), car(3), car(4), park)): Promise<Site> {
  const cache = renderingCache(1_000_000);
  const app = await httpServer({
    logger: pino({ level: 'silent' }),
    resolveContext: (source) => (source === undefined ? testContext : slovak),
    routes: { '/ngsi-ld/v1': [entityQueryRoutes(queryOperations({ entities, access: allowEverything }), cache)] },
    documentation: false,
  });
  open.push(app);
  return {
    entities,
    cache,
    async get(url, headers = {}) {
      const answer = await app.inject({ method: 'GET', url: `/ngsi-ld/v1${url}`, headers });
      return { status: answer.statusCode, headers: answer.headers, body: answer.json() };
    },
    async post(body, url = '/entityOperations/query') {
      const answer = await app.inject({ method: 'POST', url: `/ngsi-ld/v1${url}`, payload: body });
      return { status: answer.statusCode, body: answer.json() };
    },
  };
}
const ids = (body: unknown) => (body as { id: string }[]).map(({ id }) => id.slice(12));

describe('5.7.2: GET entities/', () => {
  it.each<[string, string[]]>([
    ['type=Car', ['Car:1', 'Car:2', 'Car:3', 'Car:4']],
    ['type=Car,Park', ['Car:1', 'Car:2', 'Car:3', 'Car:4', 'Park:1']],
    ['type=Bus', []],
    ['type=*', ['Car:1', 'Car:2', 'Car:3', 'Car:4', 'Park:1']],
    ['q=speed%3E20', ['Car:3', 'Car:4']],
    ['q=speed==10..20%7Cname==%22Sad%22', ['Car:1', 'Car:2', 'Park:1']],
    ['type=Car&id=urn:ngsi-ld:Car:2,urn:ngsi-ld:Car:9', ['Car:2']],
    ['type=Car&idPattern=%5B34%5D$', ['Car:3', 'Car:4']],
    ['attrs=name', ['Park:1']],
    ['type=Car&scopeQ=/Bratislava/%23', ['Car:1', 'Car:2', 'Car:3', 'Car:4']],
    ['type=Park&scopeQ=/%23', []],
    ['georel=near;maxDistance==100000&geometry=Point&coordinates=%5B1.5,48%5D', ['Car:1', 'Car:2']],
    [
      'georel=within&geometry=Polygon&coordinates=%5B%5B%5B2.5,47%5D,%5B9,47%5D,%5B9,49%5D,%5B2.5,49%5D,%5B2.5,47%5D%5D%5D',
      ['Car:3', 'Car:4'],
    ],
    ['type=Car&orderBy=speed;desc&local=true', ['Car:4', 'Car:3', 'Car:2', 'Car:1']],
    ['type=Car&orderBy=location;dist-asc&orderFrom=%5B3.2,48%5D&local=true', ['Car:3', 'Car:4', 'Car:2', 'Car:1']],
    ['local=true&id=urn:ngsi-ld:Park:1', ['Park:1']],
  ])('%s', async (query, expected) => {
    const { status, body } = await (await site()).get(`/entities?${query}`);
    expect(status).toBe(200);
    expect(ids(body)).toEqual(expected);
  });

  it.each<[string, string, RegExp]>([
    ['nothing selected', '', /too wide/],
    ['only ids', 'id=urn:ngsi-ld:Car:1', /too wide/],
    ['only a pattern', 'idPattern=.*', /too wide/],
    ['only scopes', 'scopeQ=/Bratislava', /too wide/],
    ['only a system attribute', 'q=createdAt%3E2020-01-01T00:00:00Z', /too wide/],
    ['an id that is none', 'type=Car&id=1', /"1" is not the id/],
    ['a bad query', 'q=speed%3E', /q: expected a value after '>' at 6/],
    ['a bad pattern', 'type=Car&idPattern=(', /not a regular expression/],
    ['half a geoquery', 'type=Car&georel=within', /needs geometry and coordinates/],
    ['a bad distance', 'georel=near;maxDistance==0&geometry=Point&coordinates=%5B0,0%5D', /georel must be/],
    ['linked entities without join', 'q=parkedAt%7Bname%7D==%22x%22', /parameter join/],
    ['joinLevel 0', 'type=Car&join=inline&joinLevel=0', /joinLevel must be/],
    ['an unknown join', 'type=Car&join=all', /join must be flat/],
    ['a query deeper than the join', 'q=a%7Bb%7Bc%7D%7D&join=flat', /2 relationships, but joinLevel is 1/],
    ['geometryProperty without GeoJSON', 'type=Car&geometryProperty=location', /GeoJSON answers only/],
    ['pick and omit of one member', 'type=Car&pick=speed,id&omit=id', /in pick and in omit/],
    ['an unknown option', 'type=Car&options=all', /"all" is not supported/],
    ['an unknown format', 'type=Car&format=xml', /"xml" is not one of/],
    ['an unknown parameter', 'type=Car&typ=Bus', /no parameter "typ"/],
    ['limit 0 without count', 'type=Car&limit=0', /only together with count/],
    ['type=* but not local', 'type=*&local=false', /contradicts/],
  ])('refuses %s', async (_, query, detail) => {
    const { status, body } = await (await site()).get(`/entities?${query}`);
    expect(status).toBe(400);
    expect((body as { detail: string }).detail).toMatch(detail);
  });

  it('6.3.10, 6.3.13: pages, links and count', async () => {
    const { get } = await site();
    const first = await get('/entities?type=Car&limit=2&count=true');
    expect(ids(first.body)).toEqual(['Car:1', 'Car:2']);
    expect(first.headers['ngsild-results-count']).toBe('4');
    expect(first.headers['link']).toContain(
      '</ngsi-ld/v1/entities?count=true&limit=2&offset=2&type=Car>; rel="next"; type="application/json"',
    );
    expect(first.headers['link']).not.toContain('rel="prev"');
    const second = await get('/entities?type=Car&limit=2&offset=2');
    expect(ids(second.body)).toEqual(['Car:3', 'Car:4']);
    expect(second.headers['link']).toContain('rel="prev"');
    expect(second.headers['link']).not.toContain('rel="next"');
    expect(second.headers['ngsild-results-count']).toBeUndefined();
    const counted = await get('/entities?type=Car&limit=0&count=true');
    expect(counted.body).toEqual([]);
    expect(counted.headers['ngsild-results-count']).toBe('4');
  });

  it('writes the answer as the request wants it: format, projection, media type, @context', async () => {
    const { get } = await site();
    const only = '/entities?type=Car&id=urn:ngsi-ld:Car:1';
    expect((await get(`${only}&format=simplified&attrs=speed`)).body).toEqual([
      { id: 'urn:ngsi-ld:Car:1', type: 'Car', scope: '/Bratislava', speed: 10 },
    ]);
    expect((await get(`${only}&options=keyValues&pick=id,speed`)).body).toEqual([{ id: 'urn:ngsi-ld:Car:1', speed: 10 }]);
    expect((await get(`${only}&options=concise,sysAttrs&omit=location,scope`)).body).toEqual([
      {
        id: 'urn:ngsi-ld:Car:1',
        type: 'Car',
        createdAt: '2026-01-01T00:00:00Z',
        modifiedAt: '2026-01-02T00:00:00.5Z',
        speed: 10,
      },
    ]);
    const inSlovak = await get(`${only}&pick=r%C3%BDchlos%C5%A5&format=simplified`, LINK);
    expect(inSlovak.body).toEqual([{ rýchlosť: 10 }]);
    expect(inSlovak.headers['link']).toContain('<https://example.org/sk.jsonld>; rel="http://www.w3.org/ns/json-ld#context"');
    const linked = await get(`${only}&pick=id`, { accept: 'application/ld+json' });
    expect(linked.headers['content-type']).toBe('application/ld+json');
    expect(linked.body).toEqual([{ '@context': testContext.source, id: 'urn:ngsi-ld:Car:1' }]);
    expect((await get(`${only}&pick=id`)).body).toEqual([{ id: 'urn:ngsi-ld:Car:1' }]);
  });

  it('4.21: leaves out what nothing is left of', async () => {
    const { get } = await site();
    expect((await get('/entities?type=Car,Park&pick=name')).body).toEqual([{ name: { type: 'Property', value: 'Sad' } }]);
    expect((await get('/entities/urn:ngsi-ld:Car:1?pick=name')).status).toBe(404);
    expect((await get('/entities/urn:ngsi-ld:Park:1?omit=id,type,name')).status).toBe(404);
  });

  it('6.3.15: GeoJSON, also of nothing', async () => {
    const { get } = await site();
    const accept = { accept: 'application/geo+json' };
    const found = await get('/entities?type=Car&limit=1&format=simplified&attrs=speed', accept);
    expect(found.headers['content-type']).toBe('application/geo+json');
    expect(found.body).toEqual({
      type: 'FeatureCollection',
      features: [
        {
          id: 'urn:ngsi-ld:Car:1',
          type: 'Feature',
          geometry: { type: 'Point', coordinates: [1, 48] },
          properties: { type: 'Car', scope: '/Bratislava', speed: 10 },
        },
      ],
      '@context': testContext.source,
    });
    expect((await get('/entities?type=Bus', { ...accept, prefer: 'body=json' })).body).toEqual({
      type: 'FeatureCollection',
      features: [],
    });
  });

  it('4.14: a tenant sees its own entities, and one that does not exist is refused', async () => {
    const { get, entities } = await site();
    entities.put(park, 'city');
    expect(ids((await get('/entities?type=Car,Park', { 'NGSILD-Tenant': 'city' })).body)).toEqual(['Park:1']);
    expect((await get('/entities?type=Car', { 'NGSILD-Tenant': 'nobody' })).status).toBe(404);
  });
});

describe('5.7.1: GET entities/{id}', () => {
  it('answers the entity, in every media type', async () => {
    const { get } = await site();
    expect((await get('/entities/urn:ngsi-ld:Park:1')).body).toEqual({
      id: 'urn:ngsi-ld:Park:1',
      type: 'Park',
      name: { type: 'Property', value: 'Sad' },
    });
    expect((await get('/entities/urn:ngsi-ld:Park:1?format=simplified', { accept: 'application/ld+json' })).body).toEqual({
      '@context': testContext.source,
      id: 'urn:ngsi-ld:Park:1',
      type: 'Park',
      name: 'Sad',
    });
    const feature = await get('/entities/urn:ngsi-ld:Park:1', { accept: 'application/geo+json' });
    expect(feature.body).toMatchObject({ type: 'Feature', geometry: null, '@context': testContext.source });
  });

  it.each([
    ['/entities/urn:ngsi-ld:Park:2', 404],
    ['/entities/Park', 400],
    ['/entities/urn:ngsi-ld:Park:1?attrs=speed', 404],
    ['/entities/urn:ngsi-ld:Park:1?type=Car', 404],
    ['/entities/urn:ngsi-ld:Park:1?type=Park&attrs=name,speed', 200],
    ['/entities/urn:ngsi-ld:Park:1?q=x', 400],
  ])('%s → %i', async (url, status) => {
    expect((await (await site()).get(url)).status).toBe(status);
  });

  it('answers a new version at once, and an old one from the cache without reading it', async () => {
    const { get, entities, cache } = await site();
    const speedOf = async () => ((await get('/entities/urn:ngsi-ld:Car:1?format=simplified')).body as { speed: number }).speed;
    expect(await speedOf()).toBe(10);
    expect(await speedOf()).toBe(10);
    expect(cache.statistics()).toMatchObject({ hits: 1, misses: 1 });
    entities.put({ ...car(1), attributes: attributesOf({ speed: { type: 'Property', value: 99 } }) });
    expect(await speedOf()).toBe(99);
    expect((await get('/entities/urn:ngsi-ld:Car:1?format=simplified', LINK)).body).toHaveProperty('rýchlosť');
  });
});

describe('6.23: POST entityOperations/query', () => {
  it('takes several selectors, each with its own conditions', async () => {
    const { post } = await site();
    const { status, body } = await post({
      type: 'Query',
      entities: [
        { type: 'Car', id: ['urn:ngsi-ld:Car:1', 'urn:ngsi-ld:Park:1'] },
        { type: 'Park' },
        { type: 'Car', idPattern: '4$' },
      ],
    });
    expect(status).toBe(200);
    expect(ids(body)).toEqual(['Car:1', 'Car:4', 'Park:1']);
  });

  it('takes q, geoQ, attrs and projection', async () => {
    const { post } = await site();
    const query = {
      type: 'Query',
      q: 'speed>10',
      geoQ: { georel: 'near;maxDistance==100000', geometry: 'Point', coordinates: [1.5, 48] },
      pick: ['id'],
    };
    expect((await post(query)).body).toEqual([{ id: 'urn:ngsi-ld:Car:2' }]);
    expect((await post({ type: 'Query', attrs: ['name'] }, '/entityOperations/query?options=keyValues')).body).toEqual([
      { id: 'urn:ngsi-ld:Park:1', type: 'Park', name: 'Sad' },
    ]);
  });

  it.each<[object, RegExp]>([
    [{}, /"type" must be "Query"/],
    [{ type: 'Query' }, /too wide/],
    [{ type: 'Query', entities: [] }, /"entities" must be an array that is not empty/],
    [{ type: 'Query', entities: [{ type: 'Car' }], p: 'x' }, /no member "p"/],
    [{ type: 'Query', q: 5 }, /"q" must be a text/],
    [{ type: 'Query', attrs: ['a'], temporalQ: {} }, /temporal\/entityOperations/],
    [{ type: 'Query', attrs: ['a'], ordering: { orderBy: ['a;dist-asc'] } }, /needs orderFrom/],
    [{ type: 'Query', attrs: [] }, /"attrs" must be an array of texts/],
    [{ type: 'Query', geoQ: 'near' }, /"geoQ" must be an object/],
  ])('refuses %j', async (body, detail) => {
    const answer = await (await site()).post(body);
    expect(answer.status).toBe(400);
    expect((answer.body as { detail: string }).detail).toMatch(detail);
  });
});

describe('the rendering cache', () => {
  it('stays within its bound and keeps what is used', () => {
    const cache = renderingCache(10_000);
    let written = 0;
    const rendering = { key: 'k', write: () => `${++written}`.padEnd(400) };
    const stored = (version: number) => ({ id: park.id, version, number: 1, entity: park });
    for (let version = 1; version <= 200; version += 1) {
      cache.text(rendering, stored(version));
      cache.text(rendering, stored(1));
    }
    expect(cache.statistics().bytes).toBeLessThanOrEqual(10_000);
    expect(cache.statistics().misses).toBe(200);
    const before = written;
    cache.text({ key: 'other', write: rendering.write }, stored(1));
    expect(written).toBe(before + 1);
  });
});
