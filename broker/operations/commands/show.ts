import { type Command, type CommandedEntity, isFinal, shownState } from '../../domain/command.ts';
import type { TenantId } from '../../domain/iri.ts';
import { EntityEdit } from '../../domain/patch/edit.ts';
import type { Clock } from '../../ports/clock.ts';
import type { EntityStore } from '../../ports/entity-store.ts';

/**
 * Writes a command's state into the device's entity, as `<name>_status` and `<name>_info`. The entity comes to be with it if the device has not
 * measured yet. A new command takes the result of the one before away: beside PENDING it would look like an answer.
 */
export async function showState(entities: EntityStore, clock: Clock, command: Command): Promise<void> {
  const { tenant, entity: id, types, statusAttribute, infoAttribute } = command;
  const { status, info } = shownState(command);
  const observedAt = command.endedAt ?? command.deliveredAt ?? command.createdAt;
  const [outcome] = await entities.commit([
    {
      tenant,
      id,
      decide(current) {
        const edit = new EntityEdit(current, { at: clock.now(), stamp: clock.stamp() });
        if (current === undefined) edit.setTypes(types);
        edit.put(statusAttribute, { type: 'Property', value: status, observedAt });
        if (isFinal(command) && info !== undefined && info !== null) {
          edit.put(infoAttribute, { type: 'Property', value: info, observedAt });
        } else edit.remove(infoAttribute, undefined);
        return edit.draft(id);
      },
    },
  ]);
  if (outcome?.kind === 'refused') throw outcome.error;
}

/** A device with commands, or with lazy attributes, was provisioned: its entity comes to be at once, so that clients find what it can be asked to do before it has measured anything. */
export async function announce(
  entities: EntityStore,
  clock: Clock,
  tenant: TenantId,
  commanded: (Pick<CommandedEntity, 'id' | 'types'> & { readonly commands: readonly unknown[] }) | undefined,
): Promise<void> {
  if (commanded === undefined || commanded.commands.length === 0) return;
  const { id, types } = commanded;
  const [outcome] = await entities.commit([
    {
      tenant,
      id,
      decide(current) {
        if (current !== undefined) return undefined;
        const edit = new EntityEdit(undefined, { at: clock.now(), stamp: clock.stamp() });
        edit.setTypes(types);
        return edit.draft(id);
      },
    },
  ]);
  if (outcome?.kind === 'refused') throw outcome.error;
}
