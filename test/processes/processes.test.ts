import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type BrokerProcess, freePorts, startBrokerProcess } from '../support/broker-process.ts';

/** A connection of its own: all of its requests go to one process, which one the system decides. */
interface Connection {
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  close(): void;
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly text: string;
}

function connection(url: string): Connection {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return {
    ask: (method, path, body, headers = {}) =>
      new Promise((resolve, reject) => {
        const text = body === undefined ? undefined : JSON.stringify(body);
        const about =
          text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
        const sent = request(`${url}${path}`, { method, agent, headers: { ...about, ...headers } }, (answer) => {
          let received = '';
          answer.setEncoding('utf8');
          answer.on('data', (chunk: string) => {
            received += chunk;
          });
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text: received }));
          answer.on('error', reject);
        });
        sent.on('error', reject);
        sent.end(text);
      }),
    close: () => agent.destroy(),
  };
}

const API = '/ngsi-ld/v1';
const car = (id: string, speed: number) => ({ id, type: 'Car', speed: { type: 'Property', value: speed } });

async function running(broker: BrokerProcess, wanted: number): Promise<void> {
  const end = Date.now() + 15_000;
  for (;;) {
    const { processes } = (await (await fetch(`${broker.url}/health`)).json()) as Health;
    if (processes.running === wanted) return;
    if (Date.now() > end) throw new Error(`${processes.running} of ${wanted} processes serve:\n${broker.output()}`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

interface Health {
  processes: { running: number; wanted: number };
}

async function start(environment: Record<string, string> = {}, dataDir = mkdtempSync(join(tmpdir(), 'mizar-processes-'))) {
  const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
  const broker = await startBrokerProcess({
    dataDir,
    httpPort,
    mqttPort,
    environment: { MIZAR_PROCESSES: '2', MIZAR_LOG_LEVEL: 'info', ...environment },
  });
  await running(broker, Number(environment['MIZAR_PROCESSES'] ?? 2));
  return { broker, dataDir };
}

/** The process ids of server processes that the log has told; it may come later than what it tells. */
async function serverPids(broker: BrokerProcess, count: number): Promise<number[]> {
  const told = () =>
    [...broker.output().matchAll(/"pid":(\d+),"msg":"a server process listens"/g)].map(([, pid]) => Number(pid));
  await expect.poll(told).toHaveLength(count);
  return told();
}

/** False also of one that has ended and whose new parent has not asked how. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !existsSync('/proc/self/stat') || !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

describe('two processes on one port', () => {
  let broker: BrokerProcess;
  let dataDir: string;
  let connections: Connection[];

  beforeAll(async () => {
    ({ broker, dataDir } = await start());
    // That all of them end up at the same process is one chance in 2^15.
    connections = Array.from({ length: 16 }, () => connection(broker.url));
  });
  afterAll(async () => {
    for (const one of connections) one.close();
    expect(await broker.terminate()).toBe(0);
    rmSync(dataDir, { recursive: true, force: true });
  });

  it('every connection sees at once what any connection was told is done', async () => {
    for (const [at, writer] of connections.entries()) {
      const id = `urn:ngsi-ld:Car:${at}`;
      expect((await writer.ask('POST', `${API}/entities`, car(id, at))).status).toBe(201);
      const seen = await Promise.all(connections.map((reader) => reader.ask('GET', `${API}/entities/${id}?options=keyValues`)));
      expect(seen.map(({ text }) => text)).toEqual(seen.map(() => `{"id":"${id}","type":"Car","speed":${at}}`));
      await writer.ask('PATCH', `${API}/entities/${id}/attrs/speed`, { type: 'Property', value: 100 + at });
      const counted = await Promise.all(
        connections.map((reader) => reader.ask('GET', `${API}/entities?type=Car&q=speed>=100&count=true&limit=0`)),
      );
      expect(counted.map(({ headers }) => headers['ngsild-results-count'])).toEqual(counted.map(() => String(at + 1)));
    }
  });

  it('answers differ in nothing but the time, whichever process gives them', async () => {
    const cases: [string, string, unknown?, Record<string, string>?][] = [
      ['GET', `${API}/entities?type=Car&limit=3&count=true`],
      ['GET', `${API}/types?details=true`],
      ['GET', `${API}/attributes/speed`],
      ['GET', `${API}/temporal/entities?type=Car&timerel=after&timeAt=2020-01-01T00:00:00Z&limit=2`],
      ['GET', `${API}/subscriptions`],
      ['GET', `${API}/entities`],
      ['GET', `${API}/entities/urn:ngsi-ld:Car:none`],
      ['GET', `${API}/entities?type=Car`, undefined, { 'NGSILD-Tenant': 'nobody' }],
      ['GET', `${API}/entities?type=Car&limit=-1`],
      ['GET', `${API}/entities?type=Car&nonsense=1`],
      ['POST', `${API}/entities`, car('urn:ngsi-ld:Car:0', 1)],
      ['POST', `${API}/entities`, { type: 'Car' }],
      ['POST', `${API}/entityOperations/create`, [car('urn:ngsi-ld:Car:0', 1), { id: 'nonsense' }]],
      ['PATCH', `${API}/entities/urn:ngsi-ld:Car:none/attrs`, { speed: 1 }],
      ['PATCH', `${API}/entities/urn:ngsi-ld:Car:none`, { speed: 1 }],
      ['PUT', `${API}/entities`],
      ['DELETE', `${API}/types`],
      ['GET', `${API}/nothing`],
      ['POST', '/admin/deliveries/dead/replay'],
      ['GET', '/v1.1/Things'],
      ['GET', '/openapi.json'],
    ];
    for (const [method, path, body, headers] of cases) {
      const answers = await Promise.all(connections.map((one) => one.ask(method, path, body, headers)));
      const shown = answers.map(({ status, headers: { date: _, ...others }, text }) => ({ status, others, text }));
      for (const one of shown) expect(one, `${method} ${path}`).toEqual(shown[0]);
    }
  });

  it('a subscription made at one hears writes at any, each once', async () => {
    const heard: string[] = [];
    const listener = createServer((incoming, response) => {
      let text = '';
      incoming.on('data', (chunk) => {
        text += chunk;
      });
      incoming.on('end', () => {
        heard.push((JSON.parse(text) as { data: { id: string }[] }).data[0]!.id);
        response.end();
      });
    }).listen(0, '127.0.0.1');
    await once(listener, 'listening');
    onTestFinished(() => void listener.close());
    const uri = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/`;
    const made = await connections[0]!.ask('POST', `${API}/subscriptions`, {
      type: 'Subscription',
      entities: [{ type: 'Tram' }],
      notification: { endpoint: { uri } },
    });
    expect(made.status).toBe(201);
    const ids = connections.map((_, at) => `urn:ngsi-ld:Tram:${at}`);
    await Promise.all(connections.map((one, at) => one.ask('POST', `${API}/entities`, { ...car(ids[at]!, 1), type: 'Tram' })));
    await expect.poll(() => heard.length).toBe(ids.length);
    expect([...heard].sort()).toEqual([...ids].sort());
    for (const one of connections) {
      expect((await one.ask('GET', `${API}${made.headers['location']?.toString().slice(API.length)}`)).status).toBe(200);
    }
  });

  it('tenants are apart, and one that a write makes is there for all', async () => {
    const own = { 'NGSILD-Tenant': 'town' };
    expect((await connections[1]!.ask('POST', `${API}/entities`, car('urn:ngsi-ld:Car:town', 1), own)).status).toBe(201);
    for (const one of connections) {
      expect((await one.ask('GET', `${API}/entities/urn:ngsi-ld:Car:town`, undefined, own)).status).toBe(200);
      expect((await one.ask('GET', `${API}/entities/urn:ngsi-ld:Car:town`)).status).toBe(404);
    }
  });

  it('a @context that was deleted is gone for all', async () => {
    const made = await connections[2]!.ask('POST', `${API}/jsonldContexts`, {
      '@context': { wheels: 'https://example.org/wheels' },
    });
    const path = String(made.headers['location']).replace(/^https?:\/\/[^/]+/, '');
    const link = { link: `<${broker.url}${path}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"` };
    for (const one of connections) {
      expect((await one.ask('GET', `${API}/entities?type=Car&attrs=wheels`, undefined, link)).status).toBe(200);
    }
    expect((await connections[3]!.ask('DELETE', path)).status).toBe(204);
    const after = await Promise.all(
      connections.map((one) => one.ask('GET', `${API}/entities?type=Car&attrs=wheels`, undefined, link)),
    );
    expect(new Set(after.map(({ status }) => status)).size).toBe(1);
    expect(after[0]!.status).not.toBe(200);
  });

  it('/metrics counts the requests of all', async () => {
    const counted = async () => {
      const text = (await connections[0]!.ask('GET', '/metrics')).text;
      const line = text.match(
        /^mizar_http_request_seconds_count\{method="GET",route="\/ngsi-ld\/v1\/types",status="200"\} (\d+)/m,
      );
      return Number(line?.[1] ?? 0);
    };
    const before = await counted();
    await Promise.all(connections.map((one) => one.ask('GET', `${API}/types`)));
    await expect.poll(counted).toBe(before + connections.length);
  });
});

describe('what happens to processes', () => {
  it('a server process that is killed is started again, and nothing that was acknowledged is lost', async () => {
    const { broker, dataDir } = await start({ MIZAR_PROCESSES: '3' });
    onTestFinished(async () => {
      await broker.kill();
      rmSync(dataDir, { recursive: true, force: true });
    });
    const acknowledged: string[] = [];
    let stop = false;
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let n = 0; !stop; n++) {
        const one = connection(broker.url);
        const id = `urn:ngsi-ld:Car:${writer}-${n}`;
        const answer = await one.ask('POST', `${API}/entities`, car(id, n)).catch(() => undefined);
        if (answer?.status === 201) acknowledged.push(id);
        one.close();
      }
    });
    const [victim] = await serverPids(broker, 2);
    await expect.poll(() => acknowledged.length).toBeGreaterThan(50);
    process.kill(victim!, 'SIGKILL');
    const then = acknowledged.length;
    await expect.poll(() => acknowledged.length).toBeGreaterThan(then + 50);
    await running(broker, 3);
    stop = true;
    await Promise.all(writers);
    expect(broker.output()).toContain('a server process has ended');
    await serverPids(broker, 3);
    for (const id of acknowledged) expect((await fetch(`${broker.url}${API}/entities/${id}`)).status).toBe(200);
    expect(await broker.terminate()).toBe(0);
  });

  it('the death of the primary ends all, and the next broker finds what was acknowledged', async () => {
    const { broker, dataDir } = await start();
    onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
    const pids = await serverPids(broker, 1);
    expect((await connection(broker.url).ask('POST', `${API}/entities`, car('urn:ngsi-ld:Car:1', 1))).status).toBe(201);
    await broker.kill();
    await expect.poll(() => pids.some(isAlive)).toBe(false);
    // One process again: the file is free for it alone.
    const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
    const next = await startBrokerProcess({ dataDir, httpPort, mqttPort });
    expect((await fetch(`${next.url}${API}/entities/urn:ngsi-ld:Car:1`)).status).toBe(200);
    expect(await next.terminate()).toBe(0);
  });

  it('SIGTERM lets all of them answer what is under way, and leaves no process behind', async () => {
    const { broker, dataDir } = await start();
    onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
    const pids = await serverPids(broker, 1);
    expect(await broker.terminate()).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(broker.output()).toContain('"msg":"stopped"');
  });

  it('another broker gets neither the file nor the port', async () => {
    const { broker, dataDir } = await start();
    const elsewhere = mkdtempSync(join(tmpdir(), 'mizar-processes-'));
    onTestFinished(async () => {
      await broker.terminate();
      rmSync(dataDir, { recursive: true, force: true });
      rmSync(elsewhere, { recursive: true, force: true });
    });
    const [freePort, mqttPort] = (await freePorts(2)) as [number, number];
    const httpPort = Number(new URL(broker.url).port);
    const several = { MIZAR_PROCESSES: '2' };
    for (const environment of [several, {}]) {
      await expect(startBrokerProcess({ dataDir, httpPort: freePort, mqttPort, environment })).rejects.toThrow(
        'in use by another broker',
      );
    }
    // Whoever asks the port is answered by the first broker, so the second is judged by how it ends.
    const second = spawnSync(process.execPath, [join(import.meta.dirname, '../../broker/mizar.js')], {
      env: { ...several, MIZAR_DATA_DIR: elsewhere, MIZAR_HTTP_PORT: String(httpPort), MIZAR_MQTT: 'false' },
      encoding: 'utf8',
      timeout: 15_000,
    });
    expect(second.status).toBe(1);
    expect(second.stderr).toContain('EADDRINUSE');
    expect((await fetch(`${broker.url}/ready`)).status).toBe(200);
  });

  it('a database in memory belongs to one process: the start is refused with the reason', async () => {
    const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
    const environment = { MIZAR_PROCESSES: '2' };
    await expect(startBrokerProcess({ dataDir: ':memory:', httpPort, mqttPort, environment })).rejects.toThrow(
      'MIZAR_PROCESSES=2 needs a data folder',
    );
  });
});
