import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Config } from '../../broker/config.ts';
import type { JsonObject } from '../../broker/domain/json.ts';
import { inMemoryBroker, type TestBroker, type TestBrokerOptions } from './broker.ts';

/** JSON of which a test knows what it is. */
export type Json = ReturnType<typeof JSON.parse>;

/** A broker that listens, so that others can ask and notify it. */
export interface ListeningBroker extends TestBroker {
  readonly url: string;
  /** Sends one request and expects it to succeed. @returns the body */
  do(
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Json>;
}

export async function listeningBroker(
  brokerId: string,
  config: Partial<Config> = {},
  more: Omit<TestBrokerOptions, 'config'> = {},
): Promise<ListeningBroker> {
  const broker = await inMemoryBroker({ config: { brokerId, mqtt: false, ...config }, ...more });
  const { url } = await broker.broker.listen();
  return {
    ...broker,
    url,
    async do(method, path, body, headers) {
      const answer = await broker.request(method, path.startsWith('/admin') ? path : `/ngsi-ld/v1/${path}`, body, headers);
      if (answer.statusCode >= 300) throw new Error(`${method} ${path} answered ${answer.statusCode}: ${answer.body}`);
      return answer.body === '' ? undefined : answer.json();
    },
    [Symbol.asyncDispose]: () => broker.broker.close(),
  };
}

/** What one endpoint was sent. */
export interface Endpoint extends AsyncDisposable {
  readonly url: string;
  readonly requests: {
    readonly method: string;
    readonly path: string;
    readonly headers: IncomingMessage['headers'];
    readonly body: Json;
  }[];
  /** The bodies of notifications so far. */
  notifications(): JsonObject[];
  /** The status of the next answers; default 200. `undefined`: no answer at all. */
  answer: (request: { readonly method: string; readonly path: string; readonly body: Json }) => number | undefined;
}

export async function endpoint(port = 0): Promise<Endpoint> {
  const requests: Endpoint['requests'] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      const one = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        body: text === '' ? undefined : JSON.parse(text),
      };
      requests.push(one);
      const status = made.answer(one);
      if (status !== undefined) response.writeHead(status).end();
    });
  });
  await new Promise<void>((listening) => server.listen(port, '127.0.0.1', listening));
  const made: Endpoint = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    notifications: () => requests.filter(({ body }) => body?.type === 'Notification').map(({ body }) => body as JsonObject),
    answer: () => 200,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
  return made;
}

/** Waits for a condition, and says what was waited for if it does not come true in time. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, timeoutMs = 10_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`In ${timeoutMs} ms it did not happen that ${what}`);
    await new Promise((wake) => setTimeout(wake, 10));
  }
}
