import type { AttributeInstance } from '../../domain/attribute.ts';
import type { Iri } from '../../domain/iri.ts';
import type { JsonObject } from '../../domain/json.ts';
import { encodeProperty, targetsOf } from '../../domain/sta/lens/attributes.ts';
import { LOCATION, LOCATIONS, THINGS, VISITORS } from '../../domain/sta/lens/vocabulary.ts';
import { parseMoment, toInstant } from '../../domain/sta/time.ts';
import { compareInstants } from '../../domain/time.ts';
import type { StoredEntity } from '../../ports/entity-store.ts';
import type { Creation, Ref } from './create.ts';

/** An entity that is written to: as it is stored, or undefined if the plan makes it. */
export interface Target {
  readonly iri: Iri;
  readonly stored: StoredEntity | undefined;
}

/** A Location with what a feature is made of. */
export interface Located {
  readonly iri: Iri;
  readonly properties: JsonObject;
  /** As it is stored: it may know the feature that was made of it. */
  readonly feature: StoredEntity | undefined;
}

/** Where Things of this plan are going to be. */
const planned = new WeakMap<Creation, Map<Iri, readonly Located[]>>();

/** The Locations that a Thing has once the plan is done; undefined: the plan does not say. */
export function plannedLocations(creation: Creation, thing: Iri): readonly Located[] | undefined {
  return planned.get(creation)?.get(thing);
}

/**
 * Plans that a Thing is at these Locations, in place of those where it was: its history of `locations` gets an instance, which is a
 * HistoricalLocation (req/create-update-delete/historical-location-auto-creation, -manual-creation).
 * @param time of a HistoricalLocation that a client makes; undefined: now, and then the Locations are those of the Thing in any case
 * @returns the number of the instance
 */
export async function planLocations(
  creation: Creation,
  thing: Target,
  locations: readonly Ref[],
  time: string | undefined,
): Promise<number> {
  const { plan, reader } = creation;
  await creation.rules.place(thing.stored);
  const at = time === undefined ? reader.dependencies.clock.micros() : (parseMoment(time) ?? 0);
  const observedAt = toInstant(time === undefined ? Math.floor(at / 1000) * 1000 : at);
  const iris = locations.map(({ iri }) => iri);
  const number = await creation.newNumber();
  const instance: AttributeInstance = {
    type: 'Relationship',
    object: iris.length === 1 ? (iris[0] as Iri) : iris,
    observedAt,
    instanceId: reader.dependencies.series.instanceId(number),
  };
  const newest = thing.stored?.entity.attributes[LOCATIONS]?.[0]?.observedAt;
  const moves = time === undefined || newest === undefined || compareInstants(observedAt, newest) > 0;
  plan.observe(thing.iri, { instance, series: { name: LOCATIONS }, ...(time === undefined ? { force: true as const } : {}) });
  for (const iri of iris) plan.link(iri, VISITORS, [thing.iri]);
  if (!moves) return number;
  const located = locations.flatMap((ref) => (ref.located === undefined ? [] : [ref.located]));
  const things = planned.get(creation) ?? new Map<Iri, readonly Located[]>();
  planned.set(creation, things.set(thing.iri, located));
  const before = thing.stored === undefined ? [] : targetsOf(thing.stored.entity, LOCATIONS);
  const left = (await reader.entitiesOf(before.filter((iri) => !iris.includes(iri)))).map(({ id }) => id);
  for (const iri of left) plan.link(iri, THINGS, [], [thing.iri]);
  for (const iri of iris) plan.link(iri, THINGS, [thing.iri]);
  planPlace(creation, thing.iri, located);
  return number;
}

/** Copies the first geometry among the Locations to the Thing, for whoever asks where it is. */
export function planPlace(
  { plan }: Pick<Creation, 'plan'>,
  thing: Iri,
  located: readonly { readonly properties: JsonObject }[],
): void {
  for (const { properties } of located) {
    const geometry = encodeProperty({ name: 'location', kind: 'geometry' }, properties['location'] ?? null)[LOCATION];
    if (geometry?.[0] !== undefined) {
      plan.put(thing, LOCATION, geometry[0]);
      return;
    }
  }
  plan.edit(thing, (edit) => void edit.remove(LOCATION, undefined));
}
