import { describe, expect, it, vi } from 'vitest';
import { emptyTables, serveTcp } from '../../../adapters/simulator/modbus-slave.ts';
import { inMemoryBroker, type TestBroker } from '../../support/broker.ts';

// Adapters ask on their own time.
vi.setConfig({ testTimeout: 60_000 });

const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
const TENANT = { 'NGSILD-Tenant': 'city' };

async function eventually<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const end = Date.now() + 40_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}
const entity = async (broker: TestBroker, id: string) => {
  const answer = await broker.request('GET', `/ngsi-ld/v1/entities/${id}`, undefined, TENANT);
  return answer.statusCode === 200 ? answer.json() : undefined;
};

describe('adapters as data', () => {
  it('one runs from the moment it is written down until it is deleted, and what it hears is an entity; a command reaches the device', async () => {
    const tables = emptyTables();
    tables.holding.set(1, 215).set(2, 1);
    let asked = 0;
    const slave = await serveTcp({ units: new Map([[1, tables]]), seen: () => asked++ });
    await using broker = await inMemoryBroker();
    await broker.broker.listen();
    try {
      const settings = {
        modbusMaps: {
          M: [
            {
              name: 'temperature',
              type: 'holding',
              address: 1,
              datatype: '16int',
              factor: 0.1,
              unitCode: 'CEL',
              writable: false,
            },
            {
              name: 'mode',
              type: 'holding',
              address: 2,
              datatype: '16uint',
              translation: [
                [1, 'ECO'],
                [2, 'BOOST'],
                [7, 'X'],
              ],
            },
          ],
        },
        modbusSlaves: [
          { ip: '127.0.0.1', port: slave.port, map: 'M', entity: { type: 'Device', id: 'urn:ngsi-ld:Device:hp7' } },
        ],
        period: 0.1,
      };
      expect((await broker.request('PUT', '/iot/adapters/hp', { kind: 'modbus', settings }, PLACE)).statusCode).toBe(201);
      expect(
        await eventually('the readings', async () => {
          const found = await entity(broker, 'urn:ngsi-ld:Device:hp7');
          return found?.temperature === undefined ? undefined : found;
        }),
      ).toMatchObject({
        type: 'Device',
        temperature: { value: 21.5, unitCode: 'CEL' },
        mode: { value: 'ECO' },
      });

      // What the settings describe is a device like any other, and what can be written is a command.
      const device = await broker.request('GET', '/iot/devices/hp7', undefined, PLACE);
      expect(device.json()).toMatchObject({
        transport: 'adapter',
        endpoint: 'hp',
        entity_type: 'Device',
        commands: [{ name: 'mode' }],
      });
      const patched = await broker.request(
        'PATCH',
        '/ngsi-ld/v1/entities/urn:ngsi-ld:Device:hp7/attrs/mode',
        { type: 'Property', value: 'BOOST' },
        TENANT,
      );
      expect(patched.statusCode).toBeLessThan(300);
      await eventually('the register', async () => (tables.holding.get(2) === 2 ? true : undefined));
      await eventually('the result', async () =>
        (await entity(broker, 'urn:ngsi-ld:Device:hp7')).mode_status?.value === 'OK' ? true : undefined,
      );
      await broker.request(
        'PATCH',
        '/ngsi-ld/v1/entities/urn:ngsi-ld:Device:hp7/attrs/mode',
        { type: 'Property', value: 'WARM' },
        TENANT,
      );
      const failed = await eventually('the error', async () => {
        const found = await entity(broker, 'urn:ngsi-ld:Device:hp7');
        return found.mode_status?.value === 'ERROR' ? found : undefined;
      });
      expect(failed.mode_info.value).toContain('mode has no value "WARM"');
      expect(tables.holding.get(2)).toBe(2);

      // A code that the translation does not know is told as it is, and flagged.
      tables.holding.set(2, 9);
      await eventually('the flag', async () =>
        (await entity(broker, 'urn:ngsi-ld:Device:hp7')).mode.quality?.value === 'unknownCode' ? true : undefined,
      );

      const listed = (await broker.request('GET', '/iot/adapters', undefined, PLACE)).json();
      expect(listed).toMatchObject({
        count: 1,
        adapters: [
          { name: 'hp', kind: 'modbus', enabled: true, state: { running: true, slaves: [{ unit: 1, offline: false }] } },
        ],
      });

      // Switched off it asks no more, switched on it does.
      expect(
        (await broker.request('PUT', '/iot/adapters/hp', { kind: 'modbus', settings, enabled: false }, PLACE)).statusCode,
      ).toBe(204);
      await eventually('silence', async () => {
        const before = asked;
        await new Promise((wake) => setTimeout(wake, 300));
        return asked === before ? true : undefined;
      });
      await broker.request('PUT', '/iot/adapters/hp', { kind: 'modbus', settings }, PLACE);
      const before = asked;
      await eventually('polls', async () => (asked > before ? true : undefined));
      expect((await broker.request('DELETE', '/iot/adapters/hp', undefined, PLACE)).statusCode).toBe(204);
      expect((await broker.request('GET', '/iot/adapters/hp', undefined, PLACE)).statusCode).toBe(404);
    } finally {
      await slave.close();
    }
  });

  it('what cannot be used is refused with its path, and nothing is stored', async () => {
    await using broker = await inMemoryBroker();
    const put = (body: unknown, name = 'a') => broker.request('PUT', `/iot/adapters/${name}`, body, PLACE);
    for (const [body, message] of [
      [{ kind: 'telepathy', settings: {} }, 'kind: must be one of'],
      [
        { kind: 'modbus', settings: { modbusMaps: {}, modbusSlaves: [{ ip: '127.0.0.1', map: 'X' }] } },
        'modbusSlaves[0].map: modbusMaps has no "X"',
      ],
      [{ kind: 'http-poll', settings: { url: 'x' } }, 'url:'],
      [{ kind: 'http-poll' }, 'settings: are missing'],
      [{ kind: 'modbus', setings: {} }, 'setings: an adapter has no such member'],
      [{ kind: 'http-poll', settings: { url: 'http://x', json: { device: 'd' } }, apikey: 'nobody' }, 'apikey: no group'],
    ] as const) {
      const answer = await put(body);
      expect(answer.statusCode).toBe(400);
      expect(answer.json()).toMatchObject({ name: 'WRONG_SYNTAX', message: expect.stringContaining(message) });
    }
    expect((await put({ kind: 'csv', settings: {} }, 'a b')).statusCode).toBe(400);
    expect((await broker.request('GET', '/iot/adapters', undefined, PLACE)).json()).toEqual({ count: 0, adapters: [] });
  });

  it('secrets in settings are shown masked, and a mask that comes back means what was there', async () => {
    await using broker = await inMemoryBroker();
    const settings = { url: 'http://127.0.0.1:9/', everyS: 3600, headers: { 'X-Key': 's3cret' }, json: { device: 'd' } };
    await broker.request('PUT', '/iot/adapters/a', { kind: 'http-poll', settings }, PLACE);
    const shown = (await broker.request('GET', '/iot/adapters/a', undefined, PLACE)).json();
    expect(JSON.stringify(shown)).not.toContain('s3cret');
    expect(shown.settings.headers).toEqual({ 'X-Key': '***' });
    expect(
      (await broker.request('PUT', '/iot/adapters/a', { ...shown, settings: { ...shown.settings, everyS: 60 } }, PLACE))
        .statusCode,
    ).toBe(204);
  });

  it('another tenant neither sees nor ends it', async () => {
    await using broker = await inMemoryBroker();
    await broker.request('PUT', '/iot/adapters/a', { kind: 'csv', settings: { time: { column: 't' }, device: 'x' } }, PLACE);
    const other = { 'fiware-service': 'town', 'fiware-servicepath': '/' };
    expect((await broker.request('GET', '/iot/adapters', undefined, other)).json().count).toBe(0);
    expect((await broker.request('DELETE', '/iot/adapters/a', undefined, other)).statusCode).toBe(404);
    expect((await broker.request('GET', '/iot/adapters/a', undefined, PLACE)).statusCode).toBe(200);
  });
});

describe('adapter processes', () => {
  const delivery = (sequences: readonly number[], outbox = 'o1', value = (sequence: number) => sequence) => ({
    outbox,
    messages: sequences.map((sequence) => ({
      sequence,
      message: {
        adapter: '/a',
        device: 'd1',
        format: 'readings',
        payload: JSON.stringify({ readings: [{ address: 'n', value: value(sequence) }] }),
        at: new Date(1_772_355_600_000 + sequence * 1000).toISOString(),
      },
    })),
  });

  async function prepared(broker: TestBroker) {
    await broker.request('POST', '/iot/groups', { groups: [{ resource: '', apikey: 'k', entity_type: 'Thing' }] }, PLACE);
    await broker.request(
      'PUT',
      '/iot/adapters/a',
      { kind: 'csv', process: 'p', apikey: 'k', settings: { time: { column: 't' }, device: 'x' } },
      PLACE,
    );
    const { token } = (await broker.request('POST', '/iot/adapter-processes', { name: 'p' }, PLACE)).json();
    const bearer = { authorization: `Bearer ${token}` };
    return {
      bearer,
      deliver: (body: unknown, headers: Record<string, string> = bearer) =>
        broker.request('POST', '/iot/adapter-processes/p/deliveries', body, headers),
      history: async () => {
        const answer = await broker.request(
          'GET',
          '/ngsi-ld/v1/temporal/entities/urn:ngsi-ld:Thing:d1?options=temporalValues',
          undefined,
          TENANT,
        );
        return answer.statusCode === 200
          ? (answer.json().n.values as [number, string][]).map(([value]) => value).sort((a, b) => a - b)
          : [];
      },
    };
  }

  it('deliver once: what comes again changes nothing, also when more has come with it', async () => {
    await using broker = await inMemoryBroker();
    const { deliver, history } = await prepared(broker);
    expect((await deliver(delivery([1, 2, 3]))).json()).toEqual({ delivered: 3, refused: [] });
    expect((await deliver(delivery([1, 2, 3]))).json()).toEqual({ delivered: 3, refused: [] });
    expect((await deliver(delivery([2, 3, 4]))).json()).toEqual({ delivered: 4, refused: [] });
    // The sequence decides, not what is in the message: a changed mapping must not store it a second time.
    expect((await deliver(delivery([4], 'o1', () => 99))).json()).toEqual({ delivered: 4, refused: [] });
    expect(await history()).toEqual([1, 2, 3, 4]);
    // A new disk begins anew.
    expect((await deliver(delivery([1], 'o2', () => 50))).json()).toEqual({ delivered: 1, refused: [] });
    expect(await history()).toEqual([1, 2, 3, 4, 50]);
  });

  it('one bad message does not cost the others, and is told by its sequence', async () => {
    await using broker = await inMemoryBroker();
    const { deliver, history } = await prepared(broker);
    const body = delivery([1, 2, 3, 4, 5]);
    Object.assign(body.messages[1]!.message, { payload: 'not JSON' });
    Object.assign(body.messages[2]!.message, { adapter: '/other' });
    Object.assign(body.messages[3]!.message, { at: '2999-01-01T00:00:00Z' });
    const answer = (await deliver(body)).json();
    expect(answer.delivered).toBe(5);
    expect(answer.refused.map(({ sequence }: { sequence: number }) => sequence)).toEqual([2, 3, 4]);
    expect(answer.refused[1].reason).toContain('no adapter /other');
    expect(await history()).toEqual([1, 5]);
  });

  it('without the right token nothing is taken, and a malformed delivery is refused as a whole', async () => {
    await using broker = await inMemoryBroker();
    const { deliver, history, bearer } = await prepared(broker);
    expect((await deliver(delivery([1]), {})).statusCode).toBe(401);
    expect((await deliver(delivery([1]), { authorization: 'Bearer wrong' })).statusCode).toBe(401);
    expect((await broker.request('POST', '/iot/adapter-processes/q/deliveries', delivery([1]), bearer)).statusCode).toBe(401);
    expect(
      (
        await deliver({
          outbox: 'o1',
          messages: [
            { sequence: 2, message: {} },
            { sequence: 1, message: {} },
          ],
        })
      ).statusCode,
    ).toBe(400);
    expect((await deliver({})).statusCode).toBe(400);
    expect(await history()).toEqual([]);
    // A new token ends the one before.
    await broker.request('POST', '/iot/adapter-processes', { name: 'p' }, PLACE);
    expect((await deliver(delivery([1]))).statusCode).toBe(401);
  });

  it('are given what they are to run, without waiting when it is not what they have', async () => {
    await using broker = await inMemoryBroker();
    const { bearer } = await prepared(broker);
    const answer = await broker.request(
      'POST',
      '/iot/adapter-processes/p/sync',
      { version: '', states: {}, results: [] },
      bearer,
    );
    expect(answer.json()).toMatchObject({ adapters: [{ id: '/a', kind: 'csv', settings: { device: 'x' } }], commands: [] });
    expect((await broker.request('GET', '/iot/adapter-processes', undefined, PLACE)).json()).toMatchObject({
      count: 1,
      processes: [{ name: 'p', adapters: ['/a'] }],
    });
  });
});

describe('webhooks of network servers', () => {
  it('a Sigfox device that asks gets one command in eight bytes with the answer, the same again if the callback comes again, and says later what became of it', async () => {
    await using broker = await inMemoryBroker();
    const groups = [
      {
        resource: '/iot/sigfox',
        apikey: 'sf',
        entity_type: 'Valve',
        codec: [{ offset: 0, length: 1, type: 'uint', name: 'level' }],
        commands: [
          { name: 'open' },
          { name: 'period', payloadType: 'binaryfromhex', expression: "period == 60 ? '003c' : '0e10'" },
        ],
      },
    ];
    await broker.request('POST', '/iot/groups', { groups }, PLACE);
    await broker.request('POST', '/iot/devices', { devices: [{ device_id: '1CFAB2' }] }, PLACE);
    const call = (body: object) => broker.request('POST', '/iot/sigfox', { device: '1CFAB2', ...body }, { 'x-api-key': 'sf' });
    const uplink = (seqNumber: number, ack?: unknown) =>
      call({
        time: String(1772355600 + seqNumber),
        data: '01',
        seqNumber: String(seqNumber),
        ...(ack !== undefined && { ack }),
      });
    const order = (name: string, value: unknown) =>
      broker.request(
        'PATCH',
        `/ngsi-ld/v1/entities/urn:ngsi-ld:Valve:1CFAB2/attrs/${name}`,
        { type: 'Property', value },
        TENANT,
      );
    expect((await uplink(1, 'true')).statusCode).toBe(204);
    for (const [name, value] of [
      ['open', 'wide'],
      ['open', 'a1b2'],
      ['period', 60],
    ] as const)
      expect((await order(name, value)).statusCode).toBe(204);
    expect((await uplink(2)).json()).toEqual({});
    const first = await uplink(3, true);
    // "wide" says no bytes: it ended as an error, and the next one was given.
    expect([first.statusCode, first.json()]).toEqual([200, { '1CFAB2': { downlinkData: 'a1b2000000000000' } }]);
    expect((await uplink(3, true)).json()).toEqual(first.json());
    expect(await entity(broker, 'urn:ngsi-ld:Valve:1CFAB2')).toMatchObject({
      open_status: { value: 'DELIVERED' },
      period_status: { value: 'PENDING' },
    });
    expect((await call({ time: '1772355700', infoCode: '5' })).statusCode).toBe(200);
    expect((await call({ time: '1772355701', infoCode: '0' })).statusCode).toBe(200);
    expect((await uplink(4, 'true')).json()).toEqual({ '1CFAB2': { downlinkData: '003c000000000000' } });
    expect((await call({ time: '1772355702', infoCode: 3 })).statusCode).toBe(200);
    const valve = await entity(broker, 'urn:ngsi-ld:Valve:1CFAB2');
    expect(valve).toMatchObject({
      open_status: { value: 'OK' },
      open_info: { value: 'ACKED' },
      period_status: { value: 'ERROR' },
      period_info: { value: 'OVERRUN_ERROR' },
    });
    expect(valve).not.toHaveProperty('infoCode');
    expect((await uplink(5, true)).statusCode).toBe(204);
  });

  it('ChirpStack and Sigfox are understood at once; the device is named by the message, the group by the key', async () => {
    await using broker = await inMemoryBroker();
    await broker.request(
      'POST',
      '/iot/groups',
      {
        groups: [
          {
            resource: '/iot/chirpstack',
            apikey: 'cs',
            entity_type: 'Soil',
            attributes: [{ object_id: 'temp', name: 'temperature', type: 'Number' }],
            explicitAttrs: true,
          },
          {
            resource: '/iot/sigfox',
            apikey: 'sf',
            entity_type: 'Meter',
            codec: [{ offset: 0, length: 2, type: 'uint', name: 'level' }],
          },
        ],
      },
      PLACE,
    );
    const up = {
      deduplicationId: 'a',
      time: '2026-03-01T10:00:00Z',
      deviceInfo: { devEui: '0011223344556677' },
      fCnt: 1,
      fPort: 1,
      data: '',
      object: { temp: 4.5, other: 1 },
    };
    expect((await broker.request('POST', '/iot/chirpstack?event=up', up, { 'x-api-key': 'cs' })).statusCode).toBe(200);
    expect(
      (
        await broker.request(
          'POST',
          '/iot/chirpstack?event=join',
          { deviceInfo: up.deviceInfo, devAddr: '01' },
          { 'x-api-key': 'cs' },
        )
      ).statusCode,
    ).toBe(200);
    expect(await entity(broker, 'urn:ngsi-ld:Soil:0011223344556677')).toMatchObject({
      temperature: { value: 4.5, observedAt: '2026-03-01T10:00:00Z' },
    });
    expect(await entity(broker, 'urn:ngsi-ld:Soil:0011223344556677')).not.toHaveProperty('other');

    const callback = { device: '1CFAB2', time: '1772355600', data: '0102', seqNumber: '7' };
    expect((await broker.request('POST', '/iot/sigfox', callback, { authorization: 'Bearer sf' })).statusCode).toBe(200);
    expect(await entity(broker, 'urn:ngsi-ld:Meter:1CFAB2')).toMatchObject({
      level: { value: 258, observedAt: '2026-03-01T09:00:00Z' },
    });

    expect((await broker.request('POST', '/iot/sigfox', callback)).statusCode).toBe(401);
    expect((await broker.request('POST', '/iot/sigfox', callback, { 'x-api-key': 'wrong' })).statusCode).toBe(401);
    expect((await broker.request('POST', '/iot/chirpstack', { a: 1 }, { 'x-api-key': 'cs' })).statusCode).toBe(400);
  });
});
