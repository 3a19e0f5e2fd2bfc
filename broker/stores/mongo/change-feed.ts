import type { Change, Position } from '../../domain/change.ts';
import type { Micros } from '../../domain/time.ts';
import type { ChangeFeed } from '../../ports/change-feed.ts';
import { Listeners } from '../listeners.ts';
import { RecentChanges } from '../recent-changes.ts';
import { changeFrom } from './change-record.ts';
import type { Collections } from './collections.ts';
import type { Reader } from './reader.ts';

/** Changes that one request removes. */
const TRIMMED_AT_ONCE = 5_000;
/** A reader's place is written this long after it has moved. */
const CURSOR_DELAY_MS = 1_000;

/** The change log and its readers. The newest changes are kept in memory as well, so that subscriptions hardly ever read the database. */
export class MongoChangeFeed implements ChangeFeed {
  readonly #collections: Collections;
  readonly #reader: Reader;
  /** Published. */
  readonly #recent: RecentChanges;
  /** Everything up to this is in the log and in the history. */
  #published: Position = 0;
  #persisted: Position = 0;
  #clock: Micros = 0;
  readonly #cursors = new Map<string, Position>();
  readonly #moved = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;
  readonly #listeners = new Listeners();

  constructor(collections: Collections, reader: Reader, recentLimit: number) {
    this.#collections = collections;
    this.#reader = reader;
    this.#recent = new RecentChanges(recentLimit);
  }

  /** @returns up to where nothing is left to be done of what was written before */
  async load(): Promise<Position> {
    const { cursors, memory } = this.#collections;
    for (const { _id, position } of await cursors.find().toArray()) this.#cursors.set(_id, position);
    const settled = await memory.findOne({ _id: 'settled' });
    this.#persisted = Number(settled?.['position'] ?? 0);
    this.#published = this.#persisted;
    this.#clock = Number(settled?.['clock'] ?? 0);
    return this.#persisted;
  }

  /** The largest stamp time of everything that was ever committed here. */
  get highestStamp(): Micros {
    return this.#clock;
  }

  /** Everything up to this position is settled: in the log and in the history. */
  get settled(): Position {
    return this.#published;
  }

  /** A larger stamp has been written. */
  saw(clock: Micros): void {
    if (clock > this.#clock) this.#clock = clock;
  }

  /**
   * Lets readers see changes, which are in the log.
   * @param upTo every change up to this position that will ever be
   */
  publish(changes: readonly Change[], upTo: Position): void {
    this.#published = Math.max(this.#published, upTo);
    this.#later();
    if (changes.length === 0) return;
    this.#recent.add(changes);
    this.#listeners.wake();
  }

  /** Changes were published that are not at hand: readers take them from the log. */
  publishUnseen(upTo: Position): void {
    this.#recent.forget();
    this.#published = Math.max(this.#published, upTo);
    this.#later();
    this.#listeners.wake();
  }

  async read(after: Position, limit: number): Promise<readonly Change[]> {
    if (after >= this.#published || limit <= 0) return [];
    const recent = this.#recent.read(after, limit);
    if (recent !== undefined) return recent;
    const { changes } = this.#collections;
    const missed = { _id: { $gt: after, $lte: this.#published } };
    const found = await this.#reader.some(changes, missed, { sort: { _id: 1 }, limit });
    return found.map(({ t, i, r, e }) => changeFrom(r, t, i, e));
  }

  async head(): Promise<Position> {
    return this.#published;
  }

  onCommit(wake: () => void): () => void {
    return this.#listeners.add(wake);
  }

  async cursor(reader: string): Promise<Position | undefined> {
    return this.#cursors.get(reader);
  }

  async moveCursor(reader: string, position: Position): Promise<void> {
    if (this.#cursors.get(reader) === position) return;
    this.#cursors.set(reader, position);
    this.#moved.add(reader);
    this.#later();
  }

  #later(): void {
    if (this.#closed) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      // A failure here delays: readers' places are written with the next.
      this.remember().catch(() => this.#later());
    }, CURSOR_DELAY_MS).unref();
  }

  /** Resolves when the places of readers are on disk, and up to where everything is settled. */
  remember(): Promise<void> {
    const written = this.#writing.then(() => this.#remember());
    this.#writing = written.catch(() => {});
    return written;
  }

  async #remember(): Promise<void> {
    const { cursors, memory } = this.#collections;
    const moved = [...this.#moved];
    this.#moved.clear();
    const position = this.#published;
    try {
      if (moved.length > 0) {
        await cursors.bulkWrite(
          moved.map((_id) => ({
            updateOne: { filter: { _id }, update: { $set: { position: this.#cursors.get(_id) as Position } }, upsert: true },
          })),
        );
      }
      if (position === this.#persisted) return;
      const set = { $max: { position, clock: this.#clock } };
      await memory.updateOne({ _id: 'settled' }, set, { upsert: true });
      this.#persisted = position;
    } catch (error) {
      for (const reader of moved) this.#moved.add(reader);
      throw error;
    }
  }

  async trim(before: Position): Promise<number> {
    const { changes, deliveries } = this.#collections;
    // After a crash no reader finds its place gone, and nothing is put back that was trimmed.
    await this.remember();
    let end = before;
    for (const position of this.#cursors.values()) end = Math.min(end, position + 1);
    const parked = await deliveries.find().sort({ p: 1 }).limit(1).next();
    if (parked) end = Math.min(end, parked.p);
    end = Math.min(end, this.#published + 1);
    let removed = 0;
    for (;;) {
      const [last] = await changes
        .find({ _id: { $lt: end } }, { projection: { _id: 1 } })
        .sort({ _id: 1 })
        .skip(TRIMMED_AT_ONCE)
        .limit(1)
        .toArray();
      const { deletedCount } = await changes.deleteMany({ _id: { $lt: last?._id ?? end } });
      removed += deletedCount;
      if (last === undefined) break;
    }
    this.#recent.dropBefore(end);
    return removed;
  }

  /** Writes what {@link moveCursor} has put off. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.remember();
  }
}
