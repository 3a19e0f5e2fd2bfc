import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { dataModels } from '../../../models/catalogue.ts';
import { modelValidator } from '../../../models/validate.ts';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';
import { steppingClock } from '../../support/stepping-clock.ts';

const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
const MINUTE = 60_000;

function speaking(broker: TestBroker) {
  const entity = async (id: string) => {
    const answer = await broker.request('GET', `/ngsi-ld/v1/entities/${id}`, undefined, { 'ngsild-tenant': 'city' });
    return answer.statusCode === 200 ? answer.json() : undefined;
  };
  return {
    broker,
    entity,
    measure: (body: unknown, device = 'b1') => broker.request('POST', `/iot/json?k=b7&i=${device}`, body),
    put: async (path: string, body: unknown) =>
      expect((await broker.request('PUT', `/iot/${path}`, body, PLACE)).body).toBe(''),
    /** The entity, as soon as the test is content with it. */
    async when(
      id: string,
      test: (found: Record<string, { value: unknown; observedAt?: string; quality?: { value: unknown } }>) => boolean,
    ) {
      for (let tries = 0; tries < 400; tries++) {
        const found = await entity(id);
        if (found !== undefined && test(found)) return found;
        await new Promise((wake) => setTimeout(wake, 25));
      }
      throw new Error(`waited in vain: ${JSON.stringify(await entity(id))}`);
    },
    count: async (rule: string) =>
      (await broker.request('GET', `/iot/health-rules/${rule}`, undefined, PLACE)).json().state.alerts,
  };
}

async function city(options: Parameters<typeof inMemoryBroker>[0] = {}) {
  const broker = await inMemoryBroker(options);
  onTestFinished(() => broker[Symbol.asyncDispose]());
  const groups = [{ resource: '/iot/json', apikey: 'b7', entity_type: 'Bin' }];
  await broker.request('POST', '/iot/groups', { groups }, PLACE);
  return speaking(broker);
}

describe('a device that is silent', () => {
  it('becomes an alert, once in the quiet period, which ends when it is heard again', { timeout: 30_000 }, async () => {
    const clock = steppingClock();
    const { measure, put, when, entity, count, broker } = await city({ clock });
    await put('health-rules/silent', { when: { silent: { seconds: 3600 } }, quietSeconds: 86_400, severity: 'high' });
    await measure({ level: 1 });
    await measure({ level: 1 }, 'b2');
    clock.step(59 * MINUTE);
    await measure({ level: 1 }, 'b2');
    clock.step(2 * MINUTE);
    const alert = await when('urn:ngsi-ld:Alert:silent:Bin:b1', ({ status }) => status?.value === 'open');
    expect(alert).toMatchObject({
      type: 'Alert',
      category: { value: 'security' },
      subCategory: { value: 'silent' },
      severity: { value: 'high' },
      alertSource: { value: 'urn:ngsi-ld:Bin:b1' },
      refDevice: { object: 'urn:ngsi-ld:Bin:b1' },
    });
    expect(await entity('urn:ngsi-ld:Alert:silent:Bin:b2')).toBeUndefined();
    const simple = await broker.request(
      'GET',
      '/ngsi-ld/v1/entities/urn:ngsi-ld:Alert:silent:Bin:b1?options=keyValues',
      undefined,
      {
        'ngsild-tenant': 'city',
      },
    );
    const model = (await dataModels()).get('https://smartdatamodels.org/dataModel.Alert/Alert');
    expect((await modelValidator(model?.schema ?? {}))(simple.json())).toEqual([]);
    await measure({ level: 2 });
    // What is missing is looked for once a minute.
    clock.step(MINUTE);
    await when('urn:ngsi-ld:Alert:silent:Bin:b1', ({ status, validTo }) => status?.value === 'closed' && validTo !== undefined);
    // Silent again within the quiet period: nobody is told a second time. The other one shows that it was looked at.
    clock.step(65 * MINUTE);
    await when('urn:ngsi-ld:Alert:silent:Bin:b2', ({ status }) => status?.value === 'open');
    clock.step(MINUTE);
    expect(await entity('urn:ngsi-ld:Alert:silent:Bin:b1')).toMatchObject({ status: { value: 'closed' } });
    expect(await count('silent')).toBe(2);
    clock.step(24 * 60 * MINUTE);
    const again = await when('urn:ngsi-ld:Alert:silent:Bin:b1', ({ status }) => status?.value === 'open');
    expect(again.dateIssued.value > alert.dateIssued.value).toBe(true);
  });

  it('is known after a restart by what is stored, and the quiet period goes on', { timeout: 30_000 }, async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'mizar-health-'));
    const clock = steppingClock();
    let issued: string;
    {
      await using first = await inMemoryBroker({ config: { dataDir }, clock });
      const groups = [{ resource: '/iot/json', apikey: 'b7', entity_type: 'Bin' }];
      await first.request('POST', '/iot/groups', { groups }, PLACE);
      const { measure, put, when } = speaking(first);
      await put('health-rules/silent', { when: { silent: { seconds: 600 } } });
      await measure({ level: 1 }, 'early');
      clock.step(11 * MINUTE);
      issued = (await when('urn:ngsi-ld:Alert:silent:Bin:early', ({ status }) => status?.value === 'open')).dateIssued.value;
      await measure({ level: 1 }, 'late');
    }
    clock.step(11 * MINUTE);
    const { when, entity } = speaking(await restarted(dataDir, clock));
    await when('urn:ngsi-ld:Alert:silent:Bin:late', ({ status }) => status?.value === 'open');
    expect((await entity('urn:ngsi-ld:Alert:silent:Bin:early')).dateIssued.value).toBe(issued);
  });
});

async function restarted(dataDir: string, clock: ReturnType<typeof steppingClock>) {
  const broker = await inMemoryBroker({ config: { dataDir }, clock });
  onTestFinished(() => broker[Symbol.asyncDispose]());
  return broker;
}

it('a low battery becomes an alert with the measure that tells it, and is over when it is charged', async () => {
  const clock = steppingClock();
  const { measure, put, entity, count, broker } = await city({ clock });
  await put('health-rules/battery', {
    select: { device: 'b*' },
    when: { lowBattery: { attribute: 'battery', below: 15, above: 1 } },
  });
  const id = 'urn:ngsi-ld:Alert:battery:Bin:b1';
  for (const battery of [15, 80, 1, -1, 'low']) await measure({ battery });
  await measure({ battery: 3 }, 'other');
  expect(await entity(id)).toBeUndefined();
  await measure({ battery: 14.9 });
  const alert = await entity(id);
  expect(alert).toMatchObject({
    subCategory: { value: 'lowBattery' },
    severity: { value: 'medium' },
    status: { value: 'open' },
  });
  expect(alert.description.value).toContain('14.9');
  await measure({ battery: 12 });
  expect((await entity(id)).description.value).toContain('14.9');
  await measure({ battery: 90 });
  expect(await entity(id)).toMatchObject({ status: { value: 'closed' } });
  await measure({ battery: 9 });
  expect(await entity(id)).toMatchObject({ status: { value: 'closed' } });
  clock.step(12 * 60 * MINUTE);
  await measure({ battery: 8 });
  expect((await entity(id)).description.value).toContain(': 8');
  expect(await count('battery')).toBe(2);
  expect((await broker.request('GET', '/metrics')).body).toMatch(/^mizar_processing_alerts_total 2$/m);
  expect(await entity('urn:ngsi-ld:Alert:battery:Bin:other')).toBeUndefined();
});

it('a value that a rule discards raises no alert', async () => {
  const { measure, put, entity } = await city();
  await put('rules/battery', { when: { range: { min: 5 } }, action: 'discard' });
  await put('health-rules/battery', { when: { lowBattery: { attribute: 'battery', below: 15 } } });
  await measure({ battery: 4 });
  expect(await entity('urn:ngsi-ld:Alert:battery:Bin:b1')).toBeUndefined();
  await measure({ battery: 6 });
  expect(await entity('urn:ngsi-ld:Alert:battery:Bin:b1')).toBeDefined();
});

describe('a value that does not come', () => {
  const missing = { select: { type: 'Bin', attribute: 'level' }, when: { missing: { seconds: 600 } } };
  const id = 'urn:ngsi-ld:Bin:b1';

  it('is flagged once, until the next comes', { timeout: 30_000 }, async () => {
    const clock = steppingClock();
    const { measure, put, when, entity, broker } = await city({ clock });
    await put('rules/gap', { ...missing, action: 'flag' });
    await measure({ level: 1, lid: 'open' });
    clock.step(9 * MINUTE);
    await measure({ lid: 'shut' });
    clock.step(2 * MINUTE);
    const found = await when(id, ({ level }) => level?.quality?.value === 'missing');
    expect([found.level.value, found.lid.quality]).toEqual([1, undefined]);
    const { refusals } = (await broker.request('GET', '/iot/devices/b1/refusals', undefined, PLACE)).json();
    expect(refusals).toMatchObject([{ code: 'MISSING', reason: expect.stringContaining('"level" is missing since') }]);
    await measure({ level: 2 });
    expect((await entity(id)).level).toMatchObject({ value: 2 });
    expect((await entity(id)).level.quality).toBeUndefined();
    expect((await broker.request('GET', '/iot/rules/gap', undefined, PLACE)).json().state.flagged).toBe(1);
  });

  it('is replaced every so often, as an estimate', { timeout: 30_000 }, async () => {
    const clock = steppingClock();
    const { measure, put, when } = await city({ clock });
    await put('rules/gap', { ...missing, action: { replace: 'lastGood' } });
    await measure({ level: 7 });
    const first = await when(id, ({ level }) => level?.value === 7);
    clock.step(11 * MINUTE);
    const second = await when(id, ({ level }) => level?.quality?.value === 'estimated');
    expect(second.level.value).toBe(7);
    expect(second.level.observedAt > first.level.observedAt).toBe(true);
    // Until then: what is seen may be a moment older than what the rule knows of it.
    await when(id, ({ level }) => {
      clock.step(MINUTE);
      return (level?.observedAt ?? '') > second.level.observedAt;
    });
  });
});

it.each([
  [{}, 'when: must have exactly one of silent, lowBattery'],
  [{ when: { silent: {} } }, 'when.silent.seconds: is missing'],
  [{ when: { lowBattery: { below: 3 } } }, 'when.lowBattery.attribute: is missing'],
  [{ when: { silent: { seconds: 5 } }, severity: 'awful' }, 'severity: must be one of informational'],
  [{ when: { silent: { seconds: 5 } }, select: { attribute: 'x' } }, 'select.attribute: there is no such member'],
])('a health rule that cannot be used is refused with the place: %j', async (body, message) => {
  const { broker } = await city();
  const answer = await broker.request('PUT', '/iot/health-rules/x', body, PLACE);
  expect([answer.statusCode, answer.json().message]).toEqual([400, expect.stringContaining(message)]);
});
