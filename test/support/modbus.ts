import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Fault, Tables } from '../../adapters/simulator/modbus-slave.ts';

/** A Modbus slave that runs as a process of its own. */
export interface SlaveProcess extends AsyncDisposable {
  readonly port: number;
  put(
    table: keyof Tables,
    address: number,
    values: number | boolean | readonly (number | boolean)[],
    unit?: number,
  ): Promise<void>;
  get(table: keyof Tables, address: number, unit?: number): Promise<number | boolean | undefined>;
  /** The next `times` requests (of one unit) meet this. */
  fault(fault: Fault, times?: number, unit?: number): Promise<void>;
  /** Requests since the last call, as "unit:pdu in hexadecimal digits". */
  seen(): Promise<readonly string[]>;
  kill(): Promise<void>;
}

/** Starts a slave. @param where `tcp`, or the path of a serial port */
export async function slaveProcess(where = 'tcp', port = 0): Promise<SlaveProcess> {
  const child = fork(join(import.meta.dirname, 'modbus-slave-process.ts'), [where, String(port)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const [ready] = (await once(child, 'message')) as [{ port: number }];
  let last: Promise<unknown> = Promise.resolve();
  function ask<T>(message: object): Promise<T> {
    const turn = last.then(async () => {
      const answer = once(child, 'message');
      child.send(message);
      return (await answer)[0] as T;
    });
    last = turn;
    return turn;
  }
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  };
  return {
    port: ready.port,
    async put(table, address, values, unit = 1) {
      const list = Array.isArray(values) ? values : [values];
      for (const [at, value] of list.entries()) await ask({ put: [table, unit, address + at, value] });
    },
    get: async (table, address, unit = 1) => (await ask<{ value?: number | boolean }>({ get: [table, unit, address] })).value,
    fault: (fault, times = 1, unit) => ask({ fault, times, ...(unit !== undefined && { unit }) }),
    seen: async () => (await ask<{ seen: readonly string[] }>({ seen: true })).seen,
    kill,
    [Symbol.asyncDispose]: kill,
  };
}

/** Two serial ports joined by a cable. @returns undefined if there is no Python 3 to make them */
export async function ptyPair(): Promise<({ readonly paths: readonly [string, string] } & AsyncDisposable) | undefined> {
  const child: ChildProcess = spawn('python3', [join(import.meta.dirname, 'pty-pair.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const line = await new Promise<string | undefined>((resolve) => {
    let printed = '';
    child.once('error', () => resolve(undefined));
    child.once('exit', () => resolve(undefined));
    child.stdout?.on('data', (chunk: Buffer) => {
      printed += chunk.toString();
      if (printed.includes('\n')) resolve(printed);
    });
  });
  const paths = line?.trim().split(' ');
  if (paths?.length !== 2) return undefined;
  return {
    paths: paths as unknown as [string, string],
    async [Symbol.asyncDispose]() {
      const exit = once(child, 'exit');
      child.stdin?.end('\n');
      await exit;
    },
  };
}
