import { badRequest, DomainError } from '../../domain/errors.ts';
import type { Write, WriteOutcome } from '../../ports/entity-store.ts';
import { Batch, type Missing } from './batch.ts';
import { keyOf } from './collections.ts';
import type { EntityRow } from './entity-row.ts';
import { addOutbox, carryOut, nothing } from './outbox.ts';
import type { Parts } from './parts.ts';
import { type Staged, Staging } from './staging.ts';
import { isPassing, translated } from './unavailable.ts';

/** Turns of the event loop in which writes may gather, if every one of them brings more. */
const GATHERING_TURNS = 8;
/** How often a write is decided anew because somebody else has changed its entity. */
const ATTEMPTS = 10;
/** The part of what the last batch took that the next one may wait for company, and the most, in milliseconds. */
const WORTH_WAITING = 6;
const MOST_WAITING_MS = 20;
/** Batches that are being written at the same time. */
const MOST_UNDER_WAY = 3;
/** So few writes are not worth being divided. */
const LEAST_SHARE = 8;
/** Positions in doubt that are remembered. */
const MOST_DOUBTFUL = 100_000;

interface Job {
  readonly writes: readonly Write[];
  /** All of them or none. */
  readonly together: boolean;
  /** What is still to be decided: indexes of writes. */
  left: readonly number[];
  readonly outcomes: WriteOutcome[];
  attempts: number;
  readonly since: number;
  resolve(outcomes: readonly WriteOutcome[]): void;
  reject(error: unknown): void;
}

/** A batch that was taken from the queue. */
interface Taken {
  readonly jobs: readonly Job[];
  readonly keys: ReadonlySet<string>;
  readonly writes: number;
}

/** A batch that is being written. */
interface UnderWay {
  readonly keys: ReadonlySet<string>;
  readonly writes: number;
  readonly done: Promise<void>;
}

/** Work that must not meet a batch of writes. */
interface Alone {
  readonly since: number;
  run(): Promise<void>;
  reject(error: unknown): void;
}

export interface WriteLoopSettings {
  readonly maxWaitingWrites: number;
  /** Most writes of one batch. */
  readonly batchWrites: number;
  /** How long a write may wait for a database that is away. */
  readonly waitMs: number;
  /** Brings the database to where everything that was written has followed; called after something failed. */
  readonly recover: () => Promise<void>;
  /** @returns why this process may not write now */
  readonly forbidden: () => string | undefined;
}

/**
 * Writes that arrive together are decided one after the other and written as one batch (batch.ts). Some batches of different entities are under way at the same
 * time, so that the processors of broker and server and its disk work at once: those who write share the round trips, and do not wait for the slowest part
 * of each. Writers are answered when all of it is on the disks of a majority, batch after batch. If anything fails, what was written is found and followed up
 * before anything else is written (sweeper.ts).
 */
export class WriteLoop {
  readonly #parts: Parts;
  readonly #settings: WriteLoopSettings;
  #queue: (Job | Alone)[] = [];
  #waiting = 0;
  #running = false;
  #closed = false;
  /** Something failed: what the database has is not known. */
  #doubt = false;
  /** Positions of what was being written when something failed: a server may carry it out after the sweeper has been there. */
  readonly #doubtful = new Set<number>();
  #idle: Promise<void> = Promise.resolve();
  readonly #underWay = new Set<UnderWay>();
  /** Resolves when nothing is under way that is so now. Never rejects. */
  #over: Promise<void> = Promise.resolve();
  /** Writes that are to be expected soon: those that wait, and as many as were answered last. */
  #expected = 0;
  /** What the last batch took. */
  #tookMs = 0;
  #wake: () => void = () => {};

  constructor(parts: Parts, settings: WriteLoopSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** Writes that wait for their batch. */
  get waiting(): number {
    return this.#waiting;
  }

  /** False while it is not known what the database has. */
  get sure(): boolean {
    return !this.#doubt;
  }

  submit(writes: readonly Write[], together: boolean): Promise<readonly WriteOutcome[]> {
    const refusal = this.#refusal(writes.length);
    if (refusal) return Promise.reject(refusal);
    if (writes.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      const left = writes.map((_, at) => at);
      this.#add({ writes, together, left, outcomes: [], attempts: 0, since: Date.now(), resolve, reject }, writes.length);
    });
  }

  /** Runs `work` when no batch is being written. What it writes must be able to be found and finished by the sweeper. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const refusal = this.#refusal(1);
    if (refusal) return Promise.reject(refusal);
    return new Promise<T>((resolve, reject) => {
      this.#add({ since: Date.now(), run: async () => resolve(await work()), reject }, 1);
    });
  }

  #refusal(weight: number): DomainError | undefined {
    if (this.#closed) return new DomainError('Unavailable', 'The store is closed.');
    const forbidden = this.#settings.forbidden();
    if (forbidden !== undefined) return new DomainError('Unavailable', forbidden);
    if (this.#waiting > 0 && this.#waiting + weight > this.#settings.maxWaitingWrites) {
      return new DomainError('Unavailable', `${this.#waiting} writes are waiting already: try again later.`);
    }
    return undefined;
  }

  #add(job: Job | Alone, weight: number): void {
    this.#queue.push(job);
    this.#waiting += weight;
    this.#wake();
    if (this.#running) return;
    this.#running = true;
    this.#idle = this.#run();
  }

  /** Carries out what is waiting, then refuses everything. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#idle;
  }

  async #run(): Promise<void> {
    await this.#gather();
    for (;;) {
      if (this.#queue.length === 0) await Promise.race([this.#over, this.#more()]);
      if (this.#queue.length === 0 && this.#underWay.size === 0) break;
      await this.#gatherMore();
      if (this.#doubt && !(await this.#settle())) continue;
      const next = this.#take();
      if (next === undefined) await this.#oneOver();
      else if ('run' in next) await this.#alone(next);
      else await this.#begin(next);
    }
    this.#running = false;
  }

  /** Resolves when more is to be written. */
  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #oneOver(): Promise<void> {
    await Promise.race([...this.#underWay].map(({ done }) => done));
  }

  /** Resolves when a turn of the event loop has brought no more writes. */
  async #gather(): Promise<void> {
    for (let turn = 0, known = 0; turn < GATHERING_TURNS && this.#queue.length > known; turn++) {
      known = this.#queue.length;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /**
   * Those who have just been answered mostly have more to write. What a batch costs hardly grows with what is in it, so it is worth a fraction of that to
   * have them in the next one, and not only those who have come already.
   */
  async #gatherMore(): Promise<void> {
    const wanted = Math.min(this.#expected, this.#share(this.#expected));
    const until = performance.now() + Math.min(this.#tookMs / WORTH_WAITING, MOST_WAITING_MS);
    while (this.#waiting < wanted && !this.#closed && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** How many writes one batch takes if there are so many to be written, so that as many batches are under way as may be. */
  #share(waiting: number): number {
    let all = waiting;
    for (const { writes } of this.#underWay) all += writes;
    return Math.min(Math.max(Math.ceil(all / MOST_UNDER_WAY), LEAST_SHARE), this.#settings.batchWrites);
  }

  /** @returns true if the database is as it must be to be written to */
  async #settle(): Promise<boolean> {
    await this.#over;
    try {
      await this.#settings.recover();
      this.#doubt = false;
      return true;
    } catch (error) {
      const oldest = Date.now() - this.#settings.waitMs;
      const tired = this.#closed ? this.#queue : this.#queue.filter(({ since }) => since <= oldest);
      this.#queue = this.#queue.filter((job) => !tired.includes(job));
      for (const job of tired) {
        this.#waiting -= weightOf(job);
        job.reject(translated(error));
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
      return false;
    }
  }

  /** What is next: a batch, or one piece of work. undefined: something that is under way must be over first. */
  #take(): Taken | Alone | undefined {
    const [first] = this.#queue;
    if (first && 'run' in first) {
      this.#queue.shift();
      this.#waiting -= 1;
      return first;
    }
    if (this.#underWay.size >= MOST_UNDER_WAY) return undefined;
    const most = this.#share(this.#waiting);
    const keys = new Set<string>();
    let weight = 0;
    let count = 0;
    for (const job of this.#queue) {
      if ('run' in job || (count > 0 && weight + job.left.length > most)) break;
      const own = job.left.map((at) => keyOfWrite(job.writes[at] as Write));
      // What follows from the last write to an entity is written before the next one takes its place in the entity's document.
      if (own.some((key) => this.#isUnderWay(key))) break;
      for (const key of own) keys.add(key);
      weight += job.left.length;
      count++;
    }
    if (count === 0) return undefined;
    this.#waiting -= weight;
    return { jobs: this.#queue.splice(0, count) as Job[], keys, writes: weight };
  }

  #isUnderWay(key: string): boolean {
    for (const { keys } of this.#underWay) if (keys.has(key)) return true;
    return false;
  }

  /** Nothing of it has been decided. */
  #putBack(jobs: readonly (Job | Alone)[]): void {
    this.#queue.unshift(...jobs);
    for (const job of jobs) this.#waiting += weightOf(job);
  }

  async #alone(work: Alone): Promise<void> {
    await this.#over;
    if (this.#doubt) {
      this.#putBack([work]);
      return;
    }
    try {
      await work.run();
    } catch (error) {
      this.#failed([work], error);
    }
  }

  #failed(jobs: readonly (Job | Alone)[], error: unknown): void {
    if (!(error instanceof DomainError)) this.#doubt = true;
    for (const job of jobs) job.reject(translated(error));
  }

  /** Decides a batch, and lets it begin. Resolves when the next one may be decided. */
  async #begin({ jobs, keys, writes }: Taken): Promise<void> {
    const { rows } = this.#parts;
    const together = jobs.some((job) => job.together && job.left.length > 1);
    if (together || this.#doubtful.size > 0) {
      await this.#over;
      if (this.#doubt) {
        this.#putBack(jobs);
        return;
      }
    }
    try {
      const stored = await rows.byKeys([...keys]);
      if (this.#doubtful.size > 0) await this.#followStragglers(stored.values());
      const staging = new Staging(this.#parts, stored);
      const decided: Job[] = [];
      for (const job of jobs) if (await this.#decide(job, staging)) decided.push(job);
      const batch = new Batch(this.#parts, staging.staged.values(), decided.some(needsAll));
      await batch.prepare();
      this.#let(this.#carryOut(decided, batch, staging, this.#over), keys, writes);
    } catch (error) {
      this.#failed(jobs, error);
    }
    if (together) await this.#over;
  }

  #let(carriedOut: Promise<void>, keys: ReadonlySet<string>, writes: number): void {
    const began = performance.now();
    const done = carriedOut.finally(() => {
      this.#underWay.delete(one);
      this.#expected = this.#waiting + writes;
      this.#tookMs = performance.now() - began;
    });
    const one = { keys, writes, done };
    this.#underWay.add(one);
    this.#over = Promise.all([this.#over, done]).then(() => {});
  }

  /** @param before resolves when the batches before are done: what this one has written is told behind what they have */
  async #carryOut(decided: readonly Job[], batch: Batch, { staged }: Staging, before: Promise<void>): Promise<void> {
    try {
      await batch.write();
      await batch.follow();
    } catch (error) {
      this.#doubtOf(staged.values());
      this.#failed(decided, error);
      return;
    }
    await before;
    if (this.#doubt) {
      // What the batches before have left undone is behind what would be told: the sweeper brings all of it into order.
      this.#doubtOf(staged.values());
      this.#failed(
        decided,
        new DomainError('Unavailable', 'The database was away, and it is not known what was stored: try again.'),
      );
      return;
    }
    batch.publish();
    for (const job of decided) this.#answer(job, batch.missing);
  }

  #doubtOf(staged: Iterable<Staged>): void {
    // What was in doubt long ago has been looked at since.
    if (this.#doubtful.size > MOST_DOUBTFUL) this.#doubtful.clear();
    for (const { row } of staged) this.#doubtful.add(row.known.order);
  }

  /** What was carried out late has been followed by nothing: that is done before the next write to the entity takes its place. */
  async #followStragglers(rows: Iterable<EntityRow>): Promise<void> {
    const { collections, ids } = this.#parts;
    for (const row of rows) {
      if (!this.#doubtful.has(row.known.order)) continue;
      const document = await collections.entities.findOne({ _id: row.key, o: row.known.order });
      const followUp = nothing();
      if (document) addOutbox(followUp, document, 0, ids);
      await carryOut(collections, followUp, true);
      this.#doubtful.delete(row.known.order);
    }
  }

  /** @returns false if the job was answered, because it is refused or broken */
  async #decide(job: Job, staging: Staging): Promise<boolean> {
    staging.mark();
    try {
      for (const at of job.left) {
        const outcome = await staging.write(job.writes[at] as Write);
        if (job.together && outcome.kind === 'refused') throw outcome.error;
        job.outcomes[at] = outcome;
      }
      return true;
    } catch (error) {
      // A mistake of ours, or a refusal of one of several that belong together; what the database says is for all of them.
      if (isPassing(error)) throw error;
      staging.takeBack();
      job.reject(error);
      return false;
    }
  }

  /** Answers a job, or has those of its writes decided anew that met a change of somebody else. */
  #answer(job: Job, missing: ReadonlyMap<string, Missing>): void {
    const again: number[] = [];
    for (const at of job.left) {
      const reason = job.outcomes[at]?.kind === 'committed' ? missing.get(keyOfWrite(job.writes[at] as Write)) : undefined;
      if (reason === undefined) continue;
      if (reason === 'changed') again.push(at);
      else job.outcomes[at] = { kind: 'refused', error: badRequest(reason.message) };
    }
    if (again.length === 0) job.resolve(job.outcomes);
    else if (++job.attempts >= ATTEMPTS)
      job.reject(new DomainError('Unavailable', 'Others keep changing the entity: try again.'));
    else {
      job.left = again;
      this.#queue.unshift(job);
      this.#waiting += again.length;
    }
  }
}

const keyOfWrite = ({ tenant, id }: Write): string => keyOf(tenant, id);
const weightOf = (job: Job | Alone): number => ('writes' in job ? job.left.length : 1);

/** One document is atomic by itself. */
const needsAll = ({ together, outcomes }: Job): boolean =>
  together && outcomes.filter(({ kind }) => kind === 'committed').length > 1;
