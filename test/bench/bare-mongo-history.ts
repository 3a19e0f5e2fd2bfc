/** History on MongoDB by the driver alone: reading it, and writing more of it than the store would in the time. */
import { MongoClient } from 'mongodb';
import type { AttributeInstance } from '../../broker/domain/attribute.ts';
import { DEFAULT_TENANT, type Iri } from '../../broker/domain/iri.ts';
import { type Collections, collectionsOf } from '../../broker/stores/mongo/collections.ts';
import { historyDocument } from '../../broker/stores/mongo/history-documents.ts';
import { median } from './row.ts';

const DAY = 86_400_000_000;
/** Numbers that the store will not have given by then. */
const FAR = 1_000_000_000;
let written = 0;

async function withHistory<T>(url: string, work: (collections: Collections) => Promise<T>): Promise<T> {
  const client = await new MongoClient(url, { enableUtf8Validation: false, ignoreUndefined: true }).connect();
  try {
    return await work(collectionsOf(client.db(undefined, { readConcern: { level: 'majority' } as never })));
  } finally {
    await client.close();
  }
}

/** Adds instances to the newest evolution of a store, as the store would have written them. @param name of their attribute */
export async function appendStraight(url: string, name: Iri, instances: readonly AttributeInstance[]): Promise<void> {
  await withHistory(url, async ({ entities, history }) => {
    const [newest] = await entities.find().sort({ n: -1 }).limit(1).toArray();
    const whose = { tenant: DEFAULT_TENANT, number: newest?.n as number };
    const documents = instances.map((one) =>
      historyDocument(whose, FAR + written++, name, one, '2026-01-01T00:00:00Z' as never),
    );
    await history.insertMany(documents, { ordered: false });
  });
}

/**
 * The driver alone reads instances of one attribute, of one entity after the other: with `limit` the newest, otherwise all of them and their averages by day.
 * @param before microseconds since 1970
 * @returns the median in milliseconds
 */
export function bareHistory(url: string, name: Iri, before: number, limit: number | undefined): Promise<number> {
  return withHistory(url, async ({ entities, history }) => {
    const numbers = (await entities.find().project<{ n: number }>({ n: 1 }).toArray()).map(({ n }) => n);
    const times: number[] = [];
    for (let n = -100; n < 50; n++) {
      const k = numbers[(n + 100) % numbers.length] as number;
      const filter = { k, a: name, at: { $gte: 0, $lt: before }, o: true };
      const began = performance.now();
      if (limit !== undefined) {
        const found = await history.find(filter).sort({ at: -1, _id: -1 }).limit(limit).toArray();
        JSON.stringify(found.map(({ i }) => i));
      } else {
        const days = new Map<number, { sum: number; count: number }>();
        for (const { at, v = 0 } of await history.find(filter).sort({ at: 1, _id: 1 }).toArray()) {
          const day = Math.floor(at / DAY);
          const of = days.get(day) ?? { sum: 0, count: 0 };
          of.sum += v;
          of.count++;
          days.set(day, of);
        }
        JSON.stringify([...days].map(([day, { sum, count }]) => [day, sum / count]));
      }
      if (n >= 0) times.push(performance.now() - began);
    }
    return median(times);
  });
}
