import { connect as connectTcp } from 'node:net';
import { describe, expect, it } from 'vitest';
import { CITY, deviceSide, pause, until } from '../support/devices.ts';

const GROUP = { resource: '/iot/json', apikey: 'cityKey7', entity_type: 'Bin' };
const UL_GROUP = { resource: '/iot/d', apikey: 'ulKey', entity_type: 'Lamp' };

const values = (side: Awaited<ReturnType<typeof deviceSide>>) =>
  side.ingest.fragments.map((fragment) =>
    Object.values(fragment.attributes).map(([instance]) => (instance as { value: unknown }).value),
  );

describe('measures over MQTT', () => {
  it('are acknowledged after the commit, and not before', async () => {
    await using side = await deviceSide();
    await side.devices.createGroups(CITY, [GROUP]);
    const client = await side.connect();
    side.ingest.hold();
    let acknowledged = false;
    const published = client.publishAsync('/json/cityKey7/bin-1/attrs', '{"d":1}', { qos: 1 }).then(() => {
      acknowledged = true;
    });
    await until(() => side.server.figures().waiting === 1, 'the message to arrive');
    await pause(50);
    expect(acknowledged).toBe(false);
    expect(side.ingest.fragments).toHaveLength(0);
    side.ingest.open();
    await published;
    expect(side.ingest.fragments).toHaveLength(1);
    expect(side.ingest.fragments[0]).toMatchObject({
      id: 'urn:ngsi-ld:Bin:bin-1',
      caller: { tenant: 'city', principal: { kind: 'device' } },
    });
  });

  it('come in through every form of topic', async () => {
    await using side = await deviceSide();
    await side.devices.createGroups(CITY, [GROUP, UL_GROUP]);
    const client = await side.connect();
    for (const [topic, payload] of [
      ['/json/cityKey7/b/attrs', '{"d":1}'],
      ['json/cityKey7/b/attrs', '{"d":2}'],
      ['/json/cityKey7/b/attrs/d', '3'],
      ['/cityKey7/b/attrs', '{"d":4}'],
      ['/ul/ulKey/l/attrs', 'd|5'],
      ['ul/ulKey/l/attrs/d', '6'],
      ['/ulKey/l/attrs', 'd|7'],
      ['ulKey/l/attrs', 'd|8#d|9'],
    ] as const) {
      await client.publishAsync(topic, payload, { qos: 1 });
    }
    expect(values(side)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9].map((value) => [value]));
    expect(side.server.figures()).toMatchObject({ accepted_total: 8, refused_total: 0 });
  });

  it('are stored once with every quality of service', async () => {
    await using side = await deviceSide();
    await side.devices.createGroups(CITY, [GROUP]);
    const client = await side.connect();
    for (const qos of [0, 1, 2] as const) {
      await client.publishAsync('/json/cityKey7/b/attrs', `{"q":${qos}}`, { qos });
    }
    await until(() => side.ingest.fragments.length === 3);
    expect(values(side)).toEqual([[0], [1], [2]]);
  });

  it('sent as the last will of a connection are stored when it breaks', async () => {
    await using side = await deviceSide();
    await side.devices.createGroups(CITY, [GROUP]);
    const will = { topic: '/json/cityKey7/b/attrs', payload: Buffer.from('{"online":false}'), qos: 1 as const, retain: true };
    const client = await side.connect({ will });
    client.stream.destroy();
    await until(() => side.ingest.fragments.length === 1, 'the will');
    expect(values(side)).toEqual([[false]]);
  });

  it('keep the order of each device, also while commits are slow, and share commits', async () => {
    await using side = await deviceSide();
    await side.devices.createGroups(CITY, [GROUP]);
    const clients = await Promise.all([side.connect(), side.connect(), side.connect()]);
    side.ingest.hold();
    const order: string[] = [];
    const all = Promise.all(
      clients.flatMap((client, device) =>
        Array.from({ length: 200 }, (_, n) =>
          client
            .publishAsync(`/json/cityKey7/d${device}/attrs`, `{"n":${n}}`, { qos: 1 })
            .then(() => order.push(`${device}:${n}`)),
        ),
      ),
    );
    await pause(100);
    side.ingest.open();
    await all;
    for (const device of [0, 1, 2]) {
      const own = side.ingest.fragments.filter(({ id }) => id.endsWith(`:d${device}`));
      expect(
        own.map((fragment) => (Object.values(fragment.attributes)[0]?.[0] as { value?: number } | undefined)?.value),
      ).toEqual(Array.from({ length: 200 }, (_, n) => n));
      expect(order.filter((one) => one.startsWith(`${device}:`))).toEqual(
        Array.from({ length: 200 }, (_, n) => `${device}:${n}`),
      );
    }
    expect(side.ingest.batches.length).toBeLessThan(300);
  });

  it('that are broken are acknowledged, counted, logged and reported, and the connection stays', async () => {
    await using side = await deviceSide();
    await side.devices.createGroups(CITY, [GROUP]);
    const client = await side.connect();
    await client.publishAsync('/json/cityKey7/b/attrs', '{"d":0}', { qos: 1 });
    const errors: string[] = [];
    client.on('message', (_topic, payload) => errors.push(payload.toString()));
    await client.subscribeAsync('/cityKey7/b/errors');
    for (const broken of ['', '{"d":', 'x', '[]', '['.repeat(500), Buffer.from([0xff, 0xfe, 0])]) {
      await client.publishAsync('/json/cityKey7/b/attrs', broken, { qos: 1 });
    }
    await client.publishAsync('/json/cityKey7/b/attrs', '{"d":1}', { qos: 1 });
    expect(client.connected).toBe(true);
    expect(values(side)).toEqual([[0], [1]]);
    expect(side.server.figures()).toMatchObject({ refused_total: 6, accepted_total: 2 });
    expect(side.server.refusals()).toEqual({ PARSE_ERROR: 6 });
    await until(() => errors.length === 6, 'the error reports');
    expect(JSON.parse(errors[1] as string)).toMatchObject({ code: 'PARSE_ERROR' });
    expect(side.logged.join('')).not.toContain('cityKey7');
  });

  it('with an unknown key, token, device or topic store nothing, and are counted', async () => {
    await using side = await deviceSide();
    await side.devices.createGroups(CITY, [{ ...GROUP, autoprovision: false }]);
    const client = await side.connect();
    for (const topic of [
      '/json/wrong/b/attrs',
      '/json/cityKey7/b/attrs',
      'device/sck/abc123/readings',
      'v3/app@t/devices/x/up',
      'foo/bar',
      'x',
    ]) {
      await client.publishAsync(topic, '{"d":1}', { qos: 1, retain: true });
    }
    expect(side.ingest.fragments).toEqual([]);
    expect(side.server.refusals()).toEqual({ UNKNOWN_KEY: 3, DEVICE_NOT_FOUND: 1, UNKNOWN_TOPIC: 2 });
    expect((await side.devices.listDevices(CITY, 10, 0)).count).toBe(0);
  });

  it('are given back if the store is not available, so that the device sends them again', async () => {
    await using side = await deviceSide();
    await side.devices.createGroups(CITY, [GROUP]);
    const client = await side.connect();
    side.ingest.fail(true);
    let acknowledged = false;
    client.publishAsync('/json/cityKey7/b/attrs', '{"d":1}', { qos: 1 }).then(
      () => {
        acknowledged = true;
      },
      () => {},
    );
    await until(() => !client.connected, 'the connection to end');
    expect(acknowledged).toBe(false);
    expect(side.server.figures()).toMatchObject({ unavailable_total: 1, accepted_total: 0 });
    side.ingest.fail(false);
    const again = await side.connect();
    await again.publishAsync('/json/cityKey7/b/attrs', '{"d":1}', { qos: 1 });
    expect(values(side)).toEqual([[1]]);
  });

  it('that arrived before the broker closes are committed and acknowledged first', async () => {
    await using side = await deviceSide();
    await side.devices.createGroups(CITY, [GROUP]);
    const client = await side.connect();
    side.ingest.hold();
    const published = client.publishAsync('/json/cityKey7/b/attrs', '{"d":1}', { qos: 1 });
    await until(() => side.server.figures().waiting === 1);
    const closed = side.server.close(2000);
    await pause(30);
    side.ingest.open();
    await published;
    await closed;
    expect(values(side)).toEqual([[1]]);
  });
});

describe('MQTT connections', () => {
  it('may show a token, and then speak for that device only', async () => {
    await using side = await deviceSide();
    await side.devices.createGroups(CITY, [GROUP]);
    const [issued] = await side.devices.createDevices(CITY, [
      { device_id: 'bin-1', entity_type: 'Bin', newToken: true },
      { device_id: 'bin-2', entity_type: 'Bin', apikey: 'cityKey7' },
    ]);
    const client = await side.connect({ username: 'bin-1', password: issued?.token ?? '' });
    await client.publishAsync('/json/-/bin-1/attrs', '{"d":1}', { qos: 1 });
    await client.publishAsync('/json/cityKey7/bin-2/attrs', '{"d":2}', { qos: 1 });
    expect(values(side)).toEqual([[1]]);
    expect(side.server.figures()).toMatchObject({ accepted_total: 1, refused_total: 1 });
  });

  it('are refused with credentials that do not hold', async () => {
    await using side = await deviceSide();
    await side.devices.createGroups(CITY, [GROUP]);
    const [issued] = await side.devices.createDevices(CITY, [{ device_id: 'bin-1', newToken: true }]);
    await expect(side.connect({ username: 'bin-1', password: 'wrong' })).rejects.toThrow();
    await expect(side.connect({ username: 'other', password: issued?.token ?? '' })).rejects.toThrow();
    expect(side.server.figures()).toMatchObject({ refused_connections_total: 2 });
    expect(side.logged.join('')).not.toContain(issued?.token);
  });

  it('without credentials are refused where the configuration says so', async () => {
    await using side = await deviceSide({ anonymous: false });
    await expect(side.connect()).rejects.toThrow();
  });

  it('end when their token is revoked, and its later publications are refused', async () => {
    await using side = await deviceSide();
    const [issued] = await side.devices.createDevices(CITY, [{ device_id: 'kit', newToken: true }]);
    const token = issued?.token ?? '';
    const withToken = await side.connect({ username: 'kit', password: token });
    const byTopic = await side.connect();
    const other = await side.connect();
    const readings = '{t:2026-03-01T07:00:00Z,55:18.4}';
    await byTopic.publishAsync(`device/sck/${token}/readings/raw`, readings, { qos: 1 });
    expect(side.ingest.fragments).toHaveLength(1);
    await side.devices.revokeToken(CITY, 'kit');
    await until(() => !withToken.connected && !byTopic.connected, 'the sessions to end');
    expect(other.connected).toBe(true);
    await expect(side.connect({ username: 'kit', password: token })).rejects.toThrow();
    await other.publishAsync(`device/sck/${token}/readings/raw`, readings, { qos: 1 });
    expect(side.ingest.fragments).toHaveLength(1);
    expect(side.server.refusals()).toEqual({ UNKNOWN_KEY: 1 });
  });

  it('of a network server show the API key, and speak for the devices of the group', async () => {
    await using side = await deviceSide();
    await side.devices.createGroups(CITY, [{ resource: '/iot/tts', apikey: 'NNSXS.key', entity_type: 'Soil' }]);
    const client = await side.connect({ username: 'parks@city', password: 'NNSXS.key' });
    const uplink = {
      end_device_ids: { device_id: 'soil-12', dev_eui: '0011223344556677' },
      received_at: '2026-03-01T10:00:01.500200300Z',
      uplink_message: { f_port: 2, f_cnt: 5, decoded_payload: { temp: 26.7 } },
    };
    const topic = 'v3/parks@city/devices/soil-12/up';
    await client.publishAsync(topic, JSON.stringify(uplink), { qos: 0 });
    await client.publishAsync(topic, JSON.stringify(uplink), { qos: 1 });
    await client.publishAsync('v3/parks@city/devices/soil-12/join', '{}', { qos: 1 });
    expect(values(side)).toEqual([[26.7]]);
    expect(side.server.figures()).toMatchObject({ accepted_total: 3, refused_total: 0 });
  });

  it('that send a packet beyond the limit are closed, and no others', async () => {
    await using side = await deviceSide({ packetLimitBytes: 4096 });
    await side.devices.createGroups(CITY, [GROUP]);
    const big = await side.connect();
    const small = await side.connect();
    big.publish('/json/cityKey7/b/attrs', `{"d":"${'x'.repeat(5000)}"}`, { qos: 1 }, () => {});
    await until(() => !big.connected, 'the connection to end');
    await small.publishAsync('/json/cityKey7/b/attrs', `{"d":"${'x'.repeat(3000)}"}`, { qos: 1 });
    expect(side.ingest.fragments).toHaveLength(1);
    expect(side.server.figures()).toMatchObject({ oversize_total: 1 });
  });

  it('that send garbage instead of MQTT do not disturb others', async () => {
    await using side = await deviceSide();
    await side.devices.createGroups(CITY, [GROUP]);
    const client = await side.connect();
    for (const bytes of [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.from([0x10, 0xff, 0xff, 0xff, 0xff, 0xff]),
      Buffer.alloc(300, 0xee),
    ]) {
      const socket = connectTcp(side.server.port, '127.0.0.1');
      socket.on('error', () => {});
      await new Promise((resolve) => {
        socket.on('close', resolve);
        socket.write(bytes);
        setTimeout(() => socket.destroy(), 200);
      });
    }
    await client.publishAsync('/json/cityKey7/b/attrs', '{"d":1}', { qos: 1 });
    expect(side.ingest.fragments).toHaveLength(1);
  });

  it('are limited in number', async () => {
    await using side = await deviceSide({ connectionLimit: 1 });
    await side.connect();
    await expect(side.connect({ connectTimeout: 500 })).rejects.toThrow();
  });
});

describe('MQTT subscriptions', () => {
  it('are possible to own commands and errors only', async () => {
    await using side = await deviceSide();
    await side.devices.createGroups(CITY, [GROUP]);
    const client = await side.connect();
    const granted = async (topic: string) => {
      const [grant] = await client.subscribeAsync(topic, { qos: 1 }).catch(() => [{ qos: 128 }]);
      return grant !== undefined && grant.qos !== 128;
    };
    expect(await granted('/cityKey7/bin-1/cmd')).toBe(true);
    expect(await granted('cityKey7/bin-1/errors')).toBe(true);
    expect(await granted('/cityKey7/bin-1/#')).toBe(true);
    for (const topic of [
      '#',
      '+/+/cmd',
      '/+/+/attrs',
      '/wrong/bin-1/cmd',
      '$share/g/cityKey7/bin-1/cmd',
      '/cityKey7/+/cmd',
      '/cityKey7/#',
      '$SYS/#',
      '/json/cityKey7/bin-1/attrs',
    ]) {
      expect([topic, await granted(topic)]).toEqual([topic, false]);
    }
    expect(client.connected).toBe(true);
  });

  it('of one that stops to read do not hold up the others for long, nor the storing', async () => {
    await using side = await deviceSide({ drainTimeoutMs: 300, sharedPrefixes: ['news/'] });
    await side.devices.createGroups(CITY, [GROUP]);
    const frozen = await side.connect();
    const healthy = await side.connect();
    const publisher = await side.connect();
    let heard = 0;
    healthy.on('message', () => heard++);
    await frozen.subscribeAsync('news/#');
    await healthy.subscribeAsync('news/#');
    (frozen.stream as unknown as { pause(): void }).pause();
    const payload = Buffer.alloc(20_000, 0x61);
    const sent = Promise.all(Array.from({ length: 400 }, () => publisher.publishAsync('news/today', payload, { qos: 1 })));
    await publisher.publishAsync('/json/cityKey7/b/attrs', '{"d":1}', { qos: 1 });
    expect(side.ingest.fragments).toHaveLength(1);
    await sent;
    await until(() => heard === 400, 'the healthy subscriber to hear all');
  });

  it('get what the broker publishes, and nothing is stored of shared topics', async () => {
    await using side = await deviceSide({ sharedPrefixes: ['news/'] });
    await side.devices.createGroups(CITY, [GROUP]);
    const client = await side.connect();
    const heard: string[] = [];
    client.on('message', (topic, payload) => heard.push(`${topic} ${payload}`));
    await client.subscribeAsync('/cityKey7/lamp/cmd');
    await side.server.publish('/cityKey7/lamp/cmd', '{"dim":40}', 1);
    await until(() => heard.length === 1);
    expect(heard).toEqual(['/cityKey7/lamp/cmd {"dim":40}']);
    await client.publishAsync('news/x', 'y', { qos: 1 });
    expect(side.server.figures()).toMatchObject({ messages_total: 0 });
  });
});
