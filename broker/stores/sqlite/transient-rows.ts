import type { Micros } from '../../domain/time.ts';
import type { Database } from './database.ts';
import type { GroupCommit } from './group-commit.ts';

const ADD = 'INSERT OR REPLACE INTO transient (seq, expires, entity, name, time) VALUES (?, ?, ?, ?, ?)';
const DUE = 'SELECT seq, entity, name, time FROM transient WHERE expires <= ? ORDER BY expires LIMIT ?';

/** Which rows of history expire (4.22), and when the next one does: one comparison for those who read history. */
export class TransientRows {
  readonly #database: Database;
  readonly #commits: GroupCommit;
  #due: Micros;

  constructor(database: Database, commits: GroupCommit) {
    this.#database = database;
    this.#commits = commits;
    this.#due = this.#next();
  }

  /** When the next row expires, or has expired; Infinity if none does. */
  get due(): Micros {
    return this.#due;
  }

  /** Another process may have written: when the next row expires now. */
  heard(due: Micros | null): void {
    this.#due = due ?? Number.POSITIVE_INFINITY;
  }

  #next(): Micros {
    return (this.#database.get('SELECT min(expires) FROM transient')?.[0] as Micros | null) ?? Number.POSITIVE_INFINITY;
  }

  /** Inside a transaction. */
  add(seq: number, expires: Micros, entity: number, name: number, time: Micros): void {
    this.#database.run(ADD, seq, expires, entity, name, time);
    this.#move(Math.min(this.#due, expires));
  }

  /** Inside a transaction: a row that was written again without an end. */
  forget(seq: number): void {
    if (this.#due !== Number.POSITIVE_INFINITY) this.#database.run('DELETE FROM transient WHERE seq = ?', seq);
  }

  /** Inside a transaction: removes rows that have expired by `now` from history. @returns how many, at most `limit` */
  sweep(now: Micros, limit: number): number {
    if (this.#due > now) return 0;
    const rows = this.#database.all(DUE, now, Math.min(limit, 2 ** 31)) as [number, number, number, number][];
    for (const [seq, entity, name, time] of rows) {
      this.#database.run('DELETE FROM history WHERE entity = ? AND name = ? AND time = ? AND seq = ?', entity, name, time, seq);
      this.#database.run('DELETE FROM transient WHERE seq = ?', seq);
    }
    this.#move(this.#next());
    return rows.length;
  }

  #move(due: Micros): void {
    if (due === this.#due) return;
    const before = this.#due;
    this.#due = due;
    this.#commits.onRollback(() => {
      this.#due = before;
    });
  }
}
