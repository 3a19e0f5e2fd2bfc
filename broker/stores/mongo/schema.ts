import type { CreateIndexesOptions, Db, IndexSpecification } from 'mongodb';
import type { Collections } from './collections.ts';
import type { Server } from './compile-condition.ts';
import { EntityRow } from './entity-row.ts';
import { factsOf } from './facts.ts';
import { isPassing } from './unavailable.ts';

/** What a server says that has no partial indexes: it gets whole ones. */
const NOT_IMPLEMENTED = 238;

/** One index. They are made in the background: the broker serves meanwhile, and answers the same without them, only slower. */
interface Index {
  readonly of: keyof Collections;
  readonly key: IndexSpecification;
  readonly options?: CreateIndexesOptions;
}

/**
 * MIGRATIONS[n] brings a database from schema version n to n + 1; a new one runs them all. Never change one that was released: add another.
 * Each may be interrupted and run again.
 */
const MIGRATIONS: readonly (readonly Index[])[] = [
  [
    // Pages of one type in ascending id, and in order of the numbers.
    { of: 'entities', key: { t: 1, y: 1, _id: 1 } },
    { of: 'entities', key: { t: 1, y: 1, n: 1 } },
    { of: 'entities', key: { t: 1, n: 1 } },
    // Discovery and counts (5.7.5 to 5.7.10) from the index alone.
    { of: 'entities', key: { t: 1, h: 1 }, options: { partialFilterExpression: { h: { $exists: true } } } },
    // Values of attributes (facts.ts). The key at the end lets the entities of one value come in order.
    { of: 'entities', key: { t: 1, 'q.p': 1, 'q.v': 1, _id: 1 } },
    { of: 'entities', key: { t: 1, s: 1, _id: 1 }, options: { partialFilterExpression: { s: { $exists: true } } } },
    { of: 'entities', key: { x: 1 }, options: { partialFilterExpression: { x: { $exists: true } } } },
    { of: 'entities', key: { t: 1, z: 1, _id: 1 }, options: { partialFilterExpression: { z: { $exists: true } } } },
    // What the sweeper looks at after a crash.
    { of: 'entities', key: { o: 1 } },
    // One attribute's recent values lie side by side.
    { of: 'history', key: { k: 1, a: 1, at: 1, _id: 1 } },
    { of: 'history', key: { t: 1, _id: 1 } },
    { of: 'history', key: { u: 1 }, options: { partialFilterExpression: { u: { $exists: true } } } },
    { of: 'documents', key: { k: 1, t: 1, i: 1 } },
    { of: 'deliveries', key: { dead: 1, e: 1, p: 1, s: 1 } },
    { of: 'deliveries', key: { dead: 1, p: 1, s: 1 } },
    { of: 'deliveries', key: { p: 1 } },
    { of: 'messages', key: { dead: 1, e: 1, _id: 1 } },
  ],
  [
    // All instances of an attribute in order of time, whatever their entity.
    { of: 'history', key: { t: 1, a: 1, at: 1, _id: 1 } },
  ],
  [
    // What is too wide for the index of places, which is asked for together with that.
    { of: 'entities', key: { t: 1, w: 1 }, options: { partialFilterExpression: { w: { $exists: true } } } },
  ],
];

/** Versions before this one made other facts of the same values (facts.ts). */
const FACTS_SINCE = 3;

/** Places (places.ts). A server that has no such index answers the same, by looking at more. */
const PLACES: Index = { of: 'entities', key: { t: 1, 'g.b': '2dsphere' } };
/** With the name in front, as it was before schema version 3, the index does not look at the place. */
const PLACES_BEFORE = 't_1_g.n_1_g.b_2dsphere';

/**
 * Brings the database to this version's schema.
 * @returns what its server can do
 * @throws Error with one line: a newer version wrote it
 */
export async function prepare(database: Db, collections: Collections): Promise<Server> {
  const stored = (await collections.memory.findOne({ _id: 'schema' }))?.['version'] as number | undefined;
  const version = stored ?? 0;
  if (version > MIGRATIONS.length) {
    throw new Error(
      `The database ${database.databaseName} was written by a newer version of Mizar (schema ${version}, this one knows ${MIGRATIONS.length})`,
    );
  }
  for (let from = version; from < MIGRATIONS.length; from++) {
    await makeIndexes(collections, MIGRATIONS[from] as readonly Index[]);
    if (from > 0 && from + 1 === FACTS_SINCE) {
      await renewFacts(collections);
      await collections.entities.dropIndex(PLACES_BEFORE).catch(() => {});
    }
    const set = { $set: { version: from + 1 } };
    await collections.memory.updateOne({ _id: 'schema' }, set, { upsert: true });
  }
  const { entities } = collections;
  const [elements, places] = [
    await can(() => entities.findOne({ q: { $elemMatch: { p: '', v: 0 } } })),
    await can(() => makeIndexes(collections, [PLACES])),
  ];
  return { places, elements };
}

/** @returns false if the server says that it cannot do this */
async function can(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === undefined || isPassing(error)) throw error;
    return false;
  }
}

/** Nobody writes meanwhile. */
async function renewFacts({ entities }: Collections): Promise<void> {
  for await (const document of entities.find({ e: { $exists: true } })) {
    const { facts, rough } = factsOf(EntityRow.of(document).entity);
    const change = rough ? { $set: { q: facts, r: true as const } } : { $set: { q: facts }, $unset: { r: 1 as const } };
    await entities.updateOne({ _id: document._id }, change);
  }
}

async function makeIndexes(collections: Collections, indexes: readonly Index[]): Promise<void> {
  const byCollection = Map.groupBy(indexes, ({ of }) => of);
  for (const [of, some] of byCollection) {
    const descriptions = some.map(({ key, options }) => ({ key: key as Record<string, 1>, ...options, background: true }));
    try {
      await collections[of].createIndexes(descriptions);
    } catch (error) {
      if ((error as { code?: unknown }).code !== NOT_IMPLEMENTED) throw error;
      await collections[of].createIndexes(descriptions.map(({ key }) => ({ key })));
    }
  }
}
