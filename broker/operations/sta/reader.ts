import type { Caller } from '../../domain/access.ts';
import { demand } from '../../domain/access.ts';
import { instanceOf } from '../../domain/entity.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import { placeOf, targetsNamed, targetsOf } from '../../domain/sta/lens/attributes.ts';
import { storedLink } from '../../domain/sta/lens/links.ts';
import { isThing, mayBeMeasured, observedName, seriesOf, type ThingSeries } from '../../domain/sta/lens/series.ts';
import { isDatedByEntity, isTimeAttribute } from '../../domain/sta/lens/times.ts';
import { LOCATION, LOCATIONS, localName, OBSERVED_PROPERTY, SENSOR, SUBJECT, TYPE } from '../../domain/sta/lens/vocabulary.ts';
import type { Model, SetName } from '../../domain/sta/model.ts';
import type { StoredEntity } from '../../ports/entity-store.ts';
import type { NumberedInstance, Series } from '../../ports/series-store.ts';
import type { CommandTarget } from '../devices/targets.ts';
import { datedByEntity, datedExtents } from './dated.ts';
import type { StaDependencies } from './dependencies.ts';
import { Item, type Origin } from './item.ts';
import { itemNamed, storedOne } from './links.ts';

/** Ids of what has no entity of its own begin here (ADR-0006). */
const COMPUTED = 2 ** 52;
const NAMES = 2 ** 20;
/** Kinds of attributes that can be Observations. */
const MEASURABLE = new Set(['Property', 'ListProperty', 'JsonProperty']);

/** Finds SensorThings entities for one request of one caller. What was read once is kept until the request ends. */
export class Reader {
  readonly dependencies: StaDependencies;
  readonly caller: Caller;
  readonly model: Model;
  readonly #root: string;
  readonly #entities = new Map<Iri, Promise<StoredEntity | undefined>>();
  #thingTypes: Promise<readonly Iri[]> | undefined;

  /** @param root URL of the service root, for selfLinks */
  constructor(dependencies: StaDependencies, caller: Caller, model: Model, root: string) {
    demand(dependencies.access, caller, { operation: 'queryEntities', effect: 'read' });
    this.dependencies = dependencies;
    this.caller = caller;
    this.model = model;
    this.#root = root;
  }

  get tenant(): TenantId {
    return this.caller.tenant;
  }

  entity(id: Iri): Promise<StoredEntity | undefined> {
    const found = this.#entities.get(id) ?? this.dependencies.entities.get(this.tenant, id);
    if (this.#entities.size < 20_000) this.#entities.set(id, found);
    return found;
  }

  async entitiesOf(ids: readonly Iri[]): Promise<readonly StoredEntity[]> {
    const found = await Promise.all(ids.map((id) => this.entity(id)));
    return found.filter((stored) => stored !== undefined);
  }

  item(set: SetName, id: number, origin: Origin): Item {
    return new Item(this.model.of(set), id, origin, this.#root);
  }

  entityItem(set: SetName, stored: StoredEntity): Item {
    return this.item(set, stored.number, { kind: 'entity', stored });
  }

  /** Types of entities that may be Things: all that have measured something, so far as types can tell. */
  thingTypes(): Promise<readonly Iri[]> {
    this.#thingTypes ??= this.dependencies.entities.typeCounts(this.tenant).then((counts) => {
      const companions = new Set<Iri>(Object.values(TYPE));
      const commanded = this.#commandedTypes();
      return counts
        .filter(({ type, attributes }) => {
          if (type === TYPE.Things || commanded.has(type)) return true;
          if (companions.has(type)) return false;
          return attributes.some(({ kinds }) => kinds.some((kind) => MEASURABLE.has(kind)));
        })
        .map(({ type }) => type);
    });
    return this.#thingTypes;
  }

  /** Attributes that may have Observations; `apart`: of some, other attributes say when they were made. */
  async measuredNames(): Promise<{ readonly names: readonly Iri[]; readonly apart: boolean }> {
    const things = new Set(await this.thingTypes());
    const names = new Set<Iri>();
    let apart = false;
    for (const { type, attributes } of await this.dependencies.entities.typeCounts(this.tenant)) {
      if (!things.has(type)) continue;
      for (const { name, kinds } of attributes) {
        if (isTimeAttribute(name)) apart = true;
        if (mayBeMeasured(name) && kinds.some((kind) => MEASURABLE.has(kind))) names.add(name);
      }
    }
    return { names: [...names], apart };
  }

  // ---- one by id ---------------------------------------------------------------------------------------------------------------------

  async find(set: SetName, id: number): Promise<Item | undefined> {
    if (id <= 0) return undefined;
    if (set === 'Observations' || set === 'HistoricalLocations') {
      const [found] = await this.dependencies.series.numbered(this.tenant, [id]);
      return found === undefined ? undefined : this.instanceItem(set, found);
    }
    if (id >= COMPUTED) return this.#computed(set, id - COMPUTED);
    const [stored] = await this.dependencies.entities.numbered(this.tenant, [id]);
    return stored === undefined ? undefined : this.entityAs(set, stored);
  }

  /** The entity as a member of the set, if it is one. */
  async entityAs(set: SetName, stored: StoredEntity): Promise<Item | undefined> {
    const { entity } = stored;
    const made = TYPE[set as keyof typeof TYPE];
    if (set === 'Datastreams' || set === 'MultiDatastreams') {
      return entity.types.includes(made) ? this.madeSeries(set, stored) : undefined;
    }
    const foreign = (): boolean => {
      switch (set) {
        case 'Things':
          return isThing(entity) || this.dependencies.tasking?.targets.of(this.tenant, stored.id) !== undefined;
        case 'Locations':
          return entity.attributes[LOCATIONS] === undefined && placeOf(entity) !== undefined && isThing(entity);
        case 'FeaturesOfInterest':
          return placeOf(entity) !== undefined && computedSeries(stored).length > 0;
        case 'Sensors':
          return isDevice(stored);
        default:
          return false;
      }
    };
    // A Relation is nothing without what it is about, which NGSI-LD may have deleted.
    if (set === 'Relations' && entity.types.includes(made)) {
      const [subject] = targetsOf(entity, SUBJECT);
      if (subject === undefined || (await itemNamed(this, 'Observations', subject)) === undefined) return undefined;
    }
    return (made !== undefined && entity.types.includes(made)) || foreign() ? this.entityItem(set, stored) : undefined;
  }

  async #computed(set: SetName, rest: number): Promise<Item | undefined> {
    const number = Math.floor(rest / NAMES);
    const named = await this.dependencies.names.named(this.tenant, rest % NAMES);
    if (set === 'ObservedProperties') {
      return number === 0 && named !== undefined && named.datasetId === undefined ? this.attributeItem(named.name) : undefined;
    }
    const [stored] = await this.dependencies.entities.numbered(this.tenant, [number]);
    if (stored === undefined) return undefined;
    if (set === 'Sensors') return rest % NAMES === 0 && (await this.lacksSensor(stored)) ? this.unspecified(stored) : undefined;
    if (set === 'Actuators') {
      const [first] = rest % NAMES === 0 ? this.#commands(stored) : [];
      return first && this.actuator(stored, first.known.device.device_id);
    }
    if (set === 'TaskingCapabilities') {
      const target = this.#commands(stored).find(({ command }) => command.attribute === named?.name);
      return target && this.#commandItem(stored, target);
    }
    if (set !== 'Datastreams' || named === undefined) return undefined;
    const series = computedSeries(stored).find((one) => one.name === named.name && one.datasetId === named.datasetId);
    return series && this.computedItem(stored, series);
  }

  // ---- Datastreams -------------------------------------------------------------------------------------------------------------------

  /** The Datastream of a companion; undefined: its Thing is gone. */
  async madeSeries(set: 'Datastreams' | 'MultiDatastreams', companion: StoredEntity): Promise<Item | undefined> {
    const [thing] = await this.entitiesOf(targetsNamed(companion.entity, 'thing'));
    const made = thing && seriesOf(thing.entity).find((series) => series.companion === companion.id);
    if (thing === undefined || made === undefined) return undefined;
    const series: Series = { id: thing.id, name: made.name, datasetId: made.datasetId };
    return this.item(set, companion.number, { kind: 'series', thing, series, companion });
  }

  async computedItem(thing: StoredEntity, { name, datasetId }: ThingSeries): Promise<Item> {
    const number = await this.dependencies.names.number(this.tenant, name, datasetId);
    const id = COMPUTED + thing.number * NAMES + number;
    return this.item('Datastreams', id, { kind: 'series', thing, series: { id: thing.id, name, datasetId } });
  }

  /** All Datastreams (or MultiDatastreams) of a Thing. */
  async seriesItems(set: 'Datastreams' | 'MultiDatastreams', thing: StoredEntity): Promise<readonly Item[]> {
    const items: Item[] = [];
    for (const series of seriesOf(thing.entity)) {
      if (series.companion === undefined) {
        if (set === 'Datastreams') items.push(await this.computedItem(thing, series));
        continue;
      }
      const companion = await this.entity(series.companion);
      if (companion?.entity.types.includes(TYPE[set])) {
        const { name, datasetId } = series;
        const origin = { kind: 'series', thing, series: { id: thing.id, name, datasetId }, companion } as const;
        items.push(this.item(set, companion.number, origin));
      }
    }
    return items;
  }

  /** Datastreams with their extents, for those that show them. */
  async complete(items: readonly Item[]): Promise<void> {
    for (const item of items) {
      if (item.origin.kind !== 'series' || item.extents !== undefined) continue;
      const { series, thing } = item.origin;
      item.extents = isDatedByEntity(thing.entity, series.name, series.datasetId)
        ? await datedExtents(this, thing, series)
        : await this.dependencies.extents.of(this.tenant, series);
    }
  }

  // ---- commands of devices -----------------------------------------------------------------------------------------------------------

  #commandedTypes(): ReadonlySet<Iri> {
    const { tasking } = this.dependencies;
    const types = new Set<Iri>();
    for (const id of tasking?.targets.entities(this.tenant) ?? []) {
      const [first] = tasking?.targets.of(this.tenant, id)?.values() ?? [];
      for (const type of first?.types ?? []) types.add(type);
    }
    return types;
  }

  #commands(stored: StoredEntity): readonly CommandTarget[] {
    return [...(this.dependencies.tasking?.targets.of(this.tenant, stored.id)?.values() ?? [])];
  }

  async #commandItem(thing: StoredEntity, target: CommandTarget): Promise<Item> {
    const number = await this.dependencies.names.number(this.tenant, target.command.attribute);
    return this.item('TaskingCapabilities', COMPUTED + thing.number * NAMES + number, { kind: 'command', thing, target });
  }

  /** The TaskingCapabilities that an entity has because a device with commands is behind it. */
  commandItems(thing: StoredEntity): Promise<readonly Item[]> {
    return Promise.all(this.#commands(thing).map((target) => this.#commandItem(thing, target)));
  }

  actuator(thing: StoredEntity, device: string): Item {
    return this.item('Actuators', COMPUTED + thing.number * NAMES, { kind: 'actuator', thing, device });
  }

  /** Entities with a device behind them that takes commands. */
  commanded(): Promise<readonly StoredEntity[]> {
    return this.entitiesOf([...(this.dependencies.tasking?.targets.entities(this.tenant) ?? [])]);
  }

  // ---- Observations and HistoricalLocations ------------------------------------------------------------------------------------------

  /** The instance as a member of the set, if it is one. */
  async instanceItem(set: 'Observations' | 'HistoricalLocations', found: NumberedInstance): Promise<Item | undefined> {
    if (set === 'Observations' && (found.name === LOCATION || found.name === LOCATIONS)) return undefined;
    const holder = await this.entity(found.id);
    if (holder === undefined) return undefined;
    const belongs =
      set === 'Observations' ? this.seriesOfInstance(found, holder) !== undefined : isPlaceInstance(found, holder);
    if (!belongs) return undefined;
    const [dated] = set === 'Observations' ? await datedByEntity(this, holder, [found]) : [found];
    return this.item(set, found.number, { kind: 'instance', found: dated ?? found, holder });
  }

  seriesOfInstance(found: NumberedInstance, holder: StoredEntity): ThingSeries | undefined {
    const { datasetId } = found.instance;
    return seriesOf(holder.entity).find((series) => series.name === found.name && series.datasetId === datasetId);
  }

  // ---- Sensors and ObservedProperties ------------------------------------------------------------------------------------------------

  /** The Sensor of a Datastream that nobody described: what its current value, else its entity says; else the entity itself if it is a device. */
  async sensorOf(thing: StoredEntity, { name, datasetId }: Series | ThingSeries): Promise<StoredEntity | undefined> {
    const instance = instanceOf(thing.entity, name, datasetId);
    const of =
      instance?.attributes === undefined
        ? []
        : targetsNamed({ ...thing.entity, attributes: instance.attributes }, 'observedBy');
    const named = [...of, ...targetsNamed(thing.entity, 'refDevice', 'observedBy', 'hasSensor')];
    const [sensor] = await this.entitiesOf(named.slice(0, 1));
    if (sensor !== undefined) return sensor;
    return isDevice(thing) ? thing : undefined;
  }

  async lacksSensor(thing: StoredEntity): Promise<boolean> {
    for (const series of computedSeries(thing)) if ((await this.sensorOf(thing, series)) === undefined) return true;
    return false;
  }

  unspecified(thing: StoredEntity): Item {
    return this.item('Sensors', COMPUTED + thing.number * NAMES, { kind: 'unspecified', thing });
  }

  async attributeItem(name: Iri): Promise<Item> {
    const number = await this.dependencies.names.number(this.tenant, name);
    return this.item('ObservedProperties', COMPUTED + number, { kind: 'attribute', name });
  }

  // ---- links to one ------------------------------------------------------------------------------------------------------------------

  /** Where a link to one entity leads; undefined: nowhere. */
  async one(item: Item, link: string): Promise<Item | undefined> {
    const { origin } = item;
    if (storedLink(item.set, link) !== undefined) return storedOne(this, item, link);
    if (origin.kind === 'series') {
      const { thing, series, companion } = origin;
      if (link === 'Thing') return this.entityItem('Things', thing);
      if (companion !== undefined) {
        const [set, name] =
          link === 'Sensor' ? (['Sensors', SENSOR] as const) : (['ObservedProperties', OBSERVED_PROPERTY] as const);
        const [stored] = await this.entitiesOf(targetsOf(companion.entity, name));
        return stored && this.entityItem(set, stored);
      }
      if (link === 'ObservedProperty') return this.attributeItem(observedName(thing.entity, series.name));
      const sensor = await this.sensorOf(thing, series);
      return sensor === undefined ? this.unspecified(thing) : this.entityItem('Sensors', sensor);
    }
    if (origin.kind !== 'instance') return undefined;
    if (link === 'Thing') return this.entityItem('Things', origin.holder);
    if (link === 'FeatureOfInterest') return this.#feature(origin);
    return this.#datastream(origin, link);
  }

  async #datastream({ found, holder }: Extract<Origin, { kind: 'instance' }>, link: string): Promise<Item | undefined> {
    const series = this.seriesOfInstance(found, holder);
    const set = link === 'Datastream' ? 'Datastreams' : 'MultiDatastreams';
    if (series === undefined) return undefined;
    if (series.companion === undefined) return set === 'Datastreams' ? this.computedItem(holder, series) : undefined;
    const companion = await this.entity(series.companion);
    if (companion === undefined || !companion.entity.types.includes(TYPE[set])) return undefined;
    const { name, datasetId } = series;
    return this.item(set, companion.number, {
      kind: 'series',
      thing: holder,
      series: { id: holder.id, name, datasetId },
      companion,
    });
  }

  async #feature({ found, holder }: Extract<Origin, { kind: 'instance' }>): Promise<Item | undefined> {
    const { entity } = holder;
    const named =
      found.instance.attributes === undefined
        ? []
        : targetsNamed({ ...entity, attributes: found.instance.attributes }, 'featureOfInterest');
    const [feature] = await this.entitiesOf(named);
    if (feature !== undefined) return this.entityItem('FeaturesOfInterest', feature);
    return placeOf(entity) !== undefined ? this.entityItem('FeaturesOfInterest', holder) : undefined;
  }
}

/** Series that SensorThings did not make. */
export const computedSeries = (stored: StoredEntity): readonly ThingSeries[] =>
  seriesOf(stored.entity).filter(({ companion }) => companion === undefined);

export const isDevice = (stored: StoredEntity): boolean => stored.entity.types.some((type) => localName(type) === 'Device');

/** HistoricalLocations are the history of `locations`; of an entity that has none, of `location`. */
export const placeAttribute = (stored: StoredEntity): Iri =>
  stored.entity.attributes[LOCATIONS] === undefined && !stored.entity.types.includes(TYPE.Things) ? LOCATION : LOCATIONS;

function isPlaceInstance(found: NumberedInstance, holder: StoredEntity): boolean {
  return found.name === placeAttribute(holder) && found.instance.datasetId === undefined && isThing(holder.entity);
}
