import { enableCompileCache } from 'node:module';

// The cache of compiled code pays from the second start on; it is written when the process ends in order.
enableCompileCache();

const OLDEST_NODE = 26;
if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
  console.error(
    `Mizar needs Node ${OLDEST_NODE} and found ${process.version}. Start it with "npm start": npm ci brought the right one along.`,
  );
  process.exit(1);
}

// Imported only now, so that an old Node prints the line above instead of a syntax error.
const { ConfigError, readConfig, SETTINGS } = await import('./config.ts');

if (process.argv.includes('--help') || process.argv.includes('-h')) {
  console.log('Usage: npm start\n\nSettings are environment variables, or the same in lower camel case in ./mizar.json:\n');
  for (const setting of Object.values(SETTINGS)) {
    console.log(`  ${setting.variable.padEnd(32)} ${setting.about} (default: ${String(setting.fallback) || 'empty'})`);
  }
  process.exit(0);
}

try {
  const { startBroker } = await import('./start.ts');
  const broker = await startBroker(readConfig());
  let stopping = false;
  const stop = (signal: string) => {
    if (stopping) process.exit(1);
    stopping = true;
    broker.stop(signal).then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
} catch (error) {
  if (error instanceof ConfigError) console.error(`Configuration: ${error.message}`);
  else if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
    console.error(`${error.message}. Is another broker running? MIZAR_HTTP_PORT and MIZAR_MQTT_PORT choose other ports.`);
  } else console.error(error instanceof Error ? (error.stack ?? error.message) : error);
  process.exit(1);
}
