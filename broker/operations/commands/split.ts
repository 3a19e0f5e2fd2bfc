import type { AttributeInstance, Attributes } from '../../domain/attribute.ts';
import { commandValue } from '../../domain/command.ts';
import type { Iri } from '../../domain/iri.ts';
import type { JsonValue } from '../../domain/json.ts';
import { asksForDeletion } from '../../domain/patch.ts';
import type { Instant } from '../../domain/time.ts';
import type { CommandTarget } from '../devices/targets.ts';

/** One thing that a write asks of a device. */
export interface Asked {
  readonly target: CommandTarget;
  readonly value: JsonValue;
  /** `expiresAt` of the instance: when the command is of no use any more. */
  readonly expiresAt?: Instant;
}

/** What a write asks of devices, and what is left for the entity. Deletions are no commands: there is nothing to delete, and the entity says so. */
export function splitCommands<F extends { readonly attributes: Attributes }>(
  targets: ReadonlyMap<Iri, CommandTarget>,
  fragment: F,
): { readonly asked: readonly Asked[]; readonly rest: F } {
  const asked: Asked[] = [];
  const attributes: Record<Iri, readonly AttributeInstance[]> = {};
  for (const [key, instances] of Object.entries(fragment.attributes)) {
    const name = key as Iri;
    const target = targets.get(name);
    const own = target === undefined ? [] : instances.flatMap((instance) => askedBy(target, instance) ?? []);
    if (own.length > 0) asked.push(...own);
    else attributes[name] = instances;
  }
  return asked.length === 0 ? { asked, rest: fragment } : { asked, rest: { ...fragment, attributes } };
}

/** What an instance that is written to a command attribute asks for; undefined: nothing. */
export function askedBy(target: CommandTarget, instance: AttributeInstance): Asked | undefined {
  const value = asksForDeletion(instance) ? undefined : commandValue(instance);
  if (value === undefined) return undefined;
  return { target, value, ...(instance.expiresAt !== undefined && { expiresAt: instance.expiresAt }) };
}
