import { request as coapRequest } from 'coap';
import { describe, expect, it } from 'vitest';
import { coapServer } from '../../../adapters/coap/server.ts';
import type { DeviceOutcome, MeasureMessage } from '../../../broker/domain/device.ts';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';

const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
const TENANT = { 'NGSILD-Tenant': 'city' };
const CSV = { ...PLACE, 'content-type': 'text/csv' };

async function prepared(): Promise<TestBroker> {
  const broker = await inMemoryBroker();
  await broker.request('POST', '/iot/groups', { groups: [{ resource: '', apikey: 'k', entity_type: 'Station' }] }, PLACE);
  const settings = { time: { column: 'when' }, device: { column: 'id' } };
  expect((await broker.request('PUT', '/iot/adapters/archive', { kind: 'csv', apikey: 'k', settings }, PLACE)).statusCode).toBe(
    201,
  );
  return broker;
}

async function ended(broker: TestBroker, location: string) {
  const end = Date.now() + 18_000;
  for (;;) {
    const job = (await broker.request('GET', location, undefined, PLACE)).json();
    if (job.endedAt !== undefined) return job;
    if (Date.now() > end) throw new Error(`the import did not end: ${JSON.stringify(job)}`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

describe('importing history', () => {
  it('a file becomes history as a job; every row that is refused is told with its line', async () => {
    await using broker = await prepared();
    const rows = Array.from(
      { length: 1200 },
      (_, at) => `${new Date(1_772_355_600_000 + at * 60_000).toISOString()},s${at % 2},${at}`,
    );
    rows[10] = 'never,s0,1';
    rows[20] = `${new Date(1_772_355_600_000).toISOString()},,5`;
    const file = `when,id,level\n${rows.join('\n')}\n`;
    const answer = await broker.request('POST', '/iot/imports?mapping=archive', file, CSV);
    expect(answer.statusCode).toBe(202);
    const location = String(answer.headers['location']);
    const job = await ended(broker, location);
    expect(job).toMatchObject({
      status: 'Finished',
      stored: 1198,
      refused: 2,
      bytes: Buffer.byteLength(file),
      bytesRead: Buffer.byteLength(file),
      lastLine: 1201,
    });
    expect(job.errors).toEqual([
      { line: 12, reason: '"never" is no time of the form iso with a zone' },
      { line: 22, reason: 'the row names no device' },
    ]);
    const values = async () => {
      const url = '/ngsi-ld/v1/temporal/entities/urn:ngsi-ld:Station:s1?options=temporalValues&lastN=1000';
      return (await broker.request('GET', url, undefined, TENANT)).json().level.values.length;
    };
    expect(await values()).toBe(600);

    // The same file again: no new instances.
    const again = await broker.request('POST', '/iot/imports?mapping=archive', file, CSV);
    expect(await ended(broker, String(again.headers['location']))).toMatchObject({ status: 'Finished', stored: 1198 });
    expect(await values()).toBe(600);
    expect((await broker.request('GET', '/iot/imports', undefined, PLACE)).json().count).toBe(2);
    expect((await broker.request('DELETE', location, undefined, PLACE)).statusCode).toBe(204);
    expect((await broker.request('GET', location, undefined, PLACE)).statusCode).toBe(404);
  });

  it('a file that cannot be read as a whole fails and says why', async () => {
    await using broker = await prepared();
    const answer = await broker.request('POST', '/iot/imports?mapping=archive', 'a,b\n1,2\n', CSV);
    expect(await ended(broker, String(answer.headers['location']))).toMatchObject({
      status: 'Failed',
      stored: 0,
      reason: expect.stringContaining('no column "when"'),
    });
  });

  it('needs a mapping and a file, and is not another tenant’s business', async () => {
    await using broker = await prepared();
    expect((await broker.request('POST', '/iot/imports', 'a', CSV)).statusCode).toBe(400);
    expect((await broker.request('POST', '/iot/imports?mapping=nothing', 'a', CSV)).json().message).toContain(
      'no adapter "nothing"',
    );
    expect((await broker.request('POST', '/iot/imports?mapping=archive', {}, PLACE)).statusCode).toBe(400);
    const answer = await broker.request('POST', '/iot/imports?mapping=archive', 'when,id,v\n', CSV);
    const other = { 'fiware-service': 'town', 'fiware-servicepath': '/' };
    expect((await broker.request('GET', String(answer.headers['location']), undefined, other)).statusCode).toBe(404);
  });
});

describe('measures over CoAP', () => {
  async function coap(take: (message: MeasureMessage) => Promise<DeviceOutcome>) {
    const server = await coapServer({ host: '127.0.0.1', port: 0, take, log: () => {} });
    return {
      send: (url: string, payload: string | Buffer, method: 'POST' | 'GET' = 'POST') =>
        new Promise<{ code: string; text: string }>((resolve, reject) => {
          const [pathname, query] = url.split('?') as [string, string];
          const request = coapRequest({ hostname: '127.0.0.1', port: server.port, pathname, query, method });
          if (payload.length > 1000) request.setOption('Block1', Buffer.of(6));
          request.on('response', (response) => resolve({ code: response.code, text: response.payload.toString() }));
          request.on('error', reject);
          request.end(payload);
        }),
      [Symbol.asyncDispose]: () => server.close(),
    };
  }

  it('a POST is a measure like one over HTTP, and its answer says what became of it', async () => {
    const heard: MeasureMessage[] = [];
    await using side = await coap(async (message) => {
      heard.push(message);
      if (message.key === 'wrong') return { accepted: false, code: 'DEVICE_GROUP_NOT_FOUND', reason: 'no such key' };
      if (message.deviceId === 'gone') throw new Error('the store is away');
      return { accepted: true, identity: 'x', ...(message.getCommands && { commands: '{"dim":40}' }) };
    });
    expect(await side.send('/json?k=key7&i=bin-042&t=2026-03-01T10:00:00Z', '{"d":63}')).toEqual({ code: '2.04', text: '' });
    expect(heard[0]).toMatchObject({ format: 'json', key: 'key7', deviceId: 'bin-042', time: '2026-03-01T10:00:00Z' });
    expect(Buffer.from(heard[0]!.body).toString()).toBe('{"d":63}');
    expect((await side.send('/ul?k=key7&i=a', 't|21.5')).code).toBe('2.04');
    expect((await side.send('/iot/json/attrs/t?k=key7&i=a', '5')).code).toBe('2.04');
    expect(heard[2]).toMatchObject({ format: 'json', attribute: 't' });
    expect((await side.send('/json?k=key7&i=a&getCmd=1', '{"d":1}')).text).toBe('{"dim":40}');
    // A measure larger than one packet comes in blocks.
    expect((await side.send('/json?k=key7&i=a', JSON.stringify({ text: 'x'.repeat(5000) }))).code).toBe('2.04');
    expect(heard.at(-1)!.body.length).toBeGreaterThan(5000);
  });

  it('what is wrong with a request is answered and taken no further', async () => {
    let taken = 0;
    await using side = await coap(async ({ key, deviceId }) => {
      taken++;
      if (deviceId === 'gone') throw new Error('the store is away');
      return key === 'wrong'
        ? { accepted: false, code: 'DEVICE_GROUP_NOT_FOUND', reason: 'no such key' }
        : { accepted: false, code: 'PARSE_ERROR', reason: 'not JSON' };
    });
    expect((await side.send('/other?k=a&i=b', '1')).code).toBe('4.04');
    expect((await side.send('/json?k=a', '1')).code).toBe('4.00');
    expect((await side.send('/json?k=a&i=b', '', 'GET')).code).toBe('4.05');
    expect(taken).toBe(0);
    expect((await side.send('/json?k=wrong&i=b', '1')).code).toBe('4.03');
    expect((await side.send('/json?k=a&i=b', '{')).text).toContain('PARSE_ERROR');
    expect((await side.send('/json?k=a&i=gone', '1')).code).toBe('5.03');
  });
});
