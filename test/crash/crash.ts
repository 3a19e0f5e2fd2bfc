/**
 * `npm run test:crash`: clients write at full speed over HTTP and MQTT QoS 1 while the broker is killed with SIGKILL at random moments and
 * started again. Afterwards every acknowledged write must be in the history, in order per entity, the current value must be the last one,
 * and every change must have reached the subscriber at least once, in order per entity, with duplicates recognisable by their id.
 *
 * Options: the number of kills; `--processes N` for a broker of several processes, whose servers are killed now and then, too; `--store mongodb` for a broker
 * whose store is the MongoDB that MIZAR_TEST_MONGODB names.
 *
 * Ends with status 1 and says what is missing if one of these does not hold. Bounded by KILLS and ROUND_MS, about a minute.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { type BrokerProcess, freePorts, startBrokerProcess } from '../support/broker-process.ts';
import { MONGODB, newDatabase } from '../support/mongodb-url.ts';

const KILLS = Number(process.argv[2]?.startsWith('--') ? 20 : (process.argv[2] ?? 20));
const asked = process.argv.indexOf('--processes');
const PROCESSES = asked < 0 ? 1 : Number(process.argv[asked + 1]);
const ON_MONGODB = process.argv[process.argv.indexOf('--store') + 1] === 'mongodb' && process.argv.includes('--store');
if (ON_MONGODB && MONGODB === undefined) throw new Error('MIZAR_TEST_MONGODB must name a MongoDB');
const database = ON_MONGODB ? newDatabase() : undefined;
/** How long the broker lives in each round, at random up to this. */
const ROUND_MS = 1200;
const HTTP_WRITERS = 8;
const MQTT_WRITERS = 8;

const dataDir = mkdtempSync(join(tmpdir(), 'mizar-crash-'));
const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
const seed = Number(process.env['CRASH_SEED'] ?? Date.now() % 100_000);
let random = seed;
/** A small generator (mulberry32), so that a run can be repeated with CRASH_SEED. */
function next(): number {
  random = (random + 0x6d2b79f5) | 0;
  let t = Math.imul(random ^ (random >>> 15), 1 | random);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}

/** What the clients know: entity id → numbers that were acknowledged, in order. */
const acknowledged = new Map<string, number[]>();
/** What the subscriber heard: entity id → numbers in order of arrival, and ids of notifications. */
const heard = new Map<string, number[]>();
const notificationIds = new Map<string, string>();
let notifications = 0;
let duplicates = 0;
let contradictions = 0;

const listener = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const text = Buffer.concat(chunks).toString();
    const body = JSON.parse(text) as { id: string; data: { id: string; n: { value: number } }[] };
    notifications++;
    const { id, n } = body.data[0]!;
    const content = `${id} ${n.value}`;
    const before = notificationIds.get(body.id);
    if (before !== undefined) {
      duplicates++;
      if (before !== content) contradictions++;
    }
    notificationIds.set(body.id, content);
    if (before === undefined) {
      const list = heard.get(id) ?? [];
      list.push(n.value);
      heard.set(id, list);
    }
    response.writeHead(200).end();
  });
});
await new Promise<void>((listening) => listener.listen(0, '127.0.0.1', listening));
const listenerUrl = `http://127.0.0.1:${(listener.address() as { port: number }).port}/`;

let broker: BrokerProcess;
let finished = false;
let down = 0;
let serversKilled = 0;

const start = () =>
  startBrokerProcess({
    dataDir,
    httpPort,
    mqttPort,
    environment: {
      MIZAR_TEMPORAL_LIMIT: '1000000',
      MIZAR_WAITING_WRITES: '1000',
      MIZAR_PROCESSES: String(PROCESSES),
      ...(database && { MIZAR_STORE: database.url }),
      // Says which processes there are.
      ...(PROCESSES > 1 && { MIZAR_LOG_LEVEL: 'info' }),
    },
  });

async function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const answer = await fetch(`http://127.0.0.1:${httpPort}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return answer;
}

async function must(answer: Promise<Response>, status: number): Promise<void> {
  const got = await answer;
  if (got.status !== status) throw new Error(`expected ${status}, got ${got.status}: ${await got.text()}`);
}

function acknowledge(id: string, n: number): void {
  const list = acknowledged.get(id);
  if (list) list.push(n);
  else acknowledged.set(id, [n]);
}

/** Writes 1, 2, 3 … into one entity, each after the one before was answered or its connection broke. */
async function httpWriter(number: number): Promise<void> {
  const id = `urn:ngsi-ld:CrashTest:http${number}`;
  for (let n = 1; !finished; n++) {
    try {
      // Upsert, because a create whose answer was lost may have been stored.
      const answer = await post('/ngsi-ld/v1/entityOperations/upsert?options=update', [
        { id, type: 'CrashTest', n: { type: 'Property', value: n } },
      ]);
      await answer.arrayBuffer();
      if (answer.status === 201 || answer.status === 204) acknowledge(id, n);
      else if (answer.status !== 503) throw new Error(`unexpected answer ${answer.status} to ${id}`);
      if (answer.status === 503) await pause(20);
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('unexpected')) throw error;
      down++;
      await pause(10);
    }
  }
}

async function mqttWriter(number: number): Promise<void> {
  const device = `mqtt${number}`;
  const id = `urn:ngsi-ld:CrashTest:${device}`;
  let time = Date.parse('2026-01-01T00:00:00Z');
  let client: MqttClient | undefined;
  for (let n = 1; !finished; n++) {
    try {
      client ??= await connectAsync(
        `mqtt://127.0.0.1:${mqttPort}`,
        { reconnectPeriod: 0, connectTimeout: 2000, clientId: device },
        false,
      );
      time += 1000;
      const message = JSON.stringify({ n, TimeInstant: new Date(time).toISOString() });
      await withTimeout(client.publishAsync(`/json/crash-key/${device}/attrs`, message, { qos: 1 }), 2000);
      acknowledge(id, n);
    } catch {
      down++;
      client?.end(true);
      client = undefined;
      await pause(20);
    }
  }
  client?.end(true);
}

/** SIGKILL to the server process that began last, if it lives. */
function killServer(): void {
  const pid = [...broker.output().matchAll(/"pid":(\d+),"msg":"a server process listens"/g)].at(-1)?.[1];
  try {
    if (pid !== undefined) process.kill(Number(pid), 'SIGKILL');
    serversKilled++;
  } catch {
    // It has ended.
  }
}

const pause = (ms: number) => new Promise((wake) => setTimeout(wake, ms));

function withTimeout<T>(work: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('time is over')), ms);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

interface Evolution {
  n?: { values: [number, string][] };
}

async function history(id: string): Promise<number[]> {
  const timeproperty = id.includes(':mqtt') ? 'observedAt' : 'modifiedAt';
  const answer = await fetch(
    `${broker.url}/ngsi-ld/v1/temporal/entities/${encodeURIComponent(id)}?attrs=n&options=temporalValues&timeproperty=${timeproperty}`,
  );
  if (!answer.ok) throw new Error(`history of ${id}: ${answer.status} ${await answer.text()}`);
  const body = (await answer.json()) as Evolution;
  return (body.n?.values ?? []).map(([value]) => value);
}

const failures: string[] = [];
const check = (holds: boolean, what: string) => {
  if (!holds) failures.push(what);
};

const began = Date.now();
console.log(
  `crash test: ${KILLS} kills, ${ON_MONGODB ? 'MongoDB' : 'embedded store'}, ${PROCESSES} processes, ${HTTP_WRITERS} HTTP and ${MQTT_WRITERS} MQTT writers, seed ${seed}`,
);
broker = await start();
await must(
  post('/ngsi-ld/v1/subscriptions', {
    id: 'urn:ngsi-ld:Subscription:crash',
    type: 'Subscription',
    entities: [{ type: 'CrashTest' }],
    notification: { endpoint: { uri: listenerUrl } },
  }),
  201,
);
await must(
  post(
    '/iot/groups',
    {
      groups: [
        {
          resource: '/iot/json',
          apikey: 'crash-key',
          entity_type: 'CrashTest',
          attributes: [{ object_id: 'n', name: 'n', type: 'Number' }],
        },
      ],
    },
    { 'fiware-service': '', 'fiware-servicepath': '/' },
  ),
  201,
);

const writers = [
  ...Array.from({ length: HTTP_WRITERS }, (_, number) => httpWriter(number)),
  ...Array.from({ length: MQTT_WRITERS }, (_, number) => mqttWriter(number)),
];

for (let kill = 1; kill <= KILLS; kill++) {
  await pause(200 + next() * ROUND_MS);
  if (PROCESSES > 1 && next() < 0.5) {
    killServer();
    await pause(next() * ROUND_MS);
  }
  await broker.kill();
  broker = await start();
  if (kill % 5 === 0) {
    const total = [...acknowledged.values()].reduce((sum, list) => sum + list.length, 0);
    console.log(
      `  ${kill} kills, ${total} writes acknowledged, ${notifications} notifications, ${Math.round((Date.now() - began) / 1000)} s`,
    );
  }
}
await pause(500);
finished = true;
await Promise.all(writers);

// Everything acknowledged must still reach the subscriber; give the retries of a killed broker a moment.
const until = Date.now() + 15_000;
const unheard = () =>
  [...acknowledged].flatMap(([id, list]) => {
    const known = new Set(heard.get(id));
    return list.filter((n) => !known.has(n)).map((n) => `${id} ${n}`);
  });
while (unheard().length > 0 && Date.now() < until) await pause(100);

let writes = 0;
for (const [id, list] of acknowledged) {
  writes += list.length;
  const stored = await history(id);
  const set = new Set(stored);
  const missing = list.filter((n) => !set.has(n));
  check(
    missing.length === 0,
    `${id}: acknowledged but not in the history: ${missing.slice(0, 5).join(', ')} (${missing.length})`,
  );
  check(
    stored.every((n, at) => at === 0 || n > stored[at - 1]!),
    `${id}: the history is not in order, or something is in it twice`,
  );
  const current = (await (await fetch(`${broker.url}/ngsi-ld/v1/entities/${encodeURIComponent(id)}`)).json()) as {
    n: { value: number };
  };
  check(
    current.n.value === stored.at(-1),
    `${id}: the current value ${current.n.value} is not the last of the history, ${stored.at(-1)}`,
  );
  check(
    current.n.value >= list.at(-1)!,
    `${id}: the current value ${current.n.value} is older than the last acknowledged, ${list.at(-1)}`,
  );
  const received = heard.get(id) ?? [];
  check(
    received.every((n, at) => at === 0 || n > received[at - 1]!),
    `${id}: the subscriber heard it out of order`,
  );
}
const lost = unheard();
check(lost.length === 0, `changes that never reached the subscriber: ${lost.slice(0, 5).join(', ')} (${lost.length})`);
check(contradictions === 0, `${contradictions} notifications came with the id of another one`);
// A start on MongoDB takes longer, and so fewer rounds have time to write much.
check(writes > KILLS * (ON_MONGODB ? 20 : 50), `only ${writes} writes were acknowledged, which proves little`);
if (PROCESSES > 1) check(serversKilled > 0, 'no server process was killed');
check(down > 0, 'no client noticed that the broker was killed, which proves nothing');
check(
  acknowledged.size === HTTP_WRITERS + MQTT_WRITERS,
  `only ${acknowledged.size} of ${HTTP_WRITERS + MQTT_WRITERS} writers ever got an acknowledgement`,
);

const code = await broker.terminate();
check(code === 0, `SIGTERM ended the broker with ${code}`);
listener.close();
rmSync(dataDir, { recursive: true, force: true });
await database?.[Symbol.asyncDispose]();
console.log(
  `${writes} writes acknowledged over ${KILLS} kills (${down} attempts met a dead broker), ${notifications} notifications, ${duplicates} of them duplicates recognised by id, ${Math.round((Date.now() - began) / 1000)} s`,
);
for (const failure of failures) console.error(`FAILED ${failure}`);
console.log(failures.length === 0 ? 'crash test passed' : 'crash test failed');
process.exit(failures.length === 0 ? 0 : 1);
