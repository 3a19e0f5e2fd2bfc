import { type AnyBulkWriteOperation, MongoBulkWriteError } from 'mongodb';
import type { Position } from '../../domain/change.ts';
import type { EntityDocument } from './collections.ts';
import { carryOut, type FollowUp } from './outbox.ts';
import type { Parts } from './parts.ts';
import { documentOf, type Staged } from './staging.ts';
import { isPassing } from './unavailable.ts';
import type { Replacement } from './writer.ts';

/** What a server says of a key that is there already. */
const DUPLICATE = 11_000;

/** Why an entity was not written: somebody else has changed it since it was read, or this store cannot keep it. */
export type Missing = Error | 'changed';

/**
 * Writes of some entities on their way into the database, in two steps: the documents of the entities, each with what follows from it, and then the history
 * and the change log. If the first one fails it is not known what was written; the sweeper finds it.
 */
export class Batch {
  readonly #parts: Parts;
  readonly #all: readonly Staged[];
  readonly #documents: readonly EntityDocument[];
  readonly #together: boolean;
  readonly #upTo: Position;
  #missing: ReadonlyMap<string, Missing> = new Map();
  #written: readonly Staged[] = [];

  /** @param together all of them or none */
  constructor(parts: Parts, staged: Iterable<Staged>, together: boolean) {
    this.#parts = parts;
    this.#all = [...staged];
    this.#documents = this.#all.map(documentOf);
    this.#together = together;
    this.#upTo = Math.max(0, ...this.#all.map(({ row }) => row.known.order));
  }

  /** Entities that were not written, by their keys. */
  get missing(): ReadonlyMap<string, Missing> {
    return this.#missing;
  }

  /** Resolves when what the documents refer to is there. Not while another batch does it. */
  async prepare(): Promise<void> {
    const { shapes, tenants } = this.#parts;
    await tenants.make(new Set(this.#all.map(({ row }) => row.known.tenant)));
    await shapes.keep(this.#all.map(({ row }) => row));
  }

  /** The first step. */
  async write(): Promise<void> {
    if (this.#all.length === 0) return;
    const { cache, collections, pages, shapes, due } = this.#parts;
    if (this.#together) {
      if ((await this.#changedSince(false)).size > 0) {
        this.#drop(new Map(this.#all.map(({ row }) => [row.key, 'changed'])));
        return;
      }
      await collections.together.insertOne({ _id: this.#upTo, entities: this.#documents });
    }
    const missing = await this.#writeEntities();
    if (this.#together && missing.size > 0) throw new Error('Entities that belong together were changed by somebody else');
    for (const [at, { row, base }] of this.#all.entries()) {
      if (missing.has(row.key)) continue;
      const { known } = row;
      cache.written(row.marked(this.#documents[at]?.r === true));
      shapes.moved(known.tenant, base?.known.shape, known.shape);
      const length = Math.max(known.text?.length ?? 0, base?.known.text?.length ?? 0);
      const [before, after] = [base?.exists ? base.entity : undefined, row.exists ? row.entity : undefined];
      pages.changed(known.tenant, known.id, before, after, length);
      due.entities.add(known.expires);
    }
    this.#written = missing.size === 0 ? this.#all : this.#all.filter(({ row }) => !missing.has(row.key));
    this.#drop(missing);
  }

  #drop(missing: ReadonlyMap<string, Missing>): void {
    this.#missing = missing;
    for (const key of missing.keys()) this.#parts.cache.drop(key);
  }

  /** The second step. */
  async follow(): Promise<void> {
    const { collections, due } = this.#parts;
    if (this.#written.length === 0) return;
    await this.#carryOut(merged(this.#written));
    for (const { followUp } of this.#written) {
      for (const { u } of followUp.fresh) due.instances.add(u);
      for (const one of followUp.instances.values()) due.instances.add(one?.u);
    }
    if (this.#together) await collections.together.deleteOne({ _id: this.#upTo });
  }

  async #carryOut(followUp: FollowUp): Promise<void> {
    const { writer, collections } = this.#parts;
    const tried = followUp.instances.size === 0;
    if (tried) {
      const { history, changes } = collections;
      const all = [writer.insert(history, followUp.fresh), writer.insert(changes, followUp.changes)];
      if (!(await Promise.all(all)).includes(false)) return;
    }
    await carryOut(collections, followUp, tried);
  }

  /** Both steps are done, and those of every batch before. */
  publish(): void {
    if (this.#all.length === 0 || (this.#together && this.#written.length === 0)) return;
    const told = this.#written.flatMap((one) => one.told).sort((a, b) => a.position - b.position);
    this.#parts.feed.publish(told, this.#upTo);
  }

  /** One update for each entity, on condition that nobody has written to it since it was read. */
  async #writeEntities(): Promise<Map<string, Missing>> {
    const { entities } = this.#parts.collections;
    const operations = this.#all.map(({ base }, at): AnyBulkWriteOperation<EntityDocument> => {
      const document = this.#documents[at] as EntityDocument;
      if (!base) return { insertOne: { document } };
      return { replaceOne: { filter: { _id: document._id, o: base.known.order }, replacement: document } };
    });
    const missing = new Map<string, Missing>();
    if (await this.#writeAtOnce()) return missing;
    let written: number;
    try {
      const { insertedCount, matchedCount } = await entities.bulkWrite(operations, { ordered: false });
      written = insertedCount + matchedCount;
    } catch (error) {
      if (!(error instanceof MongoBulkWriteError) || isPassing(error) || [error.writeErrors].flat().length === 0) throw error;
      for (const one of [error.writeErrors].flat()) {
        const key = (this.#documents[one.index] as EntityDocument)._id;
        if (one.code !== DUPLICATE) missing.set(key, new Error(`This store cannot keep it: ${one.errmsg}`));
      }
      written = error.insertedCount + error.matchedCount;
    }
    if (written + missing.size < this.#all.length) {
      for (const key of await this.#changedSince(true)) if (!missing.has(key)) missing.set(key, 'changed');
    }
    return missing;
  }

  /** @returns true if all of them were as they were read, and were written; false: not known */
  async #writeAtOnce(): Promise<boolean> {
    const { writer, collections } = this.#parts;
    const fresh: EntityDocument[] = [];
    const replaced: Replacement[] = [];
    for (const [at, { base }] of this.#all.entries()) {
      const document = this.#documents[at] as EntityDocument;
      if (base) replaced.push({ q: { _id: document._id, o: base.known.order }, u: document });
      else fresh.push(document);
    }
    const { entities } = collections;
    const all = await Promise.all([writer.insert(entities, fresh), writer.replace(entities, replaced)]);
    return !all.includes(false);
  }

  /** Entities that are not as they were read. @param written they should be as they were to be written */
  async #changedSince(written: boolean): Promise<ReadonlySet<string>> {
    const { reader, collections } = this.#parts;
    const keys = { _id: { $in: this.#all.map(({ row }) => row.key) } };
    const found = await reader.some(collections.entities, keys, { projection: { o: 1 }, limit: this.#all.length });
    const orders = new Map(found.map(({ _id, o }) => [_id, o]));
    const expected = ({ row, base }: Staged) => (written ? row : base)?.known.order;
    return new Set(this.#all.filter((one) => orders.get(one.row.key) !== expected(one)).map(({ row }) => row.key));
  }
}

function merged(written: readonly Staged[]): FollowUp {
  return {
    changes: written.flatMap(({ followUp }) => followUp.changes),
    fresh: written.flatMap(({ followUp }) => followUp.fresh),
    instances: new Map(written.flatMap(({ followUp }) => [...followUp.instances])),
    clear: [],
  };
}
