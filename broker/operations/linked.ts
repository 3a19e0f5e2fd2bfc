import type { Entity } from '../domain/entity.ts';
import type { Iri, TenantId } from '../domain/iri.ts';
import { findLinked, JOIN_LIMITS, type Join, type JoinLimits, type LinkedEntities, type WantedLink } from '../domain/linked.ts';
import { linkedPaths, linksAlong } from '../domain/query/linked.ts';
import type { Follow } from '../domain/query/path.ts';
import type { Condition } from '../domain/query/query.ts';
import type { Representation } from '../domain/representation.ts';
import type { EntityStore } from '../ports/entity-store.ts';
import type { FindLinkedElsewhere } from './distributed/linked.ts';

/** Fetches what the domain asks for when it follows Relationships (4.5.23), a level at a time. */
export interface LinkedReader {
  readonly limits: JoinLimits;
  /**
   * The linked entities of some linking ones.
   * @param elsewhere looks for them at context sources too
   * @throws DomainError TooComplexQuery, TooManyResults
   */
  linked(
    tenant: TenantId,
    roots: readonly Entity[],
    representation: Representation,
    join: Join,
    elsewhere?: (wanted: readonly WantedLink[]) => ReturnType<FindLinkedElsewhere>,
  ): Promise<LinkedEntities>;
  /** What a condition needs in order to look at linked entities of this one (4.9); undefined if it looks at none. */
  follow(tenant: TenantId, condition: Condition | undefined, entity: Entity): Promise<Follow> | undefined;
}

const NONE: ReadonlySet<Iri> = new Set();

/** Ids that are looked up at once. */
const AT_ONCE = 1000;

export function linkedReader({
  entities,
  limits = JOIN_LIMITS,
}: {
  readonly entities: EntityStore;
  readonly limits?: JoinLimits;
}): LinkedReader {
  async function fetch(tenant: TenantId, ids: readonly Iri[]): Promise<readonly Entity[]> {
    const found: Entity[] = [];
    for (let at = 0; at < ids.length; at += AT_ONCE) {
      const some = ids.slice(at, at + AT_ONCE);
      const page = await entities.query(tenant, { ids: some }, { limit: some.length });
      for (const { entity } of page.entities) found.push(entity);
    }
    return found;
  }

  async function followed(tenant: TenantId, condition: Condition, entity: Entity): Promise<Follow> {
    const known = new Map<Iri, Entity>([[entity.id, entity]]);
    let front = linkedPaths(condition).map((path) => ({ path, from: [entity] as readonly Entity[] }));
    while (front.length > 0) {
      const steps = front.map(({ path, from }) => ({ next: path.linked?.path, ids: linksAlong(path, from) }));
      const wanted = [...new Set(steps.flatMap(({ ids }) => ids))].filter((id) => !known.has(id));
      for (const one of await fetch(tenant, wanted.slice(0, limits.entities))) known.set(one.id, one);
      front = steps.flatMap(({ next, ids }) => {
        const from = ids.map((id) => known.get(id)).filter((one) => one !== undefined);
        return next?.linked === undefined || from.length === 0 ? [] : [{ path: next, from }];
      });
    }
    return (id) => known.get(id);
  }

  return {
    limits,
    async linked(tenant, roots, representation, join, elsewhere) {
      const walk = findLinked(roots, representation, join, limits);
      let step = walk.next();
      while (step.done !== true) {
        const { found, asked } = (await elsewhere?.(step.value)) ?? { found: [], asked: NONE };
        const rest = step.value.flatMap(({ id }) => (asked.has(id) ? [] : [id]));
        step = walk.next([...found, ...(await fetch(tenant, rest))]);
      }
      return step.value;
    },
    follow(tenant, condition, entity) {
      if (condition === undefined || linkedPaths(condition).length === 0) return undefined;
      return followed(tenant, condition, entity);
    },
  };
}
