import type { Caller } from '../../domain/access.ts';
import type { EntityFragment } from '../../domain/entity.ts';
import { DomainError } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import type { UpdateResult } from '../../domain/patch.ts';
import { typesMatch } from '../../domain/query/types.ts';
import type { BatchItem, BatchOperations, BatchResult } from '../batch.ts';
import type { CommandTarget } from '../devices/targets.ts';
import type { EntityOperations, Target } from '../entities.ts';
import type { CommandOperations } from './operations.ts';
import { type Asked, askedBy, splitCommands } from './split.ts';

/**
 * Entity operations in which a write to a command attribute is a command to the device behind it: the attribute never gets a value, and what else
 * the request says is done first. The entity need not exist yet, because devices can be told something before they have measured anything.
 */
export function commandingEntities(inner: EntityOperations, commands: CommandOperations): EntityOperations {
  const { targets } = commands;

  /** The commands of the entity that is written to. Those of other types than asked for are as good as absent (4.17). */
  function targetsOf(caller: Caller, { id, types }: Target): ReadonlyMap<Iri, CommandTarget> | undefined {
    if (!targets.any(caller.tenant) || caller.snapshot !== undefined) return undefined;
    const found = targets.of(caller.tenant, id);
    if (found === undefined || types === undefined) return found;
    const [first] = found.values();
    return first !== undefined && typesMatch(types, first.types) ? found : undefined;
  }

  /** @param write what is left for the entity; not called if nothing is, unless `always` */
  async function split<F extends EntityFragment, R>(
    caller: Caller,
    target: Target,
    fragment: F,
    write: (rest: F) => Promise<R>,
    always = false,
  ): Promise<{ readonly result: R | undefined; readonly asked: readonly Asked[] }> {
    const found = targetsOf(caller, target);
    if (found === undefined) return { result: await write(fragment), asked: [] };
    const { asked, rest } = splitCommands(found, fragment);
    const something = always || asked.length === 0 || saysSomething(rest);
    const result = something ? await write(rest) : undefined;
    await sendAll(commands, caller, asked);
    return { result, asked };
  }

  async function one(caller: Caller, target: Target, name: Iri, instance: Parameters<typeof askedBy>[1]): Promise<boolean> {
    const found = targetsOf(caller, target)?.get(name);
    const asked = found && askedBy(found, instance);
    if (asked === undefined) return false;
    await sendAll(commands, caller, [asked]);
    return true;
  }

  const update = async (
    caller: Caller,
    target: Target,
    fragment: EntityFragment,
    write: (rest: EntityFragment) => Promise<UpdateResult>,
  ): Promise<UpdateResult> => {
    const { result, asked } = await split(caller, target, fragment, write);
    if (asked.length === 0) return result as UpdateResult;
    const names = asked.map((one) => one.target.command.attribute);
    return { updated: [...(result?.updated ?? []), ...names], notUpdated: result?.notUpdated ?? [] };
  };

  return {
    ...inner,
    async createEntity(caller, entity) {
      await split(caller, { id: entity.id }, entity, (rest) => inner.createEntity(caller, rest), true);
    },
    async replaceEntity(caller, target, entity) {
      await split(caller, target, entity, (rest) => inner.replaceEntity(caller, target, rest), true);
    },
    async mergeEntity(caller, target, fragment, options) {
      await split(caller, target, fragment, (rest) => inner.mergeEntity(caller, target, rest, options));
    },
    updateAttributes: (caller, target, fragment) =>
      update(caller, target, fragment, (rest) => inner.updateAttributes(caller, target, rest)),
    appendAttributes: (caller, target, fragment, overwrite) =>
      update(caller, target, fragment, (rest) => inner.appendAttributes(caller, target, rest, overwrite)),
    async partialUpdate(caller, target, name, part) {
      if (!(await one(caller, target, name, part))) await inner.partialUpdate(caller, target, name, part);
    },
    async replaceAttribute(caller, target, name, instance) {
      if (!(await one(caller, target, name, instance))) await inner.replaceAttribute(caller, target, name, instance);
    },
  };
}

type Element = EntityFragment & { readonly id: Iri };

/** The same for batches: every element stands alone, also with its commands. */
export function commandingBatch(inner: BatchOperations, commands: CommandOperations): BatchOperations {
  async function split<T extends Element>(
    caller: Caller,
    items: readonly BatchItem<T>[],
    write: (items: readonly BatchItem<T>[]) => Promise<BatchResult>,
    always: boolean,
  ): Promise<BatchResult> {
    const { targets } = commands;
    if (!targets.any(caller.tenant)) return write(items);
    const asked = new Map<Iri, Asked[]>();
    const onlyAsked = new Set<Iri>();
    const left = items.flatMap((item): BatchItem<T>[] => {
      const found = 'content' in item ? targets.of(caller.tenant, item.content.id) : undefined;
      if (found === undefined || !('content' in item)) return [item];
      const parts = splitCommands(found, item.content);
      if (parts.asked.length === 0) return [item];
      const { id } = item.content;
      asked.set(id, [...(asked.get(id) ?? []), ...parts.asked]);
      if (always || saysSomething(parts.rest)) return [{ ...item, content: parts.rest }];
      onlyAsked.add(id);
      return [];
    });
    if (asked.size === 0) return write(items);
    const result = left.length > 0 ? await write(left) : { success: [], created: [], errors: [] };
    const success = new Set([...result.success, ...onlyAsked]);
    const errors = [...result.errors];
    for (const [id, own] of asked) {
      if (!success.has(id)) continue;
      try {
        await sendAll(commands, caller, own);
      } catch (error) {
        if (!(error instanceof DomainError)) throw error;
        success.delete(id);
        errors.push({ entityId: id, error });
      }
    }
    return {
      success: [...result.success.filter((id) => success.has(id)), ...[...onlyAsked].filter((id) => success.has(id))],
      created: result.created,
      errors,
    };
  }

  return {
    ...inner,
    create: (caller, items) => split(caller, items, (left) => inner.create(caller, left), true),
    upsert: (caller, items, mode) => split(caller, items, (left) => inner.upsert(caller, left, mode), mode === 'replace'),
    update: (caller, items, overwrite) => split(caller, items, (left) => inner.update(caller, left, overwrite), false),
    merge: (caller, items, options) => split(caller, items, (left) => inner.merge(caller, left, options), false),
  };
}

async function sendAll(commands: CommandOperations, caller: Caller, asked: readonly Asked[]): Promise<void> {
  for (const { target, value, expiresAt } of asked) {
    await commands.send(caller, target, value, expiresAt === undefined ? {} : { expiresAt });
  }
}

/** Whether there is anything left in a fragment beside the entity's name and types, which a device's entity has anyway. */
const saysSomething = ({ attributes, scopes, expiresAt }: EntityFragment): boolean =>
  Object.keys(attributes).length > 0 || scopes !== undefined || expiresAt !== undefined;
