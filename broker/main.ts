/** With this argument the program is a process that serves beside the primary (processes/supervisor.ts). */
const SERVER_ARGUMENT = '--server-process';

import { ConfigError, readConfig, SETTINGS } from './config.ts';

if (process.argv.includes('--help') || process.argv.includes('-h')) {
  console.log('Usage: npm start\n\nSettings are environment variables, or the same in lower camel case in ./mizar.json:\n');
  for (const setting of Object.values(SETTINGS)) {
    console.log(`  ${setting.variable.padEnd(32)} ${setting.about} (default: ${String(setting.fallback) || 'empty'})`);
  }
  process.exit(0);
}

const [, , command] = process.argv;
if (command === 'export' || command === 'import') {
  const { runTransfer } = await import('./transfer/program.ts');
  process.exitCode = await runTransfer(command, process.argv.slice(3), readConfig());
} else if (process.argv.includes(SERVER_ARGUMENT)) {
  const { runServerProcess } = await import('./processes/server-main.ts');
  runServerProcess();
} else {
  await runBroker();
}

async function runBroker(): Promise<void> {
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
}
