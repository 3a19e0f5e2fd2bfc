import { type AccessFunction, demand } from '../../domain/access.ts';
import type { AttributeInstance } from '../../domain/attribute.ts';
import type { KnownDevice, LazyAttribute } from '../../domain/device.ts';
import type { Entity } from '../../domain/entity.ts';
import { DomainError, notFound } from '../../domain/errors.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import type { EntityQuery } from '../../domain/query/query.ts';
import { typesMatch } from '../../domain/query/types.ts';
import { hasAnyOf } from '../../domain/representation.ts';
import type { Clock } from '../../ports/clock.ts';
import type { EntityStore } from '../../ports/entity-store.ts';
import { wantedAttributes } from '../distributed/gathering.ts';
import type { Answer, DistributedPage, DistributedReads } from '../distributed/reads.ts';
import { concerned, type QueryRequest } from '../query.ts';
import type { AskedTarget, TargetIndex } from './targets.ts';

/** Asks a device; what it does not tell in time is absent. Never throws. */
export type AskDevice = (
  known: KnownDevice,
  attributes: readonly LazyAttribute[],
) => Promise<Readonly<Record<Iri, readonly AttributeInstance[]>>>;

/** Devices that are asked for one answer; those of further entities are not, and that is said. */
const MOST_ASKED = 50;

type Targets = ReadonlyMap<Iri, AskedTarget<LazyAttribute>>;

/**
 * Reads in which the lazy attributes of devices are what the devices say when they are asked. They are never stored, so conditions of a query do not see them. With local=true, and
 * in an ordered query, nobody is asked. `attrs` can name them: then the entities of devices that have them are found.
 */
export function lazyReads(dependencies: {
  readonly inner: DistributedReads;
  readonly entities: EntityStore;
  readonly targets: TargetIndex<LazyAttribute>;
  readonly ask: AskDevice;
  readonly clock: Clock;
  readonly access: AccessFunction;
}): DistributedReads {
  const { inner, entities, targets, ask, clock, access } = dependencies;

  /** What of an entity its devices are to be asked for. */
  function lazyIn(tenant: TenantId, id: Iri, wanted: readonly Iri[] | undefined): readonly AskedTarget<LazyAttribute>[] {
    const own: Targets | undefined = targets.of(tenant, id);
    if (own === undefined) return [];
    return [...own.values()].filter(({ command }) => wanted === undefined || wanted.includes(command.attribute));
  }

  /** The entity with what its devices say now. */
  async function told(
    entity: Entity,
    asked: readonly AskedTarget<LazyAttribute>[],
  ): Promise<{ readonly entity: Entity; readonly warnings: readonly string[] }> {
    const byDevice = Map.groupBy(asked, ({ known }) => known);
    const answers = await Promise.all(
      [...byDevice].map(([known, some]) =>
        ask(
          known,
          some.map(({ command }) => command),
        ),
      ),
    );
    const attributes = Object.assign({}, entity.attributes, ...answers) as Entity['attributes'];
    const silent = asked.filter(({ command }) => attributes[command.attribute] === undefined);
    const warnings = silent.map(
      ({ known, command }) => `199 ${ascii(known.device.device_id)} "the device did not tell ${ascii(command.name)} in time"`,
    );
    return { entity: answers.length === 0 ? entity : { ...entity, attributes }, warnings };
  }

  /** What there is here, for a query that no other source takes part in. */
  async function local(tenant: TenantId, request: QueryRequest, lazyIds: readonly Iri[]): Promise<DistributedPage> {
    const { query, page } = request;
    if (query.anyAttribute === undefined || lazyIds.length === 0) {
      const found = await entities.query(tenant, query, page);
      return { ...found, entities: found.entities.map(({ entity }) => entity), heldBy: () => ['@none'] };
    }
    // Entities that have one of the attributes stored, and those whose device would tell it: two queries, put together by id.
    const { anyAttribute: _, ...broad } = query;
    const offset = page.offset ?? 0;
    const end = offset + page.limit;
    const first = { limit: end + 1, ...(page.after !== undefined && { after: page.after }) };
    const pages = await Promise.all([
      entities.query(tenant, query, { ...first, count: page.count === true }),
      entities.query(tenant, { ...broad, ids: lazyIds }, { ...first, count: page.count === true }),
    ]);
    const byId = new Map(pages.flatMap((one) => one.entities.map(({ entity }) => [entity.id, entity] as const)));
    const all = [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    const count = pages.reduce((sum, one) => sum + (one.count ?? 0), 0);
    return {
      entities: all.slice(offset, end),
      more: all.length > end,
      heldBy: () => ['@none'],
      ...(page.count === true && { count }),
    };
  }

  /** Entities that a query can mean and whose devices would tell what it wants. */
  function lazyIdsFor(tenant: TenantId, query: EntityQuery, wanted: readonly Iri[] | undefined): readonly Iri[] {
    const ids = query.ids ?? [...targets.entities(tenant)];
    return ids.filter((id) => {
      const [one] = lazyIn(tenant, id, wanted);
      return one !== undefined && (query.types === undefined || typesMatch(query.types, one.types));
    });
  }

  return {
    candidates: inner.candidates,

    async retrieveEntity(caller, id, types, representation) {
      const gathered = await inner.retrieveEntity(caller, id, types, representation);
      const { tenant } = caller;
      const wanted = wantedAttributes(representation);
      const asked = caller.onward === undefined ? [] : lazyIn(tenant, id, wanted);
      if (asked.length === 0) return gathered;
      demand(access, caller, { operation: 'retrieveEntity', effect: 'read', ids: [id] });
      const known = gathered === undefined || gathered.found instanceof DomainError ? undefined : gathered.found;
      const base = known ?? (await entities.get(tenant, id))?.entity ?? bare(id, asked[0]?.types ?? [], clock);
      const { entity, warnings } = await told(base, asked);
      const found = !hasAnyOf(entity, representation)
        ? notFound(`Entity ${id} has none of the attributes that were asked for`)
        : types !== undefined && !typesMatch(types, entity.types)
          ? notFound(`Entity ${id} is not of the type that was asked for`)
          : entity;
      return answer(gathered, found, warnings);
    },

    async queryEntities(caller, request, representation) {
      const { tenant } = caller;
      const { query, page, local: here } = request;
      const gathered = await inner.queryEntities(caller, request, representation);
      if (caller.onward === undefined || here || page.order !== undefined || !targets.any(tenant)) return gathered;
      const wanted = query.anyAttribute ?? wantedAttributes(representation);
      const lazyIds = lazyIdsFor(tenant, query, wanted);
      if (lazyIds.length === 0) return gathered;
      demand(access, caller, { operation: 'queryEntities', effect: 'read', ...concerned(query) });
      const found = gathered?.found ?? (await local(tenant, request, lazyIds));
      const warnings: string[] = [];
      let left = MOST_ASKED;
      const filled = await Promise.all(
        found.entities.map(async (entity) => {
          const asked = lazyIn(tenant, entity.id, wanted);
          if (asked.length === 0) return entity;
          if (left-- <= 0) return entity;
          const one = await told(entity, asked);
          warnings.push(...one.warnings);
          return one.entity;
        }),
      );
      if (left < 0) warnings.push(`199 - "the devices of ${-left} entities were not asked: ${MOST_ASKED} are for one answer"`);
      // Those whose device said nothing have nothing of what was wanted.
      const shown = filled.filter((entity) => hasAnyOf(entity, representation));
      return answer(gathered, { ...found, entities: shown }, warnings);
    },
  };
}

/** What others gathered, with this in it. */
function answer<T>(gathered: Answer<unknown> | undefined, found: T, warnings: readonly string[]): Answer<T> {
  return {
    ...gathered,
    found,
    warnings: [...(gathered?.warnings ?? []), ...warnings],
    madeOf: () => gathered?.madeOf() ?? [],
  };
}

/** The entity of a device that has not measured anything yet. */
function bare(id: Iri, types: readonly Iri[], clock: Clock): Entity {
  const now = clock.now();
  return { id, types, attributes: {}, createdAt: now, modifiedAt: now, stamp: { at: 0, origin: '' } };
}

/** For a header. */
const ascii = (text: string): string => text.replace(/[^\x20-\x7e]|["\\]/g, '');
