import { closeSync, existsSync, fdatasync, openSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { APPLICATION_ID, MIGRATIONS } from './schema.ts';

export type Value = string | number | null;

/** What is open along with a connection. */
interface Held {
  /** Descriptor of the write-ahead log, if commits do not wait for the disk. */
  readonly log?: number;
  /** Other processes have the file open, too. */
  readonly shared?: boolean;
  /** Keeps other brokers from a file that several processes of one broker share. */
  readonly lock?: DatabaseSync;
}

interface Prepared {
  readonly statement: StatementSync;
  /** It names the table of history. */
  readonly ofHistory: boolean;
}

/** One open database file: prepared statements by their text, and the settings that make a commit durable and a read cheap. */
export class Database {
  readonly #connection: DatabaseSync;
  readonly #statements = new Map<string, Prepared>();
  /** Called before each statement that names the table of history, which may lack what waits (pending-history.ts). */
  beforeHistory: () => void = () => {};
  #writing = false;
  readonly #log: number | undefined;
  /** Brings what was committed to the disk, without holding up anybody else. undefined: there is no disk, or a commit is on it already. */
  readonly sync: ((done: (error: Error | null) => void) => void) | undefined;
  readonly #lock: DatabaseSync | undefined;
  /** Other processes have the file open, too. */
  readonly #shared: boolean;
  /** The file is shared, and the next statement must open a snapshot first. */
  #outside: boolean;
  /** The file is shared, and a snapshot is open that ends with this turn of the event loop. */
  #reading = false;
  beforeSnapshot: () => void = () => {};
  /** Called when a snapshot is opened, before anything else is read in it. */
  onSnapshot: () => void = () => {};

  constructor(connection: DatabaseSync, { log, shared = false, lock }: Held = {}) {
    this.#connection = connection;
    this.#log = log;
    // All descriptors of a file share its pages, so this one brings to the disk what SQLite wrote through another.
    this.sync = log === undefined ? undefined : (done) => fdatasync(log, done);
    this.#shared = shared;
    this.#outside = shared;
    this.#lock = lock;
  }

  /** True inside a transaction that writes. */
  get writing(): boolean {
    return this.#writing;
  }

  /** True while a snapshot is open. */
  get reading(): boolean {
    return this.#reading;
  }

  /**
   * What is read in one turn of the event loop is one state of the file, although other processes write to it, as it is in a broker of one process.
   * It saves SQLite from looking for other writers before each statement, too. No longer than a turn: a snapshot holds up the checkpoint.
   */
  #look(): void {
    this.beforeSnapshot();
    this.#outside = false;
    this.#reading = true;
    this.prepare('BEGIN').run();
    setImmediate(() => this.endSnapshot());
    this.onSnapshot();
  }

  /** The next statement sees what is committed then. */
  endSnapshot(): void {
    if (!this.#reading) return;
    this.#reading = false;
    this.#outside = true;
    this.prepare('COMMIT').run();
  }

  /** Begins a transaction that writes. */
  begin(): void {
    this.endSnapshot();
    this.#connection.exec('BEGIN IMMEDIATE');
    this.#writing = true;
    this.#outside = false;
  }

  /** When this returns, the transaction is on disk, unless {@link sync} is there to bring it. */
  commit(): void {
    this.#connection.exec('COMMIT');
    this.#writing = false;
    this.#outside = this.#shared;
  }

  rollback(): void {
    this.#outside = this.#shared;
    this.#writing = false;
    this.#connection.exec('ROLLBACK');
  }

  /** The prepared statement for this text; made once. Rows come as arrays in the order of the columns: a tenth cheaper than objects. */
  prepare(sql: string): StatementSync {
    const prepared = this.#statements.get(sql) ?? this.#prepare(sql);
    if (prepared.ofHistory) this.beforeHistory();
    return prepared.statement;
  }

  #prepare(sql: string): Prepared {
    // SQLite looks at the value of a bare parameter behind LIMIT when it plans, and so plans anew whenever it is bound: 5 to 17 µs. Of an expression
    // it knows nothing, and keeps its plan.
    const statement = this.#connection.prepare(sql.replaceAll('LIMIT ?', 'LIMIT +?'));
    statement.setReturnArrays(true);
    const prepared = { statement, ofHistory: /\bhistory\b/.test(sql) };
    this.#statements.set(sql, prepared);
    return prepared;
  }

  all(sql: string, ...values: Value[]): Value[][] {
    if (this.#outside) this.#look();
    return this.prepare(sql).all(...values) as unknown as Value[][];
  }

  get(sql: string, ...values: Value[]): Value[] | undefined {
    if (this.#outside) this.#look();
    return this.prepare(sql).get(...values) as unknown as Value[] | undefined;
  }

  /** @returns how many rows it changed */
  run(sql: string, ...values: Value[]): number {
    // A snapshot is for reading: what is written outside a transaction is committed at once.
    if (this.#reading) this.endSnapshot();
    return this.prepare(sql).run(...values).changes as number;
  }

  exec(sql: string): void {
    this.#connection.exec(sql);
  }

  close(): void {
    this.endSnapshot();
    this.#outside = false;
    this.#statements.clear();
    if (this.#log !== undefined) closeSync(this.#log);
    this.#connection.close();
    this.#lock?.close();
  }
}

/** SQLite's own result code behind an error, without its extension bits; undefined if SQLite did not raise it. */
function sqliteCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown } | null)?.errcode;
  return typeof code === 'number' ? code & 0xff : undefined;
}

const BUSY = 5;
const LOCKED = 6;
const NO_MEMORY = 7;
const READONLY = 8;
const IO_ERROR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const NOT_A_DATABASE = 26;

const ENVIRONMENT: ReadonlySet<number> = new Set([BUSY, LOCKED, NO_MEMORY, READONLY, IO_ERROR, CORRUPT, FULL, CANTOPEN]);

/** True if the disk (or the memory) failed, rather than the statement being wrong. */
export function isDiskFailure(error: unknown): boolean {
  const code = sqliteCode(error);
  return code !== undefined && ENVIRONMENT.has(code);
}

export interface OpenSettings {
  readonly waitMs?: number;
  readonly maxFileBytes?: number;
  /** Other processes of this broker read the file, too. */
  readonly shared?: boolean;
  /** What is held as long as the file is open. */
  readonly lock?: DatabaseSync;
}

/**
 * Opens the file, or makes it, and brings it to the current schema.
 * @param file a path, or ':memory:'
 * @throws Error with one line that says why this broker cannot use the file
 */
export function openDatabase(
  file: string,
  { waitMs = 2_000, maxFileBytes, shared = false, lock }: OpenSettings = {},
): Database {
  let connection: DatabaseSync | undefined;
  try {
    connection = new DatabaseSync(file, { timeout: waitMs });
    // One process owns the file: the lock is taken once, and SQLite need not look for other writers before each read (a third cheaper).
    if (!shared) connection.exec('PRAGMA locking_mode = EXCLUSIVE');
    // Readers see the last commit, and a commit is one append and one fsync.
    connection.exec('PRAGMA journal_mode = WAL');
    // A migration survives a power cut when it returns. For the rest see logOf.
    connection.exec('PRAGMA synchronous = FULL');
    // Larger checkpoints write each page once for many commits; much larger ones stall the writes behind them.
    connection.exec('PRAGMA wal_autocheckpoint = 4000');
    connection.exec('PRAGMA journal_size_limit = 67108864');
    // 64 MiB: the inner pages of history and the indexes stay in memory.
    connection.exec('PRAGMA cache_size = -65536');
    connection.exec('PRAGMA temp_store = MEMORY');
    if (maxFileBytes !== undefined) connection.exec(`PRAGMA max_page_count = ${Math.ceil(maxFileBytes / 4096)}`);
    migrate(connection, file);
    const log = logOf(connection, file);
    return new Database(connection, { ...(log !== undefined && { log }), shared, ...(lock && { lock }) });
  } catch (error) {
    connection?.close();
    throw refusal(error, file);
  }
}

/**
 * The write-ahead log of a file, opened once more. Its owner brings it to the disk after each commit ({@link Database.sync}), before anybody
 * hears of it, so that SQLite need not wait for the disk inside COMMIT and hold up the whole process. NORMAL keeps everything in the order
 * that a crash asks for: the log is on disk before the file is changed, and the file before the log begins anew.
 */
function logOf(connection: DatabaseSync, file: string): number | undefined {
  const log = `${file}-wal`;
  if (file === ':memory:' || !existsSync(log)) return undefined;
  const descriptor = openSync(log, 'r+');
  connection.exec('PRAGMA synchronous = NORMAL');
  return descriptor;
}

function migrate(connection: DatabaseSync, file: string): void {
  const read = (sql: string): number => Number(Object.values(connection.prepare(sql).get() ?? {})[0] ?? 0);
  // Takes the write lock, and with it the exclusive lock, also if there is nothing to migrate.
  connection.exec('BEGIN IMMEDIATE');
  try {
    const version = read('PRAGMA user_version');
    if (read('SELECT count(*) FROM sqlite_schema') > 0 && read('PRAGMA application_id') !== APPLICATION_ID) {
      throw new Error(`${file} is a database of another program.`);
    }
    if (version > MIGRATIONS.length) {
      throw new Error(
        `${file} was written by a newer version of Mizar (schema ${version}, this one knows ${MIGRATIONS.length}): start that version.`,
      );
    }
    for (const migration of MIGRATIONS.slice(version)) connection.exec(migration);
    if (version < MIGRATIONS.length) {
      connection.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
      connection.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
    }
    connection.exec('COMMIT');
  } catch (error) {
    connection.exec('ROLLBACK');
    throw error;
  }
}

/** The one line that says why a file cannot be used. */
export function refusal(error: unknown, file: string): Error {
  const known: Record<number, string> = {
    [BUSY]: `${file} is in use by another broker: stop that one, or set another data directory.`,
    [LOCKED]: `${file} is in use by another broker: stop that one, or set another data directory.`,
    [READONLY]: `${file} cannot be written: check its permissions.`,
    [CORRUPT]: `${file} is damaged: restore it from a backup.`,
    [CANTOPEN]: `${file} cannot be opened: check that its directory exists and may be written.`,
    [NOT_A_DATABASE]: `${file} is not a database.`,
  };
  const code = sqliteCode(error);
  if (code !== undefined) {
    const message = known[code] ?? `${file} cannot be opened: ${(error as Error).message}.`;
    return new Error(message, { cause: error });
  }
  return error instanceof Error ? error : new Error(String(error));
}
