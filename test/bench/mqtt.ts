/**
 * `npm run bench:mqtt`: measures of devices per second, each stored durably before it is acknowledged, at 50 connections with 20 messages on their
 * way each, and the ratio to the bare MQTT library that stores nothing, in the same run. Goal: 0.4. Option: --quick.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts, startBrokerProcess } from '../support/broker-process.ts';
import { pin } from './load.ts';

const CONNECTIONS = 50;
const EACH = process.argv.includes('--quick') ? 400 : 2000;
const RUNS = process.argv.includes('--quick') ? 1 : 3;
const here = (file: string) => join(import.meta.dirname, file);

async function load(port: number): Promise<number> {
  const results: number[] = [];
  // The first run warms up and does not count.
  for (let run = 0; run <= RUNS; run++) {
    const [command, ...rest] = [
      ...pin(1),
      process.execPath,
      here('mqtt-load.ts'),
      String(port),
      String(CONNECTIONS),
      String(EACH),
    ];
    const child = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    for await (const chunk of child.stdout) text += chunk;
    if (run > 0) results.push(Number(text));
  }
  return results.sort((a, b) => a - b)[Math.floor(results.length / 2)] ?? 0;
}

async function bare(): Promise<number> {
  const [command, ...rest] = [...pin(0), process.execPath, here('bare-mqtt.ts')];
  const child = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise<number>((resolve) => child.stdout.once('data', (chunk: Buffer) => resolve(Number(chunk))));
  try {
    return await load(port);
  } finally {
    child.kill();
  }
}

async function stored(): Promise<number> {
  const dataDir = mkdtempSync(join(tmpdir(), 'mizar-bench-'));
  const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
  const broker = await startBrokerProcess({ dataDir, httpPort, mqttPort, prefix: pin(0) });
  try {
    const answer = await fetch(`${broker.url}/iot/groups`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'fiware-service': 'bench', 'fiware-servicepath': '/' },
      body: JSON.stringify({ groups: [{ resource: '/iot/json', apikey: 'benchKey', entity_type: 'WeatherObserved' }] }),
    });
    if (!answer.ok) throw new Error(await answer.text());
    return await load(mqttPort);
  } finally {
    await broker.terminate();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

const limit = await bare();
const durable = await stored();
const thousands = (value: number) => Math.round(value).toLocaleString('en').padStart(9);
console.log(`MQTT library alone         ${thousands(limit)} messages/s`);
console.log(`stored, then acknowledged  ${thousands(durable)} messages/s   ratio ${(durable / limit).toFixed(2)} (goal 0.4)`);
