/** What the bare MongoDB driver does with the documents that the broker has written. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { here, output } from './harness.ts';
import { pin } from './load.ts';

/** bare-mongo-server.ts on the broker's core. */
export async function startBareMongo(url: string): Promise<{ readonly url: string; stop(): void }> {
  const [command, ...rest] = [...pin(0), process.execPath, here('bare-mongo-server.ts'), url];
  const child = spawn(command as string, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise<string>((resolve) =>
    child.stdout.once('data', (chunk: Buffer) => resolve(String(chunk).trim())),
  );
  return { url: `http://127.0.0.1:${port}`, stop: () => void child.kill() };
}

/**
 * How many changes a second the driver writes of those that a broker has written.
 * @param each how many at a time
 * @param update the entities are there already, and are replaced
 */
export async function bareWrites(url: string, each: number, update: boolean): Promise<number> {
  const asked = { url, target: `mizar-test-${randomUUID().slice(0, 13)}`, each, update };
  return Number(await output([here('bare-mongo-writes.ts'), JSON.stringify(asked)], 0));
}

/** How many instances of history a second the driver writes of those that a broker has written, with the entities and changes that go with them. */
export async function bareInstances(url: string, each: number): Promise<number> {
  const asked = { url, target: `mizar-test-${randomUUID().slice(0, 13)}`, each, update: true, count: 'instances' };
  return Number(await output([here('bare-mongo-writes.ts'), JSON.stringify(asked)], 0));
}
