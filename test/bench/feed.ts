/** The change log read from the beginning, as a reader does who comes late: not from memory. On MongoDB, against the driver that reads the same documents. */
import { MongoClient } from 'mongodb';
import { collectionsOf } from '../../broker/stores/mongo/collections.ts';
import { openMongoStore } from '../../broker/stores/mongo/mongo-store.ts';
import { systemClock } from '../../broker/stores/system-clock.ts';
import { fillStore } from './fill.ts';
import type { Rows } from './harness.ts';
import { OF_DRIVER, openKept, withKept } from './kept.ts';
import { median } from './row.ts';

const CHANGES = 20_000;
const AT_ONCE = 1_000;

export const feed: Rows = async function* ({ runs, wanted }) {
  const name = 'change log, 1 000 at a time';
  if (!wanted(name)) return;
  yield await withKept(async (kept) => {
    await fillStore(await openKept(kept), CHANGES);
    const url = kept.url as string;
    const store = await openMongoStore({ url, clock: systemClock('bench'), recentChanges: 0 });
    const client = await new MongoClient(url, { enableUtf8Validation: false }).connect();
    const { changes } = collectionsOf(client.db());
    const all = async (read: (after: number) => Promise<number | undefined>): Promise<number> => {
      const began = performance.now();
      for (let after: number | undefined = 0; after !== undefined; ) after = await read(after);
      return (CHANGES * 1000) / (performance.now() - began);
    };
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let run = 0; run <= runs; run++) {
      theirs.push(
        await all(async (after) => {
          const found = await changes
            .find({ _id: { $gt: after } })
            .sort({ _id: 1 })
            .limit(AT_ONCE)
            .toArray();
          // The least that a reader needs.
          for (const { r, e } of found) [JSON.parse(r), JSON.parse(e)];
          return found.at(-1)?._id;
        }),
      );
      ours.push(await all(async (after) => (await store.feed.read(after, AT_ONCE)).at(-1)?.position));
    }
    await store.close();
    await client.close();
    // The first run warms up and does not count.
    const [value, floor] = [median(ours.slice(1)), median(theirs.slice(1))];
    const note = `the driver and JSON.parse: ${Math.round(floor)}/s`;
    return { name, value, unit: 'changes/s', ratio: value / floor, goal: OF_DRIVER.reads, note };
  });
};
