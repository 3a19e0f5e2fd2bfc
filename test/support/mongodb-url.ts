import { createHash, randomUUID } from 'node:crypto';
import { MongoClient } from 'mongodb';

/** The MongoDB that tests may use, as a connection string without a database; undefined: there is none. */
export const MONGODB = process.env['MIZAR_TEST_MONGODB'] || undefined;

/** A database that nobody else uses. */
export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  readonly name: string;
}

/** The URL of a database of the test server. @param name behind the slash */
export function urlOf(server: string, name: string): string {
  // Several hosts make no URL in the sense of the platform.
  return server.replace(/^([a-z+]+:\/\/[^/?]+)\/?[^?]*/, `$1/${name}`);
}

export function newDatabase(server: string = MONGODB as string): TestDatabase {
  return databaseNamed(`mizar-test-${randomUUID().slice(0, 13)}`, server);
}

function databaseNamed(name: string, server: string): TestDatabase {
  return {
    url: urlOf(server, name),
    name,
    async [Symbol.asyncDispose]() {
      const client = await new MongoClient(server, { serverSelectionTimeoutMS: 5_000 }).connect();
      await client.db(name).dropDatabase();
      await client.close();
    },
  };
}

/** The database for a broker with this data folder: one that starts again with the same folder finds the same data. */
export function databaseFor(dataDir: string | undefined): TestDatabase & { readonly isOurs: boolean } {
  if (dataDir === undefined || dataDir === ':memory:') return { ...newDatabase(), isOurs: true };
  const name = `mizar-test-${createHash('sha1').update(dataDir).digest('hex').slice(0, 16)}`;
  return { ...databaseNamed(name, MONGODB as string), isOurs: false };
}
