import { describe, expect, it } from 'vitest';
import { DEFAULT_TENANT } from '../../broker/domain/iri.ts';
import { openSqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { queryContract } from '../contract/query.contract.ts';
import { creation, iri, testClock, urn } from '../support/writes.ts';

queryContract(
  'SQLite',
  async () => {
    const clock = testClock();
    const store = openSqliteStore({ file: ':memory:', clock, cacheBytes: 20_000 });
    return { ...store, clock, [Symbol.asyncDispose]: () => store.close() };
  },
  150,
);

describe('queries on SQLite', () => {
  it('let others have their turn while they look at many entities', async () => {
    const clock = testClock();
    const store = openSqliteStore({ file: ':memory:', clock, cacheBytes: 20_000 });
    const many = Array.from({ length: 10_000 }, (_, n) =>
      creation(clock, urn(`e${n}`), [iri('Car')], { [iri('speed')]: [{ type: 'Property', value: n }] }),
    );
    await store.entities.commit(many);
    let turns = 0;
    let done = false;
    const others = (async () => {
      while (!done) {
        await new Promise((resolve) => setImmediate(resolve));
        turns++;
      }
    })();
    const where = {
      kind: 'compare',
      path: { names: [iri('speed')] },
      operator: '<',
      value: { kind: 'literal', value: 0 },
    } as const;
    const page = await store.entities.query(DEFAULT_TENANT, { where }, { limit: 1, count: true });
    done = true;
    await others;
    expect([page.count, page.entities]).toEqual([0, []]);
    expect(turns).toBeGreaterThan(3);
    await store.close();
  });
});
