import type { AttributeChange, Change, ChangeDraft } from '../../domain/change.ts';
import type { Entity } from '../../domain/entity.ts';
import { DomainError } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import { expire } from '../../domain/patch.ts';
import { toMicros } from '../../domain/time.ts';
import type { Write, WriteOutcome } from '../../ports/entity-store.ts';
import { allAttributes, highestStampOf } from '../changes.ts';
import { deletedPast } from '../past.ts';
import { type ChangeRecord, changeOf, historyOf, numbersOf, recordOf, recordText } from './change-record.ts';
import { type EntityDocument, keyOf } from './collections.ts';
import { EntityRow, expiryOf } from './entity-row.ts';
import { fromHistory } from './history-lookups.ts';
import { addHistory, type FollowUp, nothing, outboxText } from './outbox.ts';
import type { Parts } from './parts.ts';
import { stateText } from './state-text.ts';

const UNCHANGED: WriteOutcome = { kind: 'unchanged' };
/** A document may have 16 MB, and holds the state beside what it is found by. */
const MOST_CHARS = 5_000_000;

/** What the writes of one batch make of one entity. */
export interface Staged {
  /** As it is in the database. */
  readonly base: EntityRow | undefined;
  readonly row: EntityRow;
  readonly changes: readonly { readonly r: ChangeRecord; readonly e: string }[];
  readonly followUp: FollowUp;
  readonly told: readonly Change[];
}

/** Decides writes on what the writes before them left, and keeps what comes of it until all of it is written at once. */
export class Staging {
  readonly #parts: Parts;
  readonly #stored: ReadonlyMap<string, EntityRow>;
  readonly staged = new Map<string, Staged>();
  #undo: (() => void)[] = [];

  /** @param stored the entities that are to be written, as far as there are documents of them */
  constructor(parts: Parts, stored: ReadonlyMap<string, EntityRow>) {
    this.#parts = parts;
    this.#stored = stored;
  }

  /** From here on {@link takeBack} takes back. */
  mark(): void {
    this.#undo = [];
  }

  /** Takes back what was staged since {@link mark}. */
  takeBack(): void {
    for (const undo of this.#undo.reverse()) undo();
    this.#undo = [];
  }

  /** Decides one write. @throws what its decision throws that is no refusal; nothing was staged then */
  async write(write: Write): Promise<WriteOutcome> {
    const key = keyOf(write.tenant, write.id);
    const row = this.#row(key);
    // What has expired and nobody has heard of yet ends first, so that the log tells what happened.
    const ending = write.evenExpired ? undefined : this.#ending(row);
    let draft: ReturnType<Write['decide']>;
    try {
      draft = write.decide(ending ? ending.after : row?.exists ? row.entity : undefined);
    } catch (error) {
      if (error instanceof DomainError) return { kind: 'refused', error };
      throw error;
    }
    if (!draft) return UNCHANGED;
    if (draft.late && row) {
      draft = await this.#withoutKnown(draft, key, row);
      if (draft.late?.length === 0 && draft.attributes.length === 0 && draft.after === draft.before) return UNCHANGED;
    }
    const text = draft.after && draft.after !== draft.before ? stateText(draft.after) : undefined;
    if (text !== undefined && text.length > MOST_CHARS) {
      return { kind: 'refused', error: new DomainError('PayloadTooLarge', `Entity ${write.id} is too large for this store`) };
    }
    if (row && ending) await this.#stage(write, key, row, ending, undefined);
    const version = await this.#stage(write, key, this.#row(key), draft, text);
    return { kind: 'committed', version, change: draft };
  }

  #row(key: string): EntityRow | undefined {
    return this.staged.get(key)?.row ?? this.#stored.get(key);
  }

  /** The change that ends what has expired of a stored entity, or all of it. */
  #ending(row: EntityRow | undefined): ChangeDraft | undefined {
    const { clock } = this.#parts;
    const now = clock.micros();
    const expires = row?.known.expires;
    if (!row?.exists || expires === undefined || expires > now) return undefined;
    return expire(row.entity, now, { at: clock.now(), stamp: clock.stamp() });
  }

  /** Without late readings that history has already. */
  async #withoutKnown(draft: ChangeDraft, key: string, row: EntityRow): Promise<ChangeDraft> {
    const late: NonNullable<ChangeDraft['late']>[number][] = [];
    const staged = this.staged.get(key)?.followUp;
    for (const one of draft.late ?? []) {
      if (one.instance.instanceId === undefined && (await fromHistory.has(this.#parts, row, one.name, one.instance, staged))) {
        continue;
      }
      late.push(one);
    }
    return late.length < (draft.late?.length ?? 0) ? { ...draft, late } : draft;
  }

  /** Deleted instances whose time is over, of which history has nothing left that was for good (4.22). */
  async #missed(
    draft: ChangeDraft,
    key: string,
    row: EntityRow | undefined,
    entity: Entity,
  ): Promise<readonly (readonly [Iri, Iri | 0])[]> {
    const changes: readonly AttributeChange[] =
      draft.kind === 'deleted' && draft.attributes.length === 0 ? allAttributes('deleted', entity) : draft.attributes;
    const missed: (readonly [Iri, Iri | 0])[] = [];
    for (const { kind, name, before } of changes) {
      if (kind !== 'deleted' || before?.expiresAt === undefined) continue;
      const now = toMicros(draft.at);
      if (toMicros(before.expiresAt) > now) continue;
      const staged = this.staged.get(key)?.followUp;
      const left = row !== undefined && (await fromHistory.hasAny(this.#parts, row, name, before.datasetId, now, staged));
      if (!left) missed.push([name, before.datasetId ?? 0]);
    }
    return missed;
  }

  /** @returns the change's position */
  async #stage(
    { tenant, id }: Write,
    key: string,
    row: EntityRow | undefined,
    draft: ChangeDraft,
    given: string | undefined,
  ): Promise<number> {
    const { numbers, feed, ids, shapes } = this.#parts;
    const before = row?.exists ? row.entity : undefined;
    const after = draft.kind === 'deleted' ? undefined : (draft.after as Entity);
    const shown = after ?? draft.before ?? before;
    if (!shown) throw new TypeError(`A change of kind ${draft.kind} to ${id} has no entity`);
    const lateOnly = after !== undefined && after === before;
    const missed = await this.#missed(draft, key, row, shown);
    const count = numbersOf(draft);
    const first = numbers.instances.atHand(count) ?? (await numbers.instances.take(count));
    const number = row?.number ?? numbers.entities.atHand(1) ?? (await numbers.entities.take(1));
    const position = numbers.positions.atHand(1) ?? (await numbers.positions.take(1));
    const clock = highestStampOf(draft, feed.highestStamp);
    feed.saw(clock);
    const record = recordOf({ ...draft, ...(before ? { before } : {}) }, position, clock, first, missed);
    const text = lateOnly || !after ? (row?.known.text ?? stateText(shown)) : (given ?? stateText(after));
    const known = {
      tenant,
      id,
      number,
      version: lateOnly ? (row?.version ?? position) : position,
      order: position,
      text: after ? text : undefined,
      expires: after && expiryOf(after),
      shape: after && (lateOnly ? row?.known.shape : shapes.key(after)),
      evolution: true,
      // While the entity exists, this holds what temporal provision added; what was known of a deleted one is over.
      past: after ? (before ? row?.known.past : undefined) : deletedPast(shown, draft),
      rough: false,
    };
    const staged = this.staged.get(key);
    const followUp = staged?.followUp ?? nothing();
    const history = historyOf(record, shown, { tenant, number }, ids);
    const next: Staged = {
      base: this.#stored.get(key),
      row: new EntityRow(known, after),
      changes: [...(staged?.changes ?? []), { r: record, e: text }],
      followUp: {
        changes: [...followUp.changes, { _id: position, t: tenant, i: id, r: recordText(record), e: text }],
        fresh: [...followUp.fresh],
        instances: new Map(followUp.instances),
        clear: followUp.clear,
      },
      told: [...(staged?.told ?? []), changeOf(record, tenant, shown, draft.attributes)],
    };
    addHistory(next.followUp, history);
    this.staged.set(key, next);
    this.#undo.push(() => {
      if (staged) this.staged.set(key, staged);
      else this.staged.delete(key);
    });
    return position;
  }
}

/** The document of a staged entity: its state, and what follows from it. */
export function documentOf({ row, changes }: Staged): EntityDocument {
  const { text } = row.known;
  return row.document(outboxText({ changes: changes.map(({ r, e }) => (e === text ? { r } : { r, e })) }));
}
