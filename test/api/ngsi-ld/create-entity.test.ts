import { describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { changesOf as changes, D, ERRORS, storedEntity } from '../../support/provision.ts';

const ID = 'urn:ngsi-ld:Vehicle:1';
const entity = (broker: TestBroker, id = ID, tenant = '') => storedEntity(broker, id, tenant);
const body = { id: ID, type: 'Vehicle', speed: { type: 'Property', value: 55 } };

describe('Create Entity (5.6.1, 6.4.3.1)', () => {
  it('stores the entity with IRIs, answers 201 with its path, and announces one change', async () => {
    await using broker = await inMemoryBroker();
    const answer = await broker.request('POST', '/ngsi-ld/v1/entities', body);
    expect(answer.statusCode).toBe(201);
    expect(answer.headers['location']).toBe(`/ngsi-ld/v1/entities/${ID}`);
    expect(answer.body).toBe('');
    // 6.3.6: no link to a context where there is no body.
    expect(answer.headers['link']).toBeUndefined();
    expect(await entity(broker)).toMatchObject({ types: [`${D}Vehicle`], attributes: { [`${D}speed`]: [{ value: 55 }] } });
    expect(await changes(broker)).toMatchObject([{ kind: 'created', id: ID }]);
  });

  it('expands with the @context of the body, or of the Link header', async () => {
    await using broker = await inMemoryBroker();
    const context = { speed: 'https://example.org/speed', Vehicle: 'https://example.org/Vehicle' };
    const ld = { 'content-type': 'application/ld+json' };
    expect((await broker.request('POST', '/ngsi-ld/v1/entities', { ...body, '@context': context }, ld)).statusCode).toBe(201);
    expect(await entity(broker)).toMatchObject({
      types: ['https://example.org/Vehicle'],
      attributes: { 'https://example.org/speed': [{}] },
    });
    const url = 'https://smart-data-models.github.io/dataModel.Weather/context.jsonld';
    const link = { link: `<${url}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"` };
    const weather = { id: 'urn:w:1', type: 'WeatherObserved', temperature: 3 };
    expect((await broker.request('POST', '/ngsi-ld/v1/entities', weather, link)).statusCode).toBe(201);
    expect(Object.keys((await entity(broker, 'urn:w:1'))?.attributes ?? {})).toEqual([
      'https://smartdatamodels.org/dataModel.Weather/temperature',
    ]);
  });

  it('refuses what exists, and leaves it as it is', async () => {
    await using broker = await inMemoryBroker();
    await broker.request('POST', '/ngsi-ld/v1/entities', body);
    const again = await broker.request('POST', '/ngsi-ld/v1/entities', { ...body, speed: 60 });
    expect(again.statusCode).toBe(409);
    expect(again.json()).toMatchObject({ type: `${ERRORS}AlreadyExists`, detail: expect.stringContaining(ID) });
    expect(await entity(broker)).toMatchObject({ attributes: { [`${D}speed`]: [{ value: 55 }] } });
    expect(await changes(broker)).toHaveLength(1);
  });

  it.each([
    ['no id', { type: 'Vehicle' }],
    ['no type', { id: ID }],
    ['an id that is no IRI', { ...body, id: 'vehicle1' }],
    ['an NGSI-LD Null', { ...body, speed: 'urn:ngsi-ld:null' }],
    ['a null inside a value', { ...body, speed: { value: { a: 'urn:ngsi-ld:null' } } }],
    ['an @context in a JSON body', { ...body, '@context': {} }],
  ])('refuses %s, and stores nothing', async (_what, wrong) => {
    await using broker = await inMemoryBroker();
    const answer = await broker.request('POST', '/ngsi-ld/v1/entities', wrong);
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ type: `${ERRORS}BadRequestData` });
    expect(await changes(broker)).toEqual([]);
  });

  it('creates a tenant with its first entity, which no other tenant sees (5.5.10)', async () => {
    await using broker = await inMemoryBroker();
    const tenant = { 'ngsild-tenant': 'city' };
    const answer = await broker.request('POST', '/ngsi-ld/v1/entities', body, tenant);
    expect(answer.headers['ngsild-tenant']).toBe('city');
    expect(await entity(broker)).toBeUndefined();
    expect(await entity(broker, ID, 'city')).toBeDefined();
    expect((await broker.request('POST', '/ngsi-ld/v1/entities', body)).statusCode).toBe(201);
  });

  it('says when the @context cannot be had, and stores nothing', async () => {
    await using broker = await inMemoryBroker({ config: { contextTimeoutMs: 200 } });
    const ld = { 'content-type': 'application/ld+json' };
    const answer = await broker.request(
      'POST',
      '/ngsi-ld/v1/entities',
      { ...body, '@context': 'http://127.0.0.1:1/nothing' },
      ld,
    );
    expect(answer.statusCode).toBe(504);
    expect(answer.json()).toMatchObject({
      type: `${ERRORS}LdContextNotAvailable`,
      detail: expect.stringContaining('127.0.0.1:1'),
    });
    expect(await changes(broker)).toEqual([]);
  });
});
