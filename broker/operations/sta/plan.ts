import { demand } from '../../domain/access.ts';
import type { AttributeInstance, Attributes } from '../../domain/attribute.ts';
import type { ChangeDraft } from '../../domain/change.ts';
import type { Entity } from '../../domain/entity.ts';
import { notFound } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import { EntityEdit } from '../../domain/patch/edit.ts';
import { createEntity, deleteEntity, type Moment } from '../../domain/patch.ts';
import { seriesOf } from '../../domain/sta/lens/series.ts';
import { type Amendment, type Reading, withAmendments, withReadings } from '../../domain/sta/readings.ts';
import type { Write } from '../../ports/entity-store.ts';
import type { Reader } from './reader.ts';

/** An Observation on its way: of which Datastream, or of which attribute. */
export interface PlannedReading {
  readonly instance: AttributeInstance;
  /** The companion whose series it goes to, or the attribute itself. The datasetId of a companion's series is filled in. */
  readonly series: { readonly companion: Iri } | { readonly name: Iri };
  readonly force?: true;
}

interface PlannedEntity {
  readonly id: Iri;
  creation?: { readonly types: readonly Iri[]; readonly attributes: Attributes };
  readonly edits: ((edit: EntityEdit) => void)[];
  readonly readings: PlannedReading[];
  readonly amendments: Amendment[];
  deleted: boolean;
}

/**
 * Everything that one request writes, by entity: the store commits all of it or nothing. What a plan creates can be looked at before it is
 * written, so that parts of a deep insert find each other.
 */
export class Plan {
  readonly #reader: Reader;
  readonly #entities = new Map<Iri, PlannedEntity>();

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  #of(id: Iri): PlannedEntity {
    const known = this.#entities.get(id);
    if (known !== undefined) return known;
    const planned: PlannedEntity = { id, edits: [], readings: [], amendments: [], deleted: false };
    this.#entities.set(id, planned);
    return planned;
  }

  get size(): number {
    return this.#entities.size;
  }

  create(id: Iri, types: readonly Iri[], attributes: Attributes): void {
    this.#of(id).creation = { types, attributes };
  }

  /** Called inside the write, with what is stored then. */
  edit(id: Iri, edit: (edit: EntityEdit) => void): void {
    this.#of(id).edits.push(edit);
  }

  put(id: Iri, name: Iri, instance: AttributeInstance): void {
    this.edit(id, (edit) => void edit.put(name, instance));
  }

  /** Adds targets to a Relationship to many, or takes some away. */
  link(id: Iri, name: Iri, add: readonly Iri[], remove: readonly Iri[] = []): void {
    this.edit(id, (edit) => {
      const before = edit.get(name, undefined);
      const had = before?.type === 'Relationship' ? ([before.object].flat() as Iri[]) : [];
      const kept = had.filter((one) => !remove.includes(one));
      const all = [...kept, ...add.filter((one) => !kept.includes(one))];
      if (all.length === 0) edit.remove(name, undefined);
      else edit.put(name, { type: 'Relationship', object: all.length === 1 ? (all[0] as Iri) : all });
    });
  }

  observe(id: Iri, reading: PlannedReading): void {
    this.#of(id).readings.push(reading);
  }

  amend(id: Iri, amendment: Amendment): void {
    this.#of(id).amendments.push(amendment);
  }

  delete(id: Iri): void {
    this.#of(id).deleted = true;
  }

  deletes(id: Iri): boolean {
    return this.#entities.get(id)?.deleted === true;
  }

  /** The attributes of an entity that this plan creates. */
  created(id: Iri): Attributes | undefined {
    return this.#entities.get(id)?.creation?.attributes;
  }

  /** Commits. @throws DomainError the first refusal, and then nothing was written */
  async commit(operation: string): Promise<void> {
    const { access, entities } = this.#reader.dependencies;
    const { caller } = this.#reader;
    const writes = this.writes();
    if (writes.length === 0) return;
    demand(access, caller, { operation, effect: 'write', ids: writes.map(({ id }) => id) });
    await entities.commitTogether(writes);
  }

  writes(): readonly Write[] {
    const { clock } = this.#reader.dependencies;
    return [...this.#entities.values()].map((planned) => ({
      tenant: this.#reader.tenant,
      id: planned.id,
      decide: (current) => decide(planned, current, { at: clock.now(), stamp: clock.stamp() }),
    }));
  }
}

function decide(planned: PlannedEntity, current: Entity | undefined, moment: Moment): ChangeDraft | undefined {
  const { id, creation } = planned;
  if (planned.deleted) return current === undefined ? undefined : deleteEntity(current, id, moment);
  let draft: ChangeDraft | undefined;
  if (creation !== undefined) {
    const edit = new EntityEdit(undefined, moment);
    edit.setTypes(creation.types);
    for (const name in creation.attributes)
      for (const instance of creation.attributes[name as Iri] ?? []) edit.put(name as Iri, instance);
    for (const one of planned.edits) one(edit);
    const seen = edit.draft(id)?.after as Entity;
    draft = createEntity(current, { id, types: seen.types, attributes: withoutTimes(seen.attributes) }, moment);
  } else {
    if (current === undefined) throw notFound(`There is no entity ${id}`);
    const edit = new EntityEdit(current, moment);
    for (const one of planned.edits) one(edit);
    draft = edit.draft(id);
  }
  const seen = draft?.after ?? current;
  const readings = planned.readings.map((reading) => located(reading, seen as Entity));
  const observed = withReadings(draft, current, readings, moment);
  return planned.amendments.length === 0 || current === undefined
    ? observed
    : withAmendments(observed, current, planned.amendments, moment);
}

function located({ instance, series, force }: PlannedReading, entity: Entity): Reading {
  const found =
    'name' in series
      ? { name: series.name, datasetId: undefined }
      : seriesOf(entity).find(({ companion }) => companion === series.companion);
  if (found === undefined)
    throw notFound(`The Datastream ${'companion' in series ? series.companion : ''} was deleted meanwhile`);
  const { datasetId } = found;
  const there = datasetId === undefined || datasetId === instance.datasetId ? instance : { ...instance, datasetId };
  return force ? { name: found.name, instance: there, force } : { name: found.name, instance: there };
}

/** Times and stamps are given when the entity is made. */
function withoutTimes(attributes: Attributes): Attributes {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, instances]) => [
      name,
      instances.map(({ createdAt: _, modifiedAt: __, stamp: ___, ...instance }) => instance as AttributeInstance),
    ]),
  ) as Attributes;
}
