import { describe, expect, it } from 'vitest';
import { openMongoStore } from '../../broker/stores/mongo/mongo-store.ts';
import { inMemoryBroker } from '../support/broker.ts';
import { clock, expectNothingLost, until, writers } from '../support/counting-writers.ts';
import { MONGOD, type ReplicaSet, type ServerProcess, startReplicaSet } from '../support/mongod.ts';
import { MUST_BE_THERE, urlOf } from '../support/mongodb.ts';

const WAIT_MS = 5_000;

/** Writers write while something happens to the members; what was acknowledged is there afterwards, also for a broker that is started anew. */
async function during(rounds: number, happens: (set: ReplicaSet) => Promise<void>): Promise<void> {
  await using set = await startReplicaSet(3);
  const url = urlOf(set.url, 'failover');
  const store = await openMongoStore({ url, clock, waitMs: WAIT_MS });
  const writing = writers(store, 8);
  for (let round = 0; round < rounds; round++) {
    const before = writing.total();
    await until(() => writing.total() > before + 50, 'writing', 60_000);
    await happens(set);
    const after = writing.total();
    await until(() => writing.total() > after + 50, 'writing again', 60_000);
  }
  await writing.stop();
  expect(writing.unexpected).toEqual([]);
  // What waits for an answer of a server that is gone waits until that is found out, and then for its limit.
  expect(writing.longestMs()).toBeLessThan(6 * WAIT_MS);
  await expectNothingLost(store, writing.acknowledged);
  await until(() => store.ready(), 'readiness');
  await store.close();
  const again = await openMongoStore({ url, clock, waitMs: WAIT_MS });
  await expectNothingLost(again, writing.acknowledged);
  await again.close();
}

describe('a replica set of three', () => {
  if (MONGOD === undefined) {
    const reason = 'no mongod: set MIZAR_TEST_MONGOD to the program of a MongoDB server (docs/stores.md)';
    it.skipIf(!MUST_BE_THERE)(`left out: ${reason}`, () => {
      throw new Error(reason);
    });
    return;
  }

  it('loses nothing that was acknowledged when its primary hands over to another member', { timeout: 180_000 }, () =>
    during(2, async (set) => {
      const before = await set.primary();
      await set.stepDown();
      await until(async () => (await set.primary()) !== before, 'another primary');
    }),
  );

  it('loses nothing when its primary is killed, another takes over, and the first comes back', { timeout: 180_000 }, () =>
    during(2, async (set) => {
      const killed = await set.primary();
      await killed.kill();
      expect(await set.primary()).not.toBe(killed);
      killed.spawn();
    }),
  );

  it(
    'loses nothing when its primary is cut off, another takes over, and the first hears of it later',
    {
      timeout: 180_000,
    },
    () =>
      during(2, async (set) => {
        const frozen = await set.primary();
        frozen.freeze();
        const next = await set.primary();
        expect(next).not.toBe(frozen);
        // It believes that it is the primary until it hears otherwise, and may carry out what was sent to it.
        frozen.thaw();
        await until(async () => (await set.primary()) !== frozen, 'one primary');
      }),
  );

  it('answers 503 with Retry-After while there is no majority, and goes on by itself when there is one', {
    timeout: 180_000,
  }, async () => {
    await using set = await startReplicaSet(3);
    const config = { store: urlOf(set.url, 'failover'), storeWaitMs: 1_500 };
    await using broker = await inMemoryBroker({ config });
    const car = (id: string) => ({ id: `urn:ngsi-ld:Car:${id}`, type: 'Car', speed: { type: 'Property', value: 1 } });
    const create = async (id: string) => {
      const answer = await broker.request('POST', '/ngsi-ld/v1/entities', car(id));
      return [answer.statusCode, answer.headers['retry-after'] !== undefined];
    };
    expect(await create('1')).toEqual([201, false]);
    const primary = await set.primary();
    const killed = [primary, set.members.find((member) => member !== primary) as ServerProcess];
    for (const member of killed) await member.kill();
    expect(await create('2')).toEqual([503, true]);
    for (const member of killed) member.spawn();
    await until(async () => (await create('3'))[0] === 201, 'an answer', 60_000);
    const answer = await broker.request('GET', '/ngsi-ld/v1/entities?type=Car');
    expect(answer.json()).toEqual(
      expect.arrayContaining([expect.objectContaining(car('1')), expect.objectContaining(car('3'))]),
    );
  });
});
