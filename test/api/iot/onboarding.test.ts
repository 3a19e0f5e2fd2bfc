import mqtt, { type IClientOptions } from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { inMemoryBroker } from '../../support/broker.ts';
import { steppingClock } from '../../support/stepping-clock.ts';

const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
const TENANT = { 'ngsild-tenant': 'city' };
const DAY_MS = 86_400_000;

async function city() {
  const clock = steppingClock();
  const broker = await inMemoryBroker({ clock });
  onTestFinished(() => broker[Symbol.asyncDispose]());
  const { url, mqttUrl } = await broker.broker.listen();
  const ask = (method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown) => broker.request(method, path, body, PLACE);
  const begin = async (body: object = {}) => {
    const answer = await ask('POST', '/iot/onboarding', body);
    expect(answer.statusCode, answer.body).toBe(201);
    return answer.json() as { session: string; token: string; device_id: string; expiresAt: string };
  };
  const connect = async (options: IClientOptions = {}) => {
    const client = await mqtt.connectAsync(mqttUrl ?? '', { reconnectPeriod: 0, protocolVersion: 4, ...options });
    onTestFinished(() => void client.end(true));
    return client;
  };
  const entities = async (type: string) =>
    (await broker.request('GET', `/ngsi-ld/v1/entities?type=${encodeURIComponent(type)}`, undefined, TENANT)).json();
  return { broker, clock, url, ask, begin, connect, entities };
}

/** The events of a stream, as they come. */
async function events(url: string): Promise<{ next(): Promise<{ state: string }> }> {
  const abort = new AbortController();
  onTestFinished(() => abort.abort());
  const answer = await fetch(url, { signal: abort.signal });
  expect(answer.headers.get('content-type')).toBe('text/event-stream');
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  let text = '';
  return {
    async next() {
      for (;;) {
        const found = /data: (.*)\n\n/.exec(text);
        if (found) {
          text = text.slice(found.index + found[0].length);
          return JSON.parse(found[1] as string);
        }
        const { value, done } = await reader.read();
        if (done) throw new Error('the stream has ended');
        text += Buffer.from(value).toString();
      }
    },
  };
}

const KIT = 'https://smartdatamodels.org/dataModel.Device/Device';

describe('onboarding in two steps', () => {
  it('a kit says hello, the page hears of it at once, somebody claims it, and from then on it measures', async () => {
    const { url, ask, begin, connect, entities } = await city();
    const { session, token, device_id } = await begin({ protocol: 'SmartCitizen' });
    expect((await ask('GET', `/iot/onboarding/${session}`)).json()).toMatchObject({ state: 'waiting', device_id });
    const stream = await events(`${url}/iot/onboarding/${session}/events`);
    expect(await stream.next()).toMatchObject({ state: 'waiting' });
    const client = await connect();
    await client.publishAsync(`device/sck/${token}/hello`, 'hello', { qos: 1 });
    expect(await stream.next()).toMatchObject({ state: 'handshake', device_id });
    // What it measures before is nobody's, and not stored; what it says about itself is taken with the claim.
    await client.publishAsync(`device/sck/${token}/readings/raw`, '{t:2026-03-01T07:00:00Z,87:1}', { qos: 1 });
    await client.publishAsync(`device/sck/${token}/info`, '{"time":"2026-03-01T07:00:00Z","hw_ver":"2.1"}', { qos: 1 });
    expect(await entities(KIT)).toEqual([]);
    const claimed = await ask('POST', `/iot/onboarding/${session}/claim`, {
      static_attributes: [{ name: 'location', type: 'geo:json', value: { type: 'Point', coordinates: [17, 48] } }],
    });
    expect(claimed.json()).toMatchObject({ device_id, hasToken: true, protocol: 'SmartCitizen' });
    expect(await stream.next()).toMatchObject({ state: 'claimed' });
    expect(JSON.stringify(await entities(KIT))).toContain('2.1');
    await client.publishAsync(`device/sck/${token}/readings/raw`, '{t:2026-03-01T08:00:00Z,87:12}', { qos: 1 });
    const [air] = await entities('https://smartdatamodels.org/dataModel.Environment/AirQualityObserved');
    expect(JSON.stringify(air)).toContain('12');
    expect((await ask('GET', `/iot/onboarding/${session}`)).statusCode).toBe(404);
  });

  it('any first message is a handshake, is refused as not claimed, and writes nothing', async () => {
    const { ask, begin, broker } = await city();
    await ask('POST', '/iot/groups', { groups: [{ resource: '/iot/json', apikey: 'k', entity_type: 'Bin' }] });
    const { session } = await begin({ device_id: 'bin7', entity_type: 'Bin', protocol: 'IoTA-JSON' });
    const refused = await broker.request('POST', '/iot/json?k=k&i=bin7', { level: 1 });
    expect(refused.json()).toMatchObject({ name: 'NOT_CLAIMED' });
    for (let turn = 0; turn < 1000 && (await ask('GET', `/iot/onboarding/${session}`)).json().state === 'waiting'; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect((await ask('GET', `/iot/onboarding/${session}`)).json().state).toBe('handshake');
    expect((await ask('GET', '/iot/devices/bin7/refusals')).json().refusals[0]).toMatchObject({ code: 'NOT_CLAIMED' });
    await ask('POST', `/iot/onboarding/${session}/claim`);
    expect((await broker.request('POST', '/iot/json?k=k&i=bin7', { level: 1 })).statusCode).toBe(200);
  });

  it('what nobody claims is deleted after seven days, with its token; what is claimed is not', async () => {
    const { clock, begin, ask, broker } = await city();
    const forgotten = await begin();
    const wanted = await begin();
    await ask('POST', `/iot/onboarding/${wanted.session}/claim`, { entity_type: 'Bin' });
    clock.step(7 * DAY_MS - 1000);
    await broker.broker.devices.onboarding.sweep();
    expect((await ask('GET', `/iot/onboarding/${forgotten.session}`)).statusCode).toBe(200);
    clock.step(2000);
    await broker.broker.devices.onboarding.sweep();
    expect((await ask('GET', `/iot/onboarding/${forgotten.session}`)).statusCode).toBe(404);
    expect((await ask('GET', `/iot/devices/${forgotten.device_id}`)).statusCode).toBe(404);
    expect((await ask('GET', `/iot/devices/${wanted.device_id}`)).statusCode).toBe(200);
  });

  it('is claimed once, where it was begun, and shows its session to nobody', async () => {
    const { begin, ask, broker } = await city();
    const { session, device_id } = await begin();
    const elsewhere = { ...PLACE, 'fiware-service': 'other' };
    expect((await broker.request('POST', `/iot/onboarding/${session}/claim`, {}, elsewhere)).statusCode).toBe(404);
    expect((await ask('GET', `/iot/devices/${device_id}`)).body).not.toContain(session);
    expect((await ask('POST', `/iot/onboarding/${session}/claim`, {})).statusCode).toBe(200);
    expect((await ask('POST', `/iot/onboarding/${session}/claim`, {})).statusCode).toBe(404);
    const second = await begin();
    expect((await ask('DELETE', `/iot/onboarding/${second.session}`)).statusCode).toBe(204);
    expect((await ask('GET', `/iot/devices/${second.device_id}`)).statusCode).toBe(404);
  });
});

describe('onboarding from a Thing Description', () => {
  const TD = {
    '@context': ['https://www.w3.org/2022/wot/td/v1.1', { om: 'http://www.ontology-of-units-of-measure.org/resource/om-2/' }],
    id: 'urn:dev:ops:32473-Lamp-0042',
    '@type': ['Thing', 'Streetlight'],
    title: 'Lamp 42',
    securityDefinitions: { nosec_sc: { scheme: 'nosec' } },
    security: 'nosec_sc',
    properties: {
      temperature: { type: 'number', unit: 'om:degree_Celsius', readOnly: true, forms: [{ href: '/t' }] },
      brightness: { type: 'integer', unit: '%', forms: [{ href: '/b', op: ['readproperty', 'writeproperty'] }] },
      secret: { type: 'string', writeOnly: true, forms: [{ href: '/s', op: 'writeproperty' }] },
      'odd name': { type: 'string', forms: [] },
    },
    actions: { reset: { forms: [{ href: '/reset' }] } },
    events: { overheated: { data: { type: 'number', unit: 'furlong' }, forms: [{ href: '/o' }] } },
  };

  it('gives the mapping, the entity and a token, with which the device measures and takes commands', async () => {
    const { ask, broker, connect } = await city();
    const answer = await ask('POST', '/iot/things?apikey=lampKey', TD);
    expect(answer.statusCode, answer.body).toBe(201);
    const { token, entity, device_id, mapping } = answer.json();
    expect({ device_id, entity }).toEqual({ device_id: '32473-Lamp-0042', entity: 'urn:ngsi-ld:Streetlight:32473-Lamp-0042' });
    expect(mapping).toEqual([
      { affordance: 'properties/temperature', attribute: 'temperature', type: 'Number', unitCode: 'CEL' },
      { affordance: 'properties/brightness', attribute: 'brightness', type: 'Integer', unitCode: 'P1', command: 'brightness' },
      { affordance: 'properties/secret', command: 'secret' },
      { affordance: 'properties/odd name', note: 'The name cannot be that of an attribute' },
      { affordance: 'actions/reset', command: 'reset' },
      { affordance: 'events/overheated', attribute: 'overheated', type: 'Number' },
    ]);
    const read = async () => (await broker.request('GET', `/ngsi-ld/v1/entities/${entity}`, undefined, TENANT)).json();
    expect(await read()).toMatchObject({ type: 'Streetlight', name: { value: 'Lamp 42' } });
    const own = await connect({ username: device_id, password: token });
    await own.publishAsync(`/json/lampKey/${device_id}/attrs`, '{"temperature":"21.5","brightness":40}', { qos: 1 });
    expect(await read()).toMatchObject({
      temperature: { value: 21.5, unitCode: 'CEL' },
      brightness: { value: 40, unitCode: 'P1' },
    });
    const heard = new Promise<string>((resolve) => own.once('message', (_, payload) => resolve(payload.toString())));
    await own.subscribeAsync(`/lampKey/${device_id}/cmd`, { qos: 1 });
    await broker.request('PATCH', `/ngsi-ld/v1/entities/${entity}/attrs/brightness`, { value: 70 }, TENANT);
    expect(await heard).toBe('{"brightness":70}');
    expect((await read()).brightness).toMatchObject({ value: 40 });
  });

  it('shows the mapping alone on a dry run, and keeps nothing', async () => {
    const { ask } = await city();
    const answer = await ask('POST', '/iot/things?dryRun=true', TD);
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).not.toHaveProperty('token');
    expect(answer.json().entity).toBe('urn:ngsi-ld:Streetlight:32473-Lamp-0042');
    expect((await ask('GET', '/iot/devices')).json().count).toBe(0);
  });

  it.each<[string, unknown, RegExp]>([
    ['no object', [], /JSON object/],
    ['another context', { ...TD, '@context': 'https://schema.org' }, /@context/],
    ['no title', { ...TD, title: undefined }, /title/],
    ['properties that are a list', { ...TD, properties: [] }, /properties/],
  ])('refuses %s', async (_, td, reason) => {
    const { ask } = await city();
    const answer = await ask('POST', '/iot/things', td);
    expect(answer.statusCode).toBe(400);
    expect(answer.json().message).toMatch(reason);
  });
});
