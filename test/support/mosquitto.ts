import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from './broker-process.ts';

const program = ['mosquitto', '/usr/sbin/mosquitto'].find((path) => spawnSync(path, ['-h']).error === undefined);
if (program === undefined && process.env['MIZAR_TEST_ALL_SERVERS'])
  throw new Error('mosquitto is missing, and this run must leave nothing out');

/** @param what is left out without it, for whoever reads the output of the run */
export function hasMosquitto(what: string): boolean {
  if (program === undefined) console.log(`left out: ${what}, which need mosquitto (Debian: apt-get install mosquitto)`);
  return program !== undefined;
}

export interface Mosquitto {
  readonly port: number;
  /** Ends it at once, as a crash would. */
  stop(): Promise<void>;
}

/** A Mosquitto of its own on this machine. @param lines more of its configuration; @param port the same again, for one that comes back */
export async function startMosquitto(lines: readonly string[] = [], port?: number): Promise<Mosquitto> {
  const listening = port ?? ((await freePorts(1)) as [number])[0];
  const folder = mkdtempSync(join(tmpdir(), 'mizar-mosquitto-'));
  const file = join(folder, 'mosquitto.conf');
  const own = [`listener ${listening} 127.0.0.1`, 'allow_anonymous true', ...(process.getuid?.() === 0 ? ['user root'] : [])];
  writeFileSync(file, [...own, ...lines, ''].join('\n'));
  const child = spawn(program as string, ['-c', file], { stdio: 'ignore' });
  const until = Date.now() + 10_000;
  while (!(await reachable(listening))) {
    if (Date.now() > until) throw new Error('mosquitto does not listen');
    await new Promise((wake) => setTimeout(wake, 20));
  }
  return {
    port: listening,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function reachable(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
