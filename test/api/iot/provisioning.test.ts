import type { FastifyInstance } from 'fastify';
import pino from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { measureRoutes } from '../../../broker/api/iot/measures.ts';
import { provisioningRoutes } from '../../../broker/api/iot/provisioning.ts';
import type { DocumentStore } from '../../../broker/ports/document-store.ts';
import { httpServer } from '../../../broker/transport/http.ts';
import { offlineContexts } from '../../support/contexts.ts';
import { type DeviceSide, deviceSide } from '../../support/devices.ts';
import { documentsInMemory } from '../../support/documents.ts';

const HEADERS = { 'fiware-service': 'City', 'fiware-servicepath': '/parks' };
const GROUP = { resource: '/iot/json', apikey: 'cityKey7', entity_type: 'Bin' };

interface Site {
  readonly app: FastifyInstance;
  readonly side: DeviceSide;
  call(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    url: string,
    body?: unknown,
    headers?: object,
  ): Promise<{ status: number; body: unknown }>;
}

async function site(documents: DocumentStore = documentsInMemory()): Promise<Site> {
  const side = await deviceSide({ documents });
  const contexts = await offlineContexts();
  const app = await httpServer({
    logger: pino({ level: 'silent' }),
    resolveContext: contexts.resolve,
    routes: { '': [provisioningRoutes(side.devices, '1.0.0'), measureRoutes(side.intake.http)] },
  });
  onTestFinished(async () => {
    await app.close();
    await side[Symbol.asyncDispose]();
  });
  return {
    app,
    side,
    async call(method, url, body, headers = HEADERS) {
      const type = typeof body === 'string' ? 'text/plain' : 'application/json';
      const answer = await app.inject({
        method,
        url,
        headers: { ...(body !== undefined && { 'content-type': type }), ...headers },
        ...(body !== undefined && { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      return { status: answer.statusCode, body: answer.body === '' ? '' : JSON.parse(answer.body) };
    },
  };
}

describe('provisioning API: groups', () => {
  it.each(['groups', 'services'])('are created, listed, changed and deleted at /iot/%s', async (name) => {
    const { call } = await site();
    const url = `/iot/${name}`;
    expect(await call('POST', url, { [name]: [GROUP] })).toEqual({ status: 201, body: {} });
    expect(await call('POST', url, { [name]: [GROUP] })).toMatchObject({ status: 409, body: { name: 'DUPLICATE_GROUP' } });
    const listed = await call('GET', url);
    expect(listed).toMatchObject({
      status: 200,
      body: { count: 1, [name]: [{ resource: '/iot/json', entity_type: 'Bin', subservice: '/parks' }] },
    });
    expect(JSON.stringify(listed)).not.toContain('cityKey7');
    const named = `${url}?resource=/iot/json&apikey=cityKey7`;
    expect(await call('PUT', named, { entity_type: 'WasteContainer' })).toEqual({ status: 204, body: '' });
    expect(await call('GET', url, undefined, { ...HEADERS, 'fiware-servicepath': '/*' })).toMatchObject({
      body: { [name]: [{ entity_type: 'WasteContainer' }] },
    });
    // The key id that listings show names the group as well, so that a tool can delete what it has listed.
    const shown = (listed.body as Record<string, { apikey: string }[]>)[name]?.[0]?.apikey ?? '';
    expect(shown).toMatch(/^key:[0-9a-f]{16}$/);
    expect(await call('DELETE', `${url}?resource=/iot/json&apikey=${shown}`)).toEqual({ status: 204, body: '' });
    expect(await call('DELETE', named)).toMatchObject({ status: 404, body: { name: 'DEVICE_GROUP_NOT_FOUND' } });
  });

  it('belong to a tenant and a service path, and their key to one group in the whole broker', async () => {
    const { call } = await site();
    await call('POST', '/iot/groups', { groups: [GROUP] });
    const elsewhere = { 'fiware-service': 'other', 'fiware-servicepath': '/parks' };
    expect(await call('GET', '/iot/groups', undefined, elsewhere)).toMatchObject({ body: { count: 0 } });
    expect(await call('GET', '/iot/groups', undefined, { ...HEADERS, 'fiware-servicepath': '/' })).toMatchObject({
      body: { count: 0 },
    });
    expect(await call('POST', '/iot/groups', { groups: [GROUP] }, elsewhere)).toMatchObject({ status: 409 });
  });

  it.each<[string, unknown, object, string]>([
    ['no headers', { groups: [GROUP] }, {}, 'MISSING_HEADERS'],
    ['no service path', { groups: [GROUP] }, { 'fiware-service': 'a' }, 'MISSING_HEADERS'],
    ['a bad service', { groups: [GROUP] }, { 'fiware-service': '../x', 'fiware-servicepath': '/' }, 'WRONG_SYNTAX'],
    ['no list', {}, HEADERS, 'WRONG_SYNTAX'],
    ['no key', { groups: [{ resource: '/iot/d' }] }, HEADERS, 'WRONG_SYNTAX'],
    ['a wildcard in the key', { groups: [{ resource: '/iot/d', apikey: '#' }] }, HEADERS, 'WRONG_SYNTAX'],
    ['a bad name', { groups: [{ ...GROUP, attributes: [{ name: 'a;b' }] }] }, HEADERS, 'WRONG_SYNTAX'],
    ['an attribute called id', { groups: [{ ...GROUP, attributes: [{ name: 'id' }] }] }, HEADERS, 'WRONG_SYNTAX'],
    ['a bad expression', { groups: [{ ...GROUP, attributes: [{ name: 'a', expression: 'b +' }] }] }, HEADERS, 'WRONG_SYNTAX'],
    ['a function call', { groups: [{ ...GROUP, attributes: [{ name: 'a', expression: 'f(1)' }] }] }, HEADERS, 'WRONG_SYNTAX'],
  ])('are refused with %s, and nothing is stored', async (_what, body, headers, name) => {
    const { call } = await site();
    expect(await call('POST', '/iot/groups', body, headers)).toMatchObject({ status: 400, body: { name } });
    expect(await call('GET', '/iot/groups')).toMatchObject({ body: { count: 0 } });
  });

  it('reach the next measure of their devices when they change', async () => {
    const { call, side } = await site();
    await call('POST', '/iot/groups', { groups: [GROUP] });
    await call('POST', '/iot/json?i=b&k=cityKey7', { d: 1 });
    await call('PUT', '/iot/groups?resource=/iot/json&apikey=cityKey7', { attributes: [{ object_id: 'd', name: 'distance' }] });
    await call('POST', '/iot/json?i=b&k=cityKey7', { d: 2 });
    const names = side.ingest.fragments.map(({ attributes }) => Object.keys(attributes)[0]?.replace(/.*\//, ''));
    expect(names).toEqual(['d', 'distance']);
  });
});

describe('provisioning API: devices', () => {
  const DEVICE = { device_id: 'bin-042', entity_name: 'urn:ngsi-ld:Bin:042', entity_type: 'Bin', apikey: 'cityKey7' };

  it('are created, listed, read, changed and deleted', async () => {
    const { call } = await site();
    expect(await call('POST', '/iot/devices', { devices: [DEVICE, { ...DEVICE, device_id: 'b' }] })).toEqual({
      status: 201,
      body: {},
    });
    expect(await call('POST', '/iot/devices', { devices: [DEVICE] })).toMatchObject({
      status: 409,
      body: { name: 'DUPLICATE_DEVICE_ID' },
    });
    expect(await call('GET', '/iot/devices?limit=1&offset=1')).toMatchObject({
      status: 200,
      body: { count: 2, devices: [{ device_id: 'b' }] },
    });
    expect(await call('GET', '/iot/devices/bin-042')).toMatchObject({
      status: 200,
      body: { entity_name: 'urn:ngsi-ld:Bin:042', service_path: '/parks' },
    });
    expect(await call('PUT', '/iot/devices/bin-042', { entity_type: 'Other' })).toEqual({ status: 204, body: '' });
    expect(await call('GET', '/iot/devices/bin-042?apikey=cityKey7')).toMatchObject({ body: { entity_type: 'Other' } });
    expect(await call('GET', '/iot/devices/bin-042?apikey=wrong')).toMatchObject({
      status: 404,
      body: { name: 'DEVICE_NOT_FOUND' },
    });
    expect(await call('DELETE', '/iot/devices/bin-042')).toEqual({ status: 204, body: '' });
    expect(await call('GET', '/iot/devices/bin-042')).toMatchObject({ status: 404, body: { name: 'DEVICE_NOT_FOUND' } });
  });

  it('of two keys may have the same id', async () => {
    const { call } = await site();
    const two = [DEVICE, { ...DEVICE, apikey: 'other' }];
    expect(await call('POST', '/iot/devices', { devices: two })).toMatchObject({ status: 201 });
    expect(await call('GET', '/iot/devices')).toMatchObject({ body: { count: 2 } });
  });

  it('are deleted together, and one that is missing does not keep the others', async () => {
    const { call } = await site();
    await call('POST', '/iot/devices', { devices: [DEVICE] });
    const body = {
      devices: [
        { deviceId: 'nobody', apikey: 'x' },
        { deviceId: 'bin-042', apikey: 'cityKey7' },
      ],
    };
    expect(await call('POST', '/iot/op/delete', body)).toMatchObject({ status: 404, body: { name: 'DEVICE_NOT_FOUND' } });
    expect(await call('GET', '/iot/devices')).toMatchObject({ body: { count: 0 } });
  });

  it('get a token that is shown once, is not stored, and can be replaced and revoked', async () => {
    const documents = documentsInMemory();
    const { call, side } = await site(documents);
    const created = await call('POST', '/iot/devices', { devices: [{ ...DEVICE, newToken: true }] });
    const first = (created.body as { devices: { token: string }[] }).devices[0]?.token ?? '';
    expect(Buffer.from(first, 'base64url').length * 8).toBeGreaterThanOrEqual(128);
    expect(JSON.stringify(await call('GET', '/iot/devices'))).not.toContain(first);
    expect(JSON.stringify(await documents.list('device', undefined))).not.toContain(first);
    expect(side.devices.authenticate('bin-042', first)).toMatchObject({ kind: 'device' });
    const issued = await call('POST', '/iot/devices/bin-042/token');
    const second = (issued.body as { token: string }).token;
    expect(issued.status).toBe(201);
    expect(side.devices.authenticate('bin-042', first)).toBeUndefined();
    expect(side.devices.authenticate('bin-042', second)).toMatchObject({ kind: 'device' });
    expect(await call('DELETE', '/iot/devices/bin-042/token')).toEqual({ status: 204, body: '' });
    expect(side.devices.authenticate('bin-042', second)).toBeUndefined();
  });

  it('survive a restart, with their tokens, groups and keys', async () => {
    const documents = documentsInMemory();
    const before = await site(documents);
    await before.call('POST', '/iot/groups', { groups: [GROUP] });
    const created = await before.call('POST', '/iot/devices', { devices: [{ ...DEVICE, newToken: true }] });
    const token = (created.body as { devices: { token: string }[] }).devices[0]?.token ?? '';
    const after = await site(documents);
    expect(after.side.devices.authenticate(undefined, token)).toMatchObject({ kind: 'device' });
    expect(await after.call('POST', '/iot/json?i=bin-042&k=cityKey7', { d: 1 })).toEqual({ status: 200, body: {} });
    expect(after.side.ingest.fragments[0]?.id).toBe('urn:ngsi-ld:Bin:042');
    expect(await after.call('POST', '/iot/groups', { groups: [GROUP] })).toMatchObject({ status: 409 });
  });

  it.each<[string, unknown]>([
    ['no id', { devices: [{}] }],
    ['a wildcard in the id', { devices: [{ device_id: 'a/#' }] }],
    ['a token of its own', { devices: [{ device_id: 'a', token: 'abc123' }] }],
    ['a bad codec', { devices: [{ device_id: 'a', codec: [{ name: 'x' }] }] }],
  ])('are refused with %s', async (_what, body) => {
    const { call } = await site();
    expect(await call('POST', '/iot/devices', body)).toMatchObject({ status: 400, body: { name: 'WRONG_SYNTAX' } });
  });

  it('say what answers at /iot/about', async () => {
    expect(await (await site()).call('GET', '/iot/about', undefined, {})).toMatchObject({
      status: 200,
      body: { libVersion: '1.0.0' },
    });
  });
});

describe('measures over HTTP', () => {
  const names = (s: Site) =>
    s.side.ingest.fragments.flatMap(({ attributes }) =>
      Object.entries(attributes).map(([name, [instance]]) => [
        name.replace(/.*\//, ''),
        (instance as { value?: unknown }).value,
        instance?.observedAt,
      ]),
    );

  async function withGroups(): Promise<Site> {
    const made = await site();
    await made.call('POST', '/iot/groups', {
      groups: [
        GROUP,
        { resource: '/iot/d', apikey: 'ulKey', entity_type: 'Lamp' },
        { resource: '/iot/tts', apikey: 'ttsKey', entity_type: 'Soil' },
      ],
    });
    return made;
  }

  it('are taken in JSON and UltraLight, by POST and GET, with and without time', async () => {
    const made = await withGroups();
    const { call } = made;
    const at = '2026-03-01T10:00:00Z';
    expect(await call('POST', `/iot/json?i=b&k=cityKey7&t=${at}`, { a: 1 }, {})).toEqual({ status: 200, body: {} });
    expect(await call('POST', '/iot/json/attrs/b?i=b&k=cityKey7', 'text', {})).toEqual({ status: 200, body: {} });
    expect(await call('POST', '/iot/d?i=l&k=ulKey', 'c|3#c|4', {})).toEqual({ status: 200, body: '' });
    expect(await call('GET', `/iot/d?i=l&k=ulKey&d=${encodeURIComponent('e|5')}`, undefined, {})).toEqual({
      status: 200,
      body: '',
    });
    expect(await call('GET', `/iot/json?i=b&k=cityKey7&d=${encodeURIComponent('{"f":6}')}`, undefined, {})).toEqual({
      status: 200,
      body: {},
    });
    const now = '2026-03-01T12:00:00Z';
    expect(names(made)).toEqual([
      ['a', 1, at],
      ['b', 'text', now],
      ['c', 3, now],
      ['c', 4, now],
      ['e', 5, now],
      ['f', 6, now],
    ]);
  });

  it('say how long they took', async () => {
    const { app } = await withGroups();
    const answer = await app.inject({
      method: 'POST',
      url: '/iot/d?i=l&k=ulKey',
      headers: { 'content-type': 'text/plain' },
      payload: 'a|1',
    });
    expect(answer.headers['x-processing-time']).toMatch(/^\d+$/);
  });

  it('take bytes as hexadecimal digits', async () => {
    const made = await withGroups();
    const { app } = made;
    await app.inject({
      method: 'POST',
      url: '/iot/json/attrs/raw?i=b&k=cityKey7',
      headers: { 'content-type': 'application/octet-stream' },
      payload: Buffer.from([0xca, 0xfe]),
    });
    expect(names(made)[0]?.slice(0, 2)).toEqual(['raw', 'cafe']);
  });

  it.each<[string, string, unknown, number, string]>([
    ['no device', '/iot/json?k=cityKey7', { a: 1 }, 400, 'MANDATORY_PARAMS_NOT_FOUND'],
    ['no key', '/iot/json?i=b', { a: 1 }, 400, 'MANDATORY_PARAMS_NOT_FOUND'],
    ['an empty payload', '/iot/d?i=l&k=ulKey', '', 400, 'MANDATORY_PARAMS_NOT_FOUND'],
    ['the wrong type', '/iot/json?i=b&k=cityKey7', 'a|1', 400, 'UNSUPPORTED_TYPE'],
    ['the other wrong type', '/iot/d?i=l&k=ulKey', { a: 1 }, 400, 'UNSUPPORTED_TYPE'],
    ['an unknown key', '/iot/json?i=b&k=nobody', { a: 1 }, 404, 'DEVICE_GROUP_NOT_FOUND'],
    ['a broken payload', '/iot/d?i=l&k=ulKey', 't|', 400, 'PARSE_ERROR'],
    ['a bad time', '/iot/json?i=b&k=cityKey7&t=yesterday', { a: 1 }, 400, 'BAD_TIMESTAMP'],
    ['a bad TimeInstant', '/iot/json?i=b&k=cityKey7', { a: 1, TimeInstant: 'x' }, 400, 'BAD_TIMESTAMP'],
    ['nothing but nulls', '/iot/json?i=b&k=cityKey7', { a: null }, 400, 'NO_READINGS'],
  ])('are refused with %s, and nothing is stored', async (_what, url, body, status, name) => {
    const made = await withGroups();
    expect(await made.call('POST', url, body, {})).toMatchObject({ status, body: { name } });
    expect(made.side.ingest.fragments).toEqual([]);
  });

  it('do not create devices for a group that says no', async () => {
    const made = await site();
    await made.call('POST', '/iot/groups', { groups: [{ ...GROUP, autoprovision: false }] });
    expect(await made.call('POST', '/iot/json?i=b&k=cityKey7', { a: 1 }, {})).toMatchObject({
      status: 404,
      body: { name: 'DEVICE_NOT_FOUND' },
    });
    expect(await made.call('GET', '/iot/devices')).toMatchObject({ body: { count: 0 } });
  });

  it('create an unknown device once, however many come at the same time', async () => {
    const made = await withGroups();
    await Promise.all(Array.from({ length: 20 }, (_, n) => made.call('POST', '/iot/json?i=new&k=cityKey7', { n }, {})));
    expect(await made.call('GET', '/iot/devices')).toMatchObject({ body: { count: 1, devices: [{ device_id: 'new' }] } });
    expect(made.side.ingest.fragments).toHaveLength(20);
  });

  it('take Smart Citizen readings with the token of the device, and say which rows were lost', async () => {
    const made = await site();
    const created = await made.call('POST', '/iot/devices', { devices: [{ device_id: 'kit7', newToken: true }] });
    const authorization = `Bearer ${(created.body as { devices: { token: string }[] }).devices[0]?.token}`;
    const row = { recorded_at: '2026-03-01T07:00:00Z', sensors: [{ id: 55, value: 18.4 }] };
    const url = '/iot/sck/devices/kit7/readings';
    expect(await made.call('POST', url, { data: [row] }, { authorization })).toEqual({ status: 200, body: {} });
    expect(await made.call('POST', url, { data: [row, { sensors: [] }] }, { authorization })).toMatchObject({
      status: 207,
      body: { warnings: ['data[1] has no time in recorded_at'] },
    });
    expect(await made.call('POST', url, { data: [{ sensors: [] }] }, { authorization })).toMatchObject({
      status: 400,
      body: { name: 'BAD_TIMESTAMP' },
    });
    expect(await made.call('POST', '/iot/sck/devices/other/readings', { data: [row] }, { authorization })).toMatchObject({
      status: 404,
    });
    expect(await made.call('POST', url, { data: [row] }, { authorization: 'Bearer wrong' })).toMatchObject({ status: 401 });
    expect(await made.call('POST', url, { data: [row] }, {})).toMatchObject({ status: 401 });
    expect(made.side.ingest.fragments.map(({ id }) => id)).toEqual([
      'urn:ngsi-ld:WeatherObserved:kit7',
      'urn:ngsi-ld:WeatherObserved:kit7',
    ]);
  });

  it('take uplinks of The Things Stack by webhook with the API key in a header', async () => {
    const made = await withGroups();
    const uplink = {
      end_device_ids: { device_id: 'soil-12', dev_eui: '0011223344556677' },
      received_at: '2026-03-01T10:00:01.5Z',
      uplink_message: { f_cnt: 1, decoded_payload: { temp: 26.7 } },
    };
    const key = { 'x-api-key': 'ttsKey' };
    expect(await made.call('POST', '/iot/tts/up', uplink, key)).toEqual({ status: 200, body: {} });
    expect(await made.call('POST', '/iot/tts/up', uplink, key)).toEqual({ status: 200, body: {} });
    expect(
      await made.call('POST', '/iot/tts/join', { end_device_ids: { device_id: 'soil-12' }, join_accept: {} }, key),
    ).toMatchObject({ status: 200 });
    expect(await made.call('POST', '/iot/tts/up', uplink, { 'x-api-key': 'no' })).toMatchObject({ status: 401 });
    expect(await made.call('POST', '/iot/tts/up', uplink, {})).toMatchObject({ status: 401 });
    expect(await made.call('POST', '/iot/tts/up', { a: 1 }, key)).toMatchObject({ status: 400 });
    expect(made.side.ingest.fragments.map(({ id }) => id)).toEqual(['urn:ngsi-ld:Soil:soil-12']);
  });

  it('are answered with 500 without inner words if the store fails', async () => {
    const made = await withGroups();
    made.side.ingest.fail(true);
    const answer = await made.call('POST', '/iot/json?i=b&k=cityKey7', { a: 1 }, {});
    expect(answer.status).toBe(500);
    expect(JSON.stringify(answer.body)).not.toContain('gone');
  });
});
