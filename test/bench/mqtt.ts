/** Measures of devices at QoS 1, each stored durably before it is acknowledged: 50 connections with 20 messages on their way each. */
import { spawn } from 'node:child_process';
import type { BrokerProcess } from '../support/broker-process.ts';
import { bareWrites } from './bare-mongo.ts';
import { type Bench, here, output, post, type Rows, withBroker } from './harness.ts';
import { OF_DRIVER, ON_MONGODB } from './kept.ts';
import { pin } from './load.ts';
import { median, type Row } from './row.ts';

const CONNECTIONS = 50;
/** Changes of one batch of the broker on MongoDB, if there is no end to them. */
const AT_ONCE = 400;

export const mqtt: Rows = async function* (bench) {
  const name = 'MQTT reading, stored, acknowledged';
  if (!bench.wanted(name)) return;
  if (ON_MONGODB) {
    yield await onMongoDb(bench, name);
    return;
  }
  const limit = await bare(bench);
  const ours = await withBroker((broker) => stored(bench, broker));
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

async function stored(bench: Bench, broker: BrokerProcess): Promise<number> {
  await post(
    `${broker.url}/iot/groups`,
    { groups: [{ resource: '/iot/json', apikey: 'benchKey', entity_type: 'WeatherObserved' }] },
    { 'content-type': 'application/json', 'fiware-service': 'bench', 'fiware-servicepath': '/' },
  );
  return load(bench, Number(new URL(broker.mqttUrl).port));
}

/** Against the driver that writes the same changes, as many at a time as one batch of the broker has. */
const onMongoDb = (bench: Bench, name: string): Promise<Row> =>
  withBroker(async (broker, { url }) => {
    const ours = await stored(bench, broker);
    const floor = await bareWrites(url as string, AT_ONCE, true);
    return {
      name,
      value: ours,
      unit: 'messages/s',
      ratio: ours / floor,
      goal: OF_DRIVER.writes,
      note: `the driver, the same documents and indexes, ${AT_ONCE} at a time: ${Math.round(floor)}/s`,
    };
  });
