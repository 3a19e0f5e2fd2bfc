import pino from 'pino';
import { type Config, refuseLonelyProcesses, refuseOpenWorld, refuseUnknownStore } from './config.ts';
import { shownStore } from './open-store.ts';
import type { InnerServer } from './processes/inner-server.ts';
import type { Supervisor } from './processes/supervisor.ts';
import { type Broker, buildBroker, VERSION } from './wiring.ts';

/** Starts a broker for good: listens, says where, and answers with what stops it. */
export async function startBroker(config: Config): Promise<{ stop(signal: string): Promise<void> }> {
  refuseOpenWorld(config);
  refuseUnknownStore(config);
  refuseLonelyProcesses(config, process.platform);
  const servers = config.processes > 1 ? await severalProcesses(config) : undefined;
  const broker = await buildBroker(config, servers?.replacements);
  const { url, mqttUrl } = await broker.listen();
  await servers?.start(broker, Number(new URL(url).port));
  if (process.stdout.isTTY) greet(config, url, mqttUrl);
  broker.logger.info(
    { version: VERSION, node: process.version, http: url, mqtt: mqttUrl, data: shownStore(config) },
    `Mizar listens at ${url}: API at /ngsi-ld/v1, documentation at /docs`,
  );
  return {
    async stop(signal) {
      broker.logger.info({ signal }, 'draining');
      const late = setTimeout(() => {
        broker.logger.warn('draining took too long; ending anyway, nothing acknowledged is lost');
        process.exit(1);
      }, config.drainTimeoutMs);
      await servers?.stop();
      await broker.close();
      clearTimeout(late);
      broker.logger.info('stopped');
    },
  };
}

/** What a broker of several processes needs beyond one of a single process; loaded by those that have it only. */
async function severalProcesses(config: Config) {
  const { Supervisor } = await import('./processes/supervisor.ts');
  const { innerServer, refuseTakenPort } = await import('./processes/inner-server.ts');
  await refuseTakenPort(config.host, config.httpPort);
  const logger = pino({ level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime });
  const servers: Supervisor = new Supervisor(config.processes - 1, logger, config.waitingWrites);
  let inner: InnerServer | undefined;
  return {
    replacements: { logger, servers },
    async start({ app, brokerId, offered }: Broker, httpPort: number): Promise<void> {
      inner = await innerServer(app, 64 * 1024);
      servers.start({ config: { ...config, httpPort }, socketPath: inner.socketPath, brokerId }, { ...offered });
    },
    async stop(): Promise<void> {
      await servers.stop(config.drainTimeoutMs / 2);
      await inner?.close();
    },
  };
}

/** For the person who has just started it in a terminal; a supervisor gets log lines only. */
function greet(config: Config, url: string, mqttUrl: string | undefined): void {
  const rows = [
    ['NGSI-LD API', `${url}/ngsi-ld/v1`],
    ['browse the APIs', `${url}/docs`],
    ['health, figures', `${url}/health  ${url}/metrics`],
    ['MQTT for devices', mqttUrl ?? 'off (MIZAR_MQTT=false)'],
    ['data', shownStore(config)],
    ['try it', 'npm run demo   (in a second terminal)'],
    ['settings', 'npm start -- --help'],
  ];
  console.log(`\n  Mizar ${VERSION}\n\n${rows.map(([what, where]) => `  ${what!.padEnd(18)}${where}`).join('\n')}\n`);
}
