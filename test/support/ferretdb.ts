import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from './broker-process.ts';
import { connected } from './mongod.ts';

/** What is known not to work on FerretDB v1 with its SQLite back end, printed by every run on it. */
export const MISSING = [
  'places are not found by an index (no 2dsphere): every entity that has the attribute is looked at',
  'values are not found by an index (no $elemMatch with several members): every entity that has the attribute is looked at',
  'an update on a condition is not atomic: of two writers that expect the same version of a document both may win',
  'no replica set: nothing is written to a majority, and there is no failover',
];

/** A FerretDB of our own, on SQLite. @param program see .ci/ferretdb */
export async function startFerretDb(program: string): Promise<AsyncDisposable & { readonly url: string }> {
  const data = mkdtempSync(join(tmpdir(), 'mizar-ferretdb-'));
  const [port] = (await freePorts(1)) as [number];
  const address = `127.0.0.1:${port}`;
  const options = ['--handler=sqlite', `--sqlite-url=file:${data}/`, `--state-dir=${data}`, '--telemetry=disable'];
  const quiet = ['--debug-addr=-', '--log-level=ERROR', `--listen-addr=${address}`];
  const child = spawn(program, [...options, ...quiet], { stdio: 'ignore' });
  await (await connected(address)).close();
  return {
    url: `mongodb://${address}/`,
    async [Symbol.asyncDispose]() {
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      await exit;
      rmSync(data, { recursive: true, force: true });
    },
  };
}
