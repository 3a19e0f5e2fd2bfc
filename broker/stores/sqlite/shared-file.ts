import { closeSync, fdatasync, openSync, statSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { DomainError } from '../../domain/errors.ts';
import { Database, type OpenSettings, openDatabase, refusal } from './database.ts';

/**
 * Opens the file, or makes it, for the one process of a broker that writes it while others read it.
 * @throws Error with one line that says why this broker cannot use the file
 */
export function openSharedDatabase(file: string, settings: OpenSettings): Database {
  const lock = lockBeside(file, settings.waitMs ?? 2_000);
  try {
    return openDatabase(file, { ...settings, shared: true, lock });
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** Keeps other brokers from a file that is not locked itself, as long as it is open; the operating system releases it with the process. */
function lockBeside(file: string, waitMs: number): DatabaseSync {
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(`${file}-lock`, { timeout: waitMs });
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock?.close();
    throw refusal(error, file);
  }
}

/** While processes read without a pause, no checkpoint comes to its end, and the log would grow. Beyond this it waits for them a moment. */
const LOG_BYTES = 64 * 1024 * 1024;
const PATIENCE_MS = 50;

/** Keeps the write-ahead log of a shared file bounded. @returns stop */
export function keepLogShort(database: Database, file: string): () => void {
  const timer = setInterval(() => {
    const size = statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
    if (size <= LOG_BYTES) return;
    database.endSnapshot();
    database.exec(`PRAGMA busy_timeout = ${PATIENCE_MS}`);
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  }, 1_000).unref();
  return () => clearInterval(timer);
}

/** How much of the file is read without copying: another process's commit empties SQLite's own cache of pages. */
const MAPPED_BYTES = 512 * 1024 * 1024;

/**
 * Opens a file that another process of this broker writes, for reading.
 * @throws Error with one line that says why it cannot be read
 */
export function openToRead(file: string, waitMs = 2_000): { readonly database: Database; readonly watch: CommitWatch } {
  try {
    const connection = new DatabaseSync(file, { readOnly: true, timeout: waitMs });
    connection.exec(`PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY; PRAGMA mmap_size = ${MAPPED_BYTES}`);
    return { database: new Database(connection, { shared: true }), watch: new CommitWatch(file) };
  } catch (error) {
    throw refusal(error, file);
  }
}

/**
 * Brings to the disk what another process has committed and this one has seen, before anybody is told of it: the process that writes does not wait for
 * the disk inside COMMIT (database.ts). Mostly it has been brought there already, and this takes no time.
 */
export class SeenOnDisk {
  readonly #log: number;
  /** Under way. */
  #current: PromiseWithResolvers<void> | undefined;
  /** Seen after that began. */
  #next: PromiseWithResolvers<void> | undefined;

  constructor(file: string) {
    this.#log = openSync(`${file}-wal`, 'r+');
  }

  /** Resolves when all that was seen is on disk; undefined: it is. Rejects (Unavailable) if it will never be known to be. */
  get onDisk(): Promise<void> | undefined {
    return (this.#next ?? this.#current)?.promise;
  }

  /** Something new can be read. */
  seen(): void {
    if (this.#next) return;
    this.#next = Promise.withResolvers<void>();
    // Mostly nobody reads meanwhile, and then nobody handles it.
    this.#next.promise.catch(() => {});
    if (!this.#current) this.#sync();
  }

  #sync(): void {
    const current = this.#next;
    this.#current = current;
    this.#next = undefined;
    fdatasync(this.#log, (error) => {
      if (error) {
        // The promise stays: whoever reads from now on hears of it too.
        current?.reject(new DomainError('Unavailable', `The disk failed to keep what was written (${error.message}).`));
        return;
      }
      this.#current = undefined;
      current?.resolve();
      if (this.#next) this.#sync();
    });
  }

  close(): void {
    const close = () => closeSync(this.#log);
    if (this.onDisk) this.onDisk.then(close, close);
    else close();
  }
}

/** Whether another process has committed something: a connection of its own, because one with an open snapshot sees nothing new. */
export class CommitWatch {
  readonly #connection: DatabaseSync;
  readonly #version: StatementSync;

  constructor(file: string) {
    this.#connection = new DatabaseSync(file, { readOnly: true, timeout: 2_000 });
    this.#version = this.#connection.prepare('PRAGMA data_version');
    this.#version.setReturnArrays(true);
  }

  /** Changes with every commit of another process. */
  version(): number {
    return (this.#version.get() as unknown as [number])[0];
  }

  close(): void {
    this.#connection.close();
  }
}
