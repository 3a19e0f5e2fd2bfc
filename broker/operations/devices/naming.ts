import type { Device, KnownDevice, ServiceGroup } from '../../domain/device.ts';
import { ProvisioningError } from '../../domain/device-document.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import type { Place } from '../devices.ts';

/** The resource of the group that devices of a protocol belong to, where an API key has several. */
export const RESOURCES: Readonly<Record<string, string>> = {
  'IoTA-JSON': '/iot/json',
  'IoTA-UL': '/iot/d',
  'PDI-IoTA-UltraLight': '/iot/d',
  'PDI-IoTA-JSON': '/iot/json',
};

/** @throws ProvisioningError WRONG_SYNTAX if a device of this group could not be understood */
export function checkGroup(place: Place, group: ServiceGroup, check: (known: KnownDevice) => void, context: Context): void {
  const device: Device = { device_id: 'x' };
  const expand = (term: string) => context.expand(term);
  try {
    check({ tenant: place.caller.tenant, servicePath: place.path, identity: '', device, group, expand });
  } catch (error) {
    throw new ProvisioningError('WRONG_SYNTAX', (error as Error).message);
  }
}

export const effectiveKey = (known: KnownDevice): string | undefined => known.device.keyHash ?? known.group?.keyHash;
export const groupId = (path: string, group: ServiceGroup): string => `${path}|${group.resource}|${group.keyHash}`;
export const documentId = (path: string, id: string, keyHash: string | undefined): string => `${path}|${id}|${keyHash ?? ''}`;
export const duplicateDevice = (id: string): ProvisioningError =>
  new ProvisioningError('DUPLICATE_DEVICE_ID', `A device with the same pair (Service, DeviceId) was found: ${id}`);
