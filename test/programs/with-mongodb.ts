/**
 * `node test/programs/with-mongodb.ts [--on-disk] <command> [argument …]`: runs a command with a MongoDB server of its own, a replica set of one, which MIZAR_TEST_MONGODB names then.
 * The server is the program that MIZAR_TEST_MONGOD names (.ci/mongodb prints one). It keeps its data in memory where the machine has such a folder, unless --on-disk.
 * With MIZAR_TEST_FERRETDB it is a FerretDB instead (.ci/ferretdb).
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { MongoClient } from 'mongodb';
import { MISSING, startFerretDb } from '../support/ferretdb.ts';
import { MONGOD, startMongod } from '../support/mongod.ts';

const onDisk = process.argv[2] === '--on-disk';
const [command, ...parameters] = process.argv.slice(onDisk ? 3 : 2);
const ferretDb = process.env['MIZAR_TEST_FERRETDB'];
if (command === undefined || (MONGOD === undefined && !ferretDb)) {
  console.error(
    'Usage: MIZAR_TEST_MONGOD=/path/to/mongod node test/programs/with-mongodb.ts [--on-disk] <command> [argument …]',
  );
  process.exit(1);
}
const folder = !onDisk && existsSync('/dev/shm') ? '/dev/shm' : undefined;
const mongod = ferretDb ? await startFerretDb(ferretDb) : await startMongod(folder);
const client = await new MongoClient(mongod.url).connect();
const { version } = await client.db('admin').command({ buildInfo: 1 });
await client.close();
const server = ferretDb ? `FerretDB v1 as MongoDB ${version}` : `MongoDB ${version}, a replica set of one`;
console.log(`${server}, for: ${[command, ...parameters].join(' ')}`);
if (ferretDb) for (const one of MISSING) console.log(`  not shown: ${one}`);
const child = spawn(command, parameters, { stdio: 'inherit', env: { ...process.env, MIZAR_TEST_MONGODB: mongod.url } });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
child.once('exit', async (code) => {
  await mongod[Symbol.asyncDispose]();
  process.exit(code ?? 1);
});
