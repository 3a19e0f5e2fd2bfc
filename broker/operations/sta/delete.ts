import { DomainError } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import { targetsOf } from '../../domain/sta/lens/attributes.ts';
import { DATASTREAMS, LOCATION, LOCATIONS, THINGS, TYPE, VISITORS } from '../../domain/sta/lens/vocabulary.ts';
import type { SetName } from '../../domain/sta/model.ts';
import type { StoredEntity } from '../../ports/entity-store.ts';
import type { NumberedInstance, Series } from '../../ports/series-store.ts';
import { planAmendments, seriesOfItem } from './amend.ts';
import { linkedCollection } from './collections.ts';
import type { Item } from './item.ts';
import { iriOfItem } from './links.ts';
import { Ownership } from './ownership.ts';
import { Plan } from './plan.ts';
import type { Reader } from './reader.ts';
import { Unlinking } from './unlink.ts';

/** Entities on their way out, and what is left to be taken out of history once they are gone. */
export class Removal {
  readonly reader: Reader;
  readonly plan: Plan;
  readonly series: Series[] = [];
  readonly evolutions: Iri[] = [];
  readonly links: Unlinking;
  readonly rules: Ownership;

  constructor(reader: Reader, plan: Plan) {
    this.reader = reader;
    this.plan = plan;
    this.rules = new Ownership(reader);
    this.links = new Unlinking(reader, plan, (id) => removeEntity(plan, this, id));
  }

  /** @throws DomainError TooManyResults if too many entities would go along */
  async add(item: Item): Promise<void> {
    await this.rules.remove(item);
    await planRemoval(this.reader, this.plan, this, item);
    const { cascade } = this.reader.dependencies.limits;
    if (this.plan.size > cascade) {
      throw new DomainError('TooManyResults', `${this.plan.size} entities would be deleted along, and ${cascade} are allowed`);
    }
    if (item.origin.kind === 'instance') this.reader.dependencies.extents.forget(this.reader.tenant, seriesOfItem(item).series);
  }

  /** Once the plan is committed. */
  async finish(): Promise<void> {
    const { extents, history } = this.reader.dependencies;
    for (const series of this.series) {
      extents.forget(this.reader.tenant, series);
      const { datasetId } = series;
      await history.deleteAttribute(this.reader.tenant, series.id, series.name, datasetId === undefined ? {} : { datasetId });
    }
    for (const id of this.evolutions) await history.deleteEvolution(this.reader.tenant, id);
  }
}

type Remains = Pick<Removal, 'series' | 'evolutions' | 'links'>;

/**
 * Deletes an entity and what cannot be without it (18-088, table 35). The entities go in one step; their history is removed behind it, and is
 * no Observation any more from that step on.
 */
export async function remove(reader: Reader, item: Item): Promise<void> {
  const removal = new Removal(reader, new Plan(reader));
  await removal.add(item);
  await removal.plan.commit('deleteEntity');
  await removal.finish();
  if (item.origin.kind === 'instance') reader.dependencies.extents.forget(reader.tenant, seriesOfItem(item).series);
}

async function planRemoval(reader: Reader, plan: Plan, remains: Remains, item: Item): Promise<void> {
  const { origin, set } = item;
  const { links } = remains;
  if (origin.kind === 'series') {
    removeSeries(plan, remains, origin);
    await links.leave(set, iriOfItem(reader, item));
    return links.leaveObservations(origin.thing.id, origin.series);
  }
  if (origin.kind === 'instance') {
    if (set === 'Observations') await links.leave(set, iriOfItem(reader, item));
    return removeInstance(reader, plan, item);
  }
  if (set === 'Sensors' || set === 'ObservedProperties') {
    for (const link of ['Datastreams', 'MultiDatastreams']) {
      for (const datastream of await all(reader, item, link)) await planRemoval(reader, plan, remains, datastream);
    }
  }
  if (origin.kind === 'command' || origin.kind === 'actuator') throw computed(set, item);
  if (origin.kind !== 'entity') return;
  const { stored } = origin;
  const made = stored.entity.types.includes(TYPE[set as keyof typeof TYPE]);
  switch (set) {
    case 'Things': {
      for (const link of ['Datastreams', 'MultiDatastreams'] as const) {
        for (const datastream of await reader.seriesItems(link, stored)) {
          const of = datastream.origin;
          if (of.kind === 'series' && of.companion !== undefined) removeEntity(plan, remains, of.companion.id);
          await links.leave(link, iriOfItem(reader, datastream));
        }
      }
      await links.leaveObservations(stored.id);
      for (const command of await reader.commandItems(stored))
        await links.leave('TaskingCapabilities', iriOfItem(reader, command));
      await links.leave(set, stored.id);
      for (const location of await reader.entitiesOf(targetsOf(stored.entity, LOCATIONS)))
        plan.link(location.id, THINGS, [], [stored.id]);
      removeEntity(plan, remains, stored.id);
      return;
    }
    case 'Locations':
      if (made) await leaveLocation(reader, plan, stored);
      else {
        plan.edit(stored.id, (edit) => void edit.remove(LOCATION, undefined));
        return;
      }
      break;
    case 'FeaturesOfInterest':
      if (!made) throw computed(set, item);
      await removeObservations(reader, plan, item, links);
      break;
    default:
      await links.leave(set, stored.id);
      break;
  }
  removeEntity(plan, remains, stored.id);
}

const computed = (set: SetName, item: Item): DomainError =>
  new DomainError('Conflict', `${set}(${item.id}) is computed from an NGSI-LD entity, and goes when that goes`);

function removeEntity(plan: Plan, remains: Remains, id: Iri): void {
  plan.delete(id);
  remains.evolutions.push(id);
}

function removeSeries(plan: Plan, remains: Remains, origin: Extract<Item['origin'], { kind: 'series' }>): void {
  const { thing, series, companion } = origin;
  plan.edit(thing.id, (edit) => {
    edit.remove(series.name, series.datasetId);
    if (companion !== undefined) edit.remove(DATASTREAMS, companion.id);
  });
  remains.series.push(series);
  if (companion !== undefined) removeEntity(plan, remains, companion.id);
}

async function removeInstance(reader: Reader, plan: Plan, item: Item): Promise<void> {
  const { found, holder, series } = seriesOfItem(item);
  if (item.set === 'Observations') {
    await planAmendments(reader, plan, series, new Map([[found.number, { found, instance: undefined }]]));
    return;
  }
  // Where the Thing is now does not change because somebody forgets since when.
  const instanceId = reader.dependencies.series.instanceId(found.number);
  plan.amend(holder.id, { name: found.name, datasetId: undefined, instanceId, instance: undefined });
}

/** HistoricalLocations that have no other Location go with it. */
async function leaveLocation(reader: Reader, plan: Plan, location: StoredEntity): Promise<void> {
  const { series: store } = reader.dependencies;
  const visitors = new Set([...targetsOf(location.entity, VISITORS), ...targetsOf(location.entity, THINGS)]);
  for (const thing of await reader.entitiesOf([...visitors])) {
    const others = (objects: Iri | readonly Iri[]) => ([objects].flat() as Iri[]).filter((iri) => iri !== location.id);
    for (const { number, instance, name } of await everything(reader, { id: thing.id, name: LOCATIONS })) {
      if (instance.type !== 'Relationship' || !([instance.object].flat() as Iri[]).includes(location.id)) continue;
      const left = others(instance.object);
      const { instanceId: _, ...rest } = instance;
      const after = left.length === 0 ? undefined : { ...rest, object: left.length === 1 ? (left[0] as Iri) : left };
      plan.amend(thing.id, { name, datasetId: undefined, instanceId: store.instanceId(number), instance: after });
    }
    const current = thing.entity.attributes[LOCATIONS]?.[0];
    if (current?.type !== 'Relationship' || !([current.object].flat() as Iri[]).includes(location.id)) continue;
    const left = others(current.object);
    const newest = (await store.read(reader.tenant, { id: thing.id, name: LOCATIONS }, { limit: 1, descending: true }))[0];
    if (newest === undefined) continue;
    const instanceId = store.instanceId(newest.number);
    const { instanceId: _, ...rest } = newest.instance;
    const instance =
      left.length === 0
        ? undefined
        : { ...rest, type: 'Relationship' as const, object: left.length === 1 ? (left[0] as Iri) : left };
    plan.amend(thing.id, {
      name: LOCATIONS,
      datasetId: undefined,
      instanceId,
      instance,
      current: { instance: instance && { ...instance, instanceId } },
    });
    if (left.length === 0) plan.edit(thing.id, (edit) => void edit.remove(LOCATION, undefined));
  }
}

async function removeObservations(reader: Reader, plan: Plan, feature: Item, links: Unlinking): Promise<void> {
  const bySeries = new Map<
    string,
    { series: Series; changes: Map<number, { found: NumberedInstance; instance: undefined }> }
  >();
  for (const observation of await all(reader, feature, 'Observations')) {
    const { found, series } = seriesOfItem(observation);
    const key = `${series.id} ${series.name} ${series.datasetId ?? ''}`;
    const known = bySeries.get(key) ?? { series, changes: new Map() };
    bySeries.set(key, known);
    known.changes.set(found.number, { found, instance: undefined });
    await links.leave('Observations', iriOfItem(reader, observation));
    reader.dependencies.extents.forget(reader.tenant, series);
  }
  for (const { series, changes } of bySeries.values()) await planAmendments(reader, plan, series, changes);
}

async function everything(reader: Reader, series: Series): Promise<readonly NumberedInstance[]> {
  const found: NumberedInstance[] = [];
  for (;;) {
    const last = found.at(-1);
    const page = await reader.dependencies.series.read(reader.tenant, series, { limit: 1000, ...(last && { after: last }) });
    found.push(...page);
    if (page.length < 1000) return found;
  }
}

async function all(reader: Reader, item: Item, link: string): Promise<readonly Item[]> {
  const source = await linkedCollection(reader, item, link);
  const items: Item[] = [];
  let after: readonly number[] | undefined;
  for (;;) {
    const page = await source.page(after, 1000, false);
    for (const placed of page.placed) items.push(placed.item);
    if (page.next === undefined) return items;
    after = page.next;
  }
}
