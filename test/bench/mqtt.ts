/** Measures of devices at QoS 1, each stored durably before it is acknowledged: 50 connections with 20 messages on their way each. */
import { spawn } from 'node:child_process';
import { type Bench, here, output, post, type Rows, withBroker } from './harness.ts';
import { pin } from './load.ts';
import { median } from './row.ts';

const CONNECTIONS = 50;

export const mqtt: Rows = async function* (bench) {
  const name = 'MQTT reading, stored, acknowledged';
  if (!bench.wanted(name)) return;
  const limit = await bare(bench);
  const ours = await stored(bench);
  yield {
    name,
    value: ours,
    unit: 'messages/s',
    ratio: ours / limit,
    goal: 0.4,
    note: `bare aedes that stores nothing: ${Math.round(limit)}/s`,
  };
};

async function load({ quick, runs }: Bench, port: number): Promise<number> {
  const results: number[] = [];
  const each = quick ? 400 : 2000;
  // The first run warms up and does not count.
  for (let run = 0; run <= runs; run++) {
    const perSecond = Number(await output([here('mqtt-load.ts'), String(port), String(CONNECTIONS), String(each)], 1));
    if (run > 0) results.push(perSecond);
  }
  return median(results);
}

async function bare(bench: Bench): Promise<number> {
  const [command, ...rest] = [...pin(0), process.execPath, here('bare-mqtt.ts')];
  const child = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise<number>((resolve) => child.stdout.once('data', (chunk: Buffer) => resolve(Number(chunk))));
  try {
    return await load(bench, port);
  } finally {
    child.kill();
  }
}

const stored = (bench: Bench): Promise<number> =>
  withBroker(async (broker) => {
    await post(
      `${broker.url}/iot/groups`,
      { groups: [{ resource: '/iot/json', apikey: 'benchKey', entity_type: 'WeatherObserved' }] },
      { 'content-type': 'application/json', 'fiware-service': 'bench', 'fiware-servicepath': '/' },
    );
    return load(bench, Number(new URL(broker.mqttUrl).port));
  });
