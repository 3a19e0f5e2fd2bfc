import { type Db, MongoClient, ReadConcern, type ReadConcernLevel } from 'mongodb';
import { type Collections, collectionsOf } from './collections.ts';

/** A server's word on what it can do. What a server cannot do is done here, or said in docs/stores.md; nothing is answered differently. */
export interface Abilities {
  /** As the server gives it, such as "3.6.8". */
  readonly version: string;
  /** Its writes can wait for a majority, and reads see only what a majority has. */
  readonly replicated: boolean;
}

export interface Connection {
  readonly client: MongoClient;
  readonly database: Db;
  readonly collections: Collections;
  readonly abilities: Abilities;
}

/** The name of the database, if the URL has none. */
const DATABASE = 'mizar';

/**
 * Connects. Writes wait for a majority and for the journal; reads see what a majority has, where the server knows the difference.
 * @param waitMs how long one request may wait for a server that is away, a failover included
 * @throws Error with one line saying why there is no connection
 */
export async function connect(url: string, waitMs: number): Promise<Connection> {
  const client = new MongoClient(url, {
    writeConcern: { w: 'majority', journal: true, wtimeoutMS: waitMs },
    retryWrites: true,
    retryReads: true,
    serverSelectionTimeoutMS: waitMs,
    connectTimeoutMS: waitMs,
    socketTimeoutMS: Math.max(60_000, 4 * waitMs),
    heartbeatFrequencyMS: 2_000,
    minHeartbeatFrequencyMS: 100,
    ignoreUndefined: true,
    enableUtf8Validation: false,
    maxPoolSize: 64,
    appName: 'mizar',
  });
  try {
    await client.connect();
    const [hello, build] = await Promise.all([
      client.db('admin').command({ isMaster: 1 }),
      client.db('admin').command({ buildInfo: 1 }),
    ]);
    const sharded = hello['msg'] === 'isdbgrid';
    const replicated = sharded || hello['setName'] !== undefined;
    const level: ReadConcernLevel = replicated ? 'majority' : 'local';
    const name = new URL(url.replace(/^mongodb(\+srv)?:/, 'http:').replace(/,[^/@]*/g, '')).pathname.slice(1) || DATABASE;
    const database = client.db(decodeURIComponent(name), { readConcern: new ReadConcern(level), ignoreUndefined: true });
    const abilities = { version: String(build['version']), replicated };
    return { client, database, collections: collectionsOf(database), abilities };
  } catch (error) {
    await client.close().catch(() => {});
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new Error(`The MongoDB of MIZAR_STORE cannot be used: ${reason}`);
  }
}
