import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** An adapter process, as it runs next to its devices. */
export interface AdapterProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  output(): string;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGTERM, and waits. @returns the exit code */
  terminate(): Promise<number | null>;
}

const MAIN = join(import.meta.dirname, '../../adapters/main.ts');

export function startAdapterProcess(
  environment: { readonly broker: string; readonly name: string; readonly token: string; readonly dataDir: string } & Readonly<
    Record<string, string>
  >,
): AdapterProcess {
  const { broker, name, token, dataDir, ...more } = environment;
  const child = spawn(process.execPath, [MAIN], {
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      MIZAR_ADAPTER_BROKER: broker,
      MIZAR_ADAPTER_NAME: name,
      MIZAR_ADAPTER_TOKEN: token,
      MIZAR_ADAPTER_DATA_DIR: dataDir,
      ...more,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      printed = (printed + chunk.toString()).slice(-20_000);
    });
  }
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const exit = once(child, 'exit');
    child.kill(signal);
    await exit;
    return child.exitCode;
  };
  return {
    child,
    output: () => printed,
    kill: async () => void (await end('SIGKILL')),
    terminate: () => end('SIGTERM'),
    [Symbol.asyncDispose]: async () => void (await end('SIGKILL')),
  };
}
