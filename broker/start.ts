import { type Config, refuseOpenWorld } from './config.ts';
import { buildBroker, VERSION } from './wiring.ts';

/** Starts a broker for good: listens, says where, and answers with what stops it. */
export async function startBroker(config: Config): Promise<{ stop(signal: string): Promise<void> }> {
  refuseOpenWorld(config);
  const broker = await buildBroker(config);
  const { url, mqttUrl } = await broker.listen();
  if (process.stdout.isTTY) greet(config, url, mqttUrl);
  broker.logger.info(
    { version: VERSION, node: process.version, http: url, mqtt: mqttUrl, dataDir: config.dataDir },
    `Mizar listens at ${url}: API at /ngsi-ld/v1, documentation at /docs`,
  );
  return {
    async stop(signal) {
      broker.logger.info({ signal }, 'draining');
      const late = setTimeout(() => {
        broker.logger.warn('draining took too long; ending anyway, nothing acknowledged is lost');
        process.exit(1);
      }, config.drainTimeoutMs);
      await broker.close();
      clearTimeout(late);
      broker.logger.info('stopped');
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
    ['data', config.dataDir],
    ['try it', 'npm run demo   (in a second terminal)'],
    ['settings', 'npm start -- --help'],
  ];
  console.log(`\n  Mizar ${VERSION}\n\n${rows.map(([what, where]) => `  ${what!.padEnd(18)}${where}`).join('\n')}\n`);
}
