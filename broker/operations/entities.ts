import { type AccessFunction, type Caller, demand } from '../domain/access.ts';
import type { AttributeInstance } from '../domain/attribute.ts';
import type { ChangeDraft } from '../domain/change.ts';
import type { Entity, EntityFragment } from '../domain/entity.ts';
import { DomainError } from '../domain/errors.ts';
import type { Iri, TenantId } from '../domain/iri.ts';
import type { WholeEntity } from '../domain/jsonld/expand.ts';
import {
  appendAttributes,
  createEntity,
  deleteAttribute,
  deleteEntity,
  dropAttributes,
  type MergeOptions,
  type Moment,
  mergeEntity,
  partialUpdate,
  replaceAttribute,
  replaceEntity,
  type UpdateResult,
  updateAttributes,
  type WhichInstances,
} from '../domain/patch.ts';
import type { EntityQuery, TypeSelection } from '../domain/query/query.ts';
import { refuseTooDeep, refuseTooWide } from '../domain/query/too-wide.ts';
import { typesMatch } from '../domain/query/types.ts';
import type { Clock } from '../ports/clock.ts';
import type { EntityStore, Write } from '../ports/entity-store.ts';
import type { HistoryStore } from '../ports/history-store.ts';
import { requireTenant } from './tenants.ts';

/** The entity that an operation is about: its id, and the types that it must have, if the request says (4.17). */
export interface Target {
  readonly id: Iri;
  readonly types?: TypeSelection | undefined;
}

/** What purge deletes of the entities that match: all of them, these attributes, or all attributes but these. */
export type PurgeScope =
  | { readonly kind: 'entities' }
  | { readonly kind: 'drop'; readonly names: ReadonlySet<Iri> }
  | { readonly kind: 'keep'; readonly names: ReadonlySet<Iri> };

/**
 * Provision of single entities and attributes (5.6.1 to 5.6.6, 5.6.17 to 5.6.19, 5.6.21). Names are IRIs. All of them resolve when what they did
 * is on disk, and throw DomainError: ResourceNotFound, BadRequestData, NonexistentTenant, Forbidden, Unavailable; others are named.
 */
export interface EntityOperations {
  /** 5.6.1. @throws AlreadyExists */
  createEntity(caller: Caller, entity: WholeEntity): Promise<void>;
  /** 5.6.18. Without types the entity keeps those it has. */
  replaceEntity(caller: Caller, target: Target, entity: EntityFragment): Promise<void>;
  /** 5.6.17. */
  mergeEntity(caller: Caller, target: Target, fragment: EntityFragment, options: MergeOptions): Promise<void>;
  /** 5.6.6. */
  deleteEntity(caller: Caller, target: Target): Promise<void>;
  /** 5.6.2. */
  updateAttributes(caller: Caller, target: Target, fragment: EntityFragment): Promise<UpdateResult>;
  /** 5.6.3. */
  appendAttributes(caller: Caller, target: Target, fragment: EntityFragment, overwrite: boolean): Promise<UpdateResult>;
  /** 5.6.4. */
  partialUpdate(caller: Caller, target: Target, name: Iri, part: AttributeInstance): Promise<void>;
  /** 5.6.19. */
  replaceAttribute(caller: Caller, target: Target, name: Iri, instance: AttributeInstance): Promise<void>;
  /** 5.6.5. */
  deleteAttribute(caller: Caller, target: Target, name: Iri, which: WhichInstances): Promise<void>;
  /** 5.6.21. Not one atomic step: entities written meanwhile may stay. @throws BadRequestData if the query is too wide, or follows links */
  purgeEntities(
    caller: Caller,
    selection: { readonly query: EntityQuery; readonly local: boolean },
    scope: PurgeScope,
  ): Promise<void>;
}

/** Purge asks for so many at a time. */
const PURGE_PAGE = 500;

export function entityOperations(dependencies: {
  readonly entities: EntityStore;
  /** What only history knows. */
  readonly history?: HistoryStore;
  readonly clock: Clock;
  readonly access: AccessFunction;
}): EntityOperations {
  const { entities, history, clock, access } = dependencies;
  const moment = (): Moment => ({ at: clock.now(), stamp: clock.stamp() });

  /** One write, whose refusal is thrown. */
  async function write(caller: Caller, id: Iri, decide: Write['decide']): Promise<void> {
    const [outcome] = await entities.commit([{ tenant: caller.tenant, id, decide }]);
    if (outcome?.kind === 'refused') throw outcome.error;
  }

  /** A write to an entity that must exist, have the types asked for, and be in a tenant that exists. */
  async function change(
    caller: Caller,
    operation: string,
    { id, types }: Target,
    attributes: readonly Iri[],
    decide: (current: Entity | undefined, moment: Moment) => ChangeDraft | undefined,
  ): Promise<void> {
    demand(access, caller, { operation, effect: 'write', ids: [id], attributes });
    await requireTenant(entities, caller.tenant);
    await write(caller, id, (current) => decide(ofTypes(current, types), moment()));
  }

  /** 5.6.5: an entity that only its temporal evolution knows (5.6.11) has attributes that can be deleted, too. */
  async function endInHistory(
    tenant: TenantId,
    id: Iri,
    name: Iri,
    { deleteAll, datasetId }: WhichInstances,
  ): Promise<boolean> {
    const which = { ...(deleteAll && { all: true }), ...(datasetId !== undefined && { datasetId }) };
    return (await history?.endAttribute(tenant, id, name, which, clock.now())) ?? false;
  }

  return {
    createEntity(caller, entity) {
      const attributes = Object.keys(entity.attributes) as Iri[];
      demand(access, caller, { operation: 'createEntity', effect: 'write', ids: [entity.id], types: entity.types, attributes });
      return write(caller, entity.id, (current) => createEntity(current, entity, moment()));
    },

    replaceEntity: (caller, target, entity) =>
      change(caller, 'replaceEntity', target, Object.keys(entity.attributes) as Iri[], (current, now) =>
        replaceEntity(current, { ...entity, id: target.id, types: entity.types ?? current?.types ?? [] }, now),
      ),

    mergeEntity: (caller, target, fragment, options) =>
      change(caller, 'mergeEntity', target, Object.keys(fragment.attributes) as Iri[], (current, now) =>
        mergeEntity(current, target.id, fragment, options, now),
      ),

    deleteEntity: (caller, target) =>
      change(caller, 'deleteEntity', target, [], (current, now) => deleteEntity(current, target.id, now)),

    async updateAttributes(caller, target, fragment) {
      let result: UpdateResult = { updated: [], notUpdated: [] };
      await change(caller, 'updateAttrs', target, Object.keys(fragment.attributes) as Iri[], (current, now) => {
        const patched = updateAttributes(current, target.id, fragment, now);
        result = patched.result;
        return patched.draft;
      });
      return result;
    },

    async appendAttributes(caller, target, fragment, overwrite) {
      let result: UpdateResult = { updated: [], notUpdated: [] };
      await change(caller, 'appendAttrs', target, Object.keys(fragment.attributes) as Iri[], (current, now) => {
        const patched = appendAttributes(current, target.id, fragment, { overwrite }, now);
        result = patched.result;
        return patched.draft;
      });
      return result;
    },

    partialUpdate: (caller, target, name, part) =>
      change(caller, 'updateAttrs', target, [name], (current, now) => partialUpdate(current, target.id, name, part, now)),

    replaceAttribute: (caller, target, name, instance) =>
      change(caller, 'replaceAttrs', target, [name], (current, now) =>
        replaceAttribute(current, target.id, name, instance, now),
      ),

    async deleteAttribute(caller, target, name, which) {
      try {
        await change(caller, 'deleteAttrs', target, [name], (current, now) =>
          deleteAttribute(current, target.id, name, which, now),
        );
      } catch (error) {
        const missing = error instanceof DomainError && error.type === 'ResourceNotFound';
        if (!missing || !(await endInHistory(caller.tenant, target.id, name, which))) throw error;
      }
    },

    async purgeEntities(caller, { query, local }, scope) {
      demand(access, caller, { operation: 'purgeEntity', effect: 'write', ...(query.ids && { ids: query.ids }) });
      refuseTooWide(query, local);
      refuseTooDeep(query.where, 0);
      await requireTenant(entities, caller.tenant);
      const { tenant } = caller;
      const drops = scope.kind === 'entities' ? undefined : (name: Iri) => scope.names.has(name) === (scope.kind === 'drop');
      let after: Iri | undefined;
      for (;;) {
        const page = await entities.query(tenant, query, { limit: PURGE_PAGE, ...(after !== undefined && { after }) });
        const writes = page.entities.map(
          ({ id }): Write => ({
            tenant,
            id,
            decide: (current) =>
              drops ? dropAttributes(current, id, drops, moment()) : current && deleteEntity(current, id, moment()),
          }),
        );
        if (writes.length > 0) await entities.commit(writes);
        after = page.entities.at(-1)?.id;
        if (!page.more || after === undefined) return;
      }
    },
  };
}

/** An entity that lacks the types asked for is as good as absent (4.17). */
function ofTypes(current: Entity | undefined, types: TypeSelection | undefined): Entity | undefined {
  return current === undefined || types === undefined || typesMatch(types, current.types) ? current : undefined;
}
