import type { Commandable, CommandedEntity } from '../../domain/command.ts';
import type { KnownDevice } from '../../domain/device.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';

/** An attribute of an entity that is a device's business, and that device. */
export interface AskedTarget<C> {
  readonly known: KnownDevice;
  readonly entity: Iri;
  readonly types: readonly Iri[];
  readonly command: C;
}

/** A command attribute of an entity, and the device behind it. */
export type CommandTarget = AskedTarget<Commandable>;

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

/** The entity of a device, and what of it is asked of the device: commands, or attributes that it tells when it is asked. */
export interface AskedEntity<C> extends Omit<CommandedEntity, 'commands'> {
  readonly commands: readonly C[];
}

/** Finds {@link AskedTarget}s while devices come and go. */
export interface TargetIndex<C> {
  put(known: KnownDevice): void;
  drop(known: KnownDevice): void;
  of(tenant: TenantId, entity: Iri): ReadonlyMap<Iri, AskedTarget<C>> | undefined;
  any(tenant: TenantId): boolean;
  entities(tenant: TenantId): Iterable<Iri>;
}

/** @param entityOf the entity of a device and its commands; undefined: it has none. What it throws means that its names are not known yet */
export function targetIndex<C extends { readonly attribute: Iri }>(
  entityOf: (known: KnownDevice) => AskedEntity<C> | undefined,
): TargetIndex<C> {
  const tenants = new Map<TenantId, Map<Iri, Map<Iri, AskedTarget<C>>>>();
  const placed = new WeakMap<KnownDevice, AskedEntity<C>>();

  return {
    put(known) {
      let entity: AskedEntity<C> | undefined;
      try {
        entity = entityOf(known);
      } catch {
        // The device's @context is being loaded; it is put again when it is there.
        return;
      }
      if (entity === undefined || entity.commands.length === 0) return;
      placed.set(known, entity);
      const ofTenant = tenants.get(known.tenant) ?? new Map<Iri, Map<Iri, AskedTarget<C>>>();
      tenants.set(known.tenant, ofTenant);
      const own = ofTenant.get(entity.id) ?? new Map<Iri, AskedTarget<C>>();
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
