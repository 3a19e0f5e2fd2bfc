import type { Database, Value } from './database.ts';
import { type GroupCommit, translate } from './group-commit.ts';

const COLUMNS = 'entity, name, time, seq, observed, dataset, created, modified, deleted, number, instance';
const WIDTH = COLUMNS.split(', ').length;
/**
 * One statement for several rows: a statement costs as much as a small row. Many rows go one by one: inside a savepoint SQLite keeps the pages that a
 * statement for several rows changes until its end, and walks over all it has kept each time (23 µs a row instead of 4 among 10 000).
 */
const ROWS_AT_ONCE = 16;
const INSERTS = Array.from({ length: ROWS_AT_ONCE + 1 }, (_, rows) => {
  const row = `(${Array(WIDTH).fill('?').join(', ')})`;
  return `INSERT INTO history (${COLUMNS}) VALUES ${Array(rows).fill(row).join(', ')}`;
});
/** Rows that may wait: to put so many in their places takes some milliseconds. */
const MOST_WAITING = 2_000;

/**
 * Rows of history that have not been put in their places yet. Their places lie far apart, a page for each attribute that measures: 50 readings of 50
 * devices change 50 pages, and a commit writes them all. So they are written one behind the other at first (a few pages), and put in their places
 * together, in order, when they are many or when somebody wants to know: {@link Database} asks before every statement that names the table. What waits
 * is in memory and, once its transaction is committed, on disk.
 */
export class PendingHistory {
  readonly #database: Database;
  readonly #commits: GroupCommit;
  /** False: others read the file, and would not know of what waits. */
  readonly #mayWait: boolean;
  #rows: Value[][] = [];
  /** Rows that the journal has: those before this place. */
  #kept = 0;
  #together = false;

  constructor(database: Database, commits: GroupCommit, mayWait: boolean) {
    this.#database = database;
    this.#commits = commits;
    this.#mayWait = mayWait;
    for (const [rows] of database.all('SELECT rows FROM waiting_instance ORDER BY key')) {
      this.#rows.push(...(JSON.parse(rows as string) as Value[][]));
    }
    this.#kept = this.#rows.length;
    if (!mayWait) this.settle();
    database.beforeHistory = () => this.settle();
    commits.atEnd(() => this.#end());
  }

  /** Inside a transaction. @param row in the order of the table's columns */
  add(row: Value[]): void {
    if (!this.#together) this.#takeBack();
    this.#rows.push(row);
  }

  /** Inside a transaction: what `work` adds is taken back as one, because thousands of rows should not each remember how. */
  together(work: () => void): void {
    this.#takeBack();
    this.#together = true;
    try {
      work();
    } finally {
      this.#together = false;
    }
  }

  #takeBack(): void {
    const { length } = this.#rows;
    this.#commits.onRollback(() => {
      this.#rows.length = length;
    });
  }

  /** At the end of a transaction: its rows are kept, or, if they are many, put in their places. */
  #end(): void {
    const { length } = this.#rows;
    const kept = this.#kept;
    if (length === kept) return;
    if (!this.#mayWait || length > MOST_WAITING) {
      this.#place();
      return;
    }
    this.#database.run('INSERT INTO waiting_instance (rows) VALUES (?)', JSON.stringify(this.#rows.slice(kept)));
    this.#kept = length;
    this.#commits.onRollback(() => {
      this.#kept = kept;
    });
  }

  /** Puts all rows in their places, inside the transaction that is being made, or in one of its own: on disk they are already. */
  settle(): void {
    if (this.#rows.length === 0) return;
    if (this.#database.writing) {
      this.#place();
      return;
    }
    const rows = this.#rows;
    const kept = this.#kept;
    this.#database.begin();
    try {
      this.#insert();
      this.#database.commit();
    } catch (error) {
      this.#rows = rows;
      this.#kept = kept;
      this.#database.rollback();
      throw translate(error);
    }
  }

  #place(): void {
    const rows = this.#rows;
    const kept = this.#kept;
    this.#commits.onRollback(() => {
      this.#rows = rows;
      this.#kept = kept;
    });
    this.#insert();
  }

  #insert(): void {
    const rows = this.#rows.toSorted(byPlace);
    const journal = this.#kept > 0;
    this.#rows = [];
    this.#kept = 0;
    if (rows.length <= ROWS_AT_ONCE) this.#database.run(INSERTS[rows.length] as string, ...rows.flat());
    else for (const row of rows) this.#database.run(INSERTS[1] as string, ...row);
    if (journal) this.#database.run('DELETE FROM waiting_instance');
  }
}

/** In the order of the table's key: neighbours are on one page. */
function byPlace(a: readonly Value[], b: readonly Value[]): number {
  for (let at = 0; at < 4; at++) {
    const difference = (a[at] as number) - (b[at] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}
