import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import mqtt, { type MqttClient } from 'mqtt';
import { CENTRE, cityOf, contextUrl, type DemoDevice, GROUPS, KEYS, SERVICE, SERVICE_PATH } from './city.ts';
import { type DemoMessage, infoOf, messageOf } from './messages.ts';

const HELP = `Plays a small city against a running broker: devices report over MQTT and HTTP in the formats that real ones use.

Usage: npm run demo -- [options]

  --url <url>      HTTP of the broker       (default: http://localhost:1026)
  --mqtt <url>     MQTT of the broker       (default: mqtt://localhost:1883)
  --devices <n>    how many devices         (default: 20)
  --rounds <n>     live rounds after the history, one a second (default: 10)
  --help           this text`;

const { values: options } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://localhost:1026' },
    mqtt: { type: 'string', default: 'mqtt://localhost:1883' },
    devices: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '10' },
    help: { type: 'boolean', default: false },
  },
});

const STEP_MS = 30 * 60_000;
const HISTORY_MS = 24 * 3_600_000;
const JSON_TYPE = { 'content-type': 'application/json' };
const PLACE = { 'fiware-service': SERVICE, 'fiware-servicepath': SERVICE_PATH };

interface City {
  readonly url: string;
  readonly devices: readonly DemoDevice[];
  readonly tokens: ReadonlyMap<string, string>;
  readonly clients: { readonly devices: MqttClient; readonly network: MqttClient };
}

class DemoError extends Error {}

if (options.help) console.log(HELP);
else {
  play().catch((error: unknown) => {
    console.error(error instanceof DemoError ? `\n${error.message}` : error);
    process.exitCode = 1;
  });
}

async function play(): Promise<void> {
  const url = options.url.replace(/\/$/, '');
  const [count, rounds] = [whole('devices', options.devices), whole('rounds', options.rounds)];
  await demandBroker(url);

  say(`1. Provisioning ${count} devices in ${GROUPS.length} groups through ${url}/iot`);
  const devices = cityOf(count);
  await provisionGroups(url);
  const tokens = await provisionDevices(url, devices);
  const connect = (credentials: object) =>
    mqtt
      .connectAsync(options.mqtt, { ...credentials, reconnectPeriod: 0, connectTimeout: 5000 }, false)
      .catch((error: Error) => {
        throw new DemoError(`The broker takes no MQTT at ${options.mqtt} (${error.message}). --mqtt names another address.`);
      });
  const clients = {
    devices: await connect({}),
    // As a LoRaWAN network server connects: its application, and the API key of the group.
    network: await connect({ username: 'parks@city', password: KEYS.weather }),
  };
  const city: City = { url, devices, tokens, clients };

  const steps = HISTORY_MS / STEP_MS;
  say(`2. The last 24 hours: ${steps} moments of each device, over MQTT and HTTP`);
  const started = Date.now();
  const sent = await history(city, steps);
  say(`   ${sent} messages stored and acknowledged in ${((Date.now() - started) / 1000).toFixed(1)} s`);

  const listener = await listen();
  say(`3. Subscribing ${listener.url} to particulate matter and to car parks`);
  const subscriptions = await subscribe(city, listener.url);
  say(`4. Live: ${rounds} rounds, one a second`);
  for (let round = 1; round <= rounds; round++) {
    const now = new Date();
    await Promise.all(
      devices.map((device) => send(city, device, messageOf(device, [now], tokens.get(device.id), steps + round))),
    );
    progress(`   round ${round}/${rounds}: ${devices.length} messages, ${listener.received.length} notifications so far`);
    if (round < rounds) await pause(1000);
  }
  await pause(500);
  endProgress();
  for (const id of subscriptions) {
    await fetch(`${url}/ngsi-ld/v1/subscriptions/${encodeURIComponent(id)}`, {
      method: 'DELETE',
      headers: { 'NGSILD-Tenant': SERVICE },
    });
  }
  listener.server.close();
  await Promise.all([clients.devices.endAsync(), clients.network.endAsync()]);
  conclude(url, listener.received);
}

/** @throws DomainError that says what to do */
async function demandBroker(url: string): Promise<void> {
  const answer = await fetch(`${url}/ready`).catch(() => undefined);
  if (answer === undefined) {
    throw new DemoError(
      `No broker answers at ${url}. Start one in another terminal with "npm start", or name its address with --url.`,
    );
  }
  if (!answer.ok) throw new DemoError(`The broker at ${url} is not ready (${answer.status}). Try again in a moment.`);
}

async function provisionGroups(url: string): Promise<void> {
  for (const group of GROUPS) {
    const answer = await call(url, 'POST', '/iot/groups', { groups: [group] });
    // From an earlier run: brought up to date.
    if (answer.status === 409) {
      const named = `/iot/groups?resource=${encodeURIComponent(String(group['resource']))}&apikey=${group['apikey']}`;
      await demand(call(url, 'PUT', named, group));
    } else if (answer.status !== 201) throw await failure(answer);
  }
}

/** @returns tokens of the devices that have one */
async function provisionDevices(url: string, devices: readonly DemoDevice[]): Promise<ReadonlyMap<string, string>> {
  const tokens = new Map<string, string>();
  for (const { id, kind, provisioning } of devices) {
    const answer = await call(url, 'POST', '/iot/devices', { devices: [provisioning] });
    if (answer.status === 201) {
      const { devices: issued } = (await answer.json()) as { devices?: { device_id: string; token: string }[] };
      for (const { device_id, token } of issued ?? []) tokens.set(device_id, token);
    } else if (answer.status !== 409) throw await failure(answer);
    else if (kind === 'kit') {
      const renewed = (await (await demand(call(url, 'POST', `/iot/devices/${id}/token`))).json()) as { token: string };
      tokens.set(id, renewed.token);
    }
    progress(`   ${id} (${tokens.has(id) ? 'token' : 'API key'})`);
  }
  endProgress();
  return tokens;
}

/** Sends what the devices would have sent since yesterday. @returns how many messages */
async function history(city: City, steps: number): Promise<number> {
  const now = Date.now();
  let sent = 0;
  for (const device of city.devices) {
    const token = city.tokens.get(device.id);
    if (device.kind === 'kit' && token !== undefined) {
      await city.clients.devices.publishAsync(`device/sck/${token}/hello`, '', { qos: 1 });
      await city.clients.devices.publishAsync(infoOf(token).topic, infoOf(token).body, { qos: 1 });
    }
  }
  for (let step = 0; step < steps; step++) {
    const at = new Date(now - (steps - step) * STEP_MS);
    await Promise.all(
      city.devices.map(async (device) => {
        // Kits with an SD card send what they gathered in one message.
        const gathered = device.kind === 'kit' && !device.raw ? 4 : 1;
        if (step % gathered !== gathered - 1) return;
        const moments = Array.from({ length: gathered }, (_, back) => new Date(at.getTime() - (gathered - 1 - back) * STEP_MS));
        await send(city, device, messageOf(device, moments, city.tokens.get(device.id), step));
        sent++;
      }),
    );
    progress(`   ${bar(step + 1, steps)} ${at.toISOString().slice(0, 16)}Z  ${sent} messages`);
  }
  endProgress();
  return sent;
}

/** Over MQTT it is stored when the acknowledgement is here. @throws DemoError if the broker refuses */
async function send({ url, clients }: City, device: DemoDevice, message: DemoMessage): Promise<void> {
  if (device.way === 'mqtt') {
    await (device.kind === 'weather' ? clients.network : clients.devices).publishAsync(message.topic, message.body, { qos: 1 });
    return;
  }
  const headers = { ...message.headers, 'content-type': message.contentType };
  const answer = await fetch(url + message.path, { method: 'POST', headers, body: message.body });
  if (!answer.ok) throw await failure(answer);
  await answer.arrayBuffer();
}

interface Listener {
  readonly server: Server;
  readonly url: string;
  readonly received: { readonly subscriptionId: string; readonly data: readonly Record<string, unknown>[] }[];
}

async function listen(): Promise<Listener> {
  const received: Listener['received'] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk;
    });
    request.on('end', () => {
      received.push(JSON.parse(body));
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/notify`, received };
}

async function subscribe({ url }: City, uri: string): Promise<readonly string[]> {
  const wanted = [
    { type: 'AirQualityObserved', attribute: 'pm25', q: 'pm25>0', subject: 'Environment' },
    { type: 'OffStreetParking', attribute: 'availableSpotNumber', q: 'availableSpotNumber>=0', subject: 'Parking' },
  ];
  const ids: string[] = [];
  for (const { type, attribute, q, subject } of wanted) {
    const body = {
      type: 'Subscription',
      entities: [{ type }],
      watchedAttributes: [attribute],
      q,
      notification: { attributes: [attribute], format: 'keyValues', endpoint: { uri, accept: 'application/json' } },
      '@context': [contextUrl(subject)],
    };
    const answer = await fetch(`${url}/ngsi-ld/v1/subscriptions`, {
      method: 'POST',
      headers: { 'content-type': 'application/ld+json', 'NGSILD-Tenant': SERVICE },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw await failure(answer);
    ids.push(decodeURIComponent(answer.headers.get('location')?.split('/').at(-1) ?? ''));
  }
  return ids;
}

function conclude(url: string, received: Listener['received']): void {
  say(`5. The listener heard ${received.length} notifications; the last one carried`);
  const last = received.at(-1);
  say(last === undefined ? '   nothing: is the listener reachable for the broker?' : `   ${JSON.stringify(last.data)}`);
  const since = new Date(Date.now() - HISTORY_MS).toISOString().slice(0, 19);
  const link = (subject: string) =>
    `-H 'Link: <${contextUrl(subject)}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'`;
  const ask = (what: string, subject: string, path: string, query: readonly string[]) =>
    say(
      `\n# ${what}\ncurl -sG ${url}/ngsi-ld/v1/${path} -H 'NGSILD-Tenant: ${SERVICE}' \\\n  ${link(subject)} \\\n  ${query
        .map((one) => `--data-urlencode '${one}'`)
        .join(' ')}`,
    );
  say('\nNow ask the broker:');
  ask('Air quality, in short', 'Environment', 'entities', ['type=AirQualityObserved', 'options=keyValues']);
  ask('Car parks with more than 5 free places', 'Parking', 'entities', ['type=OffStreetParking', 'q=availableSpotNumber>5']);
  ask('Weather within 1500 metres of the square', 'Weather', 'entities', [
    'type=WeatherObserved',
    'georel=near;maxDistance==1500',
    'geometry=Point',
    `coordinates=[${CENTRE}]`,
    'options=keyValues',
  ]);
  ask(
    'Particulate matter over the day: average and maximum of every hour',
    'Environment',
    'temporal/entities/urn:ngsi-ld:AirQualityObserved:kit-1',
    [
      'attrs=pm25',
      'timerel=after',
      `timeAt=${since}Z`,
      'aggrMethods=avg,max',
      'aggrPeriodDuration=PT1H',
      'options=aggregatedValues',
    ],
  );
  say(`\n# How it stands with notifications and MQTT\ncurl -s ${url}/metrics | grep -E '^mizar_(mqtt|notifications)'`);
}

async function call(url: string, method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(url + path, {
    method,
    headers: { ...PLACE, ...(body !== undefined && JSON_TYPE) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

async function demand(answer: Promise<Response>): Promise<Response> {
  const got = await answer;
  if (!got.ok) throw await failure(got);
  return got;
}

const failure = async (answer: Response): Promise<DemoError> =>
  new DemoError(
    `The broker answered ${answer.status} at ${new URL(answer.url).pathname}: ${(await answer.text()).slice(0, 400)}`,
  );

function whole(name: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number > 0 && number <= 10_000) return number;
  throw new DemoError(`--${name} must be a whole number from 1 to 10000, not "${text}"`);
}

const say = (line: string): void => console.log(line);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const bar = (done: number, all: number): string => `[${'#'.repeat(Math.round((done / all) * 24)).padEnd(24, '.')}]`;

let printedAt = 0;

/** On a terminal the line is written over; elsewhere one a second is enough. */
function progress(line: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\u001b[2K${line}`);
  else if (Date.now() - printedAt > 900) {
    printedAt = Date.now();
    say(line);
  }
}

/** Leaves the line that progress has written last. */
function endProgress(): void {
  if (process.stdout.isTTY) process.stdout.write('\n');
}
