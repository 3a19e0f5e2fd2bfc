import { type AnyBulkWriteOperation, MongoBulkWriteError } from 'mongodb';
import { badRequest, DomainError } from '../../domain/errors.ts';
import type { Write, WriteOutcome } from '../../ports/entity-store.ts';
import { type EntityDocument, keyOf } from './collections.ts';
import type { EntityRow } from './entity-row.ts';
import { addOutbox, carryOut, type FollowUp, nothing } from './outbox.ts';
import type { Parts } from './parts.ts';
import { documentOf, type Staged, Staging } from './staging.ts';
import { isPassing, translated } from './unavailable.ts';

/** Turns of the event loop in which writes may gather, if every one of them brings more. */
const GATHERING_TURNS = 8;
/** How often a write is decided anew because somebody else has changed its entity. */
const ATTEMPTS = 10;
/** The part of what the last batch took that the next one may wait for company, and the most, in milliseconds. */
const WORTH_WAITING = 6;
const MOST_WAITING_MS = 20;
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
 * Writes that arrive together are decided one after the other and written as one batch: the documents of their entities at once, each with what follows
 * from it, and then the history and the change log. The next batch gathers meanwhile. Writers are answered when all of it is on the disks of a
 * majority. If anything fails, what was written is found and followed up before anything else is written (sweeper.ts).
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
    while (this.#queue.length > 0) {
      if (this.#doubt && !(await this.#settle())) continue;
      const before = this.#waiting;
      const jobs = this.#take();
      const taken = before - this.#waiting;
      const began = performance.now();
      try {
        if (Array.isArray(jobs)) await this.#batch(jobs);
        else await jobs.run();
        await this.#gatherMore(taken, performance.now() - began);
      } catch (error) {
        if (!(error instanceof DomainError)) this.#doubt = true;
        for (const job of Array.isArray(jobs) ? jobs : [jobs]) job.reject(translated(error));
      }
    }
    this.#running = false;
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
   * have them in the next one, and not only those who came while the last one was written: with 50 writers that wait for their answers it doubles what a
   * second takes.
   */
  async #gatherMore(answered: number, tookMs: number): Promise<void> {
    if (this.#waiting === 0 || this.#closed) return;
    const wanted = Math.min(this.#waiting + answered, this.#settings.batchWrites);
    const until = performance.now() + Math.min(tookMs / WORTH_WAITING, MOST_WAITING_MS);
    while (this.#waiting < wanted && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  /** @returns true if the database is as it must be to be written to */
  async #settle(): Promise<boolean> {
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

  /** The next batch, or one piece of work. */
  #take(): Job[] | Alone {
    const [first] = this.#queue;
    if (first && !('writes' in first)) {
      this.#queue.shift();
      this.#waiting -= 1;
      return first;
    }
    let weight = 0;
    let count = 0;
    for (const job of this.#queue) {
      if (!('writes' in job) || (count > 0 && weight + job.left.length > this.#settings.batchWrites)) break;
      weight += job.left.length;
      count++;
    }
    this.#waiting -= weight;
    return this.#queue.splice(0, count) as Job[];
  }

  async #batch(jobs: readonly Job[]): Promise<void> {
    const { rows } = this.#parts;
    const keys = new Set(jobs.flatMap(({ writes, left }) => left.map((at) => keyOfWrite(writes[at] as Write))));
    const stored = await rows.byKeys([...keys]);
    if (this.#doubtful.size > 0) await this.#followStragglers(stored.values());
    const staging = new Staging(this.#parts, stored);
    const decided: Job[] = [];
    for (const job of jobs) if (await this.#decide(job, staging)) decided.push(job);
    const { staged } = staging;
    let missing = NONE;
    try {
      if (staged.size > 0) missing = await this.#write(staged, decided.some(needsAll));
    } catch (error) {
      this.#doubtOf(staged.values());
      throw error;
    }
    for (const job of decided) this.#answer(job, missing);
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
  #answer(job: Job, missing: ReadonlyMap<string, Error | 'changed'>): void {
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

  /** @returns entities that were not written, and why */
  async #write(staged: ReadonlyMap<string, Staged>, together: boolean): Promise<ReadonlyMap<string, Error | 'changed'>> {
    const { cache, collections, pages, shapes, tenants, due, feed } = this.#parts;
    const all = [...staged.values()];
    await tenants.make(new Set(all.map(({ row }) => row.known.tenant)));
    await shapes.keep(all.map(({ row }) => row));
    const documents = all.map(documentOf);
    const upTo = Math.max(...all.map(({ row }) => row.known.order));
    if (together) {
      const changed = await this.#changedSince(all);
      if (changed.size > 0) return this.#dropped(new Map(all.map(({ row }) => [row.key, 'changed' as const])));
      await collections.together.insertOne({ _id: upTo, entities: documents });
    }
    const missing = await this.#writeEntities(all, documents);
    if (together && missing.size > 0) throw new Error('Entities that belong together were changed by somebody else');
    const written = missing.size === 0 ? all : all.filter(({ row }) => !missing.has(row.key));
    for (const [at, { row, base }] of all.entries()) {
      if (missing.has(row.key)) continue;
      const { known } = row;
      cache.written(row.marked(documents[at]?.r === true));
      shapes.moved(known.tenant, base?.known.shape, known.shape);
      const length = Math.max(known.text?.length ?? 0, base?.known.text?.length ?? 0);
      pages.changed(
        known.tenant,
        known.id,
        base?.exists ? base.entity : undefined,
        row.exists ? row.entity : undefined,
        length,
      );
      due.entities.add(known.expires);
    }
    await carryOut(collections, merged(written), false);
    for (const { followUp } of written) for (const { u } of followUp.fresh) due.instances.add(u);
    for (const { followUp } of written) for (const one of followUp.instances.values()) due.instances.add(one?.u);
    const told = written.flatMap((one) => one.told).sort((a, b) => a.position - b.position);
    feed.publish(told, upTo);
    if (together) await collections.together.deleteOne({ _id: upTo });
    this.#dropped(missing);
    return missing;
  }

  #dropped<T extends ReadonlyMap<string, unknown>>(missing: T): T {
    for (const key of missing.keys()) this.#parts.cache.drop(key);
    return missing;
  }

  /** One update for each entity, on condition that nobody has written to it since it was read. */
  async #writeEntities(
    all: readonly Staged[],
    documents: readonly EntityDocument[],
  ): Promise<ReadonlyMap<string, Error | 'changed'>> {
    const { entities } = this.#parts.collections;
    const operations = all.map(({ base }, at): AnyBulkWriteOperation<EntityDocument> => {
      const document = documents[at] as EntityDocument;
      if (!base) return { insertOne: { document } };
      return { replaceOne: { filter: { _id: document._id, o: base.known.order }, replacement: document } };
    });
    const missing = new Map<string, Error | 'changed'>();
    let written: number;
    try {
      const { insertedCount, matchedCount } = await entities.bulkWrite(operations, { ordered: false });
      written = insertedCount + matchedCount;
    } catch (error) {
      if (!(error instanceof MongoBulkWriteError) || isPassing(error) || [error.writeErrors].flat().length === 0) throw error;
      for (const one of [error.writeErrors].flat()) {
        const key = (documents[one.index] as EntityDocument)._id;
        missing.set(key, one.code === 11000 ? 'changed' : new Error(`This store cannot keep it: ${one.errmsg}`));
      }
      written = error.insertedCount + error.matchedCount;
    }
    if (written + missing.size < all.length) {
      for (const key of await this.#changedSince(all, true)) if (!missing.has(key)) missing.set(key, 'changed');
    }
    return missing;
  }

  /** Entities that are not as they were read. @param written they should be as they were to be written */
  async #changedSince(all: readonly Staged[], written = false): Promise<ReadonlySet<string>> {
    const found = this.#parts.collections.entities.find(
      { _id: { $in: all.map(({ row }) => row.key) } },
      { projection: { o: 1 } },
    );
    const orders = new Map((await found.toArray()).map(({ _id, o }) => [_id, o]));
    const expected = ({ row, base }: Staged) => (written ? row : base)?.known.order;
    return new Set(all.filter((one) => orders.get(one.row.key) !== expected(one)).map(({ row }) => row.key));
  }
}

const NONE: ReadonlyMap<string, Error | 'changed'> = new Map();
const keyOfWrite = ({ tenant, id }: Write): string => keyOf(tenant, id);
const weightOf = (job: Job | Alone): number => ('writes' in job ? job.left.length : 1);

/** One document is atomic by itself. */
const needsAll = ({ together, outcomes }: Job): boolean =>
  together && outcomes.filter(({ kind }) => kind === 'committed').length > 1;

function merged(written: readonly Staged[]): FollowUp {
  return {
    changes: written.flatMap(({ followUp }) => followUp.changes),
    fresh: written.flatMap(({ followUp }) => followUp.fresh),
    instances: new Map(written.flatMap(({ followUp }) => [...followUp.instances])),
    clear: [],
  };
}
