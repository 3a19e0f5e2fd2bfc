import type { AnyBulkWriteOperation } from 'mongodb';
import type { Position } from '../../domain/change.ts';
import type { Iri } from '../../domain/iri.ts';
import { fromStoredText, storedText } from '../../domain/json.ts';
import { type ChangeRecord, type HistoryChange, historyOf, recordText } from './change-record.ts';
import { type ChangeDocument, type Collections, type EntityDocument, type HistoryDocument, idOf } from './collections.ts';
import type { InstanceIds } from './history-documents.ts';
import { fromStateText } from './state-text.ts';

/**
 * What follows from a write to an entity's document, and is written into the same document: one update is the atomic step, and the history and the
 * change log follow from it. Carrying it out twice does nothing the second time, so whoever finds it undone after a crash does it.
 */
export interface Outbox {
  /** Changes of the state, oldest first; `e`: the state after one (before, of a deletion), if it is not that of the document. */
  readonly changes?: readonly { readonly r: ChangeRecord; readonly e?: string }[];
  /** What temporal provision did. */
  readonly puts?: readonly HistoryDocument[];
  readonly drops?: readonly number[];
  /** Instances that are taken away: of one attribute, of one dataset (null: the default one) of it, or all. */
  readonly clear?: { readonly a?: Iri; readonly d?: Iri | null };
}

export const outboxText = (outbox: Outbox): string => storedText(outbox);

/** What is left to do of some outboxes. */
export interface FollowUp {
  readonly changes: ChangeDocument[];
  readonly fresh: HistoryDocument[];
  /** By number: what is there from now on; undefined: nothing. */
  readonly instances: Map<number, HistoryDocument | undefined>;
  readonly clear: { readonly k: number; readonly a?: Iri; readonly d?: Iri | { readonly $exists: false } }[];
}

export const nothing = (): FollowUp => ({ changes: [], fresh: [], instances: new Map(), clear: [] });

/** Adds what one change does to history. */
export function addHistory(
  to: FollowUp,
  { fresh = [], puts, drops }: Partial<HistoryChange> & Omit<HistoryChange, 'fresh'>,
): void {
  to.fresh.push(...fresh);
  for (const number of drops) to.instances.set(number, undefined);
  for (const document of puts) to.instances.set(document._id, document);
}

/** Adds what an entity's document says is to be done of what was written after a position. */
export function addOutbox(to: FollowUp, document: EntityDocument, after: Position, ids: InstanceIds): void {
  const { changes, puts = [], drops = [], clear } = fromStoredText(document.c) as Outbox;
  const { t, n: k } = document;
  const id = idOf(document._id);
  for (const { r, e = document.e as string } of changes ?? []) {
    if (r.p <= after) continue;
    to.changes.push({ _id: r.p, t, i: id, r: recordText(r), e });
    addHistory(to, historyOf(r, fromStateText(e, id), { tenant: t, number: k }, ids));
  }
  if (clear) addClear(to, k, clear);
  addHistory(to, { puts, drops });
}

export function addClear(to: FollowUp, k: number, { a, d }: NonNullable<Outbox['clear']>): void {
  const dataset = d === undefined ? {} : { d: d === null ? ({ $exists: false } as const) : d };
  to.clear.push({ k, ...(a === undefined ? {} : { a }), ...dataset });
}

/**
 * Writes the history and the change log.
 * @param again some of it may be there already
 */
export async function carryOut(
  { history, changes }: Pick<Collections, 'history' | 'changes'>,
  followUp: FollowUp,
  again: boolean,
): Promise<void> {
  for (const filter of followUp.clear) await history.deleteMany(filter);
  const work: Promise<unknown>[] = [];
  const operations: AnyBulkWriteOperation<HistoryDocument>[] = followUp.fresh.map((document) =>
    again ? putInstance(document) : { insertOne: { document } },
  );
  for (const [_id, document] of followUp.instances) {
    operations.push(document === undefined ? { deleteOne: { filter: { _id } } } : putInstance(document));
  }
  // In order only if something may be about an instance that is new itself.
  if (operations.length > 0) work.push(history.bulkWrite(operations, { ordered: followUp.instances.size > 0 }));
  if (followUp.changes.length > 0) {
    work.push(
      again
        ? changes.bulkWrite(followUp.changes.map(put), { ordered: false })
        : changes.insertMany(followUp.changes, { ordered: false }),
    );
  }
  await Promise.all(work);
}

/** With the key by which a sharded cluster finds its place. */
const putInstance = (replacement: HistoryDocument) => ({
  replaceOne: { filter: { _id: replacement._id, k: replacement.k }, replacement, upsert: true },
});

const put = <T extends { readonly _id: number }>(replacement: T) => ({
  replaceOne: { filter: { _id: replacement._id }, replacement, upsert: true },
});
