import type { Filter } from 'mongodb';
import type { AttributeInstance } from '../../domain/attribute.ts';
import type { HistorySelection, TemporalFilter, TimeProperty } from '../../domain/history.ts';
import type { Iri } from '../../domain/iri.ts';
import type { Micros } from '../../domain/time.ts';
import type { TimedInstance } from '../evolutions.ts';
import { spanOf } from '../spans.ts';
import type { HistoryDocument } from './collections.ts';
import type { EntityRow } from './entity-row.ts';
import { instanceIn } from './history-documents.ts';
import type { Parts } from './parts.ts';

/** Instances of one attribute that a condition is tested on (5.7.4.4, S2 and S3). */
export const TESTED = 100_000;

export type HistoryFilter = Filter<HistoryDocument>;

/** The member that has the temporal property. observedAt is in the key of the index, the others are looked for. */
const MEMBER = { observedAt: 'at', createdAt: 'c', modifiedAt: 'm', deletedAt: 'x' } as const satisfies Record<
  TimeProperty,
  keyof HistoryDocument
>;

/** 4.5.7: what says "deleted here" conveys deletedAt; it was neither created nor modified then. */
const ENTERED = { x: { $exists: false } };

type Asked = Pick<HistorySelection, 'filter' | 'datasetIds'>;

/** Reads the temporal evolution of entities. */
export class Instances {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Names of all attributes that history has of this entity. Skips from name to name, whatever the number of instances. */
  async names(row: EntityRow): Promise<readonly Iri[]> {
    return (await this.#parts.collections.history.distinct('a', { k: row.number })) as Iri[];
  }

  /** Instances of one attribute in ascending order of time: the oldest `limit`, or the newest. @param withDeletions those that say "deleted here" as well */
  async read(
    row: EntityRow,
    name: Iri,
    asked: Asked,
    limit: number,
    newest: boolean,
    withDeletions = false,
  ): Promise<TimedInstance[]> {
    if (limit <= 0) return [];
    const member = MEMBER[asked.filter.property];
    const direction = newest ? -1 : 1;
    const { reader, collections } = this.#parts;
    const sort = { [member]: direction, _id: direction } as const;
    const some = { sort, limit: Math.min(limit, 2 ** 31 - 1) };
    const found = await reader.some(collections.history, this.#filter(row, name, asked, withDeletions), some);
    return (newest ? found.toReversed() : found).map((document) => ({
      time: document[member] as Micros,
      seq: document._id,
      instance: this.instance(document),
    }));
  }

  /** Instances of one attribute for aggregation, ascending. */
  async values(
    row: EntityRow,
    name: Iri,
    asked: Asked,
  ): Promise<readonly { readonly at: Micros; readonly instance: AttributeInstance }[]> {
    const member = MEMBER[asked.filter.property];
    const found = this.#parts.collections.history
      .find({ $and: [this.#filter(row, name, asked, false), ENTERED] } as HistoryFilter)
      .sort({ [member]: 1, _id: 1 });
    return (await found.toArray()).map((document) => ({ at: document[member] as Micros, instance: this.#value(document) }));
  }

  /** What aggregation needs of an instance: of one whose value is a number no text is parsed. */
  #value(document: HistoryDocument): AttributeInstance {
    const { v, d } = document;
    if (v === undefined) return this.instance(document);
    return { type: 'Property', value: v, ...(d === undefined ? {} : { datasetId: d }) };
  }

  instance(document: HistoryDocument): AttributeInstance {
    return instanceIn(document, this.#parts.ids, this.#parts.clock.micros());
  }

  #filter(row: EntityRow, name: Iri, { filter, datasetIds }: Asked, withDeletions: boolean): HistoryFilter {
    return {
      k: row.number,
      a: name,
      ...timeFilter(filter, withDeletions),
      ...(datasetIds ? { d: { $in: datasetIds.map((id) => (id === '@none' ? null : id)) } } : {}),
      ...this.kept(),
    } as HistoryFilter;
  }

  /** Leaves out what has expired (4.22). */
  kept(): HistoryFilter {
    const { due, clock } = this.#parts;
    const now = clock.micros();
    return due.instances.by(now) ? { $or: [{ u: { $exists: false } }, { u: { $gt: now } }] } : {};
  }
}

function timeFilter(filter: TemporalFilter, withDeletions: boolean): HistoryFilter {
  const { from, to } = spanOf(filter);
  const span = { $gte: from, $lt: to };
  switch (filter.property) {
    case 'observedAt':
      return { at: span, o: true };
    case 'deletedAt':
      return { x: span };
    default:
      return { [MEMBER[filter.property]]: span, ...(withDeletions ? {} : ENTERED) };
  }
}
