import { beforeEach, describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { API, changesOf, D, ERRORS, storedAttribute, storedEntity } from '../../support/provision.ts';
import { testClock } from '../../support/writes.ts';

const ID = 'urn:ngsi-ld:Vehicle:1';
const URL = `${API}/entities/${ID}`;
const OTHER = { 'ngsild-tenant': 'other' };
const original = {
  id: ID,
  type: 'Vehicle',
  speed: { value: 55, unitCode: 'KMH' },
  address: { value: { city: 'Bratislava', zip: 1 } },
};

/** A broker with one entity, and its twin in another tenant. */
async function withVehicle(): Promise<TestBroker & { readonly clock: ReturnType<typeof testClock> }> {
  const clock = testClock();
  const broker = await inMemoryBroker({ clock });
  await broker.request('POST', `${API}/entities`, original);
  await broker.request('POST', `${API}/entities`, original, OTHER);
  clock.advance(60);
  return Object.assign(broker, { clock });
}
let broker: Awaited<ReturnType<typeof withVehicle>>;
beforeEach(async () => {
  broker = await withVehicle();
  return () => broker[Symbol.asyncDispose]();
});

const send = (method: 'PUT' | 'PATCH' | 'DELETE' | 'POST', url: string, body?: unknown, headers?: Record<string, string>) =>
  broker.request(method, url, body, headers);
const twinUntouched = async () => {
  expect(await storedAttribute(broker, ID, 'speed', 'other')).toEqual({ type: 'Property', value: 55, unitCode: 'KMH' });
};
const nothingChanged = async () => expect(await changesOf(broker)).toHaveLength(2);

describe('Replace Entity (5.6.18)', () => {
  it('replaces everything but createdAt', async () => {
    const before = await storedEntity(broker, ID);
    expect((await send('PUT', URL, { id: ID, type: 'Car', colour: 'red' })).statusCode).toBe(204);
    const after = await storedEntity(broker, ID);
    expect(Object.keys(after?.attributes ?? {})).toEqual([`${D}colour`]);
    expect(after).toMatchObject({ types: [`${D}Car`], createdAt: before?.createdAt });
    expect(after?.modifiedAt).not.toBe(before?.modifiedAt);
    await twinUntouched();
  });

  it.each([
    ['an NGSI-LD Null', { type: 'Vehicle', speed: 'urn:ngsi-ld:null' }],
    ['the id of another entity', { id: 'urn:b:1', type: 'Vehicle' }],
  ])('refuses %s', async (_what, body) => {
    const answer = await send('PUT', URL, body);
    expect(answer.json()).toMatchObject({ status: 400, type: `${ERRORS}BadRequestData` });
    await nothingChanged();
  });

  it('is no change if everything is equal', async () => {
    expect((await send('PUT', URL, original)).statusCode).toBe(204);
    await nothingChanged();
  });
});

describe('Merge Entity (5.6.17)', () => {
  it('goes into values, keeps the rest, and deletes by NGSI-LD Null', async () => {
    const body = { speed: { value: 60 }, address: { value: { city: 'Viedeň', zip: 'urn:ngsi-ld:null' } } };
    expect((await send('PATCH', URL, body)).statusCode).toBe(204);
    expect(await storedAttribute(broker, ID, 'speed')).toEqual({ type: 'Property', value: 60, unitCode: 'KMH' });
    expect(await storedAttribute(broker, ID, 'address')).toEqual({ type: 'Property', value: { city: 'Viedeň' } });
    await send('PATCH', URL, { address: 'urn:ngsi-ld:null' });
    expect(await storedAttribute(broker, ID, 'address')).toEqual([]);
    await twinUntouched();
  });

  it('takes plain values, a language and a common observedAt', async () => {
    await send('PATCH', URL, {
      name: { languageMap: { en: 'One', sk: 'Jeden' } },
      speed: { value: 1, observedAt: '2026-01-01T00:00:00Z' },
    });
    const url = `${URL}?format=simplified&lang=sk&observedAt=2026-02-02T00:00:00Z`;
    expect((await send('PATCH', url, { name: 'Dva', speed: 2 })).statusCode).toBe(204);
    expect(await storedAttribute(broker, ID, 'name')).toEqual({
      type: 'LanguageProperty',
      languageMap: { en: 'One', sk: 'Dva' },
    });
    expect(await storedAttribute(broker, ID, 'speed')).toMatchObject({
      value: 2,
      unitCode: 'KMH',
      observedAt: '2026-02-02T00:00:00Z',
    });
  });

  it('accepts merge-patch+json as JSON (6.3.4)', async () => {
    const answer = await send('PATCH', URL, { speed: 7 }, { 'content-type': 'application/merge-patch+json' });
    expect(answer.statusCode).toBe(204);
  });

  it('is no change if nothing differs', async () => {
    expect((await send('PATCH', URL, { speed: 55, address: { value: { zip: 1 } } })).statusCode).toBe(204);
    await nothingChanged();
  });
});

describe('Delete Entity (5.6.6)', () => {
  it('deletes it here, and only here', async () => {
    expect((await send('DELETE', URL)).statusCode).toBe(204);
    expect(await storedEntity(broker, ID)).toBeUndefined();
    expect((await send('DELETE', URL)).json()).toMatchObject({ status: 404, type: `${ERRORS}ResourceNotFound` });
    await twinUntouched();
  });

  it('takes a type that the entity lacks for another entity (4.17)', async () => {
    expect((await send('DELETE', `${URL}?type=Boat`)).statusCode).toBe(404);
    await nothingChanged();
    expect((await send('DELETE', `${URL}?type=Boat,Vehicle`)).statusCode).toBe(204);
  });
});

describe('Purge Entities (5.6.21)', () => {
  it('deletes what matches', async () => {
    await send('POST', `${API}/entities`, { id: 'urn:b:1', type: 'Boat', speed: 5 });
    expect((await send('DELETE', `${API}/entities?q=speed%3E50`)).statusCode).toBe(204);
    expect(await storedEntity(broker, ID)).toBeUndefined();
    expect(await storedEntity(broker, 'urn:b:1')).toBeDefined();
    await twinUntouched();
  });

  it('drops attributes, or keeps only some', async () => {
    await send('DELETE', `${API}/entities?type=Vehicle&drop=speed`);
    expect(await storedAttribute(broker, ID, 'speed')).toEqual([]);
    expect(await storedAttribute(broker, ID, 'address')).not.toEqual([]);
    await send('DELETE', `${API}/entities?type=Vehicle&keep=speed`);
    expect((await storedEntity(broker, ID))?.attributes).toEqual({});
    await twinUntouched();
  });

  it.each(['', `?id=${ID}`, '?idPattern=.*'])('refuses a query that is too wide: %s', async (query) => {
    expect((await send('DELETE', `${API}/entities${query}`)).json()).toMatchObject({
      status: 400,
      type: `${ERRORS}BadRequestData`,
    });
    await nothingChanged();
  });
});

describe('Update and Append Attributes (5.6.2, 5.6.3)', () => {
  it('swaps whole instances, adds and deletes', async () => {
    const answer = await send('PATCH', `${URL}/attrs`, {
      speed: { value: 60 },
      colour: 'red',
      address: 'urn:ngsi-ld:null',
      type: 'Car',
    });
    expect(answer.statusCode).toBe(204);
    expect(await storedAttribute(broker, ID, 'speed')).toEqual({ type: 'Property', value: 60 });
    expect(await storedAttribute(broker, ID, 'address')).toEqual([]);
    expect(await storedEntity(broker, ID)).toMatchObject({ types: [`${D}Vehicle`, `${D}Car`] });
    await twinUntouched();
  });

  it('appends, and with noOverwrite reports what exists by its IRI, as plain JSON', async () => {
    expect((await send('POST', `${URL}/attrs`, { speed: 60 })).statusCode).toBe(204);
    const answer = await send(
      'POST',
      `${URL}/attrs?options=noOverwrite`,
      { speed: 70, colour: 'red' },
      { accept: 'application/ld+json' },
    );
    expect(answer.statusCode).toBe(207);
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.json()).toMatchObject({
      updated: [`${D}colour`],
      notUpdated: [{ attributeName: `${D}speed`, reason: expect.any(String) }],
    });
    expect(await storedAttribute(broker, ID, 'speed')).toEqual({ type: 'Property', value: 60 });
  });

  it('refuses an NGSI-LD Null in an append, and an option that does not exist', async () => {
    expect((await send('POST', `${URL}/attrs`, { speed: 'urn:ngsi-ld:null' })).statusCode).toBe(400);
    expect((await send('POST', `${URL}/attrs?options=keyValues`, { speed: 1 })).json()).toMatchObject({
      type: `${ERRORS}InvalidRequest`,
    });
    await nothingChanged();
  });

  it('is no change if the value is the same', async () => {
    expect((await send('PATCH', `${URL}/attrs`, { speed: { unitCode: 'KMH', value: 55.0 } })).statusCode).toBe(204);
    await nothingChanged();
  });
});

describe('what is ignored is said (5.6.2)', () => {
  it('a scope for an entity that has none', async () => {
    const answer = await send('PATCH', `${URL}/attrs`, { speed: 1, scope: '/X' });
    expect(answer.statusCode).toBe(207);
    expect(answer.json()).toMatchObject({
      updated: [`${D}speed`],
      notUpdated: [{ attributeName: 'https://uri.etsi.org/ngsi-ld/scope' }],
    });
    expect(await storedEntity(broker, ID)).not.toHaveProperty('scopes');
  });
});

describe('one attribute: Partial Update, Replace, Delete (5.6.4, 5.6.19, 5.6.5)', () => {
  const SPEED = `${URL}/attrs/speed`;

  it('updates members, replaces, deletes', async () => {
    expect((await send('PATCH', SPEED, { value: 60 })).statusCode).toBe(204);
    expect(await storedAttribute(broker, ID, 'speed')).toEqual({ type: 'Property', value: 60, unitCode: 'KMH' });
    expect((await send('PUT', SPEED, { type: 'Property', value: 61 })).statusCode).toBe(204);
    expect(await storedAttribute(broker, ID, 'speed')).toEqual({ type: 'Property', value: 61 });
    expect((await send('DELETE', SPEED)).statusCode).toBe(204);
    expect(await storedAttribute(broker, ID, 'speed')).toEqual([]);
    await twinUntouched();
  });

  it('finds the attribute by its IRI too', async () => {
    expect((await send('PATCH', `${URL}/attrs/${encodeURIComponent(`${D}speed`)}`, { value: 60 })).statusCode).toBe(204);
  });

  it('deletes the instance that is meant', async () => {
    await send('POST', `${URL}/attrs`, {
      speed: [
        { value: 1, datasetId: 'urn:d:1' },
        { value: 2, datasetId: 'urn:d:2' },
      ],
    });
    await send('DELETE', `${SPEED}?datasetId=urn:d:1`);
    expect(await storedAttribute(broker, ID, 'speed')).toMatchObject([{ value: 55 }, { datasetId: 'urn:d:2' }]);
    await send('DELETE', SPEED);
    expect(await storedAttribute(broker, ID, 'speed')).toMatchObject({ datasetId: 'urn:d:2' });
    expect((await send('DELETE', SPEED)).statusCode).toBe(404);
    expect((await send('DELETE', `${SPEED}?deleteAll=true`)).statusCode).toBe(204);
    expect((await send('DELETE', `${SPEED}?deleteAll=true`)).statusCode).toBe(404);
  });

  it.each([
    ['PATCH', 'attrs/colour', { value: 1 }, 404],
    ['PUT', 'attrs/colour', { value: 1 }, 404],
    ['PATCH', 'attrs/speed', { type: 'Relationship', object: 'urn:b:1' }, 400],
    ['PATCH', 'attrs/speed', { datasetId: 'urn:ngsi-ld:null' }, 400],
    ['PATCH', 'attrs/scope', { value: '/X' }, 400],
    ['PUT', 'attrs/scope', { value: '/X' }, 400],
    ['PUT', 'attrs/speed', { value: 'urn:ngsi-ld:null' }, 400],
    ['PUT', 'attrs/speed', [], 400],
    ['DELETE', 'attrs/colour', undefined, 404],
    ['DELETE', 'attrs/not%20a%20name', undefined, 400],
    ['DELETE', 'attrs/speed?datasetId=x', undefined, 400],
  ] as const)('%s %s %j is answered %i', async (method, path, body, status) => {
    expect((await send(method, `${URL}/${path}`, body)).statusCode).toBe(status);
    await nothingChanged();
  });
});

describe('what is not there', () => {
  const requests = [
    ['PUT', '', { type: 'Vehicle' }],
    ['PATCH', '', { speed: 1 }],
    ['DELETE', '', undefined],
    ['POST', '/attrs', { speed: 1 }],
    ['PATCH', '/attrs', { speed: 1 }],
    ['PATCH', '/attrs/speed', { value: 1 }],
    ['PUT', '/attrs/speed', { value: 1 }],
    ['DELETE', '/attrs/speed', undefined],
  ] as const;

  it.each(requests)('%s …%s to an unknown entity is 404', async (method, path, body) => {
    const answer = await send(method, `${API}/entities/urn:b:nothing${path}`, body);
    expect(answer.json()).toMatchObject({ status: 404, type: `${ERRORS}ResourceNotFound` });
    await nothingChanged();
  });

  it.each(requests)('%s …%s in an unknown tenant is 404, and does not make the tenant (5.5.10)', async (method, path, body) => {
    const answer = await send(method, URL + path, body, { 'ngsild-tenant': 'nobody' });
    expect(answer.json()).toMatchObject({ status: 404, type: `${ERRORS}NonexistentTenant` });
    expect(answer.headers['ngsild-tenant']).toBe('nobody');
    await nothingChanged();
  });

  it.each(requests)('%s …%s to what cannot be an id is 400', async (method, path, body) => {
    expect((await send(method, `${API}/entities/vehicle1${path}`, body)).json()).toMatchObject({
      type: `${ERRORS}BadRequestData`,
    });
  });
});
