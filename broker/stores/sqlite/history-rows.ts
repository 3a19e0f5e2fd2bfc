import { type AttributeInstance, instanceValue } from '../../domain/attribute.ts';
import type { AttributeChange, ChangeDraft } from '../../domain/change.ts';
import type { Entity } from '../../domain/entity.ts';
import type { Iri } from '../../domain/iri.ts';
import { fromStoredText, jsonEquals } from '../../domain/json.ts';
import { sameInstance } from '../../domain/patch.ts';
import { fromMicros, type Instant, type Micros, toMicros } from '../../domain/time.ts';
import { allAttributes } from '../changes.ts';
import { SCOPE, tombstone } from '../tombstone.ts';
import type { Database } from './database.ts';
import type { Dictionary } from './dictionary.ts';
import type { EntityRow } from './entity-cache.ts';
import type { GroupCommit } from './group-commit.ts';
import { hasNumber, type InstanceNumbers, needsNoRows, numbered, numbersAfter } from './instance-numbers.ts';
import { InstanceTexts } from './instance-text.ts';
import { numberAtEnd } from './number-at-end.ts';
import { PendingHistory } from './pending-history.ts';
import { TransientRows } from './transient-rows.ts';

const SAME_MOMENT =
  'SELECT instance, seq, created FROM history WHERE entity = ? AND name = ? AND time = ? AND observed = 1 AND deleted IS NULL AND dataset IS ? ORDER BY seq DESC';
const ANY = 'SELECT 1 FROM history WHERE entity = ? AND name = ? AND dataset IS ? AND deleted IS NULL LIMIT 1';
// One statement per change of the key's columns would be two: the row is found by its number, and so is its primary key.
const REMOVE =
  'DELETE FROM history WHERE (entity, name, time, seq) IN (SELECT entity, name, time, seq FROM history INDEXED BY history_by_seq WHERE seq = ?)';
const UNSETTLED = 'INSERT INTO unsettled (first, entity) VALUES (?, ?)';
// The numbers of a creation follow each other, so the last row that begins at or before one of them is its entity's.
const SETTLED = 'DELETE FROM unsettled WHERE first = (SELECT max(first) FROM unsettled WHERE first <= ?)';
const REMEMBER = 'INSERT INTO memory (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value';
/** Sequence numbers are reserved in blocks, so that the last one used need not be written each time. */
const BLOCK = 1_000_000;

/** Writes attribute instances into the history table. */
export class HistoryRows {
  readonly #database: Database;
  readonly #dictionary: Dictionary;
  readonly #commits: GroupCommit;
  /** Part of every instanceId: numbers alone would repeat in another broker. */
  readonly #prefix: string;
  readonly #transient: TransientRows;
  readonly #pending: PendingHistory;
  #next: number;
  #reserved: number;
  readonly #moments = new Moments();
  readonly #texts = new InstanceTexts();

  /** @param shared other processes read the file */
  constructor(database: Database, dictionary: Dictionary, commits: GroupCommit, shared = false) {
    this.#database = database;
    this.#dictionary = dictionary;
    this.#commits = commits;
    this.#pending = new PendingHistory(database, commits, !shared);
    this.#transient = new TransientRows(database, commits);
    const remembered = (key: string) => database.get('SELECT value FROM memory WHERE key = ?', key)?.[0];
    this.#next = Number(remembered('instance') ?? 0) + 1;
    this.#reserved = this.#next - 1;
    let store = remembered('store');
    if (store === undefined) {
      store = crypto.randomUUID();
      database.run(REMEMBER, 'store', store);
    }
    this.#prefix = `urn:ngsi-ld:Instance:${store}-`;
  }

  /** Another process may have written: when the next row that expires does so now. */
  heard(nextExpiry: Micros | null): void {
    this.#transient.heard(nextExpiry);
  }

  instanceId(seq: number): Iri {
    return `${this.#prefix}${seq}` as Iri;
  }

  /** The number in an instanceId of this store; undefined: not one of ours. */
  seqOf(instanceId: Iri): number | undefined {
    return instanceId.startsWith(this.#prefix) ? numberAtEnd(instanceId, this.#prefix.length) : undefined;
  }

  /**
   * Inside a transaction: the numbers of the instances after a change.
   * @param row the entity before the change
   */
  number(key: number, row: EntityRow | undefined, after: Entity, draft: ChangeDraft): InstanceNumbers {
    if (row !== undefined) return numbersAfter(row, after, draft);
    if (!needsNoRows(draft, after)) return undefined;
    let count = 0;
    for (const name in after.attributes) {
      for (const { datasetId } of after.attributes[name as Iri] as readonly AttributeInstance[]) {
        count++;
        if (datasetId !== undefined) this.#dictionary.name(datasetId);
      }
    }
    if (count === 0) return undefined;
    const first = this.reserve(count);
    this.#database.run(UNSETTLED, first, key);
    return first;
  }

  /** Inside a transaction: a row for every instance of the state that has none, unless it is to be forgotten. */
  settle({ key, entity, numbers }: EntityRow, forget: boolean): void {
    if (!forget) {
      for (const { name, instance, seq } of numbered(entity, numbers)) this.#add(key, name, instance, entity.modifiedAt, seq);
    }
    this.#settled(entity, numbers);
  }

  #settled(entity: Entity, numbers: InstanceNumbers): void {
    for (const { seq } of numbered(entity, numbers)) {
      this.#database.run(SETTLED, seq);
      return;
    }
  }

  /**
   * Inside a transaction: what one change adds to the evolution of its entity.
   * @param row the entity before the change
   * @param numbers of the instances after it
   */
  record(key: number, row: EntityRow | undefined, numbers: InstanceNumbers, draft: ChangeDraft): void {
    const { before, after, at } = draft;
    const entity = after ?? before;
    if (!entity) return;
    if (row && numbers !== row.numbers) {
      for (const { name, instance, seq } of numbered(row.entity, row.numbers)) {
        if (!hasNumber(numbers, seq)) this.#add(key, name, instance, at, seq);
      }
    }
    const created = row === undefined && numbers !== undefined;
    const whole = draft.kind !== 'updated' && draft.attributes.length === 0;
    const changes = created ? NOTHING : whole ? allAttributes(draft.kind, entity) : draft.attributes;
    for (const { name, kind, after: now, before: then, amends } of changes) {
      if (amends) this.#remove((now ?? then)?.instanceId);
      if (kind !== 'deleted' && now) this.#add(key, name, now, at);
      else if (amends) continue;
      else if (kind === 'deleted' && then && this.#isMissed(key, name, then, at)) this.#add(key, name, tombstone(then, at), at);
    }
    const { late } = draft;
    if (late !== undefined) {
      this.#pending.together(() => {
        for (const { name, instance, amends } of late) {
          if (amends) this.#remove(instance.instanceId);
          if (amends !== 'forgotten') this.#add(key, name, instance, at);
        }
      });
    }
    if (before?.scopes !== after?.scopes) this.#addScope(key, before, after, at);
    if (row && numbers === undefined) this.#settled(row.entity, row.numbers);
  }

  /** Inside a transaction: takes an instance away. */
  #remove(instanceId: Iri | undefined): void {
    const seq = instanceId === undefined ? undefined : this.seqOf(instanceId);
    if (seq === undefined) return;
    this.#transient.forget(seq);
    this.#database.run(REMOVE, seq);
  }

  /** Inside a transaction. @returns the first of so many sequence numbers that nobody else gets */
  reserve(count: number): number {
    const first = this.#sequence();
    for (let more = 1; more < count; more++) this.#sequence();
    return first;
  }

  /** 4.22: an instance that expires takes its history along. Where nothing is left that has ended, nothing says "deleted here". */
  #isMissed(key: number, name: Iri, { expiresAt, datasetId }: AttributeInstance, at: Instant): boolean {
    if (expiresAt === undefined || toMicros(expiresAt) > toMicros(at)) return true;
    this.#transient.sweep(toMicros(at), Number.POSITIVE_INFINITY);
    const dataset = datasetId === undefined ? null : this.#dictionary.name(datasetId);
    return this.#database.get(ANY, key, this.#dictionary.name(name), dataset) !== undefined;
  }

  /** When the next row expires, or has expired though nobody has removed it yet; Infinity if none does. */
  get nextExpiry(): Micros {
    return this.#transient.due;
  }

  /** Inside a transaction: a row is about to be written anew. */
  forget(seq: number): void {
    this.#transient.forget(seq);
  }

  /** Inside a transaction: removes rows that have expired. @returns how many, at most `limit` */
  sweep(now: Micros, limit: number): number {
    return this.#transient.sweep(now, limit);
  }

  #addScope(key: number, before: Entity | undefined, after: Entity | undefined, at: Instant): void {
    if (jsonEquals(before?.scopes ?? [], after?.scopes ?? [])) return;
    const gone = after?.scopes === undefined || after.scopes.length === 0;
    // 4.5.6: observedAt is a copy of modifiedAt; a deletion has only deletedAt beside it.
    const times = gone ? { deletedAt: at } : { observedAt: at };
    this.#add(key, SCOPE, { type: 'Property', value: after?.scopes ?? [], createdAt: at, modifiedAt: at, ...times }, at);
  }

  /** Inside a transaction. @param at used for createdAt and modifiedAt where the instance has none */
  insert(key: number, name: Iri, instance: AttributeInstance, at: Instant, seq?: number): void {
    this.#add(key, name, instance, at, seq);
  }

  #add(key: number, name: Iri, instance: AttributeInstance, at: Instant, given?: number): void {
    const own = given ?? (instance.instanceId === undefined ? undefined : this.seqOf(instance.instanceId));
    const seq = own ?? this.#sequence();
    const { observedAt, deletedAt, datasetId, expiresAt } = instance;
    const moments = this.#moments;
    const modified = moments.micros(instance.modifiedAt ?? at);
    const value = instance.type === 'Property' ? instance.value : undefined;
    const nameKey = this.#dictionary.name(name);
    const time = observedAt === undefined ? modified : moments.micros(observedAt);
    if (expiresAt !== undefined) this.#transient.add(seq, moments.micros(expiresAt), key, nameKey, time);
    this.#pending.add([
      key,
      nameKey,
      time,
      seq,
      observedAt === undefined ? 0 : 1,
      datasetId === undefined ? null : this.#dictionary.name(datasetId),
      moments.micros(instance.createdAt ?? at),
      modified,
      deletedAt === undefined ? null : moments.micros(deletedAt),
      typeof value === 'number' ? value : null,
      this.#texts.of(instance, observedAt !== undefined && !moments.isShortest(observedAt)),
    ]);
  }

  /** True if history has this reading already: same name, datasetId, observedAt and value. Without observedAt nothing is a duplicate. */
  has(key: number, name: Iri, instance: AttributeInstance): boolean {
    const value = instanceValue(instance);
    return this.#sameMoment(key, name, instance).some(([text]) =>
      jsonEquals(instanceValue(fromStoredText(text) as AttributeInstance), value),
    );
  }

  /**
   * Inside a transaction: stores an instance of temporal provision. It takes the place of the newest instance of its moment, if there is one.
   * @returns false if that one says the same already
   */
  upsert(key: number, name: Iri, instance: AttributeInstance, at: Instant): boolean {
    const same = instance.deletedAt === undefined ? this.#sameMoment(key, name, instance) : undefined;
    const [text, seq, created] = same?.[0] ?? [];
    if (text === undefined || seq === undefined || created === undefined) {
      this.insert(key, name, { createdAt: at, modifiedAt: at, ...instance }, at);
      return true;
    }
    if (
      sameInstance(
        { ...(fromStoredText(text) as AttributeInstance), observedAt: instance.observedAt } as AttributeInstance,
        instance,
      )
    )
      return false;
    const values = [key, this.#dictionary.name(name), toMicros(instance.observedAt as Instant), seq];
    this.#database.run('DELETE FROM history WHERE entity = ? AND name = ? AND time = ? AND seq = ?', ...values);
    this.#transient.forget(seq);
    this.insert(key, name, { ...instance, createdAt: fromMicros(created), modifiedAt: at }, at, seq);
    return true;
  }

  #sameMoment(key: number, name: Iri, { observedAt, datasetId }: AttributeInstance): [string, number, Micros][] {
    if (observedAt === undefined) return [];
    const nameKey = this.#dictionary.findName(name);
    const dataset = datasetId === undefined ? null : this.#dictionary.findName(datasetId);
    if (nameKey === undefined || dataset === undefined) return [];
    return this.#database.all(SAME_MOMENT, key, nameKey, toMicros(observedAt), dataset) as [string, number, Micros][];
  }

  #sequence(): number {
    const seq = this.#next++;
    if (seq > this.#reserved) {
      const reserved = this.#reserved;
      this.#reserved = seq + BLOCK;
      this.#database.run(REMEMBER, 'instance', this.#reserved);
      this.#commits.onRollback(() => {
        this.#reserved = reserved;
      });
    }
    return seq;
  }
}

const NOTHING: readonly AttributeChange[] = [];

/** Instants as numbers. Those of one transaction are mostly the same few, and reading one costs as much as reading an instance. */
class Moments {
  readonly #micros = new Map<Instant, Micros>();

  micros(at: Instant): Micros {
    let micros = this.#micros.get(at);
    if (micros === undefined) {
      micros = toMicros(at);
      if (this.#micros.size > 1000) this.#micros.clear();
      this.#micros.set(at, micros);
    }
    return micros;
  }

  /** True if {@link fromMicros} would write it the same way. A fraction never has more than three digits then, or has six. */
  isShortest(at: Instant): boolean {
    return at.length === 20 || (at.length === 24 && !at.endsWith('000Z')) || (at.length === 27 && !at.endsWith('000Z'));
  }
}
