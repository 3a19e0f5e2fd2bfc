import { linkTargets } from './attribute.ts';
import type { Entity } from './entity.ts';
import { DomainError } from './errors.ts';
import type { Iri } from './iri.ts';
import type { JsonObject } from './json.ts';
import type { Context } from './jsonld/context.ts';
import type { Projection } from './query/parse/projection.ts';
import { type EntityWriter, entityWriter, type Representation, selectedInstances, shownMembers } from './representation.ts';

/** Linked Entity Retrieval (4.5.23): which linked entities come with the linking ones, and where they are put. */
export interface Join {
  /** Inside the Relationship that names them (4.5.23.2), or behind the linking entities (4.5.23.3). */
  readonly form: 'inline' | 'flat';
  /** How many Relationships deep; at least 1. */
  readonly level: number;
  /** Entities that were encountered before and are not to be given again. */
  readonly containedBy: readonly Iri[];
}

/** What a join may cost. */
export interface JoinLimits {
  readonly levels: number;
  /** Linked entities in one answer; inline every place counts where one is put. */
  readonly entities: number;
}

export const JOIN_LIMITS: JoinLimits = { levels: 10, entities: 10_000 };

/** What was found of the entities that others link to. */
export interface LinkedEntities {
  /** By id, with the linking ones. */
  readonly found: ReadonlyMap<Iri, Entity>;
  /** Those behind the linking entities in the flat form, each once, nearest first. */
  readonly flat: readonly Reached[];
  readonly limits: JoinLimits;
}

/** An entity and what is to be shown of it on this way to it. */
interface Reached {
  readonly entity: Entity;
  readonly projection: Projection;
}

/** An entity that is needed next. */
export interface WantedLink {
  readonly id: Iri;
  /** What the Relationships to it say of its type (objectType); undefined: nothing. */
  readonly types: readonly Iri[] | undefined;
}

/** Nothing said of linked entities: they are shown whole (4.21). One object, so that ways of the same projection are known to be the same. */
const WHOLE: Projection = {};

/**
 * Walks from the linking entities along the Relationships that the representation shows, level by level. It yields what it needs next
 * and is given the entities that there are of them; what is nowhere is left out.
 * @throws DomainError TooComplexQuery for a join that is too deep, TooManyResults for one that finds too much
 */
export function* findLinked(
  roots: readonly Entity[],
  representation: Representation,
  join: Join,
  limits: JoinLimits,
): Generator<readonly WantedLink[], LinkedEntities, readonly Entity[]> {
  if (join.level > limits.levels) {
    throw new DomainError(
      'TooComplexQuery',
      `joinLevel is ${join.level}, and linked entities are joined over ${limits.levels} relationships at most`,
    );
  }
  const found = new Map<Iri, Entity>(roots.map((entity) => [entity.id, entity]));
  const absent = new Set<Iri>(join.containedBy);
  const flat: Reached[] = [];
  const listed = new Set<Iri>([...join.containedBy, ...found.keys()]);
  const visited = new Map<Projection, Set<Iri>>([[representation, new Set(found.keys())]]);
  let front: readonly Reached[] = roots.map((entity) => ({ entity, projection: representation }));
  for (let level = 0; level < join.level && front.length > 0; level++) {
    const links = front.flatMap(({ entity, projection }) =>
      linksOf(entity, { ...withoutProjection(representation), ...projection }),
    );
    const wanted = [...new Set(links.map((link) => link.id))].filter((id) => !found.has(id) && !absent.has(id));
    const types = typesById(links);
    if (found.size - roots.length + wanted.length > limits.entities) throw tooMany(limits);
    if (wanted.length > 0) {
      for (const entity of yield wanted.map((id) => ({ id, types: types.get(id) }))) found.set(entity.id, entity);
      for (const id of wanted) if (!found.has(id)) absent.add(id);
    }
    const next: Reached[] = [];
    for (const { id, projection } of links) {
      const entity = found.get(id);
      if (entity === undefined || absent.has(id)) continue;
      // Whatever was reached this way before had more levels to go.
      const seen = visited.get(projection) ?? new Set<Iri>();
      visited.set(projection, seen);
      if (seen.has(id)) continue;
      seen.add(id);
      const reached = { entity, projection };
      if (join.form === 'flat') {
        if (listed.has(id)) continue;
        listed.add(id);
        flat.push(reached);
      }
      next.push(reached);
    }
    front = next;
  }
  return { found, flat, limits };
}

/** Writes linking entities together with the linked ones. */
export type JoinedWriter = (roots: readonly Entity[], linked: LinkedEntities) => readonly JsonObject[];

/**
 * Prepared once for a @context, a representation and a join. Inline, an entity is not put inside itself, whatever the number of Relationships
 * between; flat, each is there once. Of what a projection leaves nothing, nothing is written (4.21).
 * @throws (the writer) DomainError TooManyResults if more entities would be put inline than the limit
 */
export function joinedWriter(context: Context, representation: Representation, join: Join): JoinedWriter {
  const writers = new Map<Projection, EntityWriter>();
  // What is put inside a GeoJSON Feature is an entity, not a Feature (5.2.31).
  const { geometryProperty, ...inside } = withoutProjection(representation);
  const outside = geometryProperty === undefined ? inside : { ...inside, geometryProperty };
  const root = entityWriter(context, representation);
  const writerOf = (projection: Projection): EntityWriter => {
    let writer = writers.get(projection);
    if (writer === undefined) {
      writer = entityWriter(context, { ...(join.form === 'flat' ? outside : inside), ...projection });
      writers.set(projection, writer);
    }
    return writer;
  };

  if (join.form === 'flat') {
    return (roots, { flat }) => [
      ...roots.map((entity) => root(entity)),
      ...flat.map(({ entity, projection }) => writerOf(projection)(entity)),
    ];
  }

  return (roots, { found, limits }) => {
    let put = 0;
    const above = new Set<Iri>(join.containedBy);
    const write = (writer: EntityWriter, entity: Entity, projection: Projection, levels: number): JsonObject => {
      if (levels === 0) return writer(entity);
      const entered = !above.has(entity.id);
      above.add(entity.id);
      const written = writer(entity, (relationship, target) => {
        const linked = above.has(target) ? undefined : found.get(target);
        if (linked === undefined) return undefined;
        put += 1;
        if (put > limits.entities) throw tooMany(limits);
        const below = projection.linked?.get(relationship) ?? WHOLE;
        const inner = write(writerOf(below), linked, below, levels - 1);
        return Object.keys(inner).length === 0 ? undefined : inner;
      });
      if (entered) above.delete(entity.id);
      return written;
    };
    return roots.map((entity) => write(root, entity, representation, join.level));
  };
}

function tooMany({ entities }: JoinLimits): DomainError {
  return new DomainError(
    'TooManyResults',
    `More than ${entities} linked entities would have to be joined: ask for fewer entities or a lower joinLevel`,
  );
}

interface Link {
  readonly id: Iri;
  readonly types: readonly Iri[] | undefined;
  readonly projection: Projection;
}

/** Where the Relationships lead that are shown of an entity; those of attributes inside attributes are not followed (4.5.23.1). */
function linksOf(entity: Entity, representation: Representation): readonly Link[] {
  const shows = shownMembers(representation);
  const datasets = representation.datasetIds === undefined ? undefined : new Set<string>(representation.datasetIds);
  const links: Link[] = [];
  for (const name in entity.attributes) {
    if (!shows.attribute(name as Iri)) continue;
    const projection = representation.linked?.get(name as Iri) ?? WHOLE;
    for (const instance of selectedInstances(entity.attributes[name as Iri] ?? [], datasets)) {
      const types = 'objectType' in instance ? instance.objectType : undefined;
      for (const id of linkTargets(instance)) links.push({ id, types, projection });
    }
  }
  return links;
}

function typesById(links: readonly Link[]): ReadonlyMap<Iri, readonly Iri[]> {
  const types = new Map<Iri, readonly Iri[]>();
  for (const link of links) {
    if (link.types !== undefined) types.set(link.id, [...new Set([...(types.get(link.id) ?? []), ...link.types])]);
  }
  return types;
}

function withoutProjection({ pick: _p, omit: _o, linked: _l, attrs: _a, ...rest }: Representation): Representation {
  return rest;
}
