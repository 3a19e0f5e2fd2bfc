/**
 * `npm run test:mongodb`: every API test again, with brokers whose store is a MongoDB: the one that MIZAR_TEST_MONGODB names. Its databases that begin with
 * "mizar-test-" are dropped.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';

const server = process.env['MIZAR_TEST_MONGODB'];
if (!server) {
  console.error('MIZAR_TEST_MONGODB must name a MongoDB, for example mongodb://127.0.0.1:27017 (docs/stores.md)');
  process.exit(1);
}
const client = await new MongoClient(server, { serverSelectionTimeoutMS: 5_000 }).connect();
const admin = client.db('admin');
const [{ version }, { setName = 'no replica set' }] = await Promise.all([
  admin.command({ buildInfo: 1 }),
  admin.command({ isMaster: 1 }),
]);
console.log(`API tests on MongoDB ${version}, ${setName}`);
const vitest = join(import.meta.dirname, '../../node_modules/vitest/vitest.mjs');
const folders = process.argv.length > 2 ? process.argv.slice(2) : ['test/api'];
const { status } = spawnSync(process.execPath, [vitest, 'run', ...folders], {
  stdio: 'inherit',
  env: { ...process.env, MIZAR_TEST_STORE: 'mongodb' },
});
const { databases } = await admin.admin().listDatabases({ nameOnly: true });
for (const { name } of databases) if (name.startsWith('mizar-test-')) await client.db(name).dropDatabase();
await client.close();
process.exit(status ?? 1);
