import { badRequest, DomainError } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import { applyJsonPatch } from '../../domain/json-patch.ts';
import {
  attributesOfProperty,
  checkProperties,
  encodeProperty,
  relationship,
  targetsOf,
} from '../../domain/sta/lens/attributes.ts';
import { featureOf, observationInstance } from '../../domain/sta/lens/observation.ts';
import { seriesOf } from '../../domain/sta/lens/series.ts';
import { unitCodeOf } from '../../domain/sta/lens/units.ts';
import {
  DATASTREAMS,
  FEATURE,
  localName,
  OBJECT,
  OBSERVED_PROPERTY,
  SENSOR,
  THING,
  term,
} from '../../domain/sta/lens/vocabulary.ts';
import { parseMoment, toInstant } from '../../domain/sta/time.ts';
import { planAmendments, seriesOfItem } from './amend.ts';
import { Creation, checkLists, checkRelation, checkStorage, type Implied, type Ref, refOf, storedOf } from './create.ts';
import type { Item } from './item.ts';
import { planLinks } from './links.ts';
import { planLocations, planPlace } from './locations.ts';
import type { Reader } from './reader.ts';
import { refuseChange } from './tasks.ts';

export type UpdateMode = 'patch' | 'put' | 'json-patch';

/**
 * PATCH, PUT and JSON Patch of one entity (18-088, 10.4).
 * @throws DomainError BadRequestData that names the property or link which is wrong; Conflict for what is computed
 */
export async function update(reader: Reader, item: Item, body: JsonValue, mode: UpdateMode): Promise<void> {
  const creation = new Creation(reader);
  await planUpdate(creation, item, body, mode);
  await creation.plan.commit('updateAttrs');
  forgetExtents(reader, item);
}

/** An Observation was changed: how far its series reaches must be looked at again. */
export function forgetExtents(reader: Reader, item: Item): void {
  if (item.origin.kind === 'instance') reader.dependencies.extents.forget(reader.tenant, seriesOfItem(item).series);
}

export async function planUpdate(creation: Creation, item: Item, body: JsonValue, mode: UpdateMode): Promise<void> {
  const given = mode === 'json-patch' ? patched(item, body) : body;
  if (!isObject(given)) throw badRequest(`A ${item.type.type} must be a JSON object`);
  const changed = withReferences(item, given);
  const properties = checkProperties(item.type, changed, mode === 'patch');
  checkStorage(creation.reader.model, item.type, properties);
  await creation.rules.update(item, properties);
  const all: Record<string, JsonValue> = { ...properties };
  if (mode !== 'patch') {
    for (const { name, computed } of item.type.properties) if (!computed && all[name] === undefined) all[name] = null;
  }
  if (item.set === 'Tasks') refuseChange();
  if (item.set === 'Observations') await updateObservation(creation, item, changed, all);
  else if (item.set === 'HistoricalLocations') await updateHistoricalLocation(creation, item, changed, all);
  else if (item.origin.kind === 'series') await updateDatastream(creation, item, changed, all);
  else await updateEntity(creation, item, changed, all);
}

/** A JSON Patch is of the entity as it is shown; links to many cannot be reached by it. */
function patched(item: Item, patch: JsonValue): JsonValue {
  const shown: JsonObject = Object.fromEntries(
    item.type.properties.flatMap(({ name, computed }) => {
      const value = item.property(name);
      return computed || value === undefined ? [] : [[name, value]];
    }),
  );
  return applyJsonPatch(shown, patch);
}

/**
 * req/create-update-delete/update-entity: what is linked must exist. Clients send back what they read: of a linked entity its id is what counts.
 * @throws DomainError BadRequestData for one without an id
 */
function withReferences(item: Item, body: JsonObject): JsonObject {
  const links: Record<string, JsonValue> = {};
  for (const { name, many } of item.type.links) {
    const given = body[name];
    if (given === undefined || given === null) continue;
    const values = many ? given : [given];
    if (!Array.isArray(values) || !values.every((value) => isObject(value) && value['@iot.id'] !== undefined)) {
      throw badRequest(
        `"${name}" of ${item.type.type} may only name entities that exist, by "@iot.id": new ones cannot be created by an update`,
      );
    }
    const references = (values as readonly JsonObject[]).map((value) => ({ '@iot.id': value['@iot.id'] as JsonValue }));
    links[name] = many ? references : (references[0] as JsonObject);
  }
  return { ...body, ...links };
}

async function updateEntity(creation: Creation, item: Item, body: JsonObject, properties: JsonObject): Promise<void> {
  const { plan } = creation;
  const { origin, set, type } = item;
  if (origin.kind !== 'entity') {
    throw new DomainError('Conflict', `${set}(${item.id}) is computed from NGSI-LD entities: what it says is changed there`);
  }
  const { stored } = origin;
  const links: Implied = new Map();
  const computed = set !== 'Things' && !stored.entity.types.includes(term(type.type));
  if (computed && Object.keys(properties).length > 0) {
    throw new DomainError('Conflict', `${set}(${item.id}) is computed from ${stored.id}: what it says is changed there`);
  }
  for (const property of type.properties) {
    const value = properties[property.name];
    if (value === undefined) continue;
    // A foreign entity has its own word for name and description.
    const own = Object.keys(stored.entity.attributes).find((name) => localName(name) === property.name) as Iri | undefined;
    const encoded = value === null ? {} : encodeProperty(property, value);
    const renamed = own !== undefined && set === 'Things' && property.kind === 'text' && value !== null;
    plan.edit(stored.id, (edit) => {
      if (renamed) edit.put(own, { type: 'Property', value });
      else {
        for (const name of attributesOfProperty(property)) if (!Object.hasOwn(encoded, name)) edit.remove(name, undefined);
        for (const [name, [instance]] of Object.entries(encoded)) if (instance !== undefined) edit.put(name as Iri, instance);
      }
    });
  }
  if (set === 'Things' && body['Locations'] !== undefined) {
    const locations = await creation.links(type, body, 'Locations', links);
    if (locations.length > 0) await planLocations(creation, { iri: stored.id, stored }, locations, undefined);
  }
  if (set === 'Locations') {
    const ref = refOf(item);
    const located: Ref = {
      ...ref,
      located: { iri: stored.id, properties: { ...item.properties, ...properties }, feature: stored },
    };
    for (const thing of await creation.links(type, body, 'Things', links)) {
      await planLocations(creation, { iri: thing.iri, stored: storedOf(thing) }, [located], undefined);
    }
    if (properties['location'] !== undefined) await moved(creation, item, located);
  }
  for (const name of ['Datastreams', 'MultiDatastreams']) {
    if (body[name] === undefined || (set !== 'Things' && set !== 'Sensors' && set !== 'ObservedProperties')) continue;
    for (const ref of await creation.links(type, body, name, links)) {
      const link = set === 'Things' ? 'Thing' : set === 'Sensors' ? 'Sensor' : 'ObservedProperty';
      if (ref.item !== undefined) await relink(creation, ref.item, link, refOf(item));
    }
  }
  if (set === 'Relations') {
    const object = body['Object'] === undefined ? targetsOf(stored.entity, OBJECT)[0] : body['Object'];
    const external = properties['externalResource'];
    checkRelation(object, external === undefined ? item.property('externalResource') : external);
  }
  await planLinks(creation, type, body, links, refOf(item), stored.id);
}

/** The geometry was corrected: its Things are there now, and new Observations get a feature of their own. */
async function moved(creation: Creation, item: Item, located: Ref): Promise<void> {
  const { plan, reader } = creation;
  plan.edit(located.iri, (edit) => void edit.remove(FEATURE, undefined));
  if (item.origin.kind !== 'entity') return;
  for (const thing of await reader.entitiesOf(targetsOf(item.origin.stored.entity, term('things')))) {
    if (located.located !== undefined) planPlace(creation, thing.id, [located.located]);
  }
}

async function updateDatastream(creation: Creation, item: Item, body: JsonObject, properties: JsonObject): Promise<void> {
  const { plan } = creation;
  if (item.origin.kind !== 'series') return;
  const { companion, thing, series } = item.origin;
  if (companion === undefined) {
    throw new DomainError('Conflict', `${item.set}(${item.id}) is computed from ${thing.id}: what it says is changed there`);
  }
  if (item.set === 'MultiDatastreams') {
    checkLists({ ...item.properties, ...properties }, targetsOf(companion.entity, OBSERVED_PROPERTY).length);
  }
  for (const property of item.type.properties) {
    const value = properties[property.name];
    if (value === undefined || property.computed) continue;
    plan.edit(companion.id, (edit) => {
      for (const name of attributesOfProperty(property)) edit.remove(name, undefined);
      if (value === null) return;
      for (const [name, [instance]] of Object.entries(encodeProperty(property, value)))
        if (instance !== undefined) edit.put(name as Iri, instance);
    });
  }
  const unit = properties['unitOfMeasurement'];
  if (unit !== undefined && item.set === 'Datastreams') {
    const unitCode = unitCodeOf(unit);
    plan.edit(thing.id, (edit) => {
      const before = edit.get(series.name, series.datasetId);
      if (before?.type !== 'Property' || before.unitCode === unitCode) return;
      const { unitCode: _, ...rest } = before;
      edit.put(series.name, unitCode === undefined ? rest : { ...rest, unitCode });
    });
  }
  for (const link of ['Thing', 'Sensor', 'ObservedProperty']) {
    if (body[link] === undefined || item.type.links.every(({ name }) => name !== link)) continue;
    const [target] = await creation.links(item.type, body, link, new Map());
    if (target !== undefined) await relink(creation, item, link, target);
  }
  if (body['Observations'] !== undefined) await creation.links(item.type, body, 'Observations', new Map());
  await planLinks(creation, item.type, body, new Map(), refOf(item), companion.id);
}

/** Links a Datastream to another Thing, Sensor or ObservedProperty. */
async function relink(creation: Creation, item: Item, link: string, target: Ref): Promise<void> {
  const { plan, reader } = creation;
  await creation.rules.change(item);
  if (item.origin.kind !== 'series' || item.origin.companion === undefined) {
    throw new DomainError('Conflict', `${item.set}(${item.id}) is computed: its ${link} is changed in the entity itself`);
  }
  const { companion, thing, series } = item.origin;
  if (target.item?.origin.kind !== 'entity')
    throw new DomainError('Conflict', `${target.set}(${target.item?.id}) is computed, and cannot be linked to`);
  if (link !== 'Thing') {
    plan.put(companion.id, link === 'Sensor' ? SENSOR : OBSERVED_PROPERTY, relationship(target.iri));
    return;
  }
  if (target.iri === thing.id) return;
  if ((await reader.dependencies.series.count(reader.tenant, series)) > 0) {
    throw new DomainError(
      'Conflict',
      `${item.set}(${item.id}) has Observations, which are what its Thing measured: it cannot be given to another`,
    );
  }
  const made = thing.entity.attributes[DATASTREAMS]?.find(({ datasetId }) => datasetId === companion.id);
  if (made === undefined) return;
  plan.put(companion.id, THING, relationship(target.iri));
  plan.edit(thing.id, (edit) => void edit.remove(DATASTREAMS, companion.id));
  plan.edit(target.iri, (edit) => {
    const taken = edit.instances(series.name).length > 0;
    const inner = {
      ...made.attributes,
      ...(taken ? { [term('seriesDataset')]: [{ type: 'Property', value: companion.id } as const] } : {}),
    };
    edit.put(DATASTREAMS, { type: 'Relationship', object: companion.id, datasetId: companion.id, attributes: inner });
  });
}

async function updateObservation(creation: Creation, item: Item, body: JsonObject, properties: JsonObject): Promise<void> {
  const { plan, reader } = creation;
  const { found, holder, series } = seriesOfItem(item);
  for (const link of ['Datastream', 'MultiDatastream']) {
    const [target] = await creation.links(item.type, body, link, new Map());
    const own = await reader.one(item, link);
    if (target !== undefined && target.item?.id !== own?.id) {
      throw new DomainError(
        'Conflict',
        `An Observation is what the Thing of its ${link} measured: it cannot be given to another`,
      );
    }
  }
  const [feature] = await creation.links(item.type, body, 'FeatureOfInterest', new Map());
  const made = seriesOf(holder.entity).find((one) => one.name === series.name && one.datasetId === series.datasetId);
  const companion = made?.companion === undefined ? undefined : await reader.entity(made.companion);
  if (made?.multi && companion !== undefined && properties['result'] !== undefined) {
    const wanted = targetsOf(companion.entity, OBSERVED_PROPERTY).length;
    if (!Array.isArray(properties['result']) || properties['result'].length !== wanted) {
      throw badRequest(`"result" of an Observation of this MultiDatastream must be an array of ${wanted} elements`);
    }
  }
  const timed =
    properties['phenomenonTime'] === null
      ? { ...properties, phenomenonTime: String(item.property('phenomenonTime')) }
      : properties;
  const frame = { datasetId: series.datasetId, feature: feature?.iri ?? featureOf(found.instance) };
  const { instanceId: _, modifiedAt: __, ...before } = found.instance;
  const instance = {
    ...(found.instance.createdAt && { createdAt: found.instance.createdAt }),
    ...observationInstance(timed, frame, before as typeof found.instance),
  };
  if (feature !== undefined) plan.link(feature.iri, DATASTREAMS, [made?.companion ?? holder.id]);
  await planLinks(creation, item.type, body, new Map(), refOf(item), undefined);
  await planAmendments(reader, plan, series, new Map([[item.id, { found, instance }]]));
}

async function updateHistoricalLocation(
  creation: Creation,
  item: Item,
  body: JsonObject,
  properties: JsonObject,
): Promise<void> {
  const { plan, reader } = creation;
  const { found, holder } = seriesOfItem(item);
  if (body['Thing'] !== undefined) {
    const [thing] = await creation.links(item.type, body, 'Thing', new Map());
    if (thing !== undefined && thing.iri !== holder.id)
      throw new DomainError('Conflict', 'A HistoricalLocation cannot be given to another Thing');
  }
  const time = properties['time'];
  const locations = body['Locations'] === undefined ? [] : await creation.links(item.type, body, 'Locations', new Map());
  const before = found.instance.type === 'Relationship' ? ([found.instance.object].flat() as Iri[]) : [];
  const objects = [...new Set([...before, ...locations.map(({ iri }) => iri)])];
  for (const { iri } of locations) plan.link(iri, term('visitors'), [holder.id]);
  const { instanceId: _, ...rest } = found.instance;
  const instance = {
    ...rest,
    ...(found.instance.type === 'Relationship' ? { object: objects.length === 1 ? (objects[0] as Iri) : objects } : {}),
    ...(typeof time === 'string' ? { observedAt: toInstant(parseMoment(time) ?? found.at) } : {}),
  } as typeof found.instance;
  // Where the Thing is now stays as it is: only what is told of the past changes.
  plan.amend(holder.id, {
    name: found.name,
    datasetId: undefined,
    instanceId: reader.dependencies.series.instanceId(found.number),
    instance,
  });
}
