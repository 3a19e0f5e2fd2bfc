import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify';
import pino from 'pino';
import { type Config, readConfig } from '../../broker/config.ts';
import type { BackOff } from '../../broker/operations/notify/back-off.ts';
import type { Clock } from '../../broker/ports/clock.ts';
import { type Broker, buildBroker } from '../../broker/wiring.ts';
import { databaseFor } from './mongodb-url.ts';
import { pair } from './processes.ts';

/** With MIZAR_TEST_PROCESSES=2 every test that asks a broker through this asks two processes of one in turn ("npm run test:processes"). */
const SEVERAL = process.env['MIZAR_TEST_PROCESSES'] === '2';

/** With MIZAR_TEST_STORE=mongodb every broker that is made through this keeps its data in a MongoDB ("npm run test:mongodb"). */
const ON_MONGODB = process.env['MIZAR_TEST_STORE'] === 'mongodb';

/** A whole broker whose store lives in memory; requests go through `inject`, no port is opened unless a test asks for it. */
export interface TestBroker extends AsyncDisposable {
  readonly app: FastifyInstance;
  readonly broker: Broker;
  /** Sends one request. A body that is not a string is sent as JSON, with the content type application/json unless headers name another. */
  request(
    method: InjectOptions['method'],
    url: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<LightMyRequestResponse>;
}

export interface TestBrokerOptions {
  readonly config?: Partial<Config>;
  readonly clock?: Clock;
  readonly sourceBackOff?: BackOff;
}

/** `await using broker = await inMemoryBroker()` gives a test its own broker. */
export async function inMemoryBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  if (SEVERAL) return twoProcesses(options);
  const config: Config = {
    ...readConfig({
      MIZAR_DATA_DIR: ':memory:',
      MIZAR_HTTP_PORT: '0',
      MIZAR_MQTT_PORT: '0',
      MIZAR_LOG_LEVEL: 'silent',
      MIZAR_BROKER_ID: 'test',
    }),
    ...options.config,
  };
  const database = ON_MONGODB ? databaseFor(options.config?.dataDir) : undefined;
  const broker = await buildBroker(database ? { ...config, store: database.url } : config, {
    logger: pino({ level: 'silent' }),
    ...(options.clock ? { clock: options.clock } : {}),
    ...(options.sourceBackOff ? { sourceBackOff: options.sourceBackOff } : {}),
  });
  return {
    app: broker.app,
    broker,
    request(method, url, body, headers = {}) {
      if (body === undefined) return broker.app.inject({ ...(method ? { method } : {}), url, headers });
      const payload = typeof body === 'string' ? body : JSON.stringify(body);
      return broker.app.inject({
        ...(method ? { method } : {}),
        url,
        payload,
        headers: { 'content-type': 'application/json', ...headers },
      });
    },
    async [Symbol.asyncDispose]() {
      await broker.close();
      if (database?.isOurs) await database[Symbol.asyncDispose]();
    },
  };
}

async function twoProcesses(options: TestBrokerOptions): Promise<TestBroker> {
  const both = await pair(options);
  let turn = 0;
  return {
    app: both.primary,
    broker: both.broker,
    request(method, url, body, headers = {}) {
      const app = turn++ % 2 === 0 ? both.server : both.primary;
      const sent = { ...(method ? { method } : {}), url };
      if (body === undefined) return app.inject({ ...sent, headers });
      const payload = typeof body === 'string' ? body : JSON.stringify(body);
      return app.inject({ ...sent, payload, headers: { 'content-type': 'application/json', ...headers } });
    },
    [Symbol.asyncDispose]: () => both[Symbol.asyncDispose](),
  };
}
