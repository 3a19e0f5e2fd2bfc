import type { Position } from '../../domain/change.ts';
import type { EntityDocument } from './collections.ts';
import { addOutbox, carryOut, nothing } from './outbox.ts';
import type { Parts } from './parts.ts';

/** Entities that are followed up at a time. */
const AT_ONCE = 200;

/**
 * Finishes what a crash or a failure left: writes that belong together are written to all of their entities, and of every entity that was written
 * after the last position that is known to be settled, history and change log get what its document says. Doing it twice does no harm.
 * Nothing may be written meanwhile.
 */
export async function sweep(parts: Parts): Promise<void> {
  const { collections, feed, cache, pages, shapes, numbers, ids, due } = parts;
  cache.clear();
  pages.forget();
  shapes.forget();
  numbers.positions.forget();
  const settled = feed.settled;
  await finishTogether(parts);
  let upTo = settled;
  for (let from: Position = settled; ; ) {
    const documents = await collections.entities
      .find({ o: { $gt: from } })
      .sort({ o: 1 })
      .limit(AT_ONCE)
      .toArray();
    const followUp = nothing();
    for (const document of documents) addOutbox(followUp, document, settled, ids);
    await carryOut(collections, followUp, true);
    const last = documents.at(-1);
    if (last === undefined) break;
    from = last.o;
    upTo = Math.max(upTo, last.o);
  }
  const [newest] = await collections.changes.find().sort({ _id: -1 }).limit(1).toArray();
  if (newest) {
    upTo = Math.max(upTo, newest._id);
    feed.saw((JSON.parse(newest.r.trimStart()) as { readonly h: number }).h);
  }
  if (upTo > settled) feed.publishUnseen(upTo);
  await Promise.all([due.entities.look(), due.instances.look()]);
}

/** Each of these writes was decided and kept as a whole, so each is carried out as a whole. */
async function finishTogether({ collections: { together, entities, tenants } }: Parts): Promise<void> {
  for (const { _id, entities: documents } of await together.find().sort({ _id: 1 }).toArray()) {
    for (const document of documents) {
      await tenants.updateOne({ _id: document.t }, { $setOnInsert: { _id: document.t } }, { upsert: true });
      await writeIfOlder(entities, document);
    }
    await together.deleteOne({ _id });
  }
}

/** Unless it was written already, and perhaps again since. */
async function writeIfOlder(entities: Parts['collections']['entities'], document: EntityDocument): Promise<void> {
  const { matchedCount } = await entities.replaceOne({ _id: document._id, o: { $lt: document.o } }, document);
  if (matchedCount === 1) return;
  await entities.updateOne({ _id: document._id }, { $setOnInsert: document }, { upsert: true });
}
