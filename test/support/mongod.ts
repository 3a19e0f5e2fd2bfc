import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { freePorts } from './broker-process.ts';

/** The program of a MongoDB server, for tests that end it and start it again; undefined: there is none. */
export const MONGOD = process.env['MIZAR_TEST_MONGOD'] || undefined;

/** A MongoDB server of our own, a replica set of one. */
export interface Mongod extends AsyncDisposable {
  /** Without a database. */
  readonly url: string;
  /** SIGKILL: no chance to finish anything. */
  kill(): Promise<void>;
  /** Lets it do nothing, and answer nothing, until {@link thaw}. */
  freeze(): void;
  thaw(): void;
  /** Starts it again on the same data. Resolves when it takes writes. */
  start(): Promise<void>;
}

/** @param folder where its data are put, in a folder of their own */
export async function startMongod(folder: string = tmpdir()): Promise<Mongod> {
  const data = mkdtempSync(join(folder, 'mizar-mongod-'));
  const [port] = (await freePorts(1)) as [number];
  const address = `127.0.0.1:${port}`;
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    const options = ['--dbpath', data, '--port', String(port), '--bind_ip', '127.0.0.1', '--replSet', 'test'];
    const small = ['--wiredTigerCacheSizeGB', '0.25', '--oplogSize', '64', '--quiet'];
    child = spawn(MONGOD as string, [...options, ...small], { stdio: 'ignore' });
    const client = new MongoClient(`mongodb://${address}/?directConnection=true`, { serverSelectionTimeoutMS: 30_000 });
    await client.connect();
    const admin = client.db('admin');
    const config = { _id: 'test', members: [{ _id: 0, host: address }] };
    await admin.command({ replSetInitiate: config }).catch(() => {});
    for (;;) {
      const { ismaster, isWritablePrimary } = await admin.command({ isMaster: 1 });
      if (ismaster === true || isWritablePrimary === true) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await client.close();
  };
  const kill = async (): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  };
  await start();
  return {
    url: `mongodb://${address}/?replicaSet=test`,
    kill,
    freeze: () => child?.kill('SIGSTOP'),
    thaw: () => child?.kill('SIGCONT'),
    start,
    async [Symbol.asyncDispose]() {
      await kill();
      rmSync(data, { recursive: true, force: true });
    },
  };
}
