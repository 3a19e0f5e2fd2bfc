import type { CommandEntry, CommandedEntity, Iri, KnownDevice } from '../../broker/ports/ingest.ts';
import { checkName, entityId } from '../mapping/compile.ts';
import { compileExpression } from '../mapping/expressions.ts';
import { merged, provisionedMapping } from '../mapping/provisioned.ts';

/** The commands of a device and its group, by name; the device's own win. */
export function commandEntries({ device, group }: Pick<KnownDevice, 'device' | 'group'>): readonly CommandEntry[] {
  if (device.commands === undefined && group?.commands === undefined) return [];
  return merged(group?.commands, device.commands);
}

/**
 * The entity of a device and what can be asked of it.
 * @returns undefined if it has no commands
 * @throws PayloadError if a name cannot be used; whatever the device's @context throws as long as it is not there
 */
export function commandsOf(known: KnownDevice): CommandedEntity | undefined {
  const entries = commandEntries(known);
  if (entries.length === 0) return undefined;
  const own = ownEntity(known);
  if (own === undefined) return undefined;
  return {
    ...own,
    commands: entries.map(({ name: command }) => ({
      name: command,
      attribute: known.expand(checkName(command)),
      statusAttribute: known.expand(`${command}_status`),
      infoAttribute: known.expand(`${command}_info`),
    })),
  };
}

/** The entity of a device, as far as it can be told before the device has said anything. */
export function ownEntity(known: KnownDevice): { readonly id: Iri; readonly types: readonly Iri[] } | undefined {
  const { targets, constants } = provisionedMapping(known);
  const [own] = targets;
  if (own === undefined) return undefined;
  // An expression that needs values of a measure says nothing here: the entity is then the one that the device has without it.
  const named = own.idExpression === undefined ? undefined : compileExpression(own.idExpression).evaluate(constants);
  const name = typeof named === 'string' && named !== '' ? named : own.id;
  return { id: entityId(name, own.type), types: [known.expand(own.type)] };
}
