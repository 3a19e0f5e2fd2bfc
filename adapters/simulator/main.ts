import { meterSettings, simulatedMeters } from './meters.ts';
import { serveTcp } from './modbus-slave.ts';
import {
  chirpStackSender,
  kitSender,
  type Sender,
  SIMULATION_GROUPS,
  type SimulatedMessage,
  simulatedKit,
  thingsStackSender,
} from './senders.ts';
import { AS_IN_THE_FIELD, CALM } from './signal.ts';

/**
 * `npm run simulate`: Modbus meters, kits and two LoRaWAN network servers, with noise, gaps and faults, for a broker that runs already. They are provisioned in the tenant
 * "simulation" and go on until Ctrl-C.
 *
 * Options: --broker URL (http://localhost:1026) · --every SECONDS (10) · --devices N of each kind (3) · --calm (nothing goes wrong) · --steps N (end after so many)
 */
const option = (name: string, fallback: string): string => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : (process.argv[at + 1] ?? fallback);
};
const broker = option('broker', 'http://localhost:1026').replace(/\/$/, '');
const everyS = Number(option('every', '10'));
const count = Number(option('devices', '3'));
const steps = Number(option('steps', 'Infinity'));
const rates = process.argv.includes('--calm') ? CALM : AS_IN_THE_FIELD;
const PLACE = { 'fiware-service': 'simulation', 'fiware-servicepath': '/' };

async function ask(method: string, path: string, body: unknown, allowed: readonly number[]): Promise<unknown> {
  const answer = await fetch(broker + path, {
    method,
    headers: { ...PLACE, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  if (!allowed.includes(answer.status)) throw new Error(`${method} ${path} answers ${answer.status}: ${text.slice(0, 200)}`);
  return text === '' ? {} : JSON.parse(text);
}

/** The token of a kit, new or issued anew. */
async function kit(number: number): Promise<string> {
  const created = (await ask('POST', '/iot/devices', { devices: [simulatedKit(number)] }, [201, 409])) as {
    devices?: { token: string }[];
  };
  const token = created.devices?.[0]?.token;
  return token ?? ((await ask('POST', `/iot/devices/simulated-kit-${number}/token`, {}, [201])) as { token: string }).token;
}

const meters = simulatedMeters(count, 4711, rates);
const gateway = await serveTcp(meters.slave, Number(option('modbus-port', '1502')));
meters.step(new Date(), 0);
for (const group of SIMULATION_GROUPS) await ask('POST', '/iot/groups', { groups: [group] }, [201, 409]);
await ask(
  'PUT',
  '/iot/adapters/simulated-meters',
  { kind: 'modbus', settings: meterSettings('127.0.0.1', gateway.port, count, everyS) },
  [201, 204],
);

const numbers = Array.from({ length: count }, (_, at) => at + 1);
const senders: Sender[] = [];
for (const number of numbers)
  senders.push(kitSender(number, await kit(number), rates), chirpStackSender(number, rates), thingsStackSender(number, rates));

let sent = 0;
let refused = 0;
async function post({ path, key, body }: SimulatedMessage): Promise<void> {
  const answer = await fetch(broker + path, {
    method: 'POST',
    headers: { 'x-api-key': key, 'content-type': 'application/json' },
    body,
  }).catch(() => undefined);
  sent++;
  if (answer === undefined || answer.status >= 300) refused++;
  await answer?.body?.cancel();
}

console.log(
  `${count} meters at 127.0.0.1:${gateway.port} (adapter "simulated-meters"), ${count} kits, ${count} devices behind ChirpStack and ${count} behind The Things Stack report to ${broker}, tenant "simulation". Ctrl-C ends it.`,
);
let running = true;
const stopped = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve());
}).then(() => {
  running = false;
});
for (let step = 0; running && step < steps; step++) {
  const at = new Date();
  meters.step(at, everyS);
  for (const sender of senders) for (const message of sender.step(at)) await post(message);
  if (step % 10 === 0)
    console.log(
      `${at.toISOString()}: ${sent} messages sent, ${refused} not taken, ${gateway.connections()} Modbus connections`,
    );
  if (step + 1 < steps) await Promise.race([stopped, new Promise((wake) => setTimeout(wake, everyS * 1000))]);
}
console.log(`ended: ${sent} messages sent, ${refused} not taken`);
await gateway.close();
process.exit(refused === 0 || rates !== CALM ? 0 : 1);
