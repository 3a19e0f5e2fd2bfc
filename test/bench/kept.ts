import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openMongoStore } from '../../broker/stores/mongo/mongo-store.ts';
import type { Store } from '../../broker/stores/store.ts';
import { systemClock } from '../../broker/stores/system-clock.ts';
import { MONGODB, newDatabase } from '../support/mongodb-url.ts';
import { openFolder } from './fill.ts';
import { option } from './row.ts';

/** `--store mongodb`: the rows are measured on the MongoDB that MIZAR_TEST_MONGODB names, against the bare driver. */
export const ON_MONGODB = option('store') === 'mongodb';
if (ON_MONGODB && MONGODB === undefined) throw new Error('MIZAR_TEST_MONGODB must name a MongoDB (docs/stores.md)');

/** What reads and writes must reach of what the bare driver does with the same documents. */
export const OF_DRIVER = { reads: 0.6, writes: 0.5 } as const;

/** Where a broker of this run keeps its data: a data folder, and perhaps a database. */
export interface Kept {
  readonly dataDir: string;
  /** Settings of a broker that uses it. */
  readonly environment: Readonly<Record<string, string>>;
  /** The database; undefined: all is in the data folder. */
  readonly url: string | undefined;
}

/** Somewhere new, which is gone afterwards. */
export async function withKept<T>(work: (kept: Kept) => Promise<T>): Promise<T> {
  const dataDir = mkdtempSync(join(tmpdir(), 'mizar-bench-'));
  try {
    if (!ON_MONGODB) return await work({ dataDir, environment: {}, url: undefined });
    await using database = newDatabase();
    return await work({ dataDir, environment: { MIZAR_STORE: database.url }, url: database.url });
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Opens the store, as a broker would. */
export async function openKept({ dataDir, url }: Kept): Promise<Store & { readonly clock: ReturnType<typeof systemClock> }> {
  if (url === undefined) return openFolder(dataDir);
  const clock = systemClock('bench');
  return { ...(await openMongoStore({ url, clock, cacheBytes: 8 * 1024 * 1024 })), clock };
}
