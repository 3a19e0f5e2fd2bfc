import type { Config } from './config.ts';
import { databaseFile } from './foundations.ts';
import type { Clock } from './ports/clock.ts';
import type { IndexDirectory } from './stores/sqlite/index-directory.ts';
import type { ReaderReport } from './stores/sqlite/sqlite-reader.ts';
import type { Store } from './stores/store.ts';
import { newId, rememberedId } from './upkeep.ts';

/** A store, and what only one kind of them has. */
export interface OpenStore extends Store {
  /** Indexes that queries have asked for, for operators. */
  readonly indexes: IndexDirectory;
  /** What another process that reads the same database has found out. */
  heard(told: ReaderReport): void;
}

/** Opens the store that the configuration names. @throws Error with one line saying why it cannot be used */
export async function openStore(config: Config, clock: Clock): Promise<OpenStore> {
  const common = { clock, maxWaitingWrites: config.waitingWrites, cacheBytes: config.cacheBytes };
  if (config.store === '') {
    const { openSqliteStore } = await import('./stores/sqlite/sqlite-store.ts');
    return openSqliteStore({
      ...common,
      file: databaseFile(config),
      shared: config.processes > 1,
      transactionWrites: config.commitWrites,
      indexes: { limit: config.indexes, pinned: config.indexesPinned, forbidden: config.indexesForbidden },
    });
  }
  const { openMongoStore } = await import('./stores/mongo/mongo-store.ts');
  const store = await openMongoStore({
    ...common,
    url: config.store,
    waitMs: config.storeWaitMs,
    batchWrites: config.commitWrites,
  });
  // All values are in one index there, whoever asks for them.
  return { ...store, indexes: { list: () => [], ensure: async () => {}, upkeep: () => {} }, heard: () => {} };
}

/** The broker's name, which is kept with its data. @throws Error with one line saying why these cannot be reached */
export async function brokerName(config: Config): Promise<string> {
  if (config.store === '') return rememberedId(config.dataDir);
  const { rememberedIn } = await import('./stores/mongo/remembered.ts');
  return rememberedIn(config.store, config.storeWaitMs, newId());
}

/** Where the data are, for people: without name and password. */
export const shownStore = ({ store, dataDir }: Config): string =>
  store === '' ? dataDir : store.replace(/\/\/[^@/]*@/, '//').replace(/\?.*$/, '');
