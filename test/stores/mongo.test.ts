import { openMongoStore } from '../../broker/stores/mongo/mongo-store.ts';
import { changeFeedContract } from '../contract/change-feed.contract.ts';
import { deliveryStoreContract } from '../contract/delivery-store.contract.ts';
import { documentStoreContract } from '../contract/document-store.contract.ts';
import { entityStoreContract } from '../contract/entity-store.contract.ts';
import { historyStoreContract } from '../contract/history-store.contract.ts';
import { messageStoreContract } from '../contract/message-store.contract.ts';
import { queryContract } from '../contract/query.contract.ts';
import { seriesStoreContract } from '../contract/series-store.contract.ts';
import type { OpenStores } from '../contract/stores.ts';
import { describeWithMongoDb, newDatabase } from '../support/mongodb.ts';
import { testClock } from '../support/writes.ts';

const open: OpenStores = async (settings) => {
  const database = newDatabase();
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

describeWithMongoDb('stores on MongoDB', () => {
  for (const contract of [
    entityStoreContract,
    historyStoreContract,
    seriesStoreContract,
    changeFeedContract,
    documentStoreContract,
    deliveryStoreContract,
    messageStoreContract,
  ]) {
    contract('MongoDB', open);
  }
  // FerretDB takes seconds to make a database.
  queryContract('MongoDB', open, process.env['MIZAR_TEST_FERRETDB'] ? 5 : 40);
});
