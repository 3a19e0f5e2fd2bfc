import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from './broker-process.ts';

const found = (names: readonly string[]) => names.find((path) => spawnSync(path, ['-h']).error === undefined);
const MOSQUITTO = found(['mosquitto', '/usr/sbin/mosquitto']);
const CONTROL = found(['mosquitto_ctrl']);
const PLUGIN = [
  '/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so',
  '/usr/lib/aarch64-linux-gnu/mosquitto_dynamic_security.so',
  '/usr/lib/mosquitto_dynamic_security.so',
].find((path) => existsSync(path));

/** Whether Mosquitto and its dynamic-security plugin are on this machine. */
export const hasDynamicSecurity = MOSQUITTO !== undefined && CONTROL !== undefined && PLUGIN !== undefined;

export interface Mosquitto extends AsyncDisposable {
  /** With the credentials of the plugin's administrator. */
  readonly url: string;
  /** Without credentials. */
  readonly openUrl: string;
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** A Mosquitto whose clients, roles and access lists come from its dynamic-security plugin. */
export async function mosquittoWithDynamicSecurity(): Promise<Mosquitto> {
  const folder = mkdtempSync(join(tmpdir(), 'mizar-mosquitto-'));
  const [port = 0] = await freePorts(1);
  const security = join(folder, 'dynamic-security.json');
  execFileSync(CONTROL as string, ['dynsec', 'init', security, 'admin', 'secret']);
  const root = process.getuid?.() === 0 ? 'user root\n' : '';
  const file = join(folder, 'mosquitto.conf');
  writeFileSync(
    file,
    `listener ${port} 127.0.0.1\nallow_anonymous false\nmax_queued_messages 0\n${root}plugin ${PLUGIN}\nplugin_opt_config_file ${security}\n`,
  );
  let child: ChildProcess | undefined;
  const mosquitto: Mosquitto = {
    url: `mqtt://admin:secret@127.0.0.1:${port}`,
    openUrl: `mqtt://127.0.0.1:${port}`,
    async start() {
      child = spawn(MOSQUITTO as string, ['-c', file], { stdio: 'ignore' });
      const until = Date.now() + 5000;
      while (!(await listens(port))) {
        if (Date.now() > until) throw new Error('mosquitto does not listen');
        await new Promise((wake) => setTimeout(wake, 20));
      }
    },
    async stop() {
      if (child === undefined || child.exitCode !== null) return;
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      await exit;
    },
    async [Symbol.asyncDispose]() {
      await mosquitto.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await mosquitto.start();
  return mosquitto;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
