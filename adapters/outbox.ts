import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Once } from './adapter.ts';

/** One thing that waits for the broker. */
export interface Waiting {
  /** Grows by one with each thing that was kept; never given twice. */
  readonly sequence: number;
  /** JSON. */
  readonly body: string;
}

/** What was heard and is not yet with the broker, on disk. */
export interface Outbox {
  /** Tells this outbox from one that was here before it: sequences begin anew with a new disk. */
  readonly id: string;
  /**
   * Resolves when all of them are on disk. What comes repeated under a key that was kept before is there already. While the outbox is full it waits for room.
   * @throws if the disk does not take them, or the outbox is closed
   */
  keep(bodies: readonly string[], once?: Once): Promise<void>;
  /** The oldest, in order, up to so many and so many bytes, but at least one if there is any. */
  oldest(most: number, mostBytes: number): readonly Waiting[];
  /** Up to and including this sequence all is with the broker: it may be forgotten. */
  acknowledged(sequence: number): void;
  /** Resolves when something waits, or the outbox is closed. */
  something(): Promise<void>;
  figures(): {
    readonly waiting: number;
    readonly bytes: number;
    readonly limitBytes: number;
    readonly full: boolean;
    readonly kept: number;
  };
  close(): void;
}

export interface OutboxOptions {
  /** Made if it is not there. ":memory:" keeps nothing, for tests. */
  readonly folder: string;
  /** Bodies of all that waits; the files are a little larger. */
  readonly limitBytes: number;
}

/** Keys that are remembered: more than any source has on its way at one time. */
const RECENT = 10_000;

/** Opens the outbox in a folder. One process at a time. @throws if another one has it open, or the disk cannot be written */
export function openOutbox({ folder, limitBytes }: OutboxOptions): Outbox {
  if (folder !== ':memory:') mkdirSync(folder, { recursive: true });
  const database = new DatabaseSync(folder === ':memory:' ? folder : join(folder, 'outbox.db'));
  // FULL: a commit is on the disk when it returns. EXCLUSIVE: two processes with one outbox would both deliver.
  database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
  database.exec(`CREATE TABLE IF NOT EXISTS message (sequence INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS recent (number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;`);
  database.prepare("INSERT OR IGNORE INTO about VALUES ('id', ?)").run(randomUUID());
  const { value: id } = database.prepare("SELECT value FROM about WHERE name = 'id'").get() as { value: string };
  const insert = database.prepare('INSERT INTO message (body) VALUES (?)');
  const isRecent = database.prepare('SELECT 1 FROM recent WHERE key = ?');
  const remember = database.prepare('INSERT OR REPLACE INTO recent (key) VALUES (?)');
  const forget = database.prepare('DELETE FROM recent WHERE number <= (SELECT max(number) FROM recent) - ?');
  const select = database.prepare('SELECT sequence, body FROM message ORDER BY sequence LIMIT ?');
  const remove = database.prepare('DELETE FROM message WHERE sequence <= ?');
  const sum = database.prepare('SELECT count(*) AS waiting, ifnull(sum(length(body)), 0) AS bytes FROM message');
  const sumTo = database.prepare(
    'SELECT count(*) AS waiting, ifnull(sum(length(body)), 0) AS bytes FROM message WHERE sequence <= ?',
  );
  let { waiting, bytes } = sum.get() as { waiting: number; bytes: number };
  let kept = 0;
  let closed = false;
  const gathering: {
    readonly bodies: readonly string[];
    readonly once: Once | undefined;
    done(): void;
    failed(error: unknown): void;
  }[] = [];
  const listeners: (() => void)[] = [];
  let scheduled = false;

  /** All that was handed in since the last turn shares one transaction, and its fsync. */
  function commit(): void {
    scheduled = false;
    if (closed) return;
    // An empty outbox takes everything, so that one message above the limit does not wait for ever.
    if (waiting > 0 && bytes >= limitBytes) return;
    const jobs = gathering.splice(0);
    if (jobs.length === 0) return;
    const added = { count: 0, bytes: 0 };
    try {
      database.exec('BEGIN IMMEDIATE');
      for (const { bodies, once } of jobs) {
        if (once?.repeated && isRecent.get(once.key) !== undefined) continue;
        for (const body of bodies) {
          insert.run(body);
          added.count++;
          added.bytes += body.length;
        }
        if (once !== undefined) remember.run(once.key);
      }
      if (jobs.some(({ once }) => once !== undefined)) forget.run(RECENT);
      database.exec('COMMIT');
    } catch (error) {
      try {
        database.exec('ROLLBACK');
      } catch {}
      for (const { failed } of jobs) failed(error);
      return;
    }
    waiting += added.count;
    kept += added.count;
    bytes += added.bytes;
    for (const { done } of jobs) done();
    for (const listener of listeners.splice(0)) listener();
  }

  function schedule(): void {
    if (scheduled || closed) return;
    scheduled = true;
    setImmediate(commit);
  }

  return {
    id,
    keep(bodies, once) {
      if (closed) return Promise.reject(new Error('the outbox is closed'));
      if (bodies.length === 0) return Promise.resolve();
      return new Promise((done, failed) => {
        gathering.push({ bodies, once, done, failed });
        schedule();
      });
    },
    oldest(most, mostBytes) {
      const found = select.all(most) as unknown as Waiting[];
      let size = 0;
      const beyond = found.findIndex(({ body }) => {
        size += body.length;
        return size > mostBytes;
      });
      return beyond < 0 ? found : found.slice(0, Math.max(1, beyond));
    },
    acknowledged(sequence) {
      const gone = sumTo.get(sequence) as { waiting: number; bytes: number };
      remove.run(sequence);
      waiting -= gone.waiting;
      bytes -= gone.bytes;
      if (gathering.length > 0) schedule();
    },
    something: () => (waiting > 0 || closed ? Promise.resolve() : new Promise((wake) => listeners.push(wake))),
    figures: () => ({ waiting, bytes, limitBytes, full: waiting > 0 && bytes >= limitBytes, kept }),
    close() {
      if (closed) return;
      closed = true;
      for (const { failed } of gathering.splice(0)) failed(new Error('the outbox is closed'));
      for (const listener of listeners.splice(0)) listener();
      database.close();
    },
  };
}
