import { randomUUID } from 'node:crypto';
import type { Clock } from '../../ports/clock.ts';
import { AnsweredPages } from '../answered-pages.ts';
import type { Store } from '../store.ts';
import { MongoChangeFeed } from './change-feed.ts';
import type { Collections } from './collections.ts';
import type { Server } from './compile-condition.ts';
import { type Abilities, connect } from './connection.ts';
import { MongoDeliveryStore } from './delivery-store.ts';
import { isDuplicate, MongoDocumentStore } from './document-store.ts';
import { Due } from './due.ts';
import { EntityQueries } from './entity-queries.ts';
import { MongoEntityStore } from './entity-store.ts';
import { InstanceIds } from './history-documents.ts';
import { MongoHistoryStore } from './history-store.ts';
import { Instances } from './instances.ts';
import { Lease } from './lease.ts';
import { MongoMessageStore } from './message-store.ts';
import { Numbers } from './numbers.ts';
import type { Parts } from './parts.ts';
import { Reader } from './reader.ts';
import { RowCache } from './row-cache.ts';
import { Rows } from './rows.ts';
import { prepare } from './schema.ts';
import { MongoSeriesStore } from './series-store.ts';
import { Shapes } from './shapes.ts';
import { sweep } from './sweeper.ts';
import { Tenants } from './tenants.ts';
import { translating } from './unavailable.ts';
import { WriteLoop } from './write-loop.ts';
import { Writer } from './writer.ts';

export interface MongoSettings {
  /** A connection string; the database is the one in its path, else "mizar". */
  readonly url: string;
  readonly clock: Clock;
  /** Writes that may wait for their batch; beyond that new ones are refused (Unavailable). Default 20 000. */
  readonly maxWaitingWrites?: number;
  /** Memory for entities read or written lately. Default 64 MiB. */
  readonly cacheBytes?: number;
  /** Most writes that are written at once, at most 400: more would keep writers waiting longer than they gain. Default 400. */
  readonly batchWrites?: number;
  /** Changes that are kept in memory for the readers of the feed. Default 5 000. */
  readonly recentChanges?: number;
  /** How long a request may wait for a database that is away. Default 5 s. */
  readonly waitMs?: number;
  /** How long a predecessor that is shutting down may keep the database. Default 12 s, longer than a broker is missed. */
  readonly leaseWaitMs?: number;
  /** Matches that a query may have that asks for an order other than that of the id. Default 20 000. */
  readonly sortLimit?: number;
}

const MOST_BATCH_WRITES = 400;
const DEFAULT_CACHE_BYTES = 64 * 1024 * 1024;

/** The store ports on one MongoDB database. */
export interface MongoStore extends Store {
  /** What the server said that it can do. */
  readonly abilities: Abilities & Server;
}

/**
 * Connects to a database, or makes it, and finishes what a crash left. The clock hears of the highest stamp, so that stamps keep growing over restarts.
 * @throws Error with one line saying why it cannot be used: nothing answers, another broker has it, a newer version wrote it …
 */
export async function openMongoStore(settings: MongoSettings): Promise<MongoStore> {
  const { clock, waitMs = 5_000 } = settings;
  const { client, database, collections, abilities } = await connect(settings.url, waitMs);
  const lease = new Lease(collections);
  try {
    await lease.take(settings.leaseWaitMs ?? 12_000);
    const server = await prepare(database, collections);
    const { memory, entities, history } = collections;
    const cacheBytes = settings.cacheBytes ?? DEFAULT_CACHE_BYTES;
    const cache = new RowCache(cacheBytes);
    const reader = new Reader(database);
    const parts: Parts = {
      collections,
      reader,
      writer: new Writer(database),
      clock,
      cache,
      rows: new Rows(collections, reader, cache, clock),
      feed: new MongoChangeFeed(collections, reader, settings.recentChanges ?? 5_000),
      pages: new AnsweredPages(cacheBytes / 4),
      ids: new InstanceIds(await storeName(memory)),
      shapes: new Shapes(collections),
      tenants: new Tenants(collections),
      numbers: {
        positions: new Numbers(memory, 'positions', 10_000),
        entities: new Numbers(memory, 'entities', 1_000),
        instances: new Numbers(memory, 'instances', 100_000),
      },
      due: {
        entities: new Due(
          async () =>
            (
              await entities
                .find({ x: { $exists: true } })
                .sort({ x: 1 })
                .limit(1)
                .next()
            )?.x,
        ),
        instances: new Due(
          async () =>
            (
              await history
                .find({ u: { $exists: true } })
                .sort({ u: 1 })
                .limit(1)
                .next()
            )?.u,
        ),
      },
    };
    await parts.tenants.load();
    await parts.feed.load();
    await sweep(parts);
    const { feed, numbers } = parts;
    if (feed.highestStamp > 0) clock.saw({ at: feed.highestStamp, origin: '' });
    const writes = new WriteLoop(parts, {
      maxWaitingWrites: settings.maxWaitingWrites ?? 20_000,
      batchWrites: Math.min(settings.batchWrites ?? MOST_BATCH_WRITES, MOST_BATCH_WRITES),
      waitMs,
      forbidden: () => (lease.lost ? 'Another broker has taken over the database of this one.' : undefined),
      async recover() {
        await lease.renew();
        await sweep(parts);
      },
    });
    const queries = new EntityQueries(parts, server, settings.sortLimit ?? 20_000);
    const instances = new Instances(parts);
    let open = true;
    return {
      entities: translating(new MongoEntityStore(parts, writes, queries)),
      history: translating(new MongoHistoryStore(parts, writes, instances)),
      series: translating(new MongoSeriesStore(parts, instances)),
      feed: translating(feed),
      documents: translating(new MongoDocumentStore(collections, (tenant) => parts.tenants.make([tenant]))),
      deliveries: translating(new MongoDeliveryStore(collections)),
      messages: translating(new MongoMessageStore(collections)),
      abilities: { ...abilities, ...server },
      highestStamp: () => feed.highestStamp,
      waitingWrites: () => writes.waiting,
      ready: () => open && lease.heard && writes.sure,
      async close() {
        if (!open) return;
        open = false;
        await writes.close();
        // What cannot be written any more is found by the next start.
        await feed.close().catch(() => {});
        for (const one of Object.values(numbers)) await one.giveBack().catch(() => {});
        await lease.release().catch(() => {});
        await client.close();
      },
    };
  } catch (error) {
    await lease.release().catch(() => {});
    await client.close().catch(() => {});
    throw error;
  }
}

/** A random name: part of every instanceId, because numbers alone would repeat in another store. */
async function storeName(memory: Collections['memory']): Promise<string> {
  try {
    await memory.insertOne({ _id: 'store', name: randomUUID() });
  } catch (error) {
    if (!isDuplicate(error)) throw error;
  }
  return String((await memory.findOne({ _id: 'store' }))?.['name']);
}
