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
  return `INTO history (${COLUMNS}) VALUES ${Array(rows).fill(row).join(', ')}`;
});
/** Rows that may wait before they are put in their places. To do that at once takes some milliseconds, in which nobody else has a turn. */
const MOST_WAITING = 2_000;
/** Rows of one transaction that need not wait: an import has many of each series, whose places lie side by side, and would be written twice. */
const STRAIGHT = 1_000;
/**
 * Rows that a transaction puts in their places at least, when their turn has come (2 ms), and how many for each that it adds: so they never become more. Fewer at a time
 * cost more in all, because each part changes the same pages of the index by number: a fifth of an update with 64 (ADR-0016).
 */
const LEAST_PLACED = 500;
const PLACED_FOR_EACH = 3;

/** Rows on their way to their places, in the order of these. The journal has them until all are there. */
interface Placing {
  readonly rows: readonly Value[][];
  /** Those before it are in their places. */
  readonly next: number;
  /** The last row of the journal that speaks of them. */
  readonly upTo: number;
}

/**
 * Rows of history that have not been put in their places yet. Their places lie far apart, a page for each attribute that measures: 50 readings of 50
 * devices change 50 pages, and a commit writes them all. So they are written one behind the other at first (a few pages), and put in their places
 * in order when they are many, some with each transaction, or all at once when somebody wants to know: {@link Database} asks before every statement that names the
 * table. What waits is in memory and, once its transaction is committed, on disk.
 */
export class PendingHistory {
  readonly #database: Database;
  readonly #commits: GroupCommit;
  /** False: others read the file, and would not know of what waits. */
  readonly #mayWait: boolean;
  #rows: Value[][] = [];
  /** Rows that the journal has: those before this place. */
  #kept = 0;
  #placing: Placing | undefined;
  /** True while rows are put in their places: what does it names the table itself. */
  #busy = false;
  #together = false;

  constructor(database: Database, commits: GroupCommit, mayWait: boolean) {
    this.#database = database;
    this.#commits = commits;
    this.#mayWait = mayWait;
    for (const [rows] of database.all('SELECT rows FROM waiting_instance ORDER BY key')) {
      this.#rows.push(...(JSON.parse(rows as string) as Value[][]));
    }
    this.#kept = this.#rows.length;
    // Some of them may be in their places, if the last process was killed while it put them there.
    this.#settle('INSERT OR IGNORE');
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

  /** At the end of a transaction: its rows are kept, or, if nobody may wait, put in their places; and some of those that wait are put in theirs. */
  #end(): void {
    const { length } = this.#rows;
    const kept = this.#kept;
    if (length === kept) return;
    if (!this.#mayWait) {
      this.#place('INSERT');
      return;
    }
    const rows = this.#rows;
    const placing = this.#placing;
    this.#commits.onRollback(() => {
      this.#rows = rows;
      this.#kept = kept;
      this.#placing = placing;
    });
    if (length - kept >= STRAIGHT) {
      this.#rows = rows.slice(0, kept);
      this.#insert('INSERT', rows.slice(kept).sort(byPlace));
      return;
    }
    this.#database.run('INSERT INTO waiting_instance (rows) VALUES (?)', JSON.stringify(rows.slice(kept)));
    this.#kept = length;
    if (placing !== undefined) this.#placeSome(placing, Math.max(LEAST_PLACED, PLACED_FOR_EACH * (length - kept)));
    else if (length > MOST_WAITING) {
      const upTo = Number(this.#database.get('SELECT max(key) FROM waiting_instance')?.[0]);
      this.#placing = { rows: rows.toSorted(byPlace), next: 0, upTo };
      this.#rows = [];
      this.#kept = 0;
    }
  }

  #placeSome({ rows, next, upTo }: Placing, count: number): void {
    const end = Math.min(next + count, rows.length);
    this.#insert('INSERT', rows.slice(next, end));
    this.#placing = end < rows.length ? { rows, next: end, upTo } : undefined;
    if (end === rows.length) this.#database.run('DELETE FROM waiting_instance WHERE key <= ?', upTo);
  }

  /** Puts all rows in their places, inside the transaction that is being made, or in one of its own: on disk they are already. */
  settle(): void {
    this.#settle('INSERT');
  }

  #settle(verb: Verb): void {
    if (this.#busy || (this.#rows.length === 0 && this.#placing === undefined)) return;
    if (this.#database.writing) {
      this.#place(verb);
      return;
    }
    const takeBack = this.#remember();
    this.#database.begin();
    try {
      this.#placeAll(verb);
      this.#database.commit();
    } catch (error) {
      takeBack();
      this.#database.rollback();
      throw translate(error);
    }
  }

  #place(verb: Verb): void {
    this.#commits.onRollback(this.#remember());
    this.#placeAll(verb);
  }

  /** @returns what makes everything be as it is now */
  #remember(): () => void {
    const rows = this.#rows;
    const kept = this.#kept;
    const placing = this.#placing;
    return () => {
      this.#rows = rows;
      this.#kept = kept;
      this.#placing = placing;
    };
  }

  #placeAll(verb: Verb): void {
    const placing = this.#placing;
    const journal = this.#kept > 0 || placing !== undefined;
    const rows = this.#rows.concat(placing?.rows.slice(placing.next) ?? []).sort(byPlace);
    this.#rows = [];
    this.#kept = 0;
    this.#placing = undefined;
    this.#insert(verb, rows);
    if (journal) this.#database.run('DELETE FROM waiting_instance');
  }

  #insert(verb: Verb, rows: readonly Value[][]): void {
    this.#busy = true;
    try {
      if (rows.length <= ROWS_AT_ONCE) this.#database.run(`${verb} ${INSERTS[rows.length]}`, ...rows.flat());
      else for (const row of rows) this.#database.run(`${verb} ${INSERTS[1]}`, ...row);
    } finally {
      this.#busy = false;
    }
  }
}

type Verb = 'INSERT' | 'INSERT OR IGNORE';

/** In the order of the table's key: neighbours are on one page. */
function byPlace(a: readonly Value[], b: readonly Value[]): number {
  for (let at = 0; at < 4; at++) {
    const difference = (a[at] as number) - (b[at] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}
