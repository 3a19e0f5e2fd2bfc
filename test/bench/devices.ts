/** What connected MQTT devices cost in memory, and what the others notice of one that floods. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { BrokerProcess } from '../support/broker-process.ts';
import { type Bench, here, post, type Rows, withBroker } from './harness.ts';
import { pin } from './load.ts';
import { median } from './row.ts';

const LIMIT_KB = 40;
const PLACE = { 'content-type': 'application/json', 'fiware-service': 'bench', 'fiware-servicepath': '/' };

export const devices: Rows = async function* (bench) {
  if (bench.wanted('connected MQTT device')) yield await connected(bench);
  if (bench.wanted('flood of one device')) yield await flooded('flood of one device: p99 of others', 1);
  if (bench.wanted('flood of one tenant')) yield await flooded('flood of one tenant: p99 of others', 20);
};

const group = (broker: BrokerProcess, apikey: string, service: string) =>
  post(
    `${broker.url}/iot/groups`,
    { groups: [{ resource: '/iot/json', apikey, entity_type: 'WeatherObserved', commands: [{ name: 'reset' }] }] },
    { ...PLACE, 'fiware-service': service },
  );

const residentKb = ({ child }: BrokerProcess): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]);

async function connected({ quick }: Bench) {
  const count = quick ? 4000 : 10_000;
  return withBroker(async (broker) => {
    await group(broker, 'crowdKey', 'bench');
    // Code, caches and the room that the collector keeps come with the first thousand, however many there will be: they belong to no device.
    await using _some = await started(['crowd', portOf(broker), '1000', 'crowdKey', 'first']);
    await settled(broker);
    const before = residentKb(broker);
    await using _crowd = await started(['crowd', portOf(broker), String(count), 'crowdKey']);
    await settled(broker);
    const value = (residentKb(broker) - before) / count;
    return {
      name: 'connected MQTT device',
      value,
      unit: 'KB each',
      ratio: LIMIT_KB / value,
      goal: 1,
      note: `${count} connected beside 1000, provisioned, each with a subscription and an entity; growth of the resident memory`,
    };
  });
}

/** Alone and beside the flood in turn, often and shortly: a p99 is what the disk of the machine happened to do, and the median of several is not. */
const TURNS = 5;

async function flooded(name: string, connections: number) {
  return withBroker(async (broker) => {
    await group(broker, 'steadyKey', 'bench');
    await group(broker, 'floodKey', 'other');
    const seconds = 2;
    const alone: number[] = [];
    const beside: number[] = [];
    let acknowledged = 0;
    await steady(broker, seconds);
    for (let turn = 0; turn < TURNS; turn++) {
      alone.push(await steady(broker, seconds));
      await using flood = await started(['flood', portOf(broker), String(connections), 'floodKey']);
      beside.push(await steady(broker, seconds));
      acknowledged += Number(await flood.end());
    }
    const value = median(beside);
    return {
      name,
      value,
      unit: 'ms',
      ratio: (2 * median(alone)) / value,
      goal: 1,
      note: `50 devices, 1000 measures/s: p99 ${median(alone).toFixed(2)} ms alone; ${connections} connection(s) without pause: ${Math.round(acknowledged / TURNS / seconds)}/s`,
    };
  });
}

const portOf = ({ mqttUrl }: BrokerProcess): string => new URL(mqttUrl).port;

async function steady(broker: BrokerProcess, seconds: number): Promise<number> {
  const child = program(['steady', portOf(broker), String(seconds), 'steadyKey']);
  let text = '';
  for await (const chunk of child.stdout!) text += chunk;
  return Number(text);
}

function program(args: readonly string[]): ChildProcess {
  const [command, ...rest] = [...pin(1), process.execPath, here('device-load.ts'), ...args];
  return spawn(command!, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
}

/** Starts a load that says when it is ready, and ends it. */
async function started(args: readonly string[]) {
  const child = program(args);
  let text = '';
  await new Promise<void>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the load ended with ${code}`)));
    child.stdout!.on('data', (chunk: Buffer) => {
      text += chunk;
      if (text.includes('ready')) resolve();
    });
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const end = async (): Promise<string> => {
    child.stdin!.end();
    await ended;
    return text.replace('ready\n', '');
  };
  return { end, [Symbol.asyncDispose]: async () => void (await end()) };
}

/** Resolves when the memory no longer shrinks: what the connecting left behind is collected. */
async function settled(broker: BrokerProcess): Promise<void> {
  let least = residentKb(broker);
  for (let quiet = 0; quiet < 5; quiet++) {
    await new Promise((wake) => setTimeout(wake, 500));
    const now = residentKb(broker);
    if (now < least * 0.99) quiet = 0;
    least = Math.min(least, now);
  }
}
