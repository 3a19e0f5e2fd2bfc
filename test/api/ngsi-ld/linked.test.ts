import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';

type Json = Record<string, unknown>;
const rel = (object: unknown): Json => ({ type: 'Relationship', object });

/** Two benches in a park in a city, and a city that links back to its park. */
async function town(broker: TestBroker): Promise<void> {
  const entities = [
    {
      id: 'urn:x:Bench:1',
      type: 'Bench',
      seats: 3,
      standsIn: rel('urn:x:Park:1'),
      location: { type: 'Point', coordinates: [1, 2] },
    },
    { id: 'urn:x:Bench:2', type: 'Bench', seats: 4, standsIn: rel('urn:x:Park:1') },
    { id: 'urn:x:Bench:3', type: 'Bench', seats: 5, standsIn: rel('urn:x:Park:gone') },
    {
      id: 'urn:x:Park:1',
      type: 'Park',
      name: 'Sad',
      area: 12,
      partOf: { ...rel('urn:x:City:1'), since: 1900, by: rel('urn:x:City:1') },
    },
    { id: 'urn:x:City:1', type: 'City', name: 'Nitra', population: 80000, pride: rel('urn:x:Park:1') },
    {
      id: 'urn:x:Tour:1',
      type: 'Tour',
      stops: { type: 'ListRelationship', objectList: ['urn:x:City:1', 'urn:x:Park:gone', 'urn:x:Park:1'] },
    },
    { id: 'urn:x:Walk:1', type: 'Walk', sees: rel(['urn:x:Park:1', 'urn:x:Park:gone']) },
  ];
  const created = await broker.request('POST', '/ngsi-ld/v1/entityOperations/create', entities);
  expect(created.statusCode).toBe(201);
}

async function site() {
  const broker = await inMemoryBroker();
  await town(broker);
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const response = await broker.request('GET', `/ngsi-ld/v1${path}`, undefined, headers);
    return { status: response.statusCode, body: response.json() as Json & Json[], headers: response.headers };
  };
  return { broker, get, [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose]() };
}

const PARK = { id: 'urn:x:Park:1', type: 'Park', name: 'Sad', area: 12, partOf: 'urn:x:City:1' };

describe('4.5.23: linked entities of one entity', () => {
  it('4.5.23.2: inline, the linked entity is a member of the Relationship, one level if nothing is said', async () => {
    await using at = await site();
    const { body } = await at.get('/entities/urn:x:Bench:1?join=inline');
    expect(body['standsIn']).toMatchObject({
      type: 'Relationship',
      object: 'urn:x:Park:1',
      entity: { id: 'urn:x:Park:1', type: 'Park', name: { type: 'Property', value: 'Sad' } },
    });
    const park = (body['standsIn'] as Json)['entity'] as Json;
    expect(park['partOf']).not.toHaveProperty('entity');
    expect(JSON.stringify(body)).not.toContain('createdAt');
  });

  it('goes as deep as joinLevel says, never in a circle, and not into Relationships of Relationships', async () => {
    await using at = await site();
    const { body } = await at.get('/entities/urn:x:Bench:1?join=inline&joinLevel=9&format=concise');
    const park = (body['standsIn'] as Json)['entity'] as Json;
    const partOf = park['partOf'] as Json;
    const city = partOf['entity'] as Json;
    expect(city).toMatchObject({ id: 'urn:x:City:1', population: 80000 });
    // The park is what contains the city here.
    expect(city['pride']).toEqual({ object: 'urn:x:Park:1' });
    expect(partOf['by']).toEqual({ object: 'urn:x:City:1' });
  });

  it('4.5.4: simplified, the entity stands where its id was; an id without an entity stays', async () => {
    await using at = await site();
    expect((await at.get('/entities/urn:x:Bench:2?join=inline&format=simplified')).body).toEqual({
      id: 'urn:x:Bench:2',
      type: 'Bench',
      seats: 4,
      standsIn: PARK,
    });
    expect((await at.get('/entities/urn:x:Bench:3?join=inline&format=simplified')).body['standsIn']).toBe('urn:x:Park:gone');
    expect((await at.get('/entities/urn:x:Walk:1?join=inline&format=simplified')).body['sees']).toEqual([
      PARK,
      'urn:x:Park:gone',
    ]);
  });

  it('5.2.37: entityList keeps the order of objectList, without what is nowhere', async () => {
    await using at = await site();
    const { body } = await at.get('/entities/urn:x:Tour:1?join=inline&options=sysAttrs');
    const stops = body['stops'] as { entityList: Json[] };
    expect(stops.entityList.map((entity) => entity['id'])).toEqual(['urn:x:City:1', 'urn:x:Park:1']);
    expect(stops.entityList[0]).toHaveProperty('createdAt');
    expect(stops).not.toHaveProperty('entity');
  });

  it('4.5.23.3: flat, always an array, the linking entity first, each entity once', async () => {
    await using at = await site();
    const ids = ({ body }: { body: Json[] }) => body.map((entity) => entity['id']);
    const deep = await at.get('/entities/urn:x:Bench:1?join=flat&joinLevel=5');
    expect(ids(deep)).toEqual(['urn:x:Bench:1', 'urn:x:Park:1', 'urn:x:City:1']);
    expect(JSON.stringify(deep.body)).not.toContain('"entity"');
    expect(ids(await at.get('/entities/urn:x:Bench:1?join=flat'))).toEqual(['urn:x:Bench:1', 'urn:x:Park:1']);
    expect(ids(await at.get('/entities/urn:x:Bench:3?join=flat'))).toEqual(['urn:x:Bench:3']);
    expect((await at.get('/entities/urn:x:Bench:4?join=flat')).status).toBe(404);
  });

  it('6.5.3.1: what containedBy names was encountered before', async () => {
    await using at = await site();
    const flat = await at.get('/entities/urn:x:Bench:1?join=flat&joinLevel=5&containedBy=urn:x:City:1,urn:x:City:2');
    expect(flat.body.map((entity) => entity['id'])).toEqual(['urn:x:Bench:1', 'urn:x:Park:1']);
    const inline = await at.get('/entities/urn:x:Bench:1?join=inline&joinLevel=1&containedBy=urn:x:Park:1');
    expect(inline.body['standsIn']).not.toHaveProperty('entity');
    expect((await at.get('/entities/urn:x:Bench:1?join=inline&joinLevel=1&containedBy=Park')).status).toBe(400);
  });

  it('4.21: pick and omit go along, and what is not shown is not followed', async () => {
    await using at = await site();
    const pick = 'pick=id,standsIn{name,partOf{population}}';
    expect((await at.get(`/entities/urn:x:Bench:1?join=inline&joinLevel=2&format=simplified&${pick}`)).body).toEqual({
      id: 'urn:x:Bench:1',
      standsIn: { name: 'Sad', partOf: { population: 80000 } },
    });
    expect((await at.get(`/entities/urn:x:Bench:1?join=flat&joinLevel=2&format=simplified&${pick}`)).body).toEqual([
      { id: 'urn:x:Bench:1', standsIn: 'urn:x:Park:1' },
      { name: 'Sad', partOf: 'urn:x:City:1' },
      { population: 80000 },
    ]);
    const unfollowed = await at.get('/entities/urn:x:Bench:1?join=flat&joinLevel=2&pick=id,seats');
    expect(unfollowed.body).toHaveLength(1);
    const omit = await at.get('/entities/urn:x:Bench:2?join=inline&format=simplified&omit=seats,standsIn{area,partOf}');
    expect(omit.body).toEqual({
      id: 'urn:x:Bench:2',
      type: 'Bench',
      standsIn: { id: 'urn:x:Park:1', type: 'Park', name: 'Sad' },
    });
    const attrs = await at.get('/entities/urn:x:Bench:2?join=inline&format=simplified&attrs=standsIn');
    expect(attrs.body).toEqual({ id: 'urn:x:Bench:2', type: 'Bench', standsIn: PARK });
  });

  it('6.3.15: GeoJSON: inline is a Feature, flat a FeatureCollection; JSON-LD: one @context for each object of an answer', async () => {
    await using at = await site();
    const accept = { accept: 'application/geo+json' };
    const feature = await at.get('/entities/urn:x:Bench:1?join=inline', accept);
    expect(feature.body).toMatchObject({ type: 'Feature', properties: { standsIn: { entity: { type: 'Park' } } } });
    expect(feature.body).toHaveProperty('@context');
    const collection = await at.get('/entities/urn:x:Bench:1?join=flat', accept);
    expect(collection.body).toMatchObject({
      type: 'FeatureCollection',
      features: [{ id: 'urn:x:Bench:1' }, { id: 'urn:x:Park:1' }],
    });
    const linked = await at.get('/entities/urn:x:Bench:1?join=flat', { accept: 'application/ld+json' });
    expect(linked.body.every((entity) => '@context' in entity)).toBe(true);
  });

  it.each([
    ['join=sideways', 400, 'BadRequestData'],
    ['join=inline&joinLevel=0', 400, 'BadRequestData'],
    ['join=inline&joinLevel=11', 403, 'TooComplexQuery'],
    ['pick=standsIn{name}', 400, 'BadRequestData'],
    ['join=@none&pick=standsIn{name}', 400, 'BadRequestData'],
    ['join=flat&pick=standsIn{partOf{name}}', 400, 'BadRequestData'],
  ])('refuses %s with %i', async (parameters, status, type) => {
    await using at = await site();
    const answer = await at.get(`/entities/urn:x:Bench:1?${parameters}`);
    expect(answer.status).toBe(status);
    expect(answer.body['type']).toBe(`https://uri.etsi.org/ngsi-ld/errors/${type}`);
  });

  it('joins no more entities than the limit, inline wherever one is put', async () => {
    await using broker = await inMemoryBroker({ config: { joinedEntities: 2 } });
    await town(broker);
    const status = async (path: string) => (await broker.request('GET', `/ngsi-ld/v1/entities${path}`)).statusCode;
    expect(await status('/urn:x:Bench:1?join=flat&joinLevel=2')).toBe(200);
    expect(await status('/urn:x:Tour:1?join=flat&joinLevel=2')).toBe(403);
    expect(await status('?type=Bench&join=inline')).toBe(200);
    // One park, in two benches, with a city in each.
    expect(await status('?type=Bench&join=inline&joinLevel=2')).toBe(403);
    expect(await status('?type=Bench&join=flat&joinLevel=2')).toBe(200);
  });

  it('4.14: does not look into another tenant', async () => {
    await using at = await site();
    const tenant = { 'NGSILD-Tenant': 'other' };
    const bench = { id: 'urn:x:Bench:1', type: 'Bench', standsIn: rel('urn:x:Park:1') };
    await at.broker.request('POST', '/ngsi-ld/v1/entities', bench, tenant);
    expect((await at.get('/entities/urn:x:Bench:1?join=flat', tenant)).body).toHaveLength(1);
  });
});

describe('4.5.23: linked entities of a query', () => {
  it('5.7.2.5: inline each linking entity has its own, flat they follow all of them; count and limit mean the matches', async () => {
    await using at = await site();
    const inline = await at.get('/entities?type=Bench&join=inline&format=simplified&limit=2&count=true');
    expect(inline.body.map((bench) => bench['standsIn'])).toEqual([PARK, PARK]);
    expect(inline.headers['ngsild-results-count']).toBe('3');
    const flat = await at.get('/entities?type=Bench&join=flat&joinLevel=2&limit=2&count=true');
    expect(flat.body.map((entity) => entity['id'])).toEqual(['urn:x:Bench:1', 'urn:x:Bench:2', 'urn:x:Park:1', 'urn:x:City:1']);
    expect(flat.headers['ngsild-results-count']).toBe('3');
    expect(flat.headers['link']).toContain('rel="next"');
  });

  it('a linked entity that matches itself is not there twice', async () => {
    await using at = await site();
    const { body } = await at.get('/entities?type=Park,City&join=flat&joinLevel=3');
    expect(body.map((entity) => entity['id'])).toEqual(['urn:x:City:1', 'urn:x:Park:1']);
  });

  it('4.9: q goes as deep as the join, and no deeper', async () => {
    await using at = await site();
    const query = (q: string, join = 'join=flat&joinLevel=2') =>
      at.get(`/entities?type=Bench&q=${encodeURIComponent(q)}&${join}`);
    expect((await query('standsIn{partOf{population}}>1000')).body).toHaveLength(4);
    expect((await query('standsIn{City:partOf{population}}>1000')).body).toHaveLength(0);
    expect((await query('standsIn{area}>12')).body).toHaveLength(0);
    expect((await query('standsIn{partOf{population}}>1000', 'join=flat')).status).toBe(400);
    expect((await query('standsIn{area}==12', '')).status).toBe(400);
  });

  it('6.23: by POST', async () => {
    await using at = await site();
    const query = { type: 'Query', entities: [{ type: 'Bench' }], join: 'inline', joinLevel: 1, containedBy: ['urn:x:City:1'] };
    const response = await at.broker.request('POST', '/ngsi-ld/v1/entityOperations/query?format=simplified', query);
    expect((response.json() as Json[]).map((bench) => bench['standsIn'])).toEqual([PARK, PARK, 'urn:x:Park:gone']);
  });

  it('a changed linked entity is seen at once', async () => {
    await using at = await site();
    const name = async () =>
      ((await at.get('/entities?type=Bench&limit=1&join=inline&format=simplified')).body.at(0)!['standsIn'] as Json)['name'];
    expect(await name()).toBe('Sad');
    await at.broker.request('PATCH', '/ngsi-ld/v1/entities/urn:x:Park:1', { name: 'Lúka' });
    expect(await name()).toBe('Lúka');
  });
});

describe('5.8.6: notifications with linked entities', () => {
  async function received(notification: Json, more: Json, act: (broker: TestBroker) => Promise<unknown>): Promise<Json[]> {
    const bodies: Json[] = [];
    const server = createServer((request, response) => {
      let text = '';
      request.on('data', (part) => {
        text += part;
      });
      request.on('end', () => {
        bodies.push(JSON.parse(text) as Json);
        response.end();
      });
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    try {
      await using broker = await inMemoryBroker();
      await town(broker);
      await broker.broker.notifications.idle();
      const uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
      const created = await broker.request('POST', '/ngsi-ld/v1/subscriptions', {
        type: 'Subscription',
        entities: [{ type: 'Bench' }],
        ...more,
        notification: { endpoint: { uri }, ...notification },
      });
      expect(created.body).toBe('');
      await act(broker);
      await broker.broker.notifications.idle();
      return bodies;
    } finally {
      server.close();
      server.closeAllConnections();
    }
  }
  const repaint = (broker: TestBroker) => broker.request('PATCH', '/ngsi-ld/v1/entities/urn:x:Bench:2/attrs', { seats: 6 });

  it('join=inline and join=flat', async () => {
    const [inline] = await received({ join: 'inline', format: 'simplified' }, {}, repaint);
    expect(inline?.['data']).toEqual([{ id: 'urn:x:Bench:2', type: 'Bench', seats: 6, standsIn: PARK }]);
    const [flat] = await received(
      { join: 'flat', joinLevel: 2, format: 'simplified', pick: ['id', 'standsIn{id,partOf{name}}'] },
      {},
      repaint,
    );
    expect(flat?.['data']).toEqual([
      { id: 'urn:x:Bench:2', standsIn: 'urn:x:Park:1' },
      { id: 'urn:x:Park:1', partOf: 'urn:x:City:1' },
      { name: 'Nitra' },
    ]);
  });

  it('the linked entities are there also beside previous values', async () => {
    const [told] = await received({ join: 'flat', showChanges: true }, {}, repaint);
    const data = told?.['data'] as Json[];
    expect(data[0]?.['seats']).toMatchObject({ value: 6, previousValue: 4 });
    expect(data[1]?.['id']).toBe('urn:x:Park:1');
  });

  it.each([
    { join: 'inline', joinLevel: 11 },
    { join: 'inline', joinLevel: 0 },
    { join: 'sideways' },
    { pick: ['standsIn{name}'] },
  ])('5.2.14.1: refuses %j', async (wrong) => {
    await using broker = await inMemoryBroker();
    const notification = { endpoint: { uri: 'http://127.0.0.1:9/' }, ...wrong };
    const body = { type: 'Subscription', entities: [{ type: 'Bench' }], notification };
    expect((await broker.request('POST', '/ngsi-ld/v1/subscriptions', body)).statusCode).toBe(400);
    expect((await broker.request('GET', '/ngsi-ld/v1/subscriptions')).json()).toEqual([]);
  });

  it('4.9: q over linked entities decides, by their state when the change is looked at', async () => {
    const q = { q: 'standsIn{area}==12' };
    expect(await received({}, q, repaint)).toHaveLength(1);
    const three = (broker: TestBroker) => broker.request('PATCH', '/ngsi-ld/v1/entities/urn:x:Bench:3/attrs', { seats: 6 });
    expect(await received({}, q, three)).toHaveLength(0);
  });
});
