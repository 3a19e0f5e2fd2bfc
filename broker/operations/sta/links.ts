import { badRequest, DomainError } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import type { JsonObject } from '../../domain/json.ts';
import { relationship, targetsOf } from '../../domain/sta/lens/attributes.ts';
import { storedLink } from '../../domain/sta/lens/links.ts';
import { RELATED, TYPE } from '../../domain/sta/lens/vocabulary.ts';
import type { SetName, TypeModel } from '../../domain/sta/model.ts';
import type { StoredEntity } from '../../ports/entity-store.ts';
import { ofTypes, relatedTo } from './collections.ts';
import type { Creation, Implied, Ref } from './create.ts';
import type { Item } from './item.ts';
import type { Reader } from './reader.ts';
import { chained, listSource, type Source } from './source.ts';

// Links that are Relationships of entities (domain/sta/lens/links.ts): those of STAplus and Tasking.

/** What is computed has no entity, and is named by its number. */
const COMPUTED = /^urn:ngsi-ld:(?:Datastream|TaskingCapability|Actuator):(\d{16})$/;
const computedIri = ({ type, id }: Item): Iri => `urn:ngsi-ld:${type.type}:${id}` as Iri;

/** How a Relationship names an entity of SensorThings: an Observation by its instanceId. */
export function iriOfItem(reader: Reader, item: Item): Iri {
  const { origin, id } = item;
  switch (origin.kind) {
    case 'entity':
      return origin.stored.id;
    case 'series':
      return origin.companion?.id ?? computedIri(item);
    case 'instance':
      return reader.dependencies.series.instanceId(id);
    case 'command':
    case 'actuator':
      return computedIri(item);
    default:
      throw new TypeError('Nothing can be linked to what is computed');
  }
}

const iriOfRef = (reader: Reader, ref: Ref): Iri =>
  ref.number !== undefined
    ? reader.dependencies.series.instanceId(ref.number)
    : ref.item === undefined
      ? ref.iri
      : iriOfItem(reader, ref.item);

/** The member of a set that a Relationship names; undefined: it is gone. */
export async function itemNamed(reader: Reader, set: SetName, iri: Iri): Promise<Item | undefined> {
  if (set === 'Observations') {
    const number = reader.dependencies.series.numberOf(iri);
    return number === undefined ? undefined : reader.find(set, number);
  }
  const computed = COMPUTED.exec(iri)?.[1];
  if (computed !== undefined) return reader.find(set, Number(computed));
  const stored = await reader.entity(iri);
  return stored && reader.entityAs(set, stored);
}

/** The entity that has the Relationships of a member; undefined: it has none. */
function holderOf({ origin }: Item): StoredEntity | undefined {
  return origin.kind === 'entity' ? origin.stored : origin.kind === 'series' ? origin.companion : undefined;
}

/** Where a stored link to one leads. */
export async function storedOne(reader: Reader, item: Item, link: string): Promise<Item | undefined> {
  if (item.origin.kind === 'command') {
    const { thing, target } = item.origin;
    return link === 'Thing' ? reader.entityItem('Things', thing) : reader.actuator(thing, target.known.device.device_id);
  }
  const found = storedLink(item.set, link);
  const holder = holderOf(item);
  const to = reader.model.link(item.set, link)?.to;
  const [iri] = found === undefined || holder === undefined ? [] : targetsOf(holder.entity, found.name);
  return iri === undefined || to === undefined ? undefined : itemNamed(reader, to, iri);
}

/** Where a stored link to many leads; undefined: it is no such link. */
export async function storedMany(reader: Reader, item: Item, link: string): Promise<Source | undefined> {
  const found = storedLink(item.set, link);
  const to = reader.model.link(item.set, link)?.to;
  if (found === undefined || to === undefined) return undefined;
  if (found.side === 'here') {
    const holder = holderOf(item);
    const iris = holder === undefined ? [] : targetsOf(holder.entity, found.name);
    if (to === 'Observations') return observationsNamed(reader, iris);
    const items = await Promise.all(iris.map((iri) => itemNamed(reader, to, iri)));
    return listSource(items.filter((one) => one !== undefined));
  }
  const { origin } = item;
  if (origin.kind === 'attribute' || origin.kind === 'unspecified') return listSource([]);
  if (origin.kind === 'actuator') return listSource(await reader.commandItems(origin.thing));
  const types = to === 'Things' ? await reader.thingTypes() : [TYPE[to as keyof typeof TYPE]];
  const made = ofTypes(reader, to, types, relatedTo(found.name, iriOfItem(reader, item)));
  if (item.set !== 'Things' || to !== 'TaskingCapabilities' || origin.kind !== 'entity') return made;
  return chained('id', [made, listSource(await reader.commandItems(origin.stored))]);
}

/** Observations in order of their numbers, of which only a page is looked up. */
function observationsNamed(reader: Reader, iris: readonly Iri[]): Source {
  const { series } = reader.dependencies;
  const numbers = iris.map((iri) => series.numberOf(iri)).filter((number) => number !== undefined);
  numbers.sort((a, b) => a - b);
  return {
    order: 'id',
    async page(after, limit, descending) {
      const from = after?.[0];
      const ordered = descending ? numbers.toReversed() : numbers;
      const rest = from === undefined ? ordered : ordered.filter((number) => (descending ? number < from : number > from));
      const page = rest.slice(0, limit);
      const items = await Promise.all(
        (await series.numbered(reader.tenant, page)).map((one) => one && reader.instanceItem('Observations', one)),
      );
      const placed = items.flatMap((item) => (item === undefined ? [] : [{ item, cursor: [item.id] }]));
      const last = page.at(-1);
      return { placed, next: rest.length > limit && last !== undefined ? [last] : undefined };
    },
  };
}

/**
 * Plans the stored links that a body or its place gives to an entity which is made or changed. One of a single entity takes the place of what was there,
 * `null` takes it away; those of many are added.
 * @param holder the entity of `ref`; undefined: it has none, and its links are those of other entities
 * @returns what each link leads to
 * @throws DomainError BadRequestData
 */
export async function planLinks(
  creation: Creation,
  type: TypeModel,
  body: JsonObject,
  implied: Implied,
  ref: Ref,
  holder: Iri | undefined,
): Promise<ReadonlyMap<string, readonly Ref[]>> {
  const { plan, reader } = creation;
  const linked = new Map<string, readonly Ref[]>();
  for (const link of type.links) {
    const found = storedLink(type.set, link.name);
    if (
      found === undefined ||
      (body[link.name] === undefined && !implied.has(link.name) && !(link.mandatory && ref.item === undefined))
    )
      continue;
    if (body[link.name] === null && !link.many && !link.mandatory && found.side === 'here') {
      await creation.rules.link(ref, link, []);
      if (holder !== undefined) plan.edit(holder, (edit) => void edit.remove(found.name, undefined));
      continue;
    }
    const targets = await creation.links(type, body, link.name, implied, ref);
    await creation.rules.link(ref, link, targets);
    linked.set(link.name, targets);
    const iris = targets.map((target) => iriOfRef(reader, target));
    if (iris.length === 0) continue;
    if (found.side === 'here') {
      if (holder === undefined) continue;
      if (link.many) plan.link(holder, found.name, iris);
      else plan.put(holder, found.name, relationship(iris));
      // A Relation is found by the Things whose Observations it is about.
      if (type.set === 'Relations' && link.to === 'Observations')
        plan.link(
          holder,
          RELATED,
          targets.map(({ iri }) => iri),
        );
      continue;
    }
    const back = creation.reader.model.link(link.to, link.inverse);
    for (const target of targets) {
      // What was inline has said so itself.
      if (target.item === undefined) continue;
      const own = iriOfRef(reader, ref);
      const of = target.item.origin.kind === 'series' ? target.item.origin.companion?.id : target.iri;
      if (of === undefined) {
        const { set, id } = target.item;
        throw new DomainError(
          'Conflict',
          `${set}(${id}) is computed from an NGSI-LD entity, and cannot be given a ${link.inverse}`,
        );
      }
      if (back?.many) plan.link(of, found.name, [own]);
      else plan.put(of, found.name, relationship(own));
    }
  }
  return linked;
}

/**
 * Plans that a member of a link to many is one no longer. Both stay.
 * @throws DomainError BadRequestData for links that are not made and undone like that
 */
export async function planUnlink(creation: Creation, from: Item, link: string, target: Item): Promise<void> {
  const { plan, reader, rules } = creation;
  const found = storedLink(from.set, link);
  const model = reader.model.link(from.set, link);
  if (found === undefined || model?.many !== true || reader.model.link(model.to, model.inverse)?.many !== true) {
    throw badRequest(`${target.set} cannot be taken out of ${from.set}/${link} without being deleted or given to another`);
  }
  const [holder, member] = found.side === 'here' ? [from, target] : [target, from];
  await rules.change(holder);
  const entity = holderOf(holder);
  if (entity !== undefined) plan.link(entity.id, found.name, [], [iriOfItem(reader, member)]);
}
