import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from './broker-process.ts';
import { connected, MONGOS, serverProcess, startReplicaSet } from './mongod.ts';

/** A sharded cluster of our own: a config server, two shards, and the program that stands before them. */
export interface Cluster extends AsyncDisposable {
  /** Without a database. */
  readonly url: string;
  /** Shards the collections of a database as docs/stores.md says, with parts of entities on both shards. @param middle a key of entities: what is behind it lies on the second */
  shard(database: string, middle: string): Promise<void>;
  /** On how many shards a collection has documents. */
  shardsOf(database: string, collection: string): Promise<number>;
}

/** @param folder where its data are put, in a folder of their own */
export async function startCluster(folder: string = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()): Promise<Cluster> {
  const logs = mkdtempSync(join(folder, 'mizar-mongos-'));
  const config = await startReplicaSet(1, folder, { name: 'config', options: ['--configsvr'] });
  const shards = await Promise.all(['one', 'two'].map((name) => startReplicaSet(1, folder, { name, options: ['--shardsvr'] })));
  const [port] = (await freePorts(1)) as [number];
  const address = `127.0.0.1:${port}`;
  const configured = `config/${config.members.map((member) => member.address).join(',')}`;
  const options = ['--configdb', configured, '--logpath', join(logs, 'log')];
  const router = serverProcess(MONGOS as string, address, options);
  router.spawn();
  const client = await connected(address);
  const admin = client.db('admin');
  for (const [at, { members }] of shards.entries()) {
    await admin.command({ addShard: `${['one', 'two'][at]}/${members.map((member) => member.address).join(',')}` });
  }
  return {
    url: `mongodb://${address}/`,
    async shard(database, middle) {
      await admin.command({ enableSharding: database });
      await admin.command({ movePrimary: database, to: 'one' });
      await admin.command({ shardCollection: `${database}.entities`, key: { _id: 1 } });
      await admin.command({ shardCollection: `${database}.history`, key: { k: 1, _id: 1 } });
      await admin.command({ shardCollection: `${database}.changes`, key: { _id: 'hashed' } });
      await admin.command({ split: `${database}.entities`, middle: { _id: middle } });
      await admin.command({ moveChunk: `${database}.entities`, find: { _id: middle }, to: 'two' });
      await admin.command({ split: `${database}.history`, middle: { k: 2, _id: 0 } });
      await admin.command({ moveChunk: `${database}.history`, find: { k: 2, _id: 0 }, to: 'two' });
    },
    async shardsOf(database, collection) {
      const stats = await client.db(database).command({ collStats: collection });
      return Object.values(stats['shards'] as Record<string, { readonly count: number }>).filter(({ count }) => count > 0)
        .length;
    },
    async [Symbol.asyncDispose]() {
      await client.close();
      await router.kill();
      for (const set of [...shards, config]) await set[Symbol.asyncDispose]();
      rmSync(logs, { recursive: true, force: true });
    },
  };
}
