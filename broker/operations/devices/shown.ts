import type { KnownDevice } from '../../domain/device.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { IndexedGroup } from './index.ts';

/** What a listing shows of a group or device: everything but secrets, whose place a key id takes. */
export type Shown = JsonObject;

/** How a key is called where it must not be shown. */
export const KEY_ID = /^key:[0-9a-f]{16}$/;
export const keyId = (keyHash: string): string => `key:${keyHash.slice(0, 16)}`;

export function shownGroup({ group, tenant, path }: IndexedGroup): Shown {
  const { keyHash, sealedKey: _, ...rest } = group;
  return { ...rest, apikey: keyId(keyHash), service: tenant, subservice: path } as unknown as Shown;
}

export function shownDevice(known: KnownDevice): Shown {
  const { keyHash, tokenHash, sealedKey: _, onboarding, ...rest } = known.device;
  return {
    ...rest,
    ...(keyHash !== undefined && { apikey: keyId(keyHash) }),
    hasToken: tokenHash !== undefined,
    // The session is a secret of whoever sets the device up.
    ...(onboarding !== undefined && { unclaimed: true }),
    service: known.tenant,
    service_path: known.servicePath,
  } as unknown as Shown;
}
