/**
 * The floor of a durable write to MongoDB: takes a database that the broker has written, and writes the same documents into a new one with the same indexes, straight through
 * the driver, so many entities at a time, with the same write concern, and in the same two steps. Prints entities per second.
 */
import { type Document, MongoClient } from 'mongodb';
import { collectionsOf } from '../../broker/stores/mongo/collections.ts';
import { prepare } from '../../broker/stores/mongo/schema.ts';

const {
  url,
  target,
  each,
  update,
  count = 'changes',
} = JSON.parse(process.argv[2] as string) as {
  readonly url: string;
  readonly target: string;
  readonly each: number;
  /** The entities are there already, and are replaced. */
  readonly update: boolean;
  /** What there are `each` of in a batch, and so many a second of. */
  readonly count?: 'changes' | 'instances';
};
const client = await new MongoClient(url, { writeConcern: { w: 'majority', journal: true } }).connect();
const database = client.db(target);
const to = collectionsOf(database);
await prepare(database, to);
// Enough to take about a second.
const limit = count === 'changes' ? 10_000 : 100_000;
const all = async (name: 'entities' | 'history' | 'changes'): Promise<Document[]> =>
  client.db().collection(name).find().sort({ _id: -1 }).limit(limit).toArray() as Promise<Document[]>;
const [entities, history, changes] = await Promise.all([all('entities'), all('history'), all('changes')]);
if (update) await to.entities.insertMany(entities as never[]);
const writes = count === 'instances' ? history.length : update ? changes.length : entities.length;
const batches = Math.ceil(writes / each);
const part = (of: readonly Document[], at: number): Document[] =>
  of.slice(Math.floor((of.length * at) / batches), Math.floor((of.length * (at + 1)) / batches));
const began = process.hrtime.bigint();
for (let at = 0; at < batches; at++) {
  if (update) {
    const count = Math.min(each, entities.length);
    const some = Array.from({ length: count }, (_, n) => entities[(at * count + n) % entities.length] as Document);
    await to.entities.bulkWrite(
      some.map((replacement) => ({
        replaceOne: { filter: { _id: replacement['_id'] }, replacement: { ...replacement, o: at } },
      })) as never[],
      { ordered: false },
    );
  } else await to.entities.insertMany(part(entities, at) as never[], { ordered: false });
  const [rows, entries] = [part(history, at), part(changes, at)];
  await Promise.all([
    rows.length > 0 && to.history.insertMany(rows as never[], { ordered: false }),
    entries.length > 0 && to.changes.insertMany(entries as never[], { ordered: false }),
  ]);
}
const seconds = Number(process.hrtime.bigint() - began) / 1e9;
await database.dropDatabase();
await client.close();
console.log(writes / seconds);
