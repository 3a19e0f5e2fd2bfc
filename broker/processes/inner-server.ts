import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createNetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';

/** Where the primary hears what servers pass on: a socket that only this user can open. */
export interface InnerServer {
  readonly socketPath: string;
  close(): Promise<void>;
}

/** @param headerLimitBytes not less than what servers take */
export async function innerServer(app: FastifyInstance, headerLimitBytes: number): Promise<InnerServer> {
  const folder = mkdtempSync(join(tmpdir(), 'mizar-'));
  const socketPath = join(folder, 'primary.sock');
  const handle = app.server.listeners('request')[0] as RequestListener;
  // A server has checked how long a client takes; it keeps its connections.
  const server = createServer({ maxHeaderSize: headerLimitBytes, requestTimeout: 0, keepAliveTimeout: 120_000 }, handle);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
  return {
    socketPath,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          rmSync(folder, { recursive: true, force: true });
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

/**
 * Makes sure that the port is ours before it is shared: any process of the same user may listen on a shared port, also one of another broker.
 * @throws Error EADDRINUSE
 */
export async function refuseTakenPort(host: string, port: number): Promise<void> {
  if (port === 0) return;
  const probe = createNetServer();
  await new Promise<void>((resolve, reject) => {
    probe.once('error', reject);
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve()));
  });
}
