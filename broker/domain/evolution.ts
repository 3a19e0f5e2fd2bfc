import { aggregatePoints, type DataPoint } from './aggregate.ts';
import type { AttributeInstance } from './attribute.ts';
import { isMoreRecent } from './distribution.ts';
import type { Entity } from './entity.ts';
import type {
  AggregatedAttribute,
  AggregatedEvolution,
  Aggregation,
  HistorySelection,
  TemporalEvolution,
  TemporalFilter,
  TimeProperty,
} from './history.ts';
import type { Iri } from './iri.ts';
import { type Instant, type Micros, toMicros } from './time.ts';

/** What one place has of an evolution. */
export interface EvolutionPart {
  readonly evolution: TemporalEvolution;
  /** Only supplements what others have (4.3.6.2). */
  readonly auxiliary: boolean;
}

/** The range of a temporal query, as far as it is bounded. */
export function rangeOf({ time }: TemporalFilter): { readonly from?: Micros; readonly to?: Micros } {
  return {
    ...(time && time.relation !== 'before' ? { from: time.at } : {}),
    ...(time && time.relation !== 'after' ? { to: time.relation === 'between' ? time.end : time.at } : {}),
  };
}

/** The span of time that is covered completely (6.3.10): from where was asked to where the first attribute was cut. */
export function cutOf({ filter, lastN }: HistorySelection, oldest: Micros, newest: Micros): { from: Micros; to: Micros } {
  const { from, to } = rangeOf(filter);
  return lastN === undefined ? { from: from ?? oldest, to: newest } : { from: oldest, to: to ?? newest };
}

/** The time of an instance by which a temporal query looks; undefined: it has none. */
export function timeOf(instance: AttributeInstance, property: TimeProperty): Micros | undefined {
  const at: Instant | undefined = instance[property];
  return at === undefined ? undefined : toMicros(at);
}

/**
 * One evolution from what several places have of it (5.7.3.4): instances of all of them in order of time. Of instances that are about the same moment (and
 * datasetId) at different places, 4.5.5.3 chooses one. Where a part is cut, and where the limits of the selection cut, the whole is.
 * @param parts of one entity, at least one; what this broker has itself first
 */
export function mergeEvolutions(parts: readonly EvolutionPart[], selection: HistorySelection): TemporalEvolution {
  const ordered = [...parts].sort((a, b) => Number(a.auxiliary) - Number(b.auxiliary)).map(({ evolution }) => evolution);
  const first = ordered[0] as TemporalEvolution;
  const auxiliaryFrom = parts.filter(({ auxiliary }) => !auxiliary).length;
  const { lastN, limitPerAttribute, filter } = selection;
  const backwards = lastN !== undefined;
  const wanted = Math.min(lastN ?? Number.POSITIVE_INFINITY, limitPerAttribute);
  let edge: Micros | undefined;
  const endAt = (at: Micros) => {
    edge = edge === undefined ? at : backwards ? Math.max(edge, at) : Math.min(edge, at);
  };
  for (const { cut } of ordered) if (cut !== undefined) endAt(backwards ? cut.from : cut.to);
  const series = new Map<Iri, readonly Timed[]>();
  for (const name of new Set(ordered.flatMap(({ attributes }) => Object.keys(attributes) as Iri[]))) {
    const all = together(ordered, name, auxiliaryFrom, filter.property);
    const kept = backwards ? all.slice(-wanted) : all.slice(0, wanted);
    const last = backwards ? kept[0] : kept.at(-1);
    if (kept.length < all.length && last !== undefined && (lastN === undefined || lastN > limitPerAttribute)) endAt(last.at);
    series.set(name, kept);
  }
  const attributes: Record<Iri, readonly AttributeInstance[]> = {};
  let oldest = Number.POSITIVE_INFINITY;
  let newest = Number.NEGATIVE_INFINITY;
  for (const [name, all] of series) {
    const bound = edge;
    const kept = bound === undefined ? all : all.filter(({ at }) => (backwards ? at >= bound : at <= bound));
    for (const { at } of kept) {
      oldest = Math.min(oldest, at);
      newest = Math.max(newest, at);
    }
    attributes[name] = kept.map(({ instance }) => instance);
  }
  const { cut: _, scopes: __, ...rest } = first;
  const scopes = [...new Set(ordered.flatMap((one) => one.scopes ?? []))];
  return {
    ...rest,
    types: [...new Set(ordered.flatMap(({ types }) => types))],
    ...(scopes.length > 0 ? { scopes } : {}),
    attributes,
    ...(edge === undefined || oldest > newest ? {} : { cut: cutOf(selection, oldest, newest) }),
  };
}

interface Timed {
  readonly at: Micros;
  readonly instance: AttributeInstance;
}

/** The instances of one attribute at all places, ascending. */
function together(
  evolutions: readonly TemporalEvolution[],
  name: Iri,
  auxiliaryFrom: number,
  property: TimeProperty,
): readonly Timed[] {
  const moments = new Map<string, { place: number; instances: Timed[] }>();
  for (const [place, { attributes }] of evolutions.entries()) {
    for (const instance of attributes[name] ?? []) {
      const timed = { at: timeOf(instance, property) ?? 0, instance };
      const moment = momentOf(timed);
      const known = moments.get(moment);
      if (known === undefined) moments.set(moment, { place, instances: [timed] });
      // One place may have several of one moment; between places one is chosen.
      else if (known.place === place) known.instances.push(timed);
      else if (place < auxiliaryFrom && isMoreRecent(instance, (known.instances[0] as Timed).instance))
        moments.set(moment, { place, instances: [timed] });
    }
  }
  return [...moments.values()].flatMap(({ instances }) => instances).sort((a, b) => a.at - b.at);
}

/** What an instance is about: the moment in the world, else the one by which is asked. */
function momentOf({ at, instance }: Timed): string {
  const moment = instance.observedAt === undefined ? at : toMicros(instance.observedAt);
  return `${instance.datasetId ?? ''} ${moment} ${instance.deletedAt === undefined ? '' : 'deleted'}`;
}

/** What an evolution says of its entity during the time that was asked for, for filters that look at all instances (5.7.4.4). */
export function seenDuring({ id, types, scopes, attributes, createdAt, modifiedAt }: TemporalEvolution): Entity {
  const alive: Record<Iri, readonly AttributeInstance[]> = {};
  for (const [name, instances] of Object.entries(attributes) as [Iri, readonly AttributeInstance[]][]) {
    const some = instances.filter(({ deletedAt }) => deletedAt === undefined);
    if (some.length > 0) alive[name] = some;
  }
  return { id, types, attributes: alive, createdAt, modifiedAt, ...(scopes ? { scopes } : {}), stamp: { at: 0, origin: '' } };
}

const SCOPE = 'https://uri.etsi.org/ngsi-ld/scope';

/** 4.5.19: the aggregates of an evolution that is there as a whole. */
export function aggregateEvolution(
  { id, types, scopes, attributes }: TemporalEvolution,
  { filter }: Pick<HistorySelection, 'filter'>,
  aggregation: Aggregation,
): AggregatedEvolution {
  const range = rangeOf(filter);
  const aggregated: Record<Iri, AggregatedAttribute[]> = {};
  for (const [name, instances] of Object.entries(attributes) as [Iri, readonly AttributeInstance[]][]) {
    if (name === SCOPE) continue;
    const byDataset = new Map<Iri | undefined, DataPoint[]>();
    for (const instance of instances) {
      const at = timeOf(instance, filter.property);
      if (at === undefined) continue;
      const points = byDataset.get(instance.datasetId);
      if (points === undefined) byDataset.set(instance.datasetId, [{ at, instance }]);
      else points.push({ at, instance });
    }
    for (const points of byDataset.values()) {
      const one = aggregatePoints(points, range, aggregation);
      if (one === undefined) continue;
      aggregated[name] ??= [];
      aggregated[name].push(one);
    }
  }
  return { id, types, ...(scopes === undefined ? {} : { scopes }), attributes: aggregated };
}
