import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { entityStoreContract } from '../contract/entity-store.contract.ts';
import type { OpenStores } from '../contract/stores.ts';
import { testClock } from '../support/writes.ts';

const inMemory: OpenStores = async (settings) => {
  const clock = testClock();
  const store = openSqliteStore({ file: ':memory:', clock, ...settings });
  return { ...store, clock, [Symbol.asyncDispose]: () => store.close() };
};

const onFile: OpenStores = async (settings) => {
  const directory = await mkdtemp(join(tmpdir(), 'mizar-'));
  const clock = testClock();
  const store = openSqliteStore({ file: join(directory, 'mizar.db'), clock, ...settings });
  return {
    ...store,
    clock,
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
};

entityStoreContract('SQLite in memory', inMemory);
entityStoreContract('SQLite on a file', onFile);
