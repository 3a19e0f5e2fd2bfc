import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { changeFeedContract } from '../contract/change-feed.contract.ts';
import { deliveryStoreContract } from '../contract/delivery-store.contract.ts';
import { documentStoreContract } from '../contract/document-store.contract.ts';
import { entityStoreContract } from '../contract/entity-store.contract.ts';
import { historyStoreContract } from '../contract/history-store.contract.ts';
import { messageStoreContract } from '../contract/message-store.contract.ts';
import { seriesStoreContract } from '../contract/series-store.contract.ts';
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

for (const contract of [
  entityStoreContract,
  historyStoreContract,
  seriesStoreContract,
  changeFeedContract,
  documentStoreContract,
  deliveryStoreContract,
  messageStoreContract,
]) {
  contract('SQLite in memory', inMemory);
  contract('SQLite on a file', onFile);
}
