import { beforeEach, describe, expect, it } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { API, changesOf, ERRORS, storedAttribute, storedEntity } from '../../support/provision.ts';

const car = (n: number, more: object = {}) => ({ id: `urn:c:${n}`, type: 'Car', speed: n, ...more });
const NULL = 'urn:ngsi-ld:null';
const LD_LINK = { link: '<https://a.example/c>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"' };

let broker: TestBroker;
beforeEach(async () => {
  broker = await inMemoryBroker();
  return () => broker[Symbol.asyncDispose]();
});
const batch = (operation: string, body: unknown, headers?: Record<string, string>) =>
  broker.request('POST', `${API}/entityOperations/${operation}`, body, headers);
const speed = (n: number) => storedAttribute(broker, `urn:c:${n}`, 'speed');

describe('Batch Entity Creation (5.6.7)', () => {
  it('creates all, and says which', async () => {
    const answer = await batch('create', [car(1), car(2)]);
    expect(answer.statusCode).toBe(201);
    expect(answer.json()).toEqual(['urn:c:1', 'urn:c:2']);
  });

  it('creates the good ones, and says what is wrong with the others', async () => {
    await batch('create', [car(1)]);
    const answer = await batch('create', [
      car(1, { speed: 99 }),
      car(2),
      { id: 'urn:c:3' },
      { type: 'Car' },
      7,
      car(4, { speed: NULL }),
    ]);
    expect(answer.statusCode).toBe(207);
    const { success, errors } = answer.json();
    expect(success).toEqual(['urn:c:2']);
    expect(
      errors.map((error: { entityId: string; error: { type: string; status: number } }) => [
        error.entityId,
        error.error.status,
      ]),
    ).toEqual([
      ['urn:c:1', 409],
      ['urn:c:3', 400],
      ['urn:ngsi-ld:batch:item:3', 400],
      ['urn:ngsi-ld:batch:item:4', 400],
      ['urn:c:4', 400],
    ]);
    expect(errors[1].error.detail).toContain('Item 2');
    expect(await speed(1)).toMatchObject({ value: 1 });
    expect(await storedEntity(broker, 'urn:c:4')).toBeUndefined();
  });

  it('takes the first of several with one id (5.5.11.1)', async () => {
    const answer = await batch('create', [car(1), car(1, { speed: 2 })]);
    expect(answer.json()).toMatchObject({
      success: ['urn:c:1'],
      errors: [{ entityId: 'urn:c:1', error: { type: `${ERRORS}AlreadyExists` } }],
    });
    expect(await speed(1)).toMatchObject({ value: 1 });
  });

  it('expands each element with its own @context', async () => {
    const ld = { 'content-type': 'application/ld+json' };
    const body = [
      car(1, { '@context': { Car: 'https://example.org/Car' } }),
      car(2, { '@context': { Car: 'https://example.com/Car' } }),
    ];
    expect((await batch('create', body, ld)).statusCode).toBe(201);
    expect((await storedEntity(broker, 'urn:c:1'))?.types).toEqual(['https://example.org/Car']);
    expect((await storedEntity(broker, 'urn:c:2'))?.types).toEqual(['https://example.com/Car']);
  });

  it('blames one element for its unreachable @context, or for one in the wrong place (6.3.5)', async () => {
    const ld = { 'content-type': 'application/ld+json' };
    const answer = await batch('create', [car(1, { '@context': 'http://127.0.0.1:1/x' }), car(2, { '@context': {} })], ld);
    expect(answer.json()).toMatchObject({ success: ['urn:c:2'], errors: [{ error: { status: 504 } }] });
    const link = { ...LD_LINK, 'content-type': 'application/ld+json' };
    expect((await batch('create', [car(5, { '@context': {} })], link)).statusCode).toBe(400);
    const mixed = await batch('create', [car(3), car(4, { '@context': {} })]);
    expect(mixed.json()).toMatchObject({ success: ['urn:c:3'], errors: [{ entityId: 'urn:c:4', error: { status: 400 } }] });
    expect(await storedEntity(broker, 'urn:c:4')).toBeUndefined();
  });
});

describe('Batch Entity Creation or Update (5.6.8)', () => {
  it('says which were created, or nothing if none was', async () => {
    await batch('create', [car(1)]);
    const answer = await batch('upsert', [car(1, { speed: 5 }), car(2)]);
    expect(answer.statusCode).toBe(201);
    expect(answer.json()).toEqual(['urn:c:2']);
    expect((await batch('upsert', [car(1, { speed: 6 })])).statusCode).toBe(204);
    expect(await speed(1)).toMatchObject({ value: 6 });
  });

  it('replaces by default, updates if asked to', async () => {
    await batch('create', [car(1, { colour: 'red' }), car(2, { colour: 'red' })]);
    await batch('upsert', [car(1, { speed: 5 })]);
    await batch('upsert?options=update', [car(2, { speed: 5 })]);
    expect(await storedAttribute(broker, 'urn:c:1', 'colour')).toEqual([]);
    expect(await storedAttribute(broker, 'urn:c:2', 'colour')).toMatchObject({ value: 'red' });
    await batch('upsert?options=update', [{ id: 'urn:c:2', colour: NULL }]);
    expect(await storedAttribute(broker, 'urn:c:2', 'colour')).toEqual([]);
  });

  it('applies several with one id in order, and remembers each (5.5.11.2)', async () => {
    const answer = await batch('upsert', [car(1), car(1, { speed: 2 }), car(1, { speed: 3 })]);
    expect(answer.json()).toEqual(['urn:c:1']);
    expect(await speed(1)).toMatchObject({ value: 3 });
    expect((await changesOf(broker)).map(({ kind }) => kind)).toEqual(['created', 'updated', 'updated']);
  });

  it('creates nothing without a type, or from a deletion', async () => {
    const answer = await batch('upsert?options=update', [{ id: 'urn:c:1', speed: 1 }, car(2, { speed: NULL }), car(3)]);
    expect(answer.statusCode).toBe(207);
    expect(answer.json().success).toEqual(['urn:c:3']);
    expect(await storedEntity(broker, 'urn:c:2')).toBeUndefined();
  });

  it('refuses contradicting options', async () => {
    expect((await batch('upsert?options=update,replace', [car(1)])).statusCode).toBe(400);
    expect((await batch('upsert?options=noOverwrite', [car(1)])).statusCode).toBe(400);
    expect(await changesOf(broker)).toEqual([]);
  });
});

describe('Batch Entity Update, Merge, Delete (5.6.9, 5.6.20, 5.6.10)', () => {
  beforeEach(async () => {
    await batch('create', [car(1, { address: { value: { a: 1, b: 2 } } }), car(2)]);
  });

  it('updates what exists, and reports what does not', async () => {
    const answer = await batch('update', [car(1, { speed: { value: 9, unitCode: 'KMH' } }), car(3)]);
    expect(answer.json()).toMatchObject({ success: ['urn:c:1'], errors: [{ entityId: 'urn:c:3', error: { status: 404 } }] });
    expect(await speed(1)).toMatchObject({ value: 9, unitCode: 'KMH' });
    expect(await storedEntity(broker, 'urn:c:3')).toBeUndefined();
  });

  it('leaves alone what exists with noOverwrite', async () => {
    const answer = await batch('update?options=noOverwrite', [
      car(1, { speed: 9, colour: 'red' }),
      { id: 'urn:c:2', colour: 'blue' },
    ]);
    expect(answer.json()).toMatchObject({
      success: ['urn:c:2'],
      errors: [{ entityId: 'urn:c:1', error: { detail: expect.stringContaining('speed') } }],
    });
    expect(await speed(1)).toMatchObject({ value: 1 });
    expect(await storedAttribute(broker, 'urn:c:1', 'colour')).toMatchObject({ value: 'red' });
  });

  it('merges into values', async () => {
    expect((await batch('merge', [{ id: 'urn:c:1', address: { value: { a: NULL, c: 3 } } }])).statusCode).toBe(204);
    expect(await storedAttribute(broker, 'urn:c:1', 'address')).toEqual({ type: 'Property', value: { b: 2, c: 3 } });
  });

  it('deletes, the second time in vain (5.5.11.4)', async () => {
    const answer = await batch('delete', ['urn:c:1', 'urn:c:1', 'nothing']);
    expect(answer.json()).toMatchObject({
      success: ['urn:c:1'],
      errors: [{ error: { status: 404 } }, { error: { status: 400 } }],
    });
    expect(await storedEntity(broker, 'urn:c:2')).toBeDefined();
    expect((await batch('delete', ['urn:c:2'])).statusCode).toBe(204);
  });

  it('touches no other tenant, and makes none', async () => {
    const before = (await changesOf(broker)).length;
    for (const operation of ['update', 'merge']) {
      const answer = await batch(operation, [car(1)], { 'ngsild-tenant': 'other' });
      expect(answer.json()).toMatchObject({ type: `${ERRORS}NonexistentTenant` });
    }
    expect((await batch('delete', ['urn:c:1'], { 'ngsild-tenant': 'other' })).statusCode).toBe(404);
    expect(await changesOf(broker)).toHaveLength(before);
  });
});

describe('any batch', () => {
  it.each(['create', 'upsert', 'update', 'merge', 'delete'])(
    '%s refuses what is no array, empty, or has a null in it',
    async (operation) => {
      for (const body of [[], [null], [car(1), null], {}, '"x"']) {
        const answer = await batch(operation, body);
        expect([body, answer.statusCode]).toEqual([body, 400]);
        expect(answer.json()).toMatchObject({ type: `${ERRORS}BadRequestData` });
      }
      expect(await changesOf(broker)).toEqual([]);
    },
  );

  it('has an end', async () => {
    await using small = await inMemoryBroker({ config: { batchLimit: 2 } });
    const answer = await small.request('POST', `${API}/entityOperations/create`, [car(1), car(2), car(3)]);
    expect(answer.statusCode).toBe(413);
    expect(await changesOf(small)).toEqual([]);
  });

  it('answers errors with IRIs and as plain JSON, whatever is accepted (6.3.6)', async () => {
    await batch('create', [car(1)]);
    const answer = await batch('create', [car(1)], { accept: 'application/ld+json' });
    expect(answer.headers['content-type']).toBe('application/json');
    expect(answer.headers['link']).toBeUndefined();
  });
});
