import { type AttributeInstance, instanceValue } from '../../domain/attribute.ts';
import type { Iri } from '../../domain/iri.ts';
import { fromStoredText, jsonEquals } from '../../domain/json.ts';
import { type Micros, toMicros } from '../../domain/time.ts';
import type { HistoryDocument } from './collections.ts';
import type { EntityRow } from './entity-row.ts';
import type { FollowUp } from './outbox.ts';
import type { Parts } from './parts.ts';

type Store = Pick<Parts, 'collections'>;

/** What a write asks history before it is decided. What is staged of the same entity and not written yet counts as well. */
export const fromHistory = {
  /** True if it has this reading already: same name, datasetId, observedAt and value. Without observedAt nothing is a duplicate. */
  async has(
    store: Store,
    row: EntityRow,
    name: Iri,
    instance: AttributeInstance,
    staged: FollowUp | undefined,
  ): Promise<boolean> {
    const value = instanceValue(instance);
    const found = await sameMoment(store, row, name, instance, staged);
    return found.some(({ i }) => jsonEquals(instanceValue(fromStoredText(i) as AttributeInstance), value));
  },

  /** True if history has an instance of this name and datasetId that has not ended by then and says nothing of a deletion. */
  async hasAny(
    { collections }: Store,
    row: EntityRow,
    name: Iri,
    datasetId: Iri | undefined,
    now: Micros,
    staged: FollowUp | undefined,
  ): Promise<boolean> {
    const isOne = ({ a, d, u, x }: HistoryDocument): boolean =>
      a === name && d === datasetId && x === undefined && (u === undefined || u > now);
    if (stagedDocuments(staged).some(isOne)) return true;
    const filter = { k: row.number, a: name, d: datasetId ?? { $exists: false }, x: { $exists: false } };
    const found = collections.history.find({ ...filter, $or: [{ u: { $exists: false } }, { u: { $gt: now } }] });
    for await (const { _id } of found.project<{ _id: number }>({ _id: 1 })) {
      if (staged?.instances.has(_id) !== true) return true;
    }
    return false;
  },
};

/** Instances of the moment of one, the newest first. */
export async function sameMoment(
  { collections }: Store,
  row: EntityRow,
  name: Iri,
  { observedAt, datasetId }: AttributeInstance,
  staged?: FollowUp,
): Promise<readonly HistoryDocument[]> {
  if (observedAt === undefined) return [];
  const at = toMicros(observedAt);
  const filter = { k: row.number, a: name, at, o: true, d: datasetId ?? { $exists: false }, x: { $exists: false } };
  const stored = await collections.history.find(filter).sort({ _id: -1 }).toArray();
  if (staged === undefined) return stored;
  const isOne = (one: HistoryDocument): boolean =>
    one.a === name && one.at === at && one.o && one.d === datasetId && one.x === undefined;
  const kept = stored.filter(({ _id }) => !staged.instances.has(_id));
  return [...stagedDocuments(staged).filter(isOne), ...kept].sort((a, b) => b._id - a._id);
}

function stagedDocuments(staged: FollowUp | undefined): readonly HistoryDocument[] {
  if (staged === undefined) return [];
  return [...staged.fresh, ...[...staged.instances.values()].filter((one) => one !== undefined)];
}
