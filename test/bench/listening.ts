import { spawn } from 'node:child_process';
import { here } from './harness.ts';
import { pin } from './load.ts';

/** What listener.ts has heard. */
export interface Heard {
  readonly received: number;
  readonly repeated: number;
  readonly disordered: number;
  /** The first notification. */
  readonly sample: string;
  /** When the last one came, in milliseconds since 1970. */
  readonly lastMs: number;
  /** From sending a change to hearing of it. */
  readonly p99Ms: number;
}

/** A listener in a process of its own, on the core of the load. */
export interface Listening {
  readonly url: string;
  heard(): Promise<Heard>;
  forget(): Promise<void>;
  /** @throws Error if fewer have come in time */
  until(count: number, seconds: number): Promise<Heard>;
  stop(): void;
}

export async function listening(): Promise<Listening> {
  const [command, ...rest] = [...pin(1), process.execPath, here('listener.ts')];
  const child = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise<string>((resolve) =>
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim())),
  );
  const url = `http://127.0.0.1:${port}/`;
  const heard = async () => (await (await fetch(url)).json()) as Heard;
  return {
    url,
    heard,
    forget: async () => void (await (await fetch(url, { method: 'DELETE' })).arrayBuffer()),
    async until(count, seconds) {
      const end = Date.now() + seconds * 1000;
      for (;;) {
        const now = await heard();
        if (now.received >= count) return now;
        if (Date.now() > end) throw new Error(`only ${now.received} of ${count} notifications came`);
        await new Promise((wake) => setTimeout(wake, 20));
      }
    },
    stop: () => void child.kill(),
  };
}
