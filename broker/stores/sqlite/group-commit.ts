import { DomainError } from '../../domain/errors.ts';
import { type Database, isDiskFailure } from './database.ts';

/** Turns of the event loop in which writes may gather, if every one of them brings more: these would have been read before the answers anyway. */
const GATHERING_TURNS = 8;

interface Job {
  /** How much it adds to the queue: the number of its writes. */
  readonly weight: number;
  /** Undo what it wrote if it throws, and nothing else. */
  readonly atomic: boolean;
  run(): unknown;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/**
 * Puts writes that arrive together into one transaction, so that they share its fsync. They are committed
 * as soon as a turn of the event loop brings no more; nobody waits for company (waiting was slower at every concurrency that was measured, ADR-0002). While the disk
 * works nobody is held up: requests are read, and what they write is the next transaction. Nobody is told of a transaction before it is
 * on disk: neither those who wrote, nor readers, who ask {@link onDisk}.
 *
 * Everything runs synchronously between BEGIN and COMMIT, so nobody sees a half-done state. What a job changes in memory it registers
 * with {@link onRollback}; what may only be seen once it is on disk goes to {@link onCommit}.
 */
export class GroupCommit {
  readonly #database: Database;
  readonly #maxWaitingWrites: number;
  readonly #transactionWrites: number;
  #queue: Job[] = [];
  #waiting = 0;
  #scheduled = false;
  #closed = false;
  #onDisk: Promise<void> | undefined;
  #lost: Error | undefined;
  #undo: (() => void)[] = [];
  #after: (() => void)[] = [];
  /** Called at the start of each transaction: what is written along with others, and not worth a transaction of its own. */
  beforeCommit: () => void = () => {};
  readonly #atEnd: (() => void)[] = [];

  /** @param transactionWrites writes that one transaction takes: more would keep readers waiting longer than they gain */
  constructor(database: Database, maxWaitingWrites: number, transactionWrites: number) {
    this.#database = database;
    this.#maxWaitingWrites = maxWaitingWrites;
    this.#transactionWrites = transactionWrites;
  }

  /** Resolves when the last transaction is on disk; undefined: it is. Rejects (Unavailable) if it will never be known to be. */
  get onDisk(): Promise<void> | undefined {
    return this.#onDisk;
  }

  /** False if the disk failed when it should have kept a transaction: only opening the file again tells what it has kept. */
  get trustworthy(): boolean {
    return this.#lost === undefined;
  }

  /** Writes that wait for their transaction. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Runs `work` inside the next transaction. Resolves with its result when that is on disk.
   * @param atomic what `work` wrote is taken back if it throws; otherwise it must throw before it writes anything
   * @throws DomainError Unavailable if too much is waiting, the store is closed or the disk failed; nothing was written then
   */
  submit<T>(work: () => T, weight = 1, atomic = false): Promise<T> {
    if (this.#closed) return Promise.reject(new DomainError('Unavailable', 'The store is closed.'));
    if (this.#lost) return Promise.reject(lost(this.#lost));
    if (this.#waiting > 0 && this.#waiting + weight > this.#maxWaitingWrites) {
      return Promise.reject(new DomainError('Unavailable', `${this.#waiting} writes are waiting already: try again later.`));
    }
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ weight, atomic, run: work, resolve: resolve as (result: unknown) => void, reject });
      this.#waiting += weight;
      this.#schedule();
    });
  }

  /** Called at the end of each transaction: what is only worth writing once for all of it. */
  atEnd(write: () => void): void {
    this.#atEnd.push(write);
  }

  /** Registers how to take back a change in memory; called in reverse order if the transaction, or this job of it, fails. */
  onRollback(undo: () => void): void {
    this.#undo.push(undo);
  }

  /** Called after the commit, before the callers hear of it. */
  onCommit(action: () => void): void {
    this.#after.push(action);
  }

  /** Commits what is waiting, then refuses everything. */
  async close(): Promise<void> {
    this.#closed = true;
    for (;;) {
      // What became of it is for those who wrote to hear.
      if (this.#lost) return;
      if (this.#onDisk) await this.#onDisk.catch(() => {});
      else if (this.#queue.length > 0) this.#flush();
      else return;
    }
  }

  #schedule(): void {
    // The next transaction begins when the last one is on disk.
    if (this.#scheduled || this.#onDisk) return;
    this.#scheduled = true;
    this.#gather(1, GATHERING_TURNS);
  }

  /** Begins the transaction when a turn of the event loop has brought no more writes. @param known how many there were before this turn */
  #gather(known: number, turns: number): void {
    setImmediate(() => {
      const { length } = this.#queue;
      if (length > known && turns > 0 && this.#waiting < this.#transactionWrites) {
        this.#gather(length, turns - 1);
        return;
      }
      this.#scheduled = false;
      this.#flush();
      if (this.#queue.length > 0) this.#schedule();
    });
  }

  #flush(): void {
    if (this.#onDisk) return;
    const jobs = this.#take();
    if (jobs.length === 0) return;
    try {
      this.#keep(jobs, this.#transact(jobs, false));
    } catch (error) {
      if (!isDiskFailure(error) && jobs.length > 1) this.#flushApart(jobs);
      else for (const job of jobs) job.reject(translate(error));
    }
  }

  /** One job broke (a mistake of ours, not the disk): each gets a savepoint, so that only the broken one fails. */
  #flushApart(jobs: readonly Job[]): void {
    try {
      this.#keep(jobs, this.#transact(jobs, true));
    } catch (error) {
      for (const job of jobs) job.reject(translate(error));
    }
  }

  #take(): Job[] {
    let weight = 0;
    let count = 0;
    for (const job of this.#queue) {
      if (count > 0 && weight + job.weight > this.#transactionWrites) break;
      weight += job.weight;
      count++;
    }
    this.#waiting -= weight;
    if (count === this.#queue.length) {
      const all = this.#queue;
      this.#queue = [];
      return all;
    }
    return this.#queue.splice(0, count);
  }

  /** @returns per job what it returned, or the error it threw. @throws if nothing was committed */
  #transact(jobs: readonly Job[], apart: boolean): Outcome[] {
    this.#undo = [];
    this.#after = [];
    this.#database.begin();
    let outcomes: Outcome[];
    try {
      this.beforeCommit();
      // A job that has the transaction to itself needs no savepoint: what undoes it undoes everything.
      const alone = jobs.length === 1;
      outcomes = jobs.map((job) => (!alone && (apart || job.atomic) ? this.#savepoint(job) : { result: job.run() }));
      for (const write of this.#atEnd) write();
      this.#database.commit();
    } catch (error) {
      this.#rollBackTo(0);
      try {
        this.#database.rollback();
      } catch {
        // SQLite has rolled back by itself (disk full, I/O error)
      }
      throw error;
    }
    return outcomes;
  }

  /** Sees that a transaction gets on disk, and then tells everybody. */
  #keep(jobs: readonly Job[], outcomes: readonly Outcome[]): void {
    const after = this.#after;
    const tell = (): void => {
      for (const action of after) action();
      this.#settle(jobs, outcomes);
    };
    if (!this.#database.sync) {
      tell();
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Mostly nobody reads meanwhile, and then nobody handles it.
    promise.catch(() => {});
    this.#onDisk = promise;
    this.#database.sync((error) => {
      if (error) {
        this.#fail(error, jobs, reject);
        return;
      }
      this.#onDisk = undefined;
      tell();
      resolve();
      if (this.#queue.length > 0) this.#schedule();
    });
  }

  /** The transaction can be seen in this process, and may be gone after a power cut: nobody may build on it. */
  #fail(error: Error, jobs: readonly Job[], reject: (error: Error) => void): void {
    this.#lost = error;
    const waiting = this.#queue;
    this.#queue = [];
    this.#waiting = 0;
    for (const job of [...jobs, ...waiting]) job.reject(lost(error));
    // The promise stays: whoever reads from now on hears of it too.
    reject(lost(error));
  }

  #savepoint(job: Job): Outcome {
    const mark = this.#undo.length;
    const afterMark = this.#after.length;
    this.#database.exec('SAVEPOINT job');
    try {
      const result = job.run();
      this.#database.exec('RELEASE job');
      return { result };
    } catch (error) {
      if (isDiskFailure(error)) throw error;
      this.#rollBackTo(mark);
      this.#after.length = afterMark;
      this.#database.exec('ROLLBACK TO job');
      this.#database.exec('RELEASE job');
      return { error };
    }
  }

  #rollBackTo(mark: number): void {
    while (this.#undo.length > mark) this.#undo.pop()?.();
  }

  #settle(jobs: readonly Job[], outcomes: readonly Outcome[]): void {
    for (const [at, job] of jobs.entries()) {
      const outcome = outcomes[at] as Outcome;
      if ('error' in outcome) job.reject(translate(outcome.error));
      else job.resolve(outcome.result);
    }
  }
}

type Outcome = { readonly result: unknown } | { readonly error: unknown };

function lost(error: Error): DomainError {
  const refused = new DomainError(
    'Unavailable',
    `The disk failed to keep what was written (${error.message}): the broker must be started again to see what is there.`,
  );
  refused.cause = error;
  return refused;
}

/** What callers are told of an error: a failure of the disk is a store that is not available. */
export function translate(error: unknown): unknown {
  if (!isDiskFailure(error)) return error;
  const refused = new DomainError(
    'Unavailable',
    `The store cannot write now (${(error as Error).message}); nothing was stored.`,
  );
  refused.cause = error;
  return refused;
}
