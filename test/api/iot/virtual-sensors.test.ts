import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { steppingClock } from '../../support/stepping-clock.ts';

const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
const TENANT = { 'ngsild-tenant': 'city' };
const SUM = 'urn:ngsi-ld:Meter:sum';

function speaking(broker: TestBroker) {
  const entity = async (id = SUM) => {
    const answer = await broker.request('GET', `/ngsi-ld/v1/entities/${id}`, undefined, TENANT);
    return answer.statusCode === 200 ? answer.json() : undefined;
  };
  const state = async (name: string) =>
    (await broker.request('GET', `/iot/virtual-sensors/${name}`, undefined, PLACE)).json().state;
  return {
    broker,
    entity,
    state,
    measure: async (device: string, body: object) =>
      expect((await broker.request('POST', `/iot/json?k=m7&i=${device}`, body)).statusCode).toBe(200),
    put: async (name: string, body: unknown) => {
      const answer = await broker.request('PUT', `/iot/virtual-sensors/${name}`, body, PLACE);
      expect(answer.body).toBe('');
    },
    /** Resolves when the sensor has had so many results or failures. */
    async counted(name: string, what: 'results' | 'failures', count: number) {
      for (let tries = 0; tries < 400 && (await state(name))[what] < count; tries++)
        await new Promise((wake) => setTimeout(wake, 25));
      expect(await state(name)).toMatchObject({ [what]: count });
    },
    async until(test: (found: { power?: { value: unknown } }) => boolean, id = SUM) {
      for (let tries = 0; tries < 400; tries++) {
        const found = await entity(id);
        if (found !== undefined && test(found)) return found;
        await new Promise((wake) => setTimeout(wake, 25));
      }
      throw new Error(`waited in vain: ${JSON.stringify(await entity(id))}`);
    },
  };
}

async function city(options: Parameters<typeof inMemoryBroker>[0] = {}) {
  const broker = await inMemoryBroker(options);
  onTestFinished(() => broker[Symbol.asyncDispose]());
  await broker.request(
    'POST',
    '/iot/groups',
    { groups: [{ resource: '/iot/json', apikey: 'm7', entity_type: 'Meter' }] },
    PLACE,
  );
  return speaking(broker);
}

const sum = {
  id: SUM,
  type: 'Meter',
  vars: { LOSS: 0.02, IN: '{urn:ngsi-ld:Meter:f1>power.value} + {urn:ngsi-ld:Meter:f2>power|0}' },
  template: { power: { type: 'Property', value: '{IN} * (1 - {LOSS})', unitCode: 'KWT', observedAt: '{timestamp}' } },
};

describe('a virtual sensor that observes', () => {
  it('is calculated when all its inputs have come within the window, once for each set', async () => {
    const clock = steppingClock();
    const { measure, put, counted, entity, state } = await city({ clock });
    await put('sum', sum);
    await measure('f1', { power: 3, TimeInstant: '2026-03-01T09:00:00Z' });
    await measure('f2', { power: 2, TimeInstant: '2026-03-01T09:00:04Z' });
    await counted('sum', 'results', 1);
    const found = await entity();
    expect(found).toMatchObject({
      type: 'Meter',
      power: { value: 4.9, unitCode: 'KWT', observedAt: '2026-03-01T09:00:04Z', virtual: { value: true } },
    });
    expect(found.power.derivedFrom.object).toEqual(['urn:ngsi-ld:Meter:f1', 'urn:ngsi-ld:Meter:f2']);
    await measure('f2', { power: 7, TimeInstant: '2026-03-01T09:00:06Z' });
    clock.step(11_000);
    await measure('f1', { power: 8, TimeInstant: '2026-03-01T09:00:17Z' });
    // Eleven seconds apart: no result, and the default is for polling only.
    await measure('f2', { power: 1, TimeInstant: '2026-03-01T09:00:18Z' });
    await counted('sum', 'results', 2);
    expect((await entity()).power.value).toBe(8.82);
    expect(await state('sum')).toMatchObject({ results: 2, failures: 0, lastResultAt: '2026-03-01T09:00:18Z' });
  });

  it('hears of every way to write, also that of another virtual sensor, and tells subscribers through its entity', async () => {
    const { measure, put, until, broker } = await city();
    await put('sum', sum);
    const double = { id: 'urn:ngsi-ld:Meter:double', type: 'Meter', template: { power: { value: `{${SUM}>power} * 2` } } };
    await put('double', double);
    await measure('f1', { power: 1 });
    const f2 = { id: 'urn:ngsi-ld:Meter:f2', type: 'Meter', power: { type: 'Property', value: 1 } };
    expect((await broker.request('POST', '/ngsi-ld/v1/entities', f2, TENANT)).statusCode).toBe(201);
    const found = await until(({ power }) => power?.value === 3.92, double.id);
    expect(found).toMatchObject({ power: { derivedFrom: { object: SUM } } });
  });

  it('says nothing if it cannot be calculated, with the reason', async () => {
    const { measure, put, counted, entity, state, until, broker } = await city();
    await put('ratio', { ...sum, vars: {}, template: { power: { value: '1 / {urn:ngsi-ld:Meter:f1>power}' } } });
    await measure('f1', { power: 0 });
    await counted('ratio', 'failures', 1);
    await measure('f1', { power: 'much' });
    await counted('ratio', 'failures', 2);
    expect(await entity()).toBeUndefined();
    expect((await state('ratio')).lastFailure.reason).toBe('"much" is not a number');
    await measure('f1', { power: 4 });
    await counted('ratio', 'results', 1);
    // It is counted before it is stored.
    await until(({ power }) => power?.value === 0.25);
    expect((await broker.request('GET', '/metrics')).body).toMatch(/^mizar_processing_virtual_failures_total 2$/m);
  });

  it('goes on after a restart with what was written meanwhile', { timeout: 30_000 }, async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'mizar-virtual-'));
    {
      await using broker = await inMemoryBroker({ config: { dataDir } });
      await broker.request(
        'POST',
        '/iot/groups',
        { groups: [{ resource: '/iot/json', apikey: 'm7', entity_type: 'Meter' }] },
        PLACE,
      );
      const { put, measure } = speaking(broker);
      await put('sum', sum);
      await measure('f1', { power: 1 });
    }
    const broker = await inMemoryBroker({ config: { dataDir } });
    onTestFinished(() => broker[Symbol.asyncDispose]());
    const { measure, counted, until } = speaking(broker);
    await measure('f1', { power: 3 });
    await measure('f2', { power: 2 });
    await counted('sum', 'results', 1);
    await until(({ power }) => power?.value === 4.9);
  });

  it('belongs to its tenant, can be switched off, and is gone when it is deleted', async () => {
    const { measure, put, counted, broker, state } = await city();
    await put('sum', sum);
    await put('off', { ...sum, id: 'urn:ngsi-ld:Meter:off', enabled: false });
    const elsewhere = { ...PLACE, 'fiware-service': 'village' };
    await broker.request('PUT', '/iot/virtual-sensors/theirs', sum, elsewhere);
    await measure('f1', { power: 1 });
    await measure('f2', { power: 1 });
    await counted('sum', 'results', 1);
    expect((await state('off')).results).toBe(0);
    const theirs = await broker.request('GET', '/iot/virtual-sensors/theirs', undefined, elsewhere);
    expect(theirs.json().state.results).toBe(0);
    expect((await broker.request('DELETE', '/iot/virtual-sensors/sum', undefined, PLACE)).statusCode).toBe(204);
    expect((await broker.request('GET', '/iot/virtual-sensors/sum', undefined, PLACE)).statusCode).toBe(404);
  });
});

describe('a virtual sensor that polls', () => {
  it('is calculated every so often with what is known, however old, and defaults for what is not', {
    timeout: 30_000,
  }, async () => {
    const clock = steppingClock();
    const { measure, put, counted, until, state } = await city({ clock });
    await measure('f1', { power: 5 });
    await put('sum', { ...sum, poll: true, window: 3600 });
    const first = await until(({ power }) => power?.value === 4.9);
    await measure('f2', { power: 5 });
    expect((await state('sum')).results).toBe(1);
    clock.step(3_600_000);
    await counted('sum', 'results', 2);
    const second = await until(({ power }) => power?.value === 9.8);
    expect(second.power).not.toEqual(first.power);
  });

  it('says nothing without a value that has no default', { timeout: 30_000 }, async () => {
    const { put, counted, state, entity } = await city();
    await put('sum', { ...sum, poll: true, window: 3600 });
    await counted('sum', 'failures', 1);
    expect((await state('sum')).lastFailure.reason).toBe('{urn:ngsi-ld:Meter:f1>power.value} has no value');
    expect(await entity()).toBeUndefined();
  });
});

it('one that would feed itself is refused with the way round', async () => {
  const { put, broker } = await city();
  await put('sum', sum);
  const back = { id: 'urn:ngsi-ld:Meter:f1', type: 'Meter', template: { power: { value: `{${SUM}>power}` } } };
  const refused = await broker.request('PUT', '/iot/virtual-sensors/back', back, PLACE);
  expect([refused.statusCode, refused.json().message]).toEqual([
    400,
    'template: the sensor would feed itself: back → sum → back',
  ]);
  // Another attribute of the same entity is fine.
  await put('back', { ...back, template: { share: { value: `{${SUM}>power}` } } });
});
