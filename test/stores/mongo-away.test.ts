import { describe, expect, it } from 'vitest';
import { openMongoStore } from '../../broker/stores/mongo/mongo-store.ts';
import { inMemoryBroker } from '../support/broker.ts';
import { clock, expectNothingLost, until, writers } from '../support/counting-writers.ts';
import { MONGOD, type Mongod, startMongod } from '../support/mongod.ts';
import { MUST_BE_THERE, urlOf } from '../support/mongodb.ts';

const WAIT_MS = 1_500;

async function during(away: (mongod: Mongod) => Promise<void>): Promise<void> {
  await using mongod = await startMongod();
  const url = urlOf(mongod.url, 'away');
  const store = await openMongoStore({ url, clock, waitMs: WAIT_MS });
  const writing = writers(store, 8);
  for (let round = 0; round < 2; round++) {
    const before = writing.total();
    await until(() => writing.total() > before + 50, 'writing');
    await away(mongod);
    const after = writing.total();
    await until(() => writing.total() > after + 50, 'writing again');
  }
  await writing.stop();
  expect(writing.unexpected).toEqual([]);
  expect(writing.refused()).toBeGreaterThan(0);
  // What waits for an answer of a server that is gone waits until that is found out, and then for its limit.
  expect(writing.longestMs()).toBeLessThan(6 * WAIT_MS);
  await expectNothingLost(store, writing.acknowledged);
  expect(store.ready()).toBe(true);
  await store.close();
  const again = await openMongoStore({ url, clock, waitMs: WAIT_MS });
  await expectNothingLost(again, writing.acknowledged);
  await again.close();
}

describe('a MongoDB that goes away and comes back', () => {
  if (MONGOD === undefined) {
    const reason = 'no mongod: set MIZAR_TEST_MONGOD to the program of a MongoDB server (docs/stores.md)';
    it.skipIf(!MUST_BE_THERE)(`left out: ${reason}`, () => {
      throw new Error(reason);
    });
    return;
  }

  it('loses nothing that was acknowledged when it is killed, and the store goes on by itself', {
    timeout: 120_000,
  }, async () => {
    await during(async (mongod) => {
      await mongod.kill();
      await new Promise((resolve) => setTimeout(resolve, 2 * WAIT_MS));
      await mongod.start();
    });
  });

  it('loses nothing when it does not answer for a while', { timeout: 120_000 }, async () => {
    await during(async (mongod) => {
      mongod.freeze();
      await new Promise((resolve) => setTimeout(resolve, 4 * WAIT_MS));
      mongod.thaw();
    });
  });

  it('requests are answered 503 with Retry-After meanwhile, /health says why, and then they are answered again', {
    timeout: 120_000,
  }, async () => {
    await using mongod = await startMongod();
    const store = urlOf(mongod.url, 'away');
    await using broker = await inMemoryBroker({ config: { store, storeWaitMs: WAIT_MS } });
    const car = (id: string) => ({ id: `urn:ngsi-ld:Car:${id}`, type: 'Car', speed: { type: 'Property', value: 1 } });
    const status = async (method: 'GET' | 'POST', url: string, body?: unknown) => {
      const answer = await broker.request(method, url, body);
      return [answer.statusCode, answer.headers['retry-after'] !== undefined];
    };
    expect(await status('POST', '/ngsi-ld/v1/entities', car('1'))).toEqual([201, false]);
    await mongod.kill();
    expect(await status('POST', '/ngsi-ld/v1/entities', car('2'))).toEqual([503, true]);
    expect(await status('GET', '/ngsi-ld/v1/entities?type=Car')).toEqual([503, true]);
    expect(
      await status('POST', '/ngsi-ld/v1/subscriptions', {
        type: 'Subscription',
        entities: [{ type: 'Car' }],
        notification: { endpoint: { uri: 'http://127.0.0.1:9/' } },
      }),
    ).toEqual([503, true]);
    expect((await broker.request('GET', '/health')).json()).toMatchObject({ checks: { store: { status: 'failing' } } });
    await mongod.start();
    await until(async () => (await status('POST', '/ngsi-ld/v1/entities', car('3')))[0] === 201, 'an answer');
    expect((await broker.request('GET', '/ngsi-ld/v1/entities?type=Car')).json()).toMatchObject([car('1'), car('3')]);
    await until(async () => (await broker.request('GET', '/health')).statusCode === 200, 'health');
  });
});
