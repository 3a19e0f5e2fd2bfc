import pino from 'pino';
import { runAdapterProcess } from './process.ts';
import { readProcessConfig, VARIABLES } from './process-config.ts';

/** `npm run adapter`: an adapter process, next to its devices. */
if (process.argv.includes('--help')) {
  for (const [name, fallback, about] of VARIABLES)
    console.log(`${name}\n    ${about}${fallback === '' ? '' : ` [${fallback}]`}`);
  process.exit(0);
}

let config: ReturnType<typeof readProcessConfig>;
try {
  config = readProcessConfig(process.env);
} catch (error) {
  console.error((error as Error).message);
  process.exit(2);
}
const logger = pino({ level: config.info ? 'info' : 'warn', base: null, timestamp: pino.stdTimeFunctions.isoTime });
const running = await runAdapterProcess(config, (level, message, details) => logger[level](details ?? {}, message));
logger.info({ broker: config.brokerUrl, name: config.name, dataDir: config.dataDir }, 'adapter process runs');
let ending = false;
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (ending) return;
    ending = true;
    void running.stop().then(() => process.exit(0));
  });
}
