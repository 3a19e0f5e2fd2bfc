import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { freePorts, startBrokerProcess } from '../support/broker-process.ts';

/** A server of @contexts that can stop to answer without closing anything: the worst way to be dead. */
async function contextServer(): Promise<{ server: Server; url: string; silent: { now: boolean } }> {
  const silent = { now: false };
  const server = createServer((_request, response) => {
    if (!silent.now) {
      response.writeHead(200, { 'content-type': 'application/ld+json', 'cache-control': 'no-store' });
      response.end('{"@context":{"load":"https://example.org/load"}}');
    }
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/context.jsonld`, silent };
}

it('a server of @contexts that does not answer delays neither the start nor other requests', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mizar-offline-'));
  const { server, url, silent } = await contextServer();
  const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(`http://127.0.0.1:${httpPort}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  const link = { link: `<${url}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"` };
  let broker = await startBrokerProcess({ dataDir, httpPort, mqttPort });
  try {
    const subscription = {
      type: 'Subscription',
      entities: [{ type: 'T' }],
      notification: { endpoint: { uri: 'http://127.0.0.1:1/' } },
    };
    expect((await post('/ngsi-ld/v1/subscriptions', subscription, link)).status).toBe(201);
    await broker.terminate();
    silent.now = true;
    const began = performance.now();
    broker = await startBrokerProcess({ dataDir, httpPort, mqttPort, environment: { MIZAR_CONTEXT_TIMEOUT_MS: '20000' } });
    expect(performance.now() - began).toBeLessThan(8000);
    // Somebody asks with a @context that is not there; meanwhile the others are served.
    const stuck = post(
      '/ngsi-ld/v1/entities',
      { id: 'urn:x:1', type: 'T' },
      { link: link.link.replace('context.jsonld', 'other.jsonld') },
    );
    stuck.catch(() => {});
    const served = performance.now();
    expect((await post('/ngsi-ld/v1/entities', { id: 'urn:x:2', type: 'T' })).status).toBe(201);
    expect(performance.now() - served).toBeLessThan(2000);
  } finally {
    await broker.kill();
    server.closeAllConnections();
    server.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
});
