import type { Commandable, CommandedEntity } from '../../domain/command.ts';
import type { KnownDevice } from '../../domain/device.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';

/** A command attribute of an entity, and the device behind it. */
export interface CommandTarget {
  readonly known: KnownDevice;
  readonly entity: Iri;
  readonly types: readonly Iri[];
  readonly command: Commandable;
}

/** Which attributes of which entities are commands. Every write to an entity asks, so the answer is in memory. */
export interface CommandTargets {
  /** The command attributes of an entity by IRI; undefined: it has none. */
  of(tenant: TenantId, entity: Iri): ReadonlyMap<Iri, CommandTarget> | undefined;
  /** False: no device of this tenant has commands, so nothing need be looked at. */
  any(tenant: TenantId): boolean;
  /** The entities that have command attributes. */
  entities(tenant: TenantId): Iterable<Iri>;
  /** The device as it is provisioned now; undefined: it is gone. */
  device(identity: string): KnownDevice | undefined;
}

/** Keeps {@link CommandTargets} while devices come and go. */
export interface CommandTargetIndex {
  put(known: KnownDevice): void;
  drop(known: KnownDevice): void;
  readonly of: CommandTargets['of'];
  readonly any: CommandTargets['any'];
  readonly entities: CommandTargets['entities'];
}

/** @param entityOf the entity of a device and its commands; undefined: it has none. What it throws means that its names are not known yet */
export function commandTargetIndex(entityOf: (known: KnownDevice) => CommandedEntity | undefined): CommandTargetIndex {
  const tenants = new Map<TenantId, Map<Iri, Map<Iri, CommandTarget>>>();
  const placed = new WeakMap<KnownDevice, CommandedEntity>();

  return {
    put(known) {
      let entity: CommandedEntity | undefined;
      try {
        entity = entityOf(known);
      } catch {
        // The device's @context is being loaded; it is put again when it is there.
        return;
      }
      if (entity === undefined || entity.commands.length === 0) return;
      placed.set(known, entity);
      const ofTenant = tenants.get(known.tenant) ?? new Map<Iri, Map<Iri, CommandTarget>>();
      tenants.set(known.tenant, ofTenant);
      const own = ofTenant.get(entity.id) ?? new Map<Iri, CommandTarget>();
      ofTenant.set(entity.id, own);
      for (const command of entity.commands) {
        own.set(command.attribute, { known, entity: entity.id, types: entity.types, command });
      }
    },
    drop(known) {
      const entity = placed.get(known);
      const ofTenant = tenants.get(known.tenant);
      const own = entity && ofTenant?.get(entity.id);
      if (entity === undefined || ofTenant === undefined || own === undefined) return;
      for (const { attribute } of entity.commands) if (own.get(attribute)?.known === known) own.delete(attribute);
      if (own.size === 0) ofTenant.delete(entity.id);
      if (ofTenant.size === 0) tenants.delete(known.tenant);
    },
    of: (tenant, entity) => tenants.get(tenant)?.get(entity),
    any: (tenant) => tenants.has(tenant),
    entities: (tenant) => tenants.get(tenant)?.keys() ?? [],
  };
}
