import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';

/** A broker in a process of its own, as a city runs it. */
export interface BrokerProcess {
  readonly url: string;
  readonly mqttUrl: string;
  readonly child: ChildProcess;
  /** What it printed so far. */
  output(): string;
  /** SIGKILL: no chance to finish anything. */
  kill(): Promise<void>;
  /** SIGTERM, and waits until it has drained. @returns the exit code */
  terminate(): Promise<number | null>;
}

export interface BrokerProcessOptions {
  readonly dataDir: string;
  readonly httpPort: number;
  readonly mqttPort: number;
  /** Further settings. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Put in front of the command, for example to pin it to a core. */
  readonly prefix?: readonly string[];
  readonly timeoutMs?: number;
}

const MAIN = join(import.meta.dirname, '../../broker/mizar.js');

/** Starts a broker and resolves when it answers /ready. @throws Error with its output if it ends or does not become ready */
export async function startBrokerProcess(options: BrokerProcessOptions): Promise<BrokerProcess> {
  const [command, ...args] = [...(options.prefix ?? []), process.execPath, MAIN];
  const child = spawn(command!, args, {
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      MIZAR_HTTP_PORT: String(options.httpPort),
      MIZAR_MQTT_PORT: String(options.mqttPort),
      MIZAR_DATA_DIR: options.dataDir,
      MIZAR_LOG_LEVEL: 'warn',
      ...options.environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    printed = (printed + chunk.toString()).slice(-20_000);
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    printed = (printed + chunk.toString()).slice(-20_000);
  });
  let ended = false;
  child.once('exit', () => {
    ended = true;
  });
  const url = `http://127.0.0.1:${options.httpPort}`;
  const until = Date.now() + (options.timeoutMs ?? 20_000);
  for (;;) {
    if (ended) throw new Error(`the broker ended with ${child.exitCode}:\n${printed}`);
    if (Date.now() > until) {
      child.kill('SIGKILL');
      throw new Error(`the broker was not ready in time:\n${printed}`);
    }
    const ready = await fetch(`${url}/ready`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (ready) break;
    await new Promise((wake) => setTimeout(wake, 15));
  }
  return {
    url,
    mqttUrl: `mqtt://127.0.0.1:${options.mqttPort}`,
    child,
    output: () => printed,
    async kill() {
      if (ended) return;
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit;
    },
    async terminate() {
      if (ended) return child.exitCode;
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      await exit;
      return child.exitCode;
    },
  };
}

/** Ports that are free now. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}
