import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import pino from 'pino';
import { type Config, readConfig } from '../../broker/config.ts';
import type { Clock } from '../../broker/ports/clock.ts';
import { channel, type Parcel } from '../../broker/processes/channel.ts';
import { innerServer } from '../../broker/processes/inner-server.ts';
import { type Server, serverProcess } from '../../broker/processes/server.ts';
import type { Servers } from '../../broker/processes/supervisor.ts';
import { type Broker, buildBroker } from '../../broker/wiring.ts';

/** A primary and a server on one file, put together as two processes are, but in this one, so that a test says which of them it asks. */
export interface Pair extends AsyncDisposable {
  readonly broker: Broker;
  readonly primary: FastifyInstance;
  readonly server: FastifyInstance;
}

export async function pair(options: { readonly config?: Partial<Config>; readonly clock?: Clock } = {}): Promise<Pair> {
  const given = options.config?.dataDir;
  const dataDir = given === undefined || given === ':memory:' ? mkdtempSync(join(tmpdir(), 'mizar-pair-')) : given;
  const config: Config = {
    ...readConfig({
      MIZAR_HTTP_PORT: '0',
      MIZAR_MQTT_PORT: '0',
      MIZAR_LOG_LEVEL: 'silent',
      MIZAR_BROKER_ID: 'test',
      MIZAR_PROCESSES: '2',
    }),
    ...options.config,
    dataDir,
  };
  const logger = pino({ level: 'silent' });
  const replacements = { logger, ...(options.clock ? { clock: options.clock } : {}) };
  let server: Server | undefined;
  const servers: Servers = {
    running: 1,
    restarts: 0,
    figures: async () => (server ? [await server.operations.figures()] : []),
  };
  const broker = await buildBroker(config, { ...replacements, servers });
  const inner = await innerServer(broker.app, 64 * 1024);
  // What goes over is copied, as between processes.
  const toPrimary = channel((parcel) => atPrimary.receive(structuredClone(parcel) as Parcel), {}, config.waitingWrites);
  const atPrimary = channel(
    (parcel) => toPrimary.receive(structuredClone(parcel) as Parcel),
    { ...broker.offered },
    config.waitingWrites,
  );
  const serving = await serverProcess({ config, socketPath: inner.socketPath, brokerId: 'test' }, toPrimary, replacements);
  server = serving;
  return {
    broker,
    primary: broker.app,
    server: serving.app,
    async [Symbol.asyncDispose]() {
      await serving.operations.drain();
      await inner.close();
      await broker.close();
      if (dataDir !== given) rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
