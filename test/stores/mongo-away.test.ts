import { describe, expect, it } from 'vitest';
import type { DomainError } from '../../broker/domain/errors.ts';
import { DEFAULT_TENANT, type Iri } from '../../broker/domain/iri.ts';
import { openMongoStore } from '../../broker/stores/mongo/mongo-store.ts';
import type { Store } from '../../broker/stores/store.ts';
import { systemClock } from '../../broker/stores/system-clock.ts';
import { inMemoryBroker } from '../support/broker.ts';
import { MONGOD, type Mongod, startMongod } from '../support/mongod.ts';
import { MUST_BE_THERE, urlOf } from '../support/mongodb.ts';
import { creation, iri, property, setting, urn } from '../support/writes.ts';

const CAR = iri('Car');
const SPEED = iri('speed');
const WAIT_MS = 1_500;
const clock = systemClock('test');

/** Writers that count up, each in an entity of its own, and remember what was acknowledged. */
function writers(store: Store, count: number) {
  const acknowledged = new Map<Iri, number[]>();
  const unexpected: unknown[] = [];
  let refused = 0;
  let longestMs = 0;
  let stopped = false;
  const write = async (id: Iri): Promise<void> => {
    const done: number[] = [];
    acknowledged.set(id, done);
    for (let n = 1; !stopped; n++) {
      const began = Date.now();
      try {
        const write =
          done.length === 0 ? creation(clock, id, [CAR], { [SPEED]: [property(n)] }) : setting(clock, id, SPEED, property(n));
        const [outcome] = await store.entities.commit([write]);
        if (outcome?.kind === 'committed') done.push(n);
        // It was created by a write that was not acknowledged.
        else if (done.length === 0) done.push(0);
      } catch (error) {
        if ((error as DomainError).type !== 'Unavailable') unexpected.push(error);
        refused++;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      longestMs = Math.max(longestMs, Date.now() - began);
    }
  };
  const all = Array.from({ length: count }, (_, n) => write(urn(`car:${n}`)));
  return {
    acknowledged,
    total: () => [...acknowledged.values()].reduce((sum, { length }) => sum + length, 0),
    unexpected,
    refused: () => refused,
    longestMs: () => longestMs,
    async stop() {
      stopped = true;
      await Promise.all(all);
    },
  };
}

/** Everything that was acknowledged is in the history once and in order, is current or was replaced by something newer, and was told. */
async function expectNothingLost(store: Store, acknowledged: ReadonlyMap<Iri, readonly number[]>): Promise<void> {
  const told = new Map<Iri, number[]>();
  for (let after = 0; ; ) {
    const changes = await store.feed.read(after, 1_000);
    if (changes.length === 0) break;
    for (const { id, entity, position } of changes) {
      expect(position).toBeGreaterThan(after);
      after = position;
      told.set(id, [...(told.get(id) ?? []), numberIn(entity.attributes[SPEED]?.[0])]);
    }
  }
  for (const [id, all] of acknowledged) {
    const numbers = all.filter((n) => n > 0);
    const selection = { filter: { property: 'modifiedAt' }, limitPerAttribute: 1_000_000 } as const;
    const evolution = await store.history.evolution(DEFAULT_TENANT, id, selection);
    const stored = (evolution?.attributes[SPEED] ?? []).map(numberIn);
    expect(numbers.filter((n) => !stored.includes(n))).toEqual([]);
    expect(stored).toEqual([...new Set(stored)].sort((a, b) => a - b));
    expect(told.get(id)).toEqual(stored);
    const current = await store.entities.get(DEFAULT_TENANT, id);
    expect(numberIn(current?.entity.attributes[SPEED]?.[0])).toBe(stored.at(-1));
  }
}

const numberIn = (instance: unknown): number => Number((instance as { readonly value?: unknown } | undefined)?.value);

async function until(condition: () => boolean | Promise<boolean>, what: string, ms = 30_000): Promise<void> {
  for (const end = Date.now() + ms; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`${what} did not come to be in time`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

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
