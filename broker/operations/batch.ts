import { type AccessFunction, type Caller, demand } from '../domain/access.ts';
import type { ChangeDraft } from '../domain/change.ts';
import type { Entity, EntityFragment } from '../domain/entity.ts';
import { badRequest, DomainError } from '../domain/errors.ts';
import type { Iri } from '../domain/iri.ts';
import { requireWhole, type WholeEntity } from '../domain/jsonld/expand.ts';
import {
  appendAttributes,
  asksForDeletion,
  createEntity,
  createOrReplaceEntity,
  deleteEntity,
  type MergeOptions,
  type Moment,
  mergeEntity,
  updateAttributes,
} from '../domain/patch.ts';
import type { Clock } from '../ports/clock.ts';
import type { EntityStore, Write } from '../ports/entity-store.ts';
import { requireTenant } from './tenants.ts';

/** One element of a batch: what it says, or why it could not be read. */
export type BatchItem<T> = { readonly id: string; readonly content: T } | { readonly id: string; readonly error: DomainError };

/** 5.2.16. An entity that is in the batch several times is in the result several times. */
export interface BatchResult {
  readonly success: readonly Iri[];
  /** Those of `success` that did not exist before. */
  readonly created: readonly Iri[];
  readonly errors: readonly {
    readonly entityId: string;
    readonly error: DomainError;
    /** The registration whose source refused it. */
    readonly registrationId?: Iri;
  }[];
}

/**
 * Batch operations (5.6.7 to 5.6.10, 5.6.20). Elements are applied in their order, also those that concern the same entity (5.5.11); each
 * stands alone, and all are on disk when the promise resolves. @throws DomainError NonexistentTenant, Forbidden, Unavailable (then nothing was written)
 */
export interface BatchOperations {
  /** 5.6.7. */
  create(caller: Caller, items: readonly BatchItem<WholeEntity>[]): Promise<BatchResult>;
  /** 5.6.8: replaces what exists, or updates it (5.6.2). */
  upsert(
    caller: Caller,
    items: readonly BatchItem<EntityFragment & { id: Iri }>[],
    mode: 'replace' | 'update',
  ): Promise<BatchResult>;
  /** 5.6.9. */
  update(caller: Caller, items: readonly BatchItem<EntityFragment & { id: Iri }>[], overwrite: boolean): Promise<BatchResult>;
  /** 5.6.20. */
  merge(caller: Caller, items: readonly BatchItem<EntityFragment & { id: Iri }>[], options: MergeOptions): Promise<BatchResult>;
  /** 5.6.10. */
  delete(caller: Caller, items: readonly BatchItem<Iri>[]): Promise<BatchResult>;
}

export function batchOperations(dependencies: {
  readonly entities: EntityStore;
  readonly clock: Clock;
  readonly access: AccessFunction;
}): BatchOperations {
  const { entities, clock, access } = dependencies;
  const moment = (): Moment => ({ at: clock.now(), stamp: clock.stamp() });

  async function apply<T>(
    caller: Caller,
    operation: string,
    items: readonly BatchItem<T>[],
    idOf: (content: T) => Iri,
    decide: (content: T, current: Entity | undefined) => ChangeDraft | undefined,
  ): Promise<BatchResult> {
    const readable = items.flatMap((item) => ('content' in item ? [item.content] : []));
    demand(access, caller, { operation, effect: 'write', ids: readable.map(idOf) });
    const writes = readable.map(
      (content): Write => ({ tenant: caller.tenant, id: idOf(content), decide: (current) => decide(content, current) }),
    );
    const outcomes = writes.length > 0 ? await entities.commit(writes) : [];
    const success: Iri[] = [];
    const created: Iri[] = [];
    const errors: { entityId: string; error: DomainError }[] = [];
    let at = 0;
    for (const item of items) {
      if ('error' in item) {
        errors.push({ entityId: item.id, error: item.error });
        continue;
      }
      const outcome = outcomes[at++];
      const id = idOf(item.content);
      if (outcome === undefined || outcome.kind === 'refused') {
        errors.push({ entityId: id, error: outcome?.error ?? new DomainError('InternalError', 'The store gave no answer') });
      } else {
        success.push(id);
        if (outcome.kind === 'committed' && outcome.change.kind === 'created') created.push(id);
      }
    }
    return { success, created, errors };
  }

  const idOfFragment = ({ id }: { readonly id: Iri }) => id;

  return {
    create: (caller, items) =>
      apply(caller, 'createBatch', items, idOfFragment, (entity, current) => createEntity(current, entity, moment())),

    upsert: (caller, items, mode) =>
      apply(caller, 'upsertBatch', items, idOfFragment, (fragment, current) => {
        if (mode === 'update' && current !== undefined) return updateAttributes(current, fragment.id, fragment, moment()).draft;
        requireWhole(fragment);
        refuseDeletions(fragment);
        return createOrReplaceEntity(current, fragment, moment());
      }),

    async update(caller, items, overwrite) {
      await requireTenant(entities, caller.tenant);
      const left = new Map<object, readonly Iri[]>();
      const result = await apply(caller, 'updateBatch', items, idOfFragment, (fragment, current) => {
        const { draft, result } = appendAttributes(current, fragment.id, fragment, { overwrite }, moment());
        const names = result.notUpdated.map(({ attributeName }) => attributeName);
        if (names.length > 0) left.set(fragment, names);
        return draft;
      });
      return left.size === 0 ? result : withLeftAlone(result, items, left);
    },

    async merge(caller, items, options) {
      await requireTenant(entities, caller.tenant);
      return apply(caller, 'mergeBatch', items, idOfFragment, (fragment, current) =>
        mergeEntity(current, fragment.id, fragment, options, moment()),
      );
    },

    async delete(caller, items) {
      await requireTenant(entities, caller.tenant);
      return apply(
        caller,
        'deleteBatch',
        items,
        (id) => id,
        (id, current) => deleteEntity(current, id, moment()),
      );
    },
  };
}

/** Elements of which something was left alone (noOverwrite) are no successes: what they say was not done as a whole. */
function withLeftAlone(
  { success, created, errors }: BatchResult,
  items: readonly BatchItem<EntityFragment & { id: Iri }>[],
  left: ReadonlyMap<object, readonly Iri[]>,
): BatchResult {
  const incomplete = items.flatMap((item) => {
    const names = 'content' in item ? left.get(item.content) : undefined;
    if (names === undefined) return [];
    return [
      {
        entityId: item.id,
        error: new DomainError('AlreadyExists', `Left as they are, because of noOverwrite: ${names.join(', ')}`),
      },
    ];
  });
  const ids = new Set(incomplete.map(({ entityId }) => entityId));
  return { success: success.filter((id) => !ids.has(id)), created, errors: [...errors, ...incomplete] };
}

/** An update that turns out to create has nothing to delete (5.5.4). */
function refuseDeletions(fragment: EntityFragment): void {
  for (const [name, instances] of Object.entries(fragment.attributes)) {
    if (instances.some(asksForDeletion))
      throw badRequest(`Entity ${fragment.id} does not exist, so ${name} cannot be deleted from it`);
  }
}
