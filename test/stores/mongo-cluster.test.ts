import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { DEFAULT_TENANT } from '../../broker/domain/iri.ts';
import { openMongoStore } from '../../broker/stores/mongo/mongo-store.ts';
import { changeFeedContract } from '../contract/change-feed.contract.ts';
import { queryContract } from '../contract/query.contract.ts';
import type { OpenStores } from '../contract/stores.ts';
import { type Cluster, startCluster } from '../support/mongo-cluster.ts';
import { MONGOS } from '../support/mongod.ts';
import { MUST_BE_THERE, newDatabase } from '../support/mongodb.ts';
import { creation, iri, property, setting, testClock, urn } from '../support/writes.ts';

describe('a sharded cluster', () => {
  if (MONGOS === undefined) {
    const reason = 'no mongos beside the mongod of MIZAR_TEST_MONGOD (docs/stores.md)';
    it.skipIf(!MUST_BE_THERE)(`left out: ${reason}`, () => {
      throw new Error(reason);
    });
    return;
  }

  // To make a database with its shards takes seconds on a busy machine.
  vi.setConfig({ testTimeout: 120_000 });
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster();
  }, 120_000);
  afterAll(() => cluster?.[Symbol.asyncDispose](), 60_000);

  const open: OpenStores = async (settings) => {
    const database = newDatabase(cluster.url);
    // A key of the default tenant that has entities of the tests on both sides.
    await cluster.shard(database.name, ` ${urn('m')}`);
    const clock = testClock();
    const store = await openMongoStore({ url: database.url, clock, ...settings });
    return {
      ...store,
      clock,
      [Symbol.asyncDispose]: async () => {
        await store.close();
        await database[Symbol.asyncDispose]();
      },
    };
  };

  it('has entities, their history and their changes on both shards, found in order as on one', {
    timeout: 60_000,
  }, async () => {
    const database = newDatabase(cluster.url);
    await cluster.shard(database.name, ` ${urn('m')}`);
    const clock = testClock();
    const store = await openMongoStore({ url: database.url, clock });
    const ids = ['a', 'c', 'k', 'n', 'x', 'z'].map((name) => urn(name));
    await store.entities.commit(ids.map((id) => creation(clock, id, [iri('Car')], { [iri('speed')]: [property(1)] })));
    // Several as one, on both shards.
    await store.entities.commitTogether([urn('a'), urn('z')].map((id) => setting(clock, id, iri('speed'), property(2))));
    for (const collection of ['entities', 'history', 'changes']) {
      expect([collection, await cluster.shardsOf(database.name, collection)]).toEqual([collection, 2]);
    }
    const page = await store.entities.query(DEFAULT_TENANT, {}, { limit: 10, count: true });
    expect([page.count, page.entities.map(({ id }) => id)]).toEqual([6, ids]);
    const told = (await store.feed.read(0, 100)).map(({ id, kind }) => [id, kind]);
    expect(told).toEqual([...ids.map((id) => [id, 'created']), [urn('a'), 'updated'], [urn('z'), 'updated']]);
    await store.close();
    await database[Symbol.asyncDispose]();
  });

  changeFeedContract('a sharded cluster', open);
  queryContract('a sharded cluster', open, 3);
});
