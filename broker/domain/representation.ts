import type { AttributeInstance } from './attribute.ts';
import type { Entity } from './entity.ts';
import type { Iri } from './iri.ts';
import { isObject, type JsonObject, type JsonValue } from './json.ts';
import { compactInstances, type InstanceStyle, oneOrAll } from './jsonld/compact.ts';
import type { Context } from './jsonld/context.ts';
import { parseLanguages } from './language.ts';
import type { Projection } from './query/parse/projection.ts';

/** How a client wants entities written. All names are expanded; what is absent is the default. */
export interface Representation extends Projection {
  /** 4.5.1 to 4.5.4; default normalized. */
  readonly format?: 'normalized' | 'concise' | 'simplified';
  /** As GeoJSON Features (4.5.16, 4.5.17), with this GeoProperty as geometry. */
  readonly geometryProperty?: Iri;
  /** Also createdAt, modifiedAt and expiresAt (6.3.11). */
  readonly sysAttrs?: boolean;
  /** 4.15, as the client wrote it. */
  readonly lang?: string;
  /** Only these attributes (the `attrs` parameter); id, type and scope are there always. */
  readonly attrs?: readonly Iri[];
  /** Only instances with these datasetIds (4.5.5). */
  readonly datasetIds?: readonly (Iri | '@none')[];
}

/** The GeoProperty that GeoJSON uses if the client names none (6.3.15), and that a geoquery looks at (4.10). */
export const LOCATION = 'https://uri.etsi.org/ngsi-ld/location' as Iri;

const ID = '@id' as Iri;
const TYPE = '@type' as Iri;
const SCOPE = 'https://uri.etsi.org/ngsi-ld/scope' as Iri;

/** Equal keys, equal text of an entity for one @context: part of cache keys. */
export function representationKey(representation: Representation): string {
  const { format = 'normalized', geometryProperty, sysAttrs, lang, attrs, pick, omit, datasetIds } = representation;
  let key = format.charAt(0);
  if (sysAttrs === true) key += '+s';
  if (geometryProperty !== undefined) key += `|g${geometryProperty}`;
  if (lang !== undefined) key += `|l${lang}`;
  if (attrs !== undefined) key += `|a${[...attrs].sort().join(' ')}`;
  if (pick !== undefined) key += `|p${[...pick].sort().join(' ')}`;
  if (omit !== undefined) key += `|o${[...omit].sort().join(' ')}`;
  if (datasetIds !== undefined) key += `|d${[...datasetIds].sort().join(' ')}`;
  return key;
}

/**
 * Makes the JSON object of an entity, without @context.
 * @param embed if given: what to put in beside (or, simplified, instead of) the id that a Relationship names; undefined for none (4.5.23.2)
 */
export type EntityWriter = (entity: Entity, embed?: Embed) => JsonObject;
export type Embed = (relationship: Iri, target: Iri) => JsonObject | undefined;

/** Prepared once for a @context and a representation, and asked for many entities. */
export function entityWriter(context: Context, representation: Representation): EntityWriter {
  const style: InstanceStyle = {
    context,
    format: representation.format ?? 'normalized',
    sysAttrs: representation.sysAttrs ?? false,
    languages: representation.lang === undefined ? undefined : parseLanguages(representation.lang),
  };
  const { geometryProperty } = representation;
  const shows = shownMembers(representation);
  const datasets = representation.datasetIds === undefined ? undefined : new Set<string>(representation.datasetIds);
  const writeAttributes = (entity: Entity, out: Record<string, JsonValue>, embed: Embed | undefined): void => {
    const { attributes } = entity;
    for (const name in attributes) {
      if (!shows.attribute(name as Iri)) continue;
      const instances = selectedInstances(attributes[name as Iri] ?? [], datasets);
      if (instances.length === 0) continue;
      const styleHere = embed === undefined ? style : { ...style, embed: (target: Iri) => embed(name as Iri, target) };
      out[context.compact(name as Iri)] = compactInstances(instances, styleHere);
    }
  };
  const writeMembers = (entity: Entity, out: Record<string, JsonValue>, embed: Embed | undefined): void => {
    if (shows.type) {
      const { types } = entity;
      out['type'] = types.length === 1 ? context.compact(types[0] as Iri) : types.map((type) => context.compact(type));
    }
    if (shows.scope && entity.scopes !== undefined && entity.scopes.length > 0) out['scope'] = oneOrAll(entity.scopes);
    if (style.sysAttrs && shows.system) {
      out['createdAt'] = entity.createdAt;
      out['modifiedAt'] = entity.modifiedAt;
      if (entity.expiresAt !== undefined) out['expiresAt'] = entity.expiresAt;
    }
    writeAttributes(entity, out, embed);
  };
  if (geometryProperty === undefined) {
    return (entity, embed) => {
      const out: Record<string, JsonValue> = {};
      if (shows.id) out['id'] = entity.id;
      writeMembers(entity, out, embed);
      return out;
    };
  }
  return (entity, embed) => {
    const properties: Record<string, JsonValue> = {};
    writeMembers(entity, properties, embed);
    const geometry = featureGeometry(entity, geometryProperty, datasets);
    return shows.id ? { id: entity.id, type: 'Feature', geometry, properties } : { type: 'Feature', geometry, properties };
  };
}

/** The JSON text of one entity, without @context: what caches keep. */
export function renderEntity(entity: Entity, context: Context, representation: Representation): string {
  return JSON.stringify(entityWriter(context, representation)(entity));
}

/** Which members of an entity a representation shows. */
export interface Shown {
  readonly id: boolean;
  readonly type: boolean;
  readonly scope: boolean;
  /** The entity's own createdAt, modifiedAt and expiresAt. */
  readonly system: boolean;
  attribute(name: Iri): boolean;
}

/** What `attrs`, `pick` and `omit` leave of an entity (4.21). */
export function shownMembers({ attrs, pick, omit }: Representation): Shown {
  if (attrs === undefined && pick === undefined && omit === undefined) return EVERYTHING;
  const listed = attrs === undefined ? undefined : new Set<Iri>(attrs);
  const shows = (name: Iri): boolean => (pick === undefined || pick.has(name)) && omit?.has(name) !== true;
  return {
    id: shows(ID),
    type: shows(TYPE),
    scope: shows(SCOPE),
    system: pick === undefined,
    attribute: (name) => (listed === undefined || listed.has(name)) && shows(name),
  };
}

const EVERYTHING: Shown = { id: true, type: true, scope: true, system: true, attribute: () => true };

/** The instances that a datasetId parameter leaves (4.5.5). */
export function selectedInstances(
  instances: readonly AttributeInstance[],
  datasets: ReadonlySet<string> | undefined,
): readonly AttributeInstance[] {
  return datasets === undefined ? instances : instances.filter((instance) => datasets.has(instance.datasetId ?? '@none'));
}

/** 4.5.16.1: the default instance, or the one that a datasetId selects; null if that is no geometry. */
function featureGeometry(entity: Entity, name: Iri, datasets: ReadonlySet<string> | undefined): JsonValue {
  const instances = selectedInstances(entity.attributes[name] ?? [], datasets);
  const instance = instances.find((one) => one.datasetId === undefined) ?? (datasets === undefined ? undefined : instances[0]);
  return instance?.type === 'GeoProperty' && isObject(instance.value) ? (instance.value as JsonValue) : null;
}

/** True if the entity has something that the `attrs` parameter asks for, looking at the selected instances only (5.7.1.4). */
export function hasAnyOf(entity: Entity, { attrs, datasetIds }: Representation): boolean {
  if (attrs === undefined) return true;
  const datasets = datasetIds === undefined ? undefined : new Set<string>(datasetIds);
  return attrs.some((name) => selectedInstances(entity.attributes[name] ?? [], datasets).length > 0);
}
