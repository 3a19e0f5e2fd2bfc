import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { pin } from './load.ts';

/** bare-server.ts on the broker's core: the limit that this machine sets. */
export interface BareServer {
  readonly url: string;
  /** What it answers to every GET from now on. */
  send(bytes: Buffer, type: string): Promise<void>;
  stop(): void;
}

export async function startBareServer(): Promise<BareServer> {
  const [command, ...rest] = [...pin(0), process.execPath, join(import.meta.dirname, 'bare-server.ts')];
  const child = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise<string>((resolve) =>
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim())),
  );
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    async send(bytes, type) {
      await fetch(`${url}/bytes`, { method: 'PUT', body: new Uint8Array(bytes), headers: { 'content-type': type } });
    },
    stop: () => void child.kill(),
  };
}
