import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startAdapterProcess } from '../support/adapter-process.ts';
import { type BrokerProcess, freePorts, startBrokerProcess } from '../support/broker-process.ts';
import { slaveProcess } from '../support/modbus.ts';

const mosquitto = ['mosquitto', '/usr/sbin/mosquitto'].find((path) => spawnSync(path, ['-h']).error === undefined);
if (mosquitto === undefined && process.env['MIZAR_TEST_ALL_SERVERS'])
  throw new Error('mosquitto is missing, and this run must leave nothing out');
if (mosquitto === undefined)
  console.log('left out: adapter processes killed at random, which needs mosquitto (Debian: apt-get install mosquitto)');

const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
const TENANT = { 'NGSILD-Tenant': 'city' };

/** A broker that can be killed and started again with what it had, and requests to it. */
async function city() {
  const folder = mkdtempSync(join(tmpdir(), 'mizar-adapters-'));
  const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
  const start = () =>
    startBrokerProcess({
      dataDir: join(folder, 'broker'),
      httpPort,
      mqttPort,
      environment: { MIZAR_TEMPORAL_LIMIT: '100000' },
    });
  let broker: BrokerProcess = await start();
  onTestFinished(async () => {
    await broker.kill();
    rmSync(folder, { recursive: true, force: true });
  });
  const url = broker.url;
  async function ask(method: string, path: string, body?: unknown, headers: Record<string, string> = PLACE) {
    const answer = await fetch(url + path, {
      method,
      headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) };
  }
  return {
    url,
    folder,
    ask,
    kill: () => broker.kill(),
    async restart() {
      broker = await start();
    },
    async newProcess(name: string): Promise<string> {
      const { status, body } = await ask('POST', '/iot/adapter-processes', { name });
      expect(status).toBe(201);
      return body.token;
    },
    /** Values of an attribute's history, with their times, oldest first. */
    async history(id: string, attribute: string): Promise<readonly (readonly [unknown, string])[]> {
      const { status, body } = await ask(
        'GET',
        `/ngsi-ld/v1/temporal/entities/${id}?attrs=${attribute}&options=temporalValues`,
        undefined,
        TENANT,
      );
      if (status !== 200 || body[attribute] === undefined) return [];
      const { values } = body[attribute] as { values: [unknown, string][] };
      return [...values].sort((a, b) => a[1].localeCompare(b[1]));
    },
  };
}

async function eventually<T>(what: string, look: () => Promise<T | undefined>, seconds = 60): Promise<T> {
  const end = Date.now() + seconds * 1000;
  let failure = 'nothing';
  for (;;) {
    const found = await look().catch((error: Error) => {
      failure = error.message;
      return undefined;
    });
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}; the last look threw: ${failure}`);
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

describe('an adapter process beside its devices', () => {
  it('polls, delivers and carries out commands; what it heard while the broker was away is all there afterwards', {
    timeout: 240_000,
  }, async () => {
    const { url, folder, ask, kill, restart, newProcess, history } = await city();
    const token = await newProcess('plant');
    await using slave = await slaveProcess();
    await slave.put('holding', 3, [1, 215]);
    const settings = {
      modbusMaps: {
        M: [
          {
            name: 'mode',
            type: 'holding',
            address: 3,
            datatype: '16uint',
            translation: [
              [1, 'ECO'],
              [2, 'BOOST'],
            ],
          },
          {
            name: 'temperature',
            type: 'holding',
            address: 4,
            datatype: '16int',
            factor: 0.1,
            unitCode: 'CEL',
            writable: false,
          },
        ],
      },
      modbusSlaves: [
        {
          ip: '127.0.0.1',
          port: slave.port,
          map: 'M',
          timeoutMs: 3000,
          entity: { type: 'Device', id: 'urn:ngsi-ld:Device:hp7' },
        },
      ],
      period: 0.2,
    };
    expect((await ask('PUT', '/iot/adapters/heatpumps', { kind: 'modbus', process: 'plant', settings })).status).toBe(201);
    await using adapter = startAdapterProcess({ broker: url, name: 'plant', token, dataDir: join(folder, 'adapter') });

    const entity = await eventually('the entity', async () => {
      const answer = await ask('GET', '/ngsi-ld/v1/entities/urn:ngsi-ld:Device:hp7', undefined, TENANT);
      // It is there from provisioning on; what it measures comes with the first poll.
      return answer.body?.temperature === undefined ? undefined : answer.body;
    });
    expect(entity).toMatchObject({
      type: 'Device',
      mode: { value: 'ECO' },
      temperature: { value: 21.5, unitCode: 'CEL', observedAt: expect.any(String) },
    });

    // A command goes through the broker to the process, to the slave, and back.
    const patched = await ask(
      'PATCH',
      '/ngsi-ld/v1/entities/urn:ngsi-ld:Device:hp7/attrs/mode',
      { type: 'Property', value: 'BOOST' },
      TENANT,
    );
    expect(patched.status).toBeLessThan(300);
    await eventually('the status', async () => {
      const { body } = await ask('GET', '/ngsi-ld/v1/entities/urn:ngsi-ld:Device:hp7', undefined, TENANT);
      return body.mode_status?.value === 'OK' && body.mode_info?.value === 'BOOST' ? true : undefined;
    });
    expect(await slave.get('holding', 3)).toBe(2);

    // The broker is gone; the device goes on, and so does its adapter.
    await kill();
    for (const raw of [220, 230, 240]) {
      await slave.put('holding', 4, raw);
      const seen = (await slave.seen()).length;
      await eventually('two polls', async () => ((await slave.seen()).length + seen > 1 ? true : undefined));
      await new Promise((wake) => setTimeout(wake, 500));
    }
    await restart();
    await eventually('the history', async () => {
      const values = new Set((await history('urn:ngsi-ld:Device:hp7', 'temperature')).map(([value]) => value));
      return [21.5, 22, 23, 24].every((value) => values.has(value)) ? true : undefined;
    });

    // The operator sees how the process is doing, and changes what it does while it runs.
    const adapters = await eventually('the state', async () => {
      const { body } = await ask('GET', '/iot/adapters');
      return body.adapters[0]?.state?.slaves?.[0]?.rounds > 0 ? body.adapters : undefined;
    });
    expect(adapters[0]).toMatchObject({
      name: 'heatpumps',
      kind: 'modbus',
      process: 'plant',
      state: { running: true, slaves: [{ device: 'hp7', offline: false }] },
    });
    expect((await ask('GET', '/iot/adapter-processes')).body.processes[0]).toMatchObject({
      name: 'plant',
      adapters: ['/heatpumps'],
      outbox: { full: false },
      lastSeen: expect.any(String),
    });
    expect((await ask('DELETE', '/iot/adapters/heatpumps')).status).toBe(204);
    await eventually('silence', async () => {
      await slave.seen();
      await new Promise((wake) => setTimeout(wake, 700));
      return (await slave.seen()).length === 0 ? true : undefined;
    });
    expect(await adapter.terminate()).toBe(0);

    // Its token has an end.
    expect((await ask('DELETE', '/iot/adapter-processes/plant')).status).toBe(204);
    const late = await fetch(`${url}/iot/adapter-processes/plant/deliveries`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: '{"outbox":"x","messages":[]}',
    });
    expect(late.status).toBe(401);
  });

  it.skipIf(mosquitto === undefined)(
    'killed at any moment, as the broker is: nothing is lost, and nothing is there twice',
    { timeout: 300_000 },
    async () => {
      const { url, folder, ask, kill, restart, newProcess, history } = await city();
      const token = await newProcess('gate');
      // The devices' own MQTT server, which sends again what was not acknowledged.
      const [port] = (await freePorts(1)) as [number];
      writeFileSync(
        join(folder, 'mosquitto.conf'),
        `listener ${port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n`,
      );
      const server = spawn(mosquitto as string, ['-c', join(folder, 'mosquitto.conf')], { stdio: 'ignore' });
      onTestFinished(() => void server.kill());
      const publisher = await eventually('mosquitto', () =>
        mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 0 }, false),
      );
      onTestFinished(async () => {
        await publisher.endAsync(true);
      });
      await ask('POST', '/iot/groups', { groups: [{ resource: '/iot/json', apikey: 'k', entity_type: 'Gate' }] });
      const settings = {
        url: `mqtt://127.0.0.1:${port}`,
        profile: 'topics',
        topics: [{ topic: 'gates/{device}/data', format: 'json' }],
      };
      expect((await ask('PUT', '/iot/adapters/gates', { kind: 'mqtt', process: 'gate', apikey: 'k', settings })).status).toBe(
        201,
      );
      const dataDir = join(folder, 'adapter');
      const start = () => startAdapterProcess({ broker: url, name: 'gate', token, dataDir });
      let adapter = start();
      onTestFinished(async () => adapter.kill());
      await eventually('the adapter', async () =>
        adapter.output().includes('adapters as the broker has them') ? true : undefined,
      );
      await eventually('the subscription', async () => {
        await publisher.publishAsync('gates/first/data', '{"n":0}', { qos: 1 });
        return (await history('urn:ngsi-ld:Gate:first', 'n')).length > 0 ? true : undefined;
      });

      const DEVICES = 4;
      const KILLS = 8;
      const MOST = 300;
      const sent = Array.from({ length: DEVICES }, () => 0);
      let publishing = true;
      const publish = async (device: number) => {
        while (publishing && (sent[device] as number) < MOST) {
          const n = ++(sent[device] as number) && (sent[device] as number);
          // Two devices say when it was; the others leave it to whoever hears them.
          const time = device < 2 ? { TimeInstant: new Date(1_772_000_000_000 + n * 1000).toISOString() } : {};
          await publisher.publishAsync(`gates/g${device}/data`, JSON.stringify({ n, ...time }), { qos: 1 });
          await new Promise((wake) => setTimeout(wake, 20));
        }
      };
      const publishers = sent.map((_, device) => publish(device));
      let seed = 20261121;
      const random = () => {
        seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
        return seed / 0x7fffffff;
      };
      for (let kills = 0; kills < KILLS; kills++) {
        await new Promise((wake) => setTimeout(wake, 200 + random() * 1200));
        const which = random();
        if (which < 0.6) {
          await adapter.kill();
          adapter = start();
        }
        if (which > 0.4) {
          await kill();
          await new Promise((wake) => setTimeout(wake, random() * 600));
          await restart();
        }
      }
      publishing = false;
      await Promise.all(publishers);

      for (let device = 0; device < DEVICES; device++) {
        const total = sent[device] as number;
        const values = await eventually(
          `all ${total} of device ${device}`,
          async () => {
            const found = (await history(`urn:ngsi-ld:Gate:g${device}`, 'n')).map(([value]) => value as number);
            if (new Set(found).size < total)
              throw new Error(`${found.length} of ${total} are there; ${adapter.output().slice(-600)}`);
            return found;
          },
          150,
        );
        expect([...values].sort((a, b) => a - b)).toEqual(Array.from({ length: total }, (_, at) => at + 1));
      }
      expect(Math.min(...sent)).toBeGreaterThan(100);
    },
  );
});
