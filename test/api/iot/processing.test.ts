import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';

const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
const WEATHER = 'urn:ngsi-ld:Weather:w1';

async function start(dataDir?: string): Promise<TestBroker> {
  const broker = await inMemoryBroker(dataDir === undefined ? {} : { config: { dataDir } });
  onTestFinished(() => broker[Symbol.asyncDispose]());
  return broker;
}

async function city(group: object = {}, dataDir?: string) {
  const broker = await start(dataDir);
  const put = async (path: string, body: unknown) => {
    const answer = await broker.request('PUT', `/iot/${path}`, body, PLACE);
    expect([path, answer.statusCode, answer.body]).toEqual([path, expect.any(Number), '']);
  };
  const provision = async (more: object = {}) => {
    const groups = [{ resource: '/iot/json', apikey: 'w7', entity_type: 'Weather', ...group, ...more }];
    expect((await broker.request('POST', '/iot/groups', { groups }, PLACE)).statusCode).toBe(201);
  };
  return { broker, put, provision, ...speaking(broker) };
}

function speaking(broker: TestBroker) {
  return {
    measure: (body: unknown, device = 'w1') => broker.request('POST', `/iot/json?k=w7&i=${device}`, body),
    entity: async (id = WEATHER) => {
      const answer = await broker.request('GET', `/ngsi-ld/v1/entities/${id}`, undefined, { 'ngsild-tenant': 'city' });
      return answer.statusCode === 200 ? answer.json() : undefined;
    },
    refusals: async (device = 'w1') =>
      (await broker.request('GET', `/iot/devices/${device}/refusals`, undefined, PLACE)).json().refusals as {
        code: string;
        reason: string;
      }[],
    state: async (path: string) => (await broker.request('GET', `/iot/${path}`, undefined, PLACE)).json().state,
  };
}

const at = (minute: number): string => new Date(Date.UTC(2026, 2, 1, 9, minute)).toISOString();

describe('bad-data rules on the way from a device to its entity', () => {
  const range = { select: { attribute: 'temperature' }, when: { range: { min: -40, max: 60 } } };

  it('discard: one bad value costs no other value of its message, and can be found with its reason', async () => {
    const { put, provision, measure, entity, refusals, state, broker } = await city();
    await put('rules/too-hot', { ...range, action: 'discard' });
    await provision();
    expect((await measure({ temperature: 18.2, humidity: 0.5 })).statusCode).toBe(200);
    expect((await measure({ temperature: 92, humidity: 0.6 })).statusCode).toBe(200);
    expect(await entity()).toMatchObject({ temperature: { value: 18.2 }, humidity: { value: 0.6 } });
    expect(await refusals()).toEqual([
      { at: expect.any(String), code: 'VALUE', reason: '"temperature" 92 was discarded by the rule too-hot: it is above 60' },
    ]);
    expect(await state('rules/too-hot')).toEqual({ discarded: 1, replaced: 0, flagged: 0 });
    expect((await broker.request('GET', '/metrics')).body).toMatch(/^mizar_processing_discarded_total 1$/m);
    expect((await broker.request('GET', '/metrics')).body).toMatch(/^mizar_devices_refused_values_total 1$/m);
  });

  it('a message of nothing but bad values writes nothing, not even what is provisioned', async () => {
    const { put, provision, measure, entity } = await city();
    await put('rules/too-hot', { ...range, action: 'discard' });
    await provision({ static_attributes: [{ name: 'owner', value: 'city' }] });
    expect((await measure({ temperature: 92 })).statusCode).toBe(200);
    expect(await entity()).toBeUndefined();
    await measure({ temperature: 20 });
    expect(await entity()).toMatchObject({ owner: { value: 'city' }, temperature: { value: 20 } });
  });

  it('flag: the value is stored with quality', async () => {
    const { put, provision, measure, entity, refusals } = await city();
    await put('rules/too-hot', { ...range, action: 'flag' });
    await provision();
    await measure({ temperature: 92 });
    expect(await entity()).toMatchObject({ temperature: { value: 92, quality: { type: 'Property', value: 'suspect' } } });
    expect(await refusals()).toEqual([]);
    await measure({ temperature: 20 });
    expect((await entity()).temperature.quality).toBeUndefined();
  });

  it('replace: by a constant, the bound, or the last good value; what was said stays beside it', async () => {
    const { put, provision, measure, entity, refusals } = await city();
    await put('rules/t', { ...range, action: { replace: 'clamp' } });
    await put('rules/h', { select: { attribute: 'humidity' }, when: { range: { max: 1 } }, action: { replace: 'lastGood' } });
    await put('rules/w', { select: { attribute: 'wind' }, when: { range: { min: 0 } }, action: { replace: { constant: 0 } } });
    await provision();
    await measure({ humidity: 0.4, TimeInstant: at(0) });
    await measure({ temperature: 92, humidity: 7, wind: -1, TimeInstant: at(1) });
    expect(await entity()).toMatchObject({
      temperature: { value: 60, quality: { value: 'estimated' }, originalValue: { value: 92 } },
      humidity: { value: 0.4, quality: { value: 'estimated' }, originalValue: { value: 7 } },
      wind: { value: 0, quality: { value: 'estimated' } },
    });
    expect(await refusals()).toHaveLength(3);
  });

  it('concern the devices, types and attributes that they select, in the order of their priority, and change at run time', async () => {
    const { put, provision, measure, entity, broker } = await city();
    await provision();
    await measure({ temperature: 99 });
    expect((await entity()).temperature.value).toBe(99);
    await put('rules/others', { ...range, select: { device: 'x*' }, action: 'discard' });
    await put('rules/other-type', { ...range, select: { type: 'Road' }, action: 'discard' });
    await put('rules/a-late', { ...range, priority: 5, action: 'discard' });
    await put('rules/z-first', { ...range, select: { type: 'Weather' }, priority: -1, action: { replace: 'clamp' } });
    await measure({ temperature: 98 });
    expect((await entity()).temperature.value).toBe(60);
    await put('rules/z-first', { ...range, enabled: false, action: { replace: 'clamp' } });
    await measure({ temperature: 97 });
    expect((await entity()).temperature.value).toBe(60);
    for (const name of ['a-late', 'z-first'])
      expect((await broker.request('DELETE', `/iot/rules/${name}`, undefined, PLACE)).statusCode).toBe(204);
    await measure({ temperature: 96 });
    expect((await entity()).temperature.value).toBe(96);
    await measure({ temperature: 95 }, 'x1');
    expect(await entity('urn:ngsi-ld:Weather:x1')).toBeUndefined();
  });

  it('belong to their tenant', async () => {
    const { put, broker, provision, measure, entity } = await city();
    const elsewhere = { ...PLACE, 'fiware-service': 'village' };
    await broker.request('PUT', '/iot/rules/mine', { ...range, action: 'discard' }, elsewhere);
    await provision();
    await measure({ temperature: 92 });
    expect((await entity()).temperature.value).toBe(92);
    expect((await broker.request('GET', '/iot/rules/mine', undefined, PLACE)).statusCode).toBe(404);
    expect((await broker.request('GET', '/iot/rules', undefined, PLACE)).json()).toEqual({ count: 0, rules: [] });
    await put('rules/mine', { ...range, action: 'flag' });
    const shown = (await broker.request('GET', '/iot/rules/mine', undefined, elsewhere)).json();
    expect(shown).toMatchObject({ name: 'mine', action: 'discard', version: 1, when: range.when });
    // What was shown can be sent back.
    expect((await broker.request('PUT', '/iot/rules/mine', shown, elsewhere)).statusCode).toBe(204);
  });

  it('know after a restart what came before: rate and flatline are judged by what is stored', { timeout: 30_000 }, async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'mizar-rules-'));
    const rate = { select: { attribute: 'temperature' }, when: { rate: { maxPerMinute: 2 } }, action: 'discard' };
    const still = { select: { attribute: 'level' }, when: { flatline: { seconds: 600 } }, action: 'flag' };
    {
      await using broker = await inMemoryBroker({ config: { dataDir } });
      await broker.request('PUT', '/iot/rules/rate', rate, PLACE);
      await broker.request('PUT', '/iot/rules/still', still, PLACE);
      const groups = [{ resource: '/iot/json', apikey: 'w7', entity_type: 'Weather' }];
      await broker.request('POST', '/iot/groups', { groups }, PLACE);
      for (let minute = 0; minute < 9; minute++)
        await speaking(broker).measure({ temperature: 18 + minute / 10, level: 3, TimeInstant: at(minute) });
    }
    const { measure, entity, refusals } = speaking(await start(dataDir));
    await measure({ temperature: 30, level: 3, TimeInstant: at(9) });
    expect((await entity()).temperature.value).toBe(18.8);
    expect((await refusals())[0]?.reason).toContain('it moved by 11.2 per minute since 2026-03-01T09:08:00Z, more than 2');
    expect((await entity()).level.quality).toBeUndefined();
    await measure({ temperature: 19, level: 3, TimeInstant: at(10) });
    expect(await entity()).toMatchObject({ temperature: { value: 19 }, level: { quality: { value: 'suspect' } } });
  });

  it('hold for MQTT devices and for adapters as they do for HTTP', async () => {
    const { put, provision, broker, entity, refusals } = await city();
    await put('rules/too-hot', { ...range, action: 'discard' });
    await provision();
    const { mqttUrl } = await broker.broker.listen();
    const client = await mqtt.connectAsync(mqttUrl ?? '', { protocolVersion: 4 }, false);
    onTestFinished(() => client.endAsync(true));
    await client.publishAsync('/json/w7/w1/attrs', '{"temperature":92,"humidity":0.5}', { qos: 1 });
    expect((await entity()).humidity.value).toBe(0.5);
    expect((await entity()).temperature).toBeUndefined();
    expect(await refusals()).toHaveLength(1);

    await broker.request(
      'PUT',
      '/iot/adapters/archive',
      { kind: 'csv', apikey: 'w7', settings: { time: { column: 'when' }, device: 'w1' } },
      PLACE,
    );
    const csv = 'when,temperature\n2026-03-01T10:00:00Z,91\n2026-03-01T10:01:00Z,21\n';
    const job = await broker.request('POST', '/iot/imports?mapping=archive', csv, { ...PLACE, 'content-type': 'text/csv' });
    const { location } = job.headers;
    let done = false;
    for (; !done; await new Promise((wake) => setTimeout(wake, 20))) {
      const { status } = (await broker.request('GET', String(location), undefined, PLACE)).json();
      done = status === 'Finished';
      expect(status).not.toBe('Failed');
    }
    expect((await entity()).temperature).toMatchObject({ value: 21 });
    expect((await refusals()).filter(({ reason }) => reason.includes(' 91 was discarded'))).toHaveLength(1);
  });
});

describe('transformations', () => {
  const template = { template: { temperature: '=> scale(d.t, 0.1)', TimeInstant: '=> fromEpoch(ts)' } };

  it('make of a message what is then mapped; changed at run time, over HTTP and MQTT', async () => {
    const { put, provision, measure, entity, broker } = await city();
    await put('transformations/deci', template);
    await provision({
      transformation: 'deci',
      attributes: [{ name: 'temperature', type: 'Number', metadata: { unitCode: { value: 'CEL' } } }],
    });
    await measure({ d: { t: 215 }, ts: 1772355600, secret: 1 });
    expect(await entity()).toMatchObject({ temperature: { value: 21.5, unitCode: 'CEL', observedAt: '2026-03-01T09:00:00Z' } });
    expect((await entity()).secret).toBeUndefined();
    await put('transformations/deci', {
      code: '(m) => ({ temperature: m.d.t / 100, TimeInstant: new Date(m.ts * 1000).toISOString() })',
    });
    const { mqttUrl } = await broker.broker.listen();
    const client = await mqtt.connectAsync(mqttUrl ?? '', { protocolVersion: 4 }, false);
    onTestFinished(() => client.endAsync(true));
    await client.publishAsync('/json/w7/w1/attrs', '{"d":{"t":1900},"ts":1772355660}', { qos: 1 });
    expect(await entity()).toMatchObject({ temperature: { value: 19, observedAt: '2026-03-01T09:01:00Z' } });
  });

  it('come first: rules judge what they have made', async () => {
    const { put, provision, measure, entity, refusals } = await city();
    await put('transformations/deci', { template: { temperature: '=> scale(t, 0.1)', humidity: '{{h}}' } });
    await put('rules/too-hot', { when: { range: { max: 60 } }, action: 'discard' });
    await provision({ transformation: 'deci' });
    await measure({ t: 590, h: 61 });
    expect((await entity()).temperature.value).toBe(59);
    expect((await entity()).humidity).toBeUndefined();
    expect((await refusals())[0]?.reason).toContain('"humidity" 61 was discarded');
  });

  it('work on what other formats say as on JSON: an object of the readings', async () => {
    const { put, broker, entity } = await city();
    await put('transformations/sum', { code: '(m) => ({ total: m.a + m.b, TimeInstant: m.TimeInstant })' });
    const groups = [{ resource: '/iot/d', apikey: 'u7', entity_type: 'Weather', transformation: 'sum' }];
    await broker.request('POST', '/iot/groups', { groups }, PLACE);
    const body = '2026-03-01T09:00:00Z|a|1|b|2';
    const answer = await broker.request('POST', '/iot/d?k=u7&i=w1', body, { 'content-type': 'text/plain' });
    expect(answer.statusCode).toBe(200);
    expect((await entity()).total).toMatchObject({ value: 3, observedAt: '2026-03-01T09:00:00Z' });
  });

  it('several messages out of one, and none', async () => {
    const { put, provision, measure, entity } = await city();
    const code = '(m) => m.rows && m.rows.map(([TimeInstant, level]) => ({ TimeInstant, level }))';
    await put('transformations/rows', { code });
    await provision({ transformation: 'rows' });
    expect((await measure({ other: 1 })).statusCode).toBe(200);
    expect(await entity()).toBeUndefined();
    await measure({
      rows: [
        [at(2), 2],
        [at(1), 1],
      ],
    });
    expect((await entity()).level).toMatchObject({ value: 2 });
  });

  it('a runaway function costs its own messages only, is told to the device, and is suspended until it is changed', {
    timeout: 30_000,
  }, async () => {
    const { put, provision, measure, entity, refusals, state } = await city();
    await put('transformations/wild', { code: '(m) => { while (m.hang) {} return m; }' });
    await provision({ transformation: 'wild' });
    const answer = await measure({ hang: true });
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ name: 'TRANSFORMATION_FAILED', message: expect.stringContaining('more than 50 ms') });
    expect((await measure({ level: 1 })).statusCode).toBe(200);
    expect((await entity()).level.value).toBe(1);
    for (let time = 0; time < 10; time++) await measure({ hang: true });
    expect((await refusals())[0]?.code).toBe('TRANSFORMATION_FAILED');
    expect(await state('transformations/wild')).toMatchObject({ suspended: expect.stringContaining('10 times in a row') });
    expect((await measure({ level: 2 })).statusCode).toBe(400);
    await put('transformations/wild', { code: '(m) => m' });
    expect((await measure({ level: 3 })).statusCode).toBe(200);
    expect((await entity()).level.value).toBe(3);
  });

  it('can be tried, and say what of them cannot be used', async () => {
    const { put, broker } = await city();
    await put('transformations/deci', template);
    const tried = await broker.request('POST', '/iot/transformations/deci/try', { d: { t: 5 }, ts: 0 }, PLACE);
    expect(tried.json()).toEqual({
      result: { temperature: 0.5, TimeInstant: '1970-01-01T00:00:00.000Z' },
      warnings: [],
      ms: expect.any(Number),
    });
    const bad = await broker.request('PUT', '/iot/transformations/x', { template: { a: ['{{b c}}'] } }, PLACE);
    expect([bad.statusCode, bad.json()]).toEqual([
      400,
      { name: 'WRONG_SYNTAX', message: 'template.a[0]: {{b c}} is not a path such as {{a.b[0]}}' },
    ]);
    expect((await broker.request('GET', '/iot/transformations/x', undefined, PLACE)).statusCode).toBe(404);
  });

  it('that is deleted and written anew is the new one', async () => {
    const { put, provision, measure, entity, broker } = await city();
    await provision();
    for (const [made, value] of [
      ['first', 1],
      ['second', 2],
    ] as const) {
      await put('transformations/again', { code: `() => ({ made: '${made}' })` });
      await broker.request(
        'POST',
        '/iot/devices',
        { devices: [{ device_id: 'w1', apikey: 'w7', transformation: 'again' }] },
        PLACE,
      );
      await measure({ value });
      expect((await entity()).made.value).toBe(made);
      await broker.request('DELETE', '/iot/devices/w1', undefined, PLACE);
      expect((await broker.request('DELETE', '/iot/transformations/again', undefined, PLACE)).statusCode).toBe(204);
    }
  });

  it('that a device names must be there, and stays while it does', async () => {
    const { put, broker, provision } = await city();
    const device = { devices: [{ device_id: 'w1', transformation: 'deci' }] };
    const refused = await broker.request('POST', '/iot/devices', device, PLACE);
    expect([refused.statusCode, refused.json().message]).toEqual([400, 'transformation: there is no transformation "deci"']);
    await put('transformations/deci', template);
    await provision();
    expect((await broker.request('POST', '/iot/devices', device, PLACE)).statusCode).toBe(201);
    const kept = await broker.request('DELETE', '/iot/transformations/deci', undefined, PLACE);
    expect([kept.statusCode, kept.json().name]).toEqual([409, 'IN_USE']);
    await broker.request('DELETE', '/iot/devices/w1', undefined, PLACE);
    expect((await broker.request('DELETE', '/iot/transformations/deci', undefined, PLACE)).statusCode).toBe(204);
  });
});

describe('validation of a type by its model', () => {
  const weather = { resource: '/iot/json', apikey: 'w7', entity_type: 'WeatherObserved' };
  const id = 'urn:ngsi-ld:WeatherObserved:w1';
  const bad = { temperature: 'mild', relativeHumidity: 43, windSpeed: 3, ours: { any: 'thing' } };

  it('is off until somebody asks for it, and when somebody says so', async () => {
    const { put, provision, measure, entity } = await city();
    await provision(weather);
    await put('validations/WeatherObserved', { mode: 'off' });
    await measure(bad);
    expect(await entity(id)).toMatchObject({ temperature: { value: 'mild' }, relativeHumidity: { value: 43 } });
  });

  it('reject: what does not suit is left out with the reason, whatever else the model requires; what it does not know passes', async () => {
    const { put, provision, measure, entity, refusals, state } = await city();
    await provision(weather);
    await put('validations/WeatherObserved', { mode: 'reject' });
    expect((await measure(bad)).statusCode).toBe(200);
    const stored = await entity(id);
    expect(stored).toMatchObject({ windSpeed: { value: 3 }, ours: { value: { any: 'thing' } } });
    expect(Object.keys(stored)).not.toContain('temperature');
    expect(Object.keys(stored)).not.toContain('relativeHumidity');
    expect((await refusals()).map(({ reason }) => reason).sort()).toEqual([
      '"relativeHumidity" 43 does not suit the model WeatherObserved: it must be <= 1',
      '"temperature" "mild" does not suit the model WeatherObserved: it must be number',
    ]);
    expect(await state('validations/WeatherObserved')).toEqual({ flagged: 0, rejected: 2 });
  });

  it('flag: it is stored as suspect, and comes after the rules', async () => {
    const { put, provision, measure, entity, refusals } = await city();
    await provision(weather);
    await put('validations/WeatherObserved', { mode: 'flag' });
    const share = { select: { attribute: 'relativeHumidity' }, when: { range: { max: 1 } }, action: { replace: 'clamp' } };
    await put('rules/share', share);
    await measure(bad);
    expect(await entity(id)).toMatchObject({
      temperature: { value: 'mild', quality: { value: 'suspect' } },
      relativeHumidity: { value: 1, quality: { value: 'estimated' } },
    });
    expect((await entity(id)).windSpeed.quality).toBeUndefined();
    expect(await refusals()).toHaveLength(1);
  });

  it('finds the model by the IRI of the type, and its attributes by the @context of the device', async () => {
    const { put, provision, measure, broker } = await city();
    const context = {
      Wetter: 'https://smartdatamodels.org/dataModel.Weather/WeatherObserved',
      feuchte: 'https://smartdatamodels.org/dataModel.Weather/relativeHumidity',
    };
    await provision({ ...weather, entity_type: 'Wetter', jsonLdContext: context });
    await put(`validations/${encodeURIComponent(context.Wetter)}`, { mode: 'reject' });
    await measure({ feuchte: 43 });
    const found = await broker.request('GET', `/ngsi-ld/v1/entities?type=${encodeURIComponent(context.Wetter)}`, undefined, {
      'ngsild-tenant': 'city',
    });
    expect(found.json()).toEqual([]);
  });

  it('of a type that has no model is refused with those that there are', async () => {
    const { broker } = await city();
    const answer = await broker.request('PUT', '/iot/validations/Nothing', { mode: 'flag' }, PLACE);
    expect([answer.statusCode, answer.json().message]).toEqual([
      400,
      expect.stringMatching(/^model: there is no model "Nothing"; there are .*WeatherObserved/),
    ]);
    const { models } = (await broker.request('GET', '/iot/models', undefined, PLACE)).json();
    expect(models).toContain('AirQualityObserved');
    // Every folder is a model that can be used.
    for (const model of models)
      expect((await broker.request('PUT', `/iot/validations/${model}`, { mode: 'reject' }, PLACE)).statusCode).toBe(201);
    const named = await broker.request('PUT', '/iot/validations/Station', { mode: 'flag', model: 'WeatherObserved' }, PLACE);
    expect(named.statusCode).toBe(201);
  });
});

it('code that takes its time holds up its own devices only', { timeout: 60_000 }, async () => {
  const { put, provision, broker, entity } = await city();
  // As much as is just allowed.
  await put('transformations/slow', { code: '(m) => { const end = Date.now() + 25; while (Date.now() < end); return m; }' });
  await provision({ transformation: 'slow' });
  const others = { groups: [{ resource: '/iot/json', apikey: 'quick', entity_type: 'Quick' }] };
  await broker.request('POST', '/iot/groups', others, PLACE);
  const { mqttUrl } = await broker.broker.listen();
  const connect = async () => {
    const client = await mqtt.connectAsync(mqttUrl ?? '', { protocolVersion: 4 }, false);
    onTestFinished(() => client.endAsync(true));
    return client;
  };
  const [slow, quick] = [await connect(), await connect()];
  // Both devices are known before it begins.
  await slow.publishAsync('/json/w7/w1/attrs', '{"n":-1}', { qos: 1 });
  await quick.publishAsync('/json/quick/q1/attrs', '{"n":-1}', { qos: 1 });
  let acknowledged = 0;
  const all = Array.from({ length: 100 }, (_, n) =>
    slow.publishAsync('/json/w7/w1/attrs', JSON.stringify({ n }), { qos: 1 }).then(() => acknowledged++),
  );
  for (let n = 0; n < 10; n++) await quick.publishAsync('/json/quick/q1/attrs', JSON.stringify({ n }), { qos: 1 });
  expect(acknowledged).toBeLessThan(100);
  expect((await entity('urn:ngsi-ld:Quick:q1')).n.value).toBe(9);
  await Promise.all(all);
  expect((await entity()).n.value).toBe(99);
});

it('values of one device are judged in the order in which it sent them, however fast', async () => {
  const { put, provision, broker, entity } = await city();
  await put('rules/rate', { select: { attribute: 'n' }, when: { duplicate: { seconds: 3600 } }, action: 'discard' });
  await put('transformations/same', { code: '(m) => m' });
  await provision({ transformation: 'same' });
  const { mqttUrl } = await broker.broker.listen();
  const client = await mqtt.connectAsync(mqttUrl ?? '', { protocolVersion: 4 }, false);
  onTestFinished(() => client.endAsync(true));
  const sent = Array.from({ length: 100 }, (_, n) =>
    client.publishAsync(
      '/json/w7/w1/attrs',
      JSON.stringify({
        n: Math.floor(n / 2),
        TimeInstant: at(0).replace('00.000', `${String(Math.floor(n / 2)).padStart(2, '0')}.${n % 2}`),
      }),
      { qos: 1 },
    ),
  );
  await Promise.all(sent);
  expect((await entity()).n.value).toBe(49);
  const history = await broker.request(
    'GET',
    `/ngsi-ld/v1/temporal/entities/${WEATHER}?attrs=n&lastN=100&options=temporalValues`,
    undefined,
    { 'ngsild-tenant': 'city' },
  );
  expect(history.json().n.values).toHaveLength(50);
});
