import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import mqtt from 'mqtt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type BrokerProcess, freePorts, startBrokerProcess } from '../support/broker-process.ts';

const LAMP = '/ngsi-ld/v1/entities/urn:ngsi-ld:Lamp:lamp3';
const TENANT = { 'ngsild-tenant': 'city' };

async function city() {
  const dataDir = mkdtempSync(join(tmpdir(), 'mizar-commands-'));
  const [httpPort = 0, mqttPort = 0] = await freePorts(2);
  let broker: BrokerProcess | undefined;
  onTestFinished(async () => {
    await broker?.kill();
    rmSync(dataDir, { recursive: true, force: true });
  });
  const start = async () => {
    broker = await startBrokerProcess({ dataDir, httpPort, mqttPort });
    return broker;
  };
  const ask = async (method: string, path: string, body?: object, headers: Record<string, string> = TENANT) => {
    const answer = await fetch(`http://127.0.0.1:${httpPort}${path}`, {
      method,
      headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) };
  };
  const place = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
  return { start, ask, place };
}

/** A device that listens, and answers nothing by itself. */
async function device(url: string) {
  const client = await mqtt.connectAsync(url, { reconnectPeriod: 0 });
  onTestFinished(() => void client.end(true));
  const heard: string[] = [];
  const arrived = new Promise<void>((resolve) => {
    client.on('message', (_, payload) => {
      heard.push(payload.toString());
      resolve();
    });
  });
  await client.subscribeAsync('/lampKey/lamp3/cmd', { qos: 1 });
  return { client, heard, arrived };
}

describe('commands when the broker is killed', () => {
  it('what was accepted is delivered after the next start, its answer counts once, and what expired meanwhile reaches nobody', async () => {
    const { start, ask, place } = await city();
    let broker = await start();
    const commands = [{ name: 'dim' }, { name: 'ping' }];
    const group = { resource: '/iot/json', apikey: 'lampKey', entity_type: 'Lamp', commands };
    await ask('POST', '/iot/groups', { groups: [group] }, place);
    await ask('POST', '/iot/devices', { devices: [{ device_id: 'lamp3' }] }, place);
    const soon = new Date(Date.now() + 500).toISOString();
    expect((await ask('PATCH', `${LAMP}/attrs/ping`, { value: 1, expiresAt: soon })).status).toBe(204);
    expect((await ask('PATCH', `${LAMP}/attrs/dim`, { value: 40 })).status).toBe(204);
    await broker.kill();
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, Date.parse(soon) - Date.now())));

    broker = await start();
    let lamp = await device(broker.mqttUrl);
    await lamp.arrived;
    expect(lamp.heard).toEqual(['{"dim":40}']);
    // Killed before the device has answered: the command is open still.
    await broker.kill();

    broker = await start();
    lamp = await device(broker.mqttUrl);
    await lamp.client.publishAsync('/json/lampKey/lamp3/cmdexe', '{"dim":"done"}', { qos: 1 });
    await broker.kill();

    broker = await start();
    lamp = await device(broker.mqttUrl);
    // The device cannot know that its answer arrived, and says it again.
    await lamp.client.publishAsync('/json/lampKey/lamp3/cmdexe', '{"dim":"again"}', { qos: 1 });
    expect((await ask('GET', `${LAMP}?options=keyValues`)).body).toMatchObject({
      dim_status: 'OK',
      dim_info: 'done',
      ping_status: 'ERROR',
      ping_info: 'EXPIRED',
    });
    expect(lamp.heard).toEqual([]);
    const { body } = await ask('GET', `/ngsi-ld/v1/temporal/entities/urn:ngsi-ld:Lamp:lamp3?attrs=dim_status`);
    const states = body.dim_status.map(({ value }: { value: string }) => value);
    expect(states.filter((state: string) => state === 'OK')).toHaveLength(1);
  });
});
