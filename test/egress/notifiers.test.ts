import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connectAsync } from 'mqtt';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { egressGuard } from '../../broker/egress/guard.ts';
import { httpNotifier } from '../../broker/egress/http-notifier.ts';
import { mqttNotifier, parseMqttUri } from '../../broker/egress/mqtt-notifier.ts';
import type { Notifier, OutgoingNotification } from '../../broker/ports/notifier.ts';
import { freePorts } from '../support/broker-process.ts';
import { hasMosquitto, type Mosquitto, startMosquitto } from '../support/mosquitto.ts';

const guard = egressGuard({ privateAddresses: true, allow: [] });

const notification = (uri: string, more: Partial<OutgoingNotification> = {}): OutgoingNotification => ({
  uri,
  headers: { 'content-type': 'application/json', 'x-key': 'k' },
  body: '{"id":"urn:n:1"}',
  notifierInfo: {},
  timeoutMs: 500,
  ...more,
});

describe('notifications over HTTP (6.3.8)', () => {
  let server: Server | undefined;
  let notifier: Notifier;
  const seen: { request: IncomingMessage; body: string }[] = [];

  async function listen(answer: (request: IncomingMessage) => number | undefined): Promise<string> {
    seen.length = 0;
    server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        seen.push({ request, body: Buffer.concat(chunks).toString() });
        const status = answer(request);
        if (status !== undefined) response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end('answer');
      });
    });
    await new Promise<void>((listening) => server?.listen(0, '127.0.0.1', listening));
    notifier = httpNotifier({ guard, connections: 4 });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  afterEach(async () => {
    server?.closeAllConnections();
    await Promise.all([notifier.close(), new Promise((closed) => server?.close(closed))]);
  });

  it('posts the body with the headers, and keeps path and query', async () => {
    const url = await listen(() => 200);
    expect(await notifier.deliver(notification(`${url}/hook?a=b`))).toEqual({ delivered: true, status: 200 });
    expect(seen).toHaveLength(1);
    expect(seen[0]?.request).toMatchObject({
      method: 'POST',
      url: '/hook?a=b',
      headers: { 'x-key': 'k', 'content-length': '16' },
    });
    expect(seen[0]?.body).toBe('{"id":"urn:n:1"}');
  });

  it.each([201, 202, 204])('%d means delivered too', async (status) => {
    const url = await listen(() => status);
    expect(await notifier.deliver(notification(url))).toEqual({ delivered: true, status });
  });

  it.each([400, 404, 500, 503])('%d is a failure that says so', async (status) => {
    const url = await listen(() => status);
    expect(await notifier.deliver(notification(url))).toEqual({ delivered: false, reason: `answered ${status}` });
  });

  it('does not follow redirects', async () => {
    const url = await listen(() => 302);
    expect(await notifier.deliver(notification(url))).toEqual({ delivered: false, reason: 'answered 302' });
    expect(seen).toHaveLength(1);
  });

  it('an endpoint that never answers fails after the time-out', async () => {
    const url = await listen(() => undefined);
    const began = Date.now();
    expect(await notifier.deliver(notification(url))).toEqual({ delivered: false, reason: 'no answer in time' });
    expect(Date.now() - began).toBeLessThan(5000);
  });

  it('nobody there: a failure, not an exception', async () => {
    await listen(() => 200);
    const [port] = await freePorts(1);
    expect(await notifier.deliver(notification(`http://127.0.0.1:${port}/`))).toMatchObject({ delivered: false });
  });

  it('credentials in the URI become an Authorization header and nothing else', async () => {
    const url = await listen(() => 200);
    await notifier.deliver(notification(url.replace('http://', 'http://user:p%40ss@')));
    expect(seen[0]?.request.headers.authorization).toBe(`Basic ${Buffer.from('user:p@ss').toString('base64')}`);
  });

  it('the guard is asked before anything is sent', async () => {
    const url = await listen(() => 200);
    const strict = httpNotifier({ guard: egressGuard({ privateAddresses: false, allow: [] }), connections: 1 });
    expect(await strict.deliver(notification(url))).toMatchObject({ delivered: false });
    expect(seen).toHaveLength(0);
    await strict.close();
  });
});

describe('MQTT endpoints (7.2)', () => {
  it('take host, port, user and a topic of several levels', () => {
    expect(parseMqttUri('mqtt://user:secret@broker.example:1884/a/b%20c')).toEqual({
      url: 'mqtt://broker.example:1884',
      topic: 'a/b c',
      username: 'user',
      password: 'secret',
    });
    expect(parseMqttUri('mqtts://broker.example/a')).toMatchObject({ url: 'mqtts://broker.example:8883' });
  });

  it.each([
    'mqtt://broker.example',
    'mqtt://broker.example/a/+',
    'mqtt://broker.example/%23',
    'http://broker.example/a',
    'nonsense',
  ])('%s is none', (uri) => expect(parseMqttUri(uri)).toBeUndefined());
});

describe.skipIf(!hasMosquitto('notifications over MQTT 5'))(
  'notifications over MQTT against mosquitto (needs mosquitto)',
  () => {
    let server: Mosquitto;
    let port: number;
    const notifier = mqttNotifier(guard);

    beforeAll(async () => {
      server = await startMosquitto();
      ({ port } = server);
    });

    afterAll(async () => {
      await notifier.close();
      await server?.stop();
    });

    it.each([
      ['mqtt5.0', '1'],
      ['mqtt3.1.1', '1'],
      ['mqtt5.0', '0'],
      ['mqtt3.1.1', '2'],
    ])('version %s with QoS %s: metadata and body in one JSON object', async (version, qos) => {
      const client = await connectAsync(`mqtt://127.0.0.1:${port}`);
      await client.subscribeAsync('city/alerts', { qos: 2 });
      const arrived = new Promise<{ text: string; qos: number }>((resolve) =>
        client.once('message', (_topic, message, packet) => resolve({ text: message.toString(), qos: packet.qos })),
      );
      const result = await notifier.deliver(
        notification(`mqtt://127.0.0.1:${port}/city/alerts`, { notifierInfo: { 'MQTT-Version': version, 'MQTT-QoS': qos } }),
      );
      expect(result).toEqual({ delivered: true });
      const message = await arrived;
      expect(JSON.parse(message.text)).toEqual({
        metadata: { 'content-type': 'application/json', 'x-key': 'k' },
        body: { id: 'urn:n:1' },
      });
      expect(message.qos).toBe(Number(qos));
      await client.endAsync();
    });

    it('a server that is not there is a failure without the credentials in its reason', async () => {
      const [dead] = await freePorts(1);
      const result = await notifier.deliver(notification(`mqtt://user:secret@127.0.0.1:${dead}/t`));
      expect(result).toMatchObject({ delivered: false });
      expect(JSON.stringify(result)).not.toContain('secret');
    });
  },
);
