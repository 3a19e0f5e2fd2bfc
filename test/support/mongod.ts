import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Document, MongoClient } from 'mongodb';
import { freePorts } from './broker-process.ts';

/** The program of a MongoDB server, for tests that end it and start it again; undefined: there is none. */
export const MONGOD = process.env['MIZAR_TEST_MONGOD'] || undefined;

/** The program that stands before the shards of a cluster, which lies beside the server's; undefined: there is none. */
export const MONGOS = [MONGOD && join(dirname(MONGOD), 'mongos')].find((file) => file && existsSync(file));

/** A server process that a test may end and start again. */
export interface ServerProcess {
  readonly address: string;
  /** SIGKILL: no chance to finish anything. */
  kill(): Promise<void>;
  /** Lets it do nothing, and answer nothing, until {@link thaw}. */
  freeze(): void;
  thaw(): void;
  /** Starts it again on the same data. Resolves at once. */
  spawn(): void;
}

/** A process that is not running yet. */
export function serverProcess(program: string, address: string, options: readonly string[]): ServerProcess {
  const [host, port] = address.split(':') as [string, string];
  let child: ChildProcess | undefined;
  return {
    address,
    spawn() {
      child = spawn(program, [...options, '--port', port, '--bind_ip', host, '--quiet'], { stdio: 'ignore' });
    },
    async kill() {
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit;
    },
    freeze: () => child?.kill('SIGSTOP'),
    thaw: () => child?.kill('SIGCONT'),
  };
}

/** A MongoDB server of our own, a replica set of one. */
export interface Mongod extends AsyncDisposable, Omit<ServerProcess, 'spawn'> {
  /** Without a database. */
  readonly url: string;
  /** Starts it again on the same data. Resolves when it takes writes. */
  start(): Promise<void>;
}

/** A replica set of our own. */
export interface ReplicaSet extends AsyncDisposable {
  /** Without a database. */
  readonly url: string;
  readonly members: readonly ServerProcess[];
  /** The member that takes writes. Resolves when there is one. */
  primary(): Promise<ServerProcess>;
  /** The primary hands over to another member. */
  stepDown(): Promise<void>;
}

/** Members that hear of each other's end soon: a test need not wait as long as a city may. */
const SETTINGS = { electionTimeoutMillis: 1_000, heartbeatIntervalMillis: 250 };

/**
 * @param size members
 * @param folder where their data are put, in a folder of their own
 */
export async function startReplicaSet(
  size: number,
  folder: string = tmpdir(),
  { name = 'test', options = [] }: { readonly name?: string; readonly options?: readonly string[] } = {},
): Promise<ReplicaSet> {
  const data = mkdtempSync(join(folder, 'mizar-mongod-'));
  const ports = await freePorts(size);
  const small = ['--replSet', name, '--wiredTigerCacheSizeGB', '0.25', '--oplogSize', '64', ...options];
  const members = ports.map((port, at) =>
    serverProcess(MONGOD as string, `127.0.0.1:${port}`, ['--dbpath', mkdtempSync(join(data, `${at}-`)), ...small]),
  );
  for (const member of members) member.spawn();
  const hosts = members.map(({ address }, _id) => ({ _id, host: address }));
  const clients = await Promise.all(hosts.map(({ host }) => connected(host)));
  await clients[0]?.db('admin').command({ replSetInitiate: { _id: name, members: hosts, settings: SETTINGS } });
  for (const client of clients) await client.close();
  const primary = async (): Promise<ServerProcess> => {
    for (;;) {
      for (const member of members) {
        const { ismaster, isWritablePrimary } = await hello(member.address).catch((): Document => ({}));
        if (ismaster === true || isWritablePrimary === true) return member;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await primary();
  return {
    url: `mongodb://${members.map(({ address }) => address).join(',')}/?replicaSet=${name}`,
    members,
    primary,
    async stepDown() {
      const client = await connected((await primary()).address);
      // It closes its connections before 4.2, the one that asked included.
      await client
        .db('admin')
        .command({ replSetStepDown: 5, secondaryCatchUpPeriodSecs: 2 })
        .catch(() => {});
      await client.close();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(members.map((member) => member.kill()));
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/** @param folder where its data are put, in a folder of their own */
export async function startMongod(folder: string = tmpdir()): Promise<Mongod> {
  const set = await startReplicaSet(1, folder);
  const [member] = set.members as [ServerProcess];
  return {
    ...member,
    url: set.url,
    async start() {
      member.spawn();
      await set.primary();
    },
    [Symbol.asyncDispose]: () => set[Symbol.asyncDispose](),
  };
}

/** A client of this one server, which it may have to wait for. */
export function connected(address: string, waitMs = 30_000): Promise<MongoClient> {
  const options = { serverSelectionTimeoutMS: waitMs, connectTimeoutMS: 1_000, socketTimeoutMS: 10_000 };
  return new MongoClient(`mongodb://${address}/?directConnection=true`, options).connect();
}

async function hello(address: string): Promise<Document> {
  const client = await connected(address, 1_000);
  try {
    return await client.db('admin').command({ isMaster: 1 });
  } finally {
    await client.close();
  }
}
