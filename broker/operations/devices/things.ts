import { type AccessFunction, demand } from '../../domain/access.ts';
import type { Device, KnownDevice } from '../../domain/device.ts';
import { ProvisioningError, readDevice } from '../../domain/device-document.ts';
import type { EntityFragment } from '../../domain/entity.ts';
import type { Iri } from '../../domain/iri.ts';
import type { JsonObject, JsonValue } from '../../domain/json.ts';
import { ingestFragment } from '../../domain/patch.ts';
import type { Clock } from '../../ports/clock.ts';
import type { EntityStore } from '../../ports/entity-store.ts';
import type { DeviceOperations, Place } from '../devices.ts';
import type { IssuedToken } from './tokens.ts';

/** What a Thing Description says, as a device: how each part of it will be seen. */
export interface ThingMapping {
  /** Members of a device, as the provisioning API has them. */
  readonly device: JsonObject;
  /** What becomes of each affordance, and what of it cannot be taken over. */
  readonly mapping: readonly {
    readonly affordance: string;
    readonly attribute?: string;
    readonly command?: string;
    readonly type?: string;
    readonly unitCode?: string;
    readonly note?: string;
  }[];
}

/** The answer to a Thing Description: the mapping, the entity, and the token with which the device may speak. */
export interface OnboardedThing extends ThingMapping, Partial<IssuedToken> {
  readonly entity: Iri;
}

export interface ThingOperations {
  /**
   * Onboards a device from its W3C Thing Description: provisions it, makes its entity, and issues a token.
   * @throws ProvisioningError WRONG_SYNTAX if it is no Thing Description; DUPLICATE_DEVICE_ID
   */
  onboard(
    place: Place,
    description: JsonValue | undefined,
    options: { readonly dryRun: boolean; readonly apikey?: string | undefined },
  ): Promise<OnboardedThing>;
}

export interface ThingOptions {
  readonly devices: DeviceOperations;
  readonly entities: EntityStore;
  readonly clock: Clock;
  readonly access: AccessFunction;
  /** @throws Error whose message says why it is no Thing Description */
  readonly readThing: (description: JsonValue | undefined) => ThingMapping;
  /** The id of the entity that such a device has. */
  readonly entityId: (device: Device) => Iri;
  /** The entity of a device as far as it is the same with every measure. */
  readonly entityOf: (known: KnownDevice) => EntityFragment & { readonly id: Iri; readonly types: readonly Iri[] };
}

export function thingOperations({
  devices,
  entities,
  clock,
  access,
  readThing,
  entityId,
  entityOf,
}: ThingOptions): ThingOperations {
  return {
    async onboard(place, description, { dryRun, apikey }) {
      demand(access, place.caller, { operation: 'createDevice', effect: 'administer' });
      let thing: ThingMapping;
      try {
        thing = readThing(description);
      } catch (error) {
        throw new ProvisioningError('WRONG_SYNTAX', (error as Error).message);
      }
      const body = { ...thing.device, ...(apikey !== undefined && { apikey }) };
      const { device } = readDevice(body);
      if (dryRun) return { ...thing, entity: entityId(device as Device) };
      const [token] = await devices.createDevices(place, [{ ...body, newToken: true }]);
      const known = devices.registry.find(place, (device as Device).device_id);
      const entity = entityOf(known);
      const [outcome] = await entities.commit([
        {
          tenant: known.tenant,
          id: entity.id,
          decide: (current) => ingestFragment(current, entity, { at: clock.now(), stamp: clock.stamp() }),
        },
      ]);
      if (outcome?.kind === 'refused') throw outcome.error;
      return { ...thing, ...token, entity: entity.id };
    },
  };
}
