import type { AttributeInstance, Attributes } from '../../domain/attribute.ts';
import { badRequest, notFound } from '../../domain/errors.ts';
import { type Iri, isIri } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import { checkProperties, encodeProperty, relationship, targetsOf } from '../../domain/sta/lens/attributes.ts';
import { storedLink } from '../../domain/sta/lens/links.ts';
import { coinedName, mayBeMeasured, seriesOf } from '../../domain/sta/lens/series.ts';
import { unitCodeOf } from '../../domain/sta/lens/units.ts';
import {
  DATASET,
  DATASTREAMS,
  type EntitySet,
  isEntitySet,
  MULTI,
  OBSERVED_PROPERTY,
  OBSERVES,
  SENSOR,
  THING,
  TYPE,
  term,
} from '../../domain/sta/lens/vocabulary.ts';
import type { LinkModel, Model, SetName, TypeModel } from '../../domain/sta/model.ts';
import { type Item, unitCodeOfSeries } from './item.ts';
import { planLinks } from './links.ts';
import { type Located, planLocations } from './locations.ts';
import { type ObservedSeries, planObservation } from './observations.ts';
import { Ownership } from './ownership.ts';
import { Plan } from './plan.ts';
import type { Reader } from './reader.ts';
import { planTask } from './tasks.ts';

/** An entity that a body names or that the plan makes. */
export interface Ref {
  readonly set: SetName;
  /** Of the entity; of an Observation or HistoricalLocation that of the Thing's entity. */
  readonly iri: Iri;
  /** There already. */
  readonly item?: Item;
  /** Of an instance: its number. */
  readonly number?: number;
  /** Of a Datastream on its way: where its Observations go. */
  readonly series?: ObservedSeries;
  /** Of a Location on its way: what a feature is made of. */
  readonly located?: Located;
}

/** Links that the place of a body gives it: Datastreams in a Thing have that Thing. */
export type Implied = ReadonlyMap<string, Ref>;

const NONE: Implied = new Map();

/** One request that creates, with all that hangs on it. */
export class Creation {
  readonly reader: Reader;
  readonly plan: Plan;
  readonly rules: Ownership;
  /** What is done once the plan is committed: commands to devices. */
  readonly afterwards: (() => Promise<void>)[] = [];
  /** What this plan makes, by the name that a change set gave it. */
  readonly named = new Map<string, Ref>();
  /** Instances need their numbers before they are written, because their links say them. */
  #reserved = 0;
  #next = 0;

  constructor(reader: Reader) {
    this.reader = reader;
    this.plan = new Plan(reader);
    this.rules = new Ownership(reader);
  }

  newIri(type: string): Iri {
    return `urn:ngsi-ld:${type}:${this.reader.dependencies.newId()}` as Iri;
  }

  /** Not a promise while the block that was reserved lasts. */
  newNumber(block = 1): number | Promise<number> {
    if (this.#next < this.#reserved) return this.#next++;
    return this.reader.dependencies.series.reserve(block).then((first) => {
      this.#next = first + 1;
      this.#reserved = first + block;
      return first;
    });
  }

  /**
   * Plans an entity and everything inline in it.
   * @throws DomainError BadRequestData that names the property or link which is wrong
   */
  async create(set: SetName, body: JsonValue, implied: Implied = NONE): Promise<Ref> {
    const type = this.reader.model.of(set);
    if (!isObject(body)) throw badRequest(`A ${type.type} must be a JSON object`);
    const properties = checkProperties(type, body, false);
    checkStorage(this.reader.model, type, properties);
    const known = await this.rules.create(set, body, implied);
    if (known !== undefined) return known;
    if (set === 'Observations') return planObservation(this, type, body, properties, implied);
    if (set === 'HistoricalLocations') return this.#historicalLocation(type, body, properties, implied);
    if (!isEntitySet(set)) throw badRequest(`${set} cannot be created`);
    return set === 'Datastreams' || set === 'MultiDatastreams'
      ? this.#datastream(set, type, body, properties, implied)
      : this.#entity(set, type, body, properties, implied);
  }

  /** The entities that a body links to: named by @iot.id, or inline, and then planned. `parent`: what they are made in. */
  async links(type: TypeModel, body: JsonObject, name: string, implied: Implied, parent?: Ref): Promise<readonly Ref[]> {
    const link = type.links.find((one) => one.name === name);
    if (link === undefined) return [];
    const from = implied.get(name);
    const given = body[name];
    const values = given === undefined || given === null ? [] : link.many ? given : [given];
    if (!Array.isArray(values)) throw badRequest(`"${name}" of ${type.type} must be an array`);
    const refs: Ref[] = from === undefined ? [] : [from];
    for (const value of values as readonly JsonValue[]) {
      const ref = await this.#linked(type, link, value, parent);
      if (from !== undefined && !link.many && (ref.item === undefined || ref.item.id !== from.item?.id)) {
        throw badRequest(`"${name}" of ${type.type} contradicts the URL that it is posted to`);
      }
      if (!refs.some((known) => known.iri === ref.iri && known.number === ref.number)) refs.push(ref);
    }
    if (link.mandatory && refs.length === 0) throw badRequest(`${type.type} lacks the mandatory link "${name}"`);
    return refs;
  }

  async #linked(type: TypeModel, link: LinkModel, value: JsonValue, parent: Ref | undefined): Promise<Ref> {
    if (!isObject(value))
      throw badRequest(`"${link.name}" of ${type.type} must be ${link.many ? 'an array of objects' : 'an object'}`);
    if (isReference(value)) return this.reference(link.to, value['@iot.id'] as JsonValue, `${type.type}/${link.name}`);
    return this.create(link.to, value, parent === undefined ? NONE : new Map([[link.inverse, parent]]));
  }

  /** @throws DomainError BadRequestData if there is no such entity */
  async reference(set: SetName, id: JsonValue, where: string): Promise<Ref> {
    const made = typeof id === 'string' && id.startsWith('$') ? this.named.get(id.slice(1)) : undefined;
    if (made?.set === set) return made;
    const number = typeof id === 'string' && /^\d{1,16}$/.test(id) ? Number(id) : id;
    const item = typeof number === 'number' && Number.isSafeInteger(number) ? await this.reader.find(set, number) : undefined;
    if (item === undefined) throw badRequest(`"${where}" names ${set}(${JSON.stringify(id)}), which does not exist`);
    return refOf(item);
  }

  async #entity(set: EntitySet, type: TypeModel, body: JsonObject, properties: JsonObject, implied: Implied): Promise<Ref> {
    const { iri, types } = this.#identity(set, type, properties);
    const attributes = encoded(type, properties);
    this.plan.create(iri, types, attributes);
    await this.rules.made(this, set, iri);
    const ref: Ref = {
      set,
      iri,
      ...(set === 'Locations' ? { located: { iri, properties, feature: undefined } } : {}),
    };
    if (set === 'Things') {
      const locations = await this.links(type, body, 'Locations', implied, ref);
      if (locations.length > 0) await planLocations(this, { iri, stored: undefined }, locations, undefined);
      for (const link of ['Datastreams', 'MultiDatastreams']) await this.links(type, body, link, implied, ref);
      await this.links(type, body, 'HistoricalLocations', implied, ref);
    } else if (set === 'Locations') {
      for (const thing of await this.links(type, body, 'Things', implied)) {
        // A Thing that the plan makes says itself where it is.
        if (thing.item === undefined && implied.has('Things')) continue;
        await planLocations(this, { iri: thing.iri, stored: storedOf(thing) }, [ref], undefined);
      }
      await this.links(type, body, 'HistoricalLocations', implied, ref);
    } else {
      for (const { name } of type.links) {
        if (!implied.has(name) && storedLink(set, name) === undefined) await this.links(type, body, name, NONE, ref);
      }
    }
    const linked = await planLinks(this, type, body, implied, ref, iri);
    if (set === 'Tasks') planTask(this, iri, properties, linked.get('TaskingCapability')?.[0]);
    if (set === 'Relations') checkRelation(body['Object'] ?? implied.get('Object'), properties['externalResource']);
    return ref;
  }

  /** A client may choose type and id of a Thing's entity. */
  #identity(set: EntitySet, type: TypeModel, properties: JsonObject): { readonly iri: Iri; readonly types: readonly Iri[] } {
    const open = properties['properties'];
    const id = isObject(open) ? open['ngsild:id'] : undefined;
    const chosen = isObject(open) ? open['ngsild:type'] : undefined;
    if (id !== undefined && !isIri(id)) throw badRequest(`"ngsild:id" must be an IRI, not ${JSON.stringify(id)}`);
    const own = TYPE[set];
    if (chosen === undefined) return { iri: id ?? this.newIri(type.type), types: [own] };
    if (typeof chosen !== 'string' || !/^[A-Za-z][\w.:/#-]*$/.test(chosen)) {
      throw badRequest(`"ngsild:type" must be a name or an IRI, not ${JSON.stringify(chosen)}`);
    }
    const wanted = isIri(chosen) ? chosen : term(chosen);
    return { iri: id ?? this.newIri(type.type), types: wanted === own ? [own] : [own, wanted] };
  }

  async #datastream(
    set: 'Datastreams' | 'MultiDatastreams',
    type: TypeModel,
    body: JsonObject,
    properties: JsonObject,
    implied: Implied,
  ): Promise<Ref> {
    const iri = this.newIri(type.type);
    const ref: Ref = { set, iri };
    const [thing] = await this.links(type, body, 'Thing', implied);
    const [sensor] = await this.links(type, body, 'Sensor', implied);
    const multi = set === 'MultiDatastreams';
    const observed = await this.links(type, body, multi ? 'ObservedProperties' : 'ObservedProperty', implied);
    if (thing === undefined || sensor === undefined) throw badRequest(`${type.type} lacks a Thing or a Sensor`);
    if (multi) checkLists(properties, observed.length);
    const sensorIri = await this.#described(sensor);
    const observedIris = await Promise.all(observed.map((one) => this.#described(one)));
    const attributes = {
      ...encoded(type, properties),
      [THING]: [relationship(thing.iri)],
      [SENSOR]: [relationship(sensorIri)],
      [OBSERVED_PROPERTY]: [relationship(observedIris)],
    };
    const name = multi ? term(coinedName(String(properties['name']))) : this.#attributeName(observed[0]);
    this.plan.create(iri, [TYPE[set]], attributes as Attributes);
    await this.rules.made(this, set, iri);
    await planLinks(this, type, body, implied, ref, iri);
    this.plan.edit(thing.iri, (edit) => {
      const made = (edit.instances(DATASTREAMS) as readonly AttributeInstance[]).length > 0 ? edit.instances(DATASTREAMS) : [];
      const taken =
        edit.instances(name).length > 0 ||
        made.some((one) => one.attributes?.[OBSERVES]?.some((of) => of.type === 'Property' && of.value === name));
      edit.put(DATASTREAMS, {
        type: 'Relationship',
        object: iri,
        datasetId: iri,
        attributes: {
          [OBSERVES]: [{ type: 'Property', value: name }],
          ...(taken ? { [DATASET]: [{ type: 'Property', value: iri }] } : {}),
          ...(multi ? { [MULTI]: [{ type: 'Property', value: true }] } : {}),
        },
      });
    });
    const unitCode = multi ? undefined : unitCodeOf(properties['unitOfMeasurement']);
    const series: ObservedSeries = {
      thing: { iri: thing.iri, stored: storedOf(thing) },
      to: { companion: iri },
      name,
      unitCode,
      features: undefined,
      ...(multi ? { results: observed.length } : {}),
    };
    const whole: Ref = { ...ref, series };
    await this.links(type, body, 'Observations', implied, whole);
    return whole;
  }

  /** What has no entity of its own gets one when somebody links to it. */
  async #described(ref: Ref): Promise<Iri> {
    const { item } = ref;
    if (item === undefined || item.origin.kind === 'entity') return ref.iri;
    const iri = this.newIri(item.type.type);
    this.plan.create(iri, [TYPE[item.set as EntitySet]], encoded(item.type, item.properties));
    return iri;
  }

  #attributeName(observed: Ref | undefined): Iri {
    if (observed?.item?.origin.kind === 'attribute') return observed.item.origin.name;
    const planned = observed === undefined ? undefined : this.plan.created(observed.iri);
    const value = (name: string): JsonValue | undefined => {
      if (observed?.item !== undefined) return observed.item.property(name);
      const [instance] = planned?.[term(name)] ?? [];
      return instance?.type === 'Property' ? instance.value : undefined;
    };
    const definition = value('definition');
    const modelled =
      typeof definition === 'string' && /^https:\/\/(smartdatamodels\.org|uri\.etsi\.org\/ngsi-ld)\//.test(definition);
    return modelled && isIri(definition) && mayBeMeasured(definition)
      ? definition
      : term(coinedName(String(value('name') ?? '')));
  }

  async #historicalLocation(type: TypeModel, body: JsonObject, properties: JsonObject, implied: Implied): Promise<Ref> {
    const [thing] = await this.links(type, body, 'Thing', implied);
    const locations = await this.links(type, body, 'Locations', implied);
    if (thing === undefined) throw badRequest('HistoricalLocation lacks the mandatory link "Thing"');
    const target = { iri: thing.iri, stored: storedOf(thing) };
    const number = await planLocations(this, target, locations, String(properties['time']));
    return { set: 'HistoricalLocations', iri: thing.iri, number };
  }
}

/**
 * 22-022r1, req/storage-crs: where STAplus is served, places are GeoJSON in WGS 84.
 * @throws DomainError BadRequestData
 */
export function checkStorage(model: Model, type: TypeModel, properties: JsonObject): void {
  const { encodingType } = properties;
  if (encodingType === undefined || encodingType === GEOJSON || model.find('Parties') === undefined) return;
  if (type.set === 'Locations' || type.set === 'FeaturesOfInterest') {
    throw badRequest(`"encodingType" of ${type.type} must be ${GEOJSON} here, not ${JSON.stringify(encodingType)}`);
  }
}
const GEOJSON = 'application/geo+json';

/** 22-022r1: a Relation leads to another Observation or to something elsewhere. @throws DomainError BadRequestData */
export function checkRelation(object: unknown, externalResource: unknown): void {
  if ((object == null) === (externalResource == null)) {
    throw badRequest('A Relation has either an "Object" or an "externalResource", and not both');
  }
}

/** Attributes that hold an entity's properties. */
export function encoded(type: TypeModel, properties: JsonObject): Attributes {
  let attributes: Attributes = {};
  for (const property of type.properties) {
    const value = properties[property.name];
    if (value !== undefined && value !== null && !property.computed)
      attributes = { ...attributes, ...encodeProperty(property, value) };
  }
  return attributes;
}

export const isReference = (value: JsonObject): boolean =>
  value['@iot.id'] !== undefined && Object.keys(value).every((name) => name.includes('@'));

export const storedOf = (ref: Ref) => (ref.item?.origin.kind === 'entity' ? ref.item.origin.stored : undefined);

/** @throws DomainError BadRequestData if nothing can link to it */
export function refOf(item: Item): Ref {
  const { origin, set } = item;
  switch (origin.kind) {
    case 'entity': {
      const located =
        set === 'Locations' ? { located: { iri: origin.stored.id, properties: item.properties, feature: origin.stored } } : {};
      return { set, iri: origin.stored.id, item, ...located };
    }
    case 'series': {
      const { thing, series, companion } = origin;
      const to = companion === undefined ? { name: series.name } : { companion: companion.id };
      const made = companion && seriesOf(thing.entity).find((one) => one.companion === companion.id);
      const multi = made?.multi && companion ? { results: targetsOf(companion.entity, OBSERVED_PROPERTY).length } : {};
      const unitCode = unitCodeOfSeries(origin);
      return {
        set,
        iri: companion?.id ?? thing.id,
        item,
        series: {
          thing: { iri: thing.id, stored: thing },
          to,
          name: series.name,
          unitCode,
          datasetId: series.datasetId,
          features: companion?.id ?? thing.id,
          ...multi,
          ...(companion ? { companion } : {}),
        },
      };
    }
    case 'instance':
      return { set, iri: origin.holder.id, item, number: item.id };
    case 'attribute':
      return { set, iri: origin.name, item };
    case 'unspecified':
    case 'command':
    case 'actuator':
      return { set, iri: origin.thing.id, item };
  }
}

/** @throws DomainError ResourceNotFound */
export function required<T>(found: T | undefined, what: string): T {
  if (found === undefined) throw notFound(`${what} does not exist`);
  return found;
}

/** A MultiDatastream's lists are of one length. */
export function checkLists(properties: JsonObject, observed: number): void {
  for (const name of ['multiObservationDataTypes', 'unitOfMeasurements']) {
    const list = properties[name];
    if (Array.isArray(list) && list.length !== observed) {
      throw badRequest(`"${name}" of MultiDatastream has ${list.length} elements for ${observed} ObservedProperties`);
    }
  }
}
