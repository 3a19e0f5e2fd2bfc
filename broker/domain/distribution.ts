import type { AttributeInstance, Attributes } from './attribute.ts';
import type { Entity } from './entity.ts';
import type { Iri } from './iri.ts';
import type { JsonValue } from './json.ts';
import type { Context } from './jsonld/context.ts';
import type { TypeSelection } from './query/query.ts';
import { coveredAttributes, type Registration, type RegistrationMatch } from './registration.ts';
import { type Instant, type Micros, toMicros } from './time.ts';

/**
 * A request as it may be passed on to other sources (4.3.6): what the client asked, in its own words, so that what travels is what was asked.
 * A caller without it is answered from what this broker has itself (5.5.13).
 */
export interface Onward {
  /** The @context by which names in query and body are read. */
  readonly context: Context;
  /** The sources that the request has been through, nearest last (4.3.6.4). */
  readonly via: readonly string[];
  /** Values of the triggering request, for contextSourceInfo that asks for them (4.3.6.5). Names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly method: string;
  /** Behind /ngsi-ld/v1/, still percent-encoded. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly body?: JsonValue;
  /** The EntityMap in use, if one is (5.7.2.4): it alone says who is asked about which entities. */
  readonly entityMap?: MapInUse;
  /** Hears what was not as it should be, where the answer itself has no place for it (6.3.17). */
  onWarnings?(warnings: readonly string[]): void;
  /** Registrations of sources that are not asked: the news came from there (5.8.6), or they did not answer a moment ago. */
  readonly except?: readonly Iri[];
}

/** What an EntityMap says about context sources, for the entities that are looked for now. */
export interface MapInUse {
  /** The entities that the source of a registration has something of. */
  idsAt(registration: Iri): readonly Iri[];
  /** The EntityMap that the source itself keeps. */
  linked(registration: Iri): Iri | undefined;
}

/** What a write says about one entity, as far as registrations are concerned. */
export interface WriteScope {
  readonly id: Iri;
  readonly types?: TypeSelection;
  /** The attributes it touches; undefined: the entity as a whole, as when it is deleted. */
  readonly attributes: readonly Iri[] | undefined;
}

/** One part of a write: for a source, or for this broker itself. */
export interface WriteShare<R> {
  readonly source: R;
  /** The source cannot do this, and nobody else may: a Conflict. */
  readonly refused: boolean;
  readonly attributes: readonly Iri[] | undefined;
}

export interface WriteSplit<R> {
  readonly shares: readonly WriteShare<R>[];
  /** What is left for this broker; undefined: the entity as a whole. 'none': nothing is. */
  readonly local: readonly Iri[] | undefined | 'none';
}

/**
 * Splits a write over sources, as 5.6.1.4 and its siblings say: exclusive ones first, then all redirect ones alike, and what these did not take goes to
 * inclusive ones and is kept here as well.
 * @param offers whether a source can do this at all
 */
export function splitWrite<R extends { readonly registration: Registration }>(
  sources: readonly R[],
  offers: (registration: Registration) => boolean,
  scope: WriteScope,
): WriteSplit<R> {
  const entity: RegistrationMatch = { ids: [scope.id], ...(scope.types ? { types: scope.types } : {}) };
  const shares: WriteShare<R>[] = [];
  let rest = scope.attributes;
  let taken = false;
  let wholly = false;
  for (const mode of ['exclusive', 'redirect', 'inclusive'] as const) {
    const removed = new Set<Iri>();
    for (const source of sources) {
      const { registration } = source;
      if (registration.mode !== mode) continue;
      const covered = coveredAttributes(registration.information, entity);
      if (covered === 'none') continue;
      const share = rest === undefined || covered === undefined ? rest : rest.filter((name) => covered.includes(name));
      // A source of some attributes has no part in a write about others; one of whole entities has a part also in an entity without attributes.
      if (share !== undefined && share.length === 0 && covered !== undefined) continue;
      if (share !== undefined && share.length === 0 && taken) continue;
      const offered = offers(registration);
      if (mode === 'inclusive') {
        if (offered) shares.push({ source, refused: false, attributes: share });
        continue;
      }
      shares.push({ source, refused: !offered, attributes: share });
      if (covered === undefined) wholly = true;
      for (const name of share ?? []) removed.add(name);
    }
    if (removed.size > 0) {
      taken = true;
      rest = rest?.filter((name) => !removed.has(name));
    }
  }
  const nothingLeft = rest !== undefined && rest.length === 0 && (taken || wholly);
  return { shares, local: nothingLeft ? 'none' : rest };
}

/** One version of an entity, from here or from a source. */
export interface Version {
  readonly entity: Entity;
  /** Only supplements what others have (4.3.6.2). */
  readonly auxiliary: boolean;
}

/**
 * One entity from its versions (4.5.5.3): types and scopes together, and of attribute instances with the same name and datasetId the one observed last, else
 * the one modified last. What has expired is left out. @returns undefined if nothing is left
 */
export function mergeVersions(versions: readonly Version[], now: Micros): Entity | undefined {
  const alive = withoutEnds(
    versions.filter(({ entity }) => entity.expiresAt === undefined || toMicros(entity.expiresAt) > now),
  );
  const first = alive.find(({ auxiliary }) => !auxiliary) ?? alive[0];
  if (first === undefined) return undefined;
  if (alive.length === 1) return first.entity;
  const attributes: Record<Iri, readonly AttributeInstance[]> = {};
  for (const { entity, auxiliary } of [...alive].sort((a, b) => Number(a.auxiliary) - Number(b.auxiliary))) {
    for (const [name, instances] of Object.entries(entity.attributes) as [Iri, readonly AttributeInstance[]][]) {
      const known = attributes[name];
      if (known !== undefined && auxiliary) continue;
      const merged = mergeInstances(known ?? [], instances, now);
      if (merged.length > 0) attributes[name] = merged;
    }
  }
  const scopes = [...new Set(alive.flatMap(({ entity }) => entity.scopes ?? []))];
  const expiries = alive.map(({ entity }) => entity.expiresAt);
  const { expiresAt: _, scopes: __, ...rest } = first.entity;
  return {
    ...rest,
    types: [...new Set(alive.flatMap(({ entity }) => entity.types))],
    attributes: attributes as Attributes,
    createdAt: extreme(
      alive.map(({ entity }) => entity.createdAt),
      -1,
    ),
    modifiedAt: extreme(
      alive.map(({ entity }) => entity.modifiedAt),
      1,
    ),
    ...(scopes.length > 0 ? { scopes } : {}),
    // Somebody's version without an end has no end.
    ...(expiries.includes(undefined) ? {} : { expiresAt: extreme(expiries as Instant[], 1) }),
  };
}

/** 4.5.5.2: if not all versions end at the same time, the end of one becomes that of its attributes, unless these end earlier. */
function withoutEnds(versions: readonly Version[]): readonly Version[] {
  const ends = new Set(versions.map(({ entity }) => entity.expiresAt));
  if (ends.size < 2) return versions;
  return versions.map((version) => {
    const { expiresAt } = version.entity;
    if (expiresAt === undefined) return version;
    const attributes: Record<Iri, readonly AttributeInstance[]> = {};
    for (const [name, instances] of Object.entries(version.entity.attributes) as [Iri, readonly AttributeInstance[]][])
      attributes[name] = instances.map((one) => endingAt(one, expiresAt));
    return { ...version, entity: { ...version.entity, attributes: attributes as Attributes } };
  });
}

/** Instances that only got an end, and what they were, so that it can be told where they came from. */
const asTheyCame = new WeakMap<AttributeInstance, AttributeInstance>();

function endingAt(instance: AttributeInstance, expiresAt: Instant): AttributeInstance {
  if (instance.expiresAt !== undefined && toMicros(instance.expiresAt) <= toMicros(expiresAt)) return instance;
  const ending = { ...instance, expiresAt };
  asTheyCame.set(ending, instance);
  return ending;
}

function mergeInstances(
  known: readonly AttributeInstance[],
  more: readonly AttributeInstance[],
  now: Micros,
): readonly AttributeInstance[] {
  const byDataset = new Map<string, AttributeInstance>();
  for (const instance of [...known, ...more]) {
    if (instance.expiresAt !== undefined && toMicros(instance.expiresAt) <= now) continue;
    const key = instance.datasetId ?? '';
    const rival = byDataset.get(key);
    if (rival === undefined || isMoreRecent(instance, rival)) byDataset.set(key, instance);
  }
  return [...byDataset.values()];
}

/** 4.5.5.3. What cannot be told apart stays as it came: what this broker has itself comes first. */
export function isMoreRecent(instance: AttributeInstance, rival: AttributeInstance): boolean {
  if (instance.observedAt !== undefined && rival.observedAt !== undefined) {
    const difference = toMicros(instance.observedAt) - toMicros(rival.observedAt);
    if (difference !== 0) return difference > 0;
  } else if (instance.observedAt !== undefined || rival.observedAt !== undefined) return instance.observedAt !== undefined;
  if (instance.modifiedAt === undefined || rival.modifiedAt === undefined) return false;
  return toMicros(instance.modifiedAt) > toMicros(rival.modifiedAt);
}

function extreme(instants: readonly Instant[], direction: 1 | -1): Instant {
  return instants.reduce((best, one) => ((toMicros(one) - toMicros(best)) * direction > 0 ? one : best));
}

/** What one source had to do with an answer. NGSILD-Warning tells only what went wrong; this tells what the answer is made of. */
export interface Contribution {
  /** The registration's id; "local" is this broker. */
  readonly source: Iri | 'local';
  /** Entities of the answer that have something from it, and attribute instances that came from it. */
  readonly entities: number;
  readonly attributes: number;
  /** The latest observedAt, else modifiedAt, of these instances: how fresh its part is. */
  readonly newest?: Instant;
  /** How long it took to answer. */
  readonly tookMs?: number;
  /** Why something of it is missing; absent: nothing is known to be. */
  readonly missing?: readonly string[];
}

/** One source's part of an answer, before merging. */
export interface Part {
  readonly source: Iri | 'local';
  readonly entities: readonly Entity[];
  readonly tookMs?: number;
  readonly missing?: readonly string[];
}

/** Which instances of the merged entities came from which source; merging hands instances on as they are, so each is known by itself. */
export function contributions(answer: readonly Entity[], parts: readonly Part[]): readonly Contribution[] {
  const inAnswer = new Set<AttributeInstance>();
  for (const entity of answer)
    for (const instances of Object.values(entity.attributes))
      for (const one of instances) inAnswer.add(asTheyCame.get(one) ?? one);
  return parts.map(({ source, entities, tookMs, missing }) => {
    const used = entities.map((entity) =>
      Object.values(entity.attributes).flatMap((instances) => instances.filter((one) => inAnswer.has(one))),
    );
    const moments = used.flat().flatMap((one) => one.observedAt ?? one.modifiedAt ?? []);
    return {
      source,
      entities: used.filter((instances) => instances.length > 0).length,
      attributes: used.reduce((sum, instances) => sum + instances.length, 0),
      ...(moments.length > 0 ? { newest: extreme(moments, 1) } : {}),
      ...(tookMs === undefined ? {} : { tookMs }),
      ...(missing && missing.length > 0 ? { missing } : {}),
    };
  });
}
