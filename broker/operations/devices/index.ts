import type { Device, KnownDevice, ServiceGroup } from '../../domain/device.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';

export interface IndexedGroup {
  readonly tenant: TenantId;
  readonly path: string;
  readonly group: ServiceGroup;
}
export interface IndexedDevice {
  readonly known: KnownDevice;
}

/** Hears of every device that comes, changes (a drop and a put) or goes. */
export interface DeviceListener {
  put(known: KnownDevice): void;
  drop(known: KnownDevice): void;
}

export type DeviceIndex = ReturnType<typeof deviceIndex>;

/** Groups and devices in memory, found by what messages carry: hash of key and device id, or hash of token. */
export function deviceIndex(...listeners: readonly DeviceListener[]) {
  let version = 0;
  /** By hash of the API key. */
  const groups = new Map<string, IndexedGroup[]>();
  const byIdentity = new Map<string, KnownDevice>();
  const byToken = new Map<string, KnownDevice>();
  /** Devices whose token ends by itself. */
  const expiring = new Set<KnownDevice>();
  /** By tenant, path and id; several if their keys differ. */
  const byPlace = new Map<string, KnownDevice[]>();
  /** Devices whose key no group has. */
  const byOwnKey = new Map<string, KnownDevice[]>();
  const place = (tenant: string, path: string, id: string): string => `${tenant}\n${path}\n${id}`;

  function drop(known: KnownDevice): void {
    for (const listener of listeners) listener.drop(known);
    byIdentity.delete(known.identity);
    if (known.device.tokenHash !== undefined) byToken.delete(known.device.tokenHash);
    expiring.delete(known);
    const at = place(known.tenant, known.servicePath, known.device.device_id);
    without(byPlace, at, known);
    if (known.device.keyHash !== undefined) without(byOwnKey, known.device.keyHash, known);
  }

  return {
    get version() {
      return version;
    },
    putGroup(tenant: TenantId, path: string, group: ServiceGroup): void {
      version++;
      const others = (groups.get(group.keyHash) ?? []).filter(
        (one) => !(same(one, tenant, path) && one.group.resource === group.resource),
      );
      groups.set(group.keyHash, [...others, { tenant, path, group }]);
    },
    removeGroup(tenant: TenantId, path: string, group: ServiceGroup): void {
      version++;
      const others = (groups.get(group.keyHash) ?? []).filter(
        (one) => !(same(one, tenant, path) && one.group.resource === group.resource),
      );
      if (others.length > 0) groups.set(group.keyHash, others);
      else groups.delete(group.keyHash);
    },
    /** Path "/*": all of the tenant. */
    groups(tenant: TenantId, path: string): readonly IndexedGroup[] {
      return [...groups.values()].flat().filter((one) => one.tenant === tenant && (path === '/*' || one.path === path));
    },
    groupExists: (resource: string, keyHash: string): boolean =>
      groups.get(keyHash)?.some(({ group }) => group.resource === resource) ?? false,
    /** The group that a key means for a resource: the one for that resource, else one for any, else the only one. */
    groupOfKey(keyHash: string, resource: string): IndexedGroup | undefined {
      const own = groups.get(keyHash);
      return (
        own?.find(({ group }) => group.resource === resource) ?? own?.find(({ group }) => group.resource === '') ?? own?.[0]
      );
    },
    hasGroupKey: (keyHash: string): boolean => groups.has(keyHash),
    hasKey: (keyHash: string): boolean => groups.has(keyHash) || byOwnKey.has(keyHash),
    groupKeys: (): readonly string[] => [...groups.keys()],
    keyHashes: (): readonly string[] => [...new Set([...groups.keys(), ...byOwnKey.keys()])],

    putDevice(
      tenant: TenantId,
      path: string,
      device: Device,
      group: ServiceGroup | undefined,
      expand: (term: string) => Iri,
    ): KnownDevice {
      version++;
      const identity = `${tenant}${path}#${device.device_id}${device.keyHash === undefined ? '' : `@${device.keyHash.slice(0, 16)}`}`;
      const before = byIdentity.get(identity);
      if (before !== undefined) drop(before);
      const known: KnownDevice = { tenant, servicePath: path, identity, device, group, expand };
      byIdentity.set(identity, known);
      if (device.tokenHash !== undefined) byToken.set(device.tokenHash, known);
      if (device.tokenExpiresAt !== undefined) expiring.add(known);
      append(byPlace, place(tenant, path, device.device_id), known);
      if (device.keyHash !== undefined) append(byOwnKey, device.keyHash, known);
      for (const listener of listeners) listener.put(known);
      return known;
    },
    removeDevice(known: KnownDevice): void {
      version++;
      drop(known);
    },
    devices(tenant: TenantId, path: string): readonly IndexedDevice[] {
      const own = [...byIdentity.values()].filter(
        (one) => one.tenant === tenant && (path === '/*' || one.servicePath === path),
      );
      return own.map((known) => ({ known }));
    },
    at(tenant: TenantId, path: string, id: string): KnownDevice | undefined {
      const here = byPlace.get(place(tenant, path, id));
      return here?.find(({ device }) => device.keyHash === undefined) ?? here?.[0];
    },
    byIdentity: (identity: string): KnownDevice | undefined => byIdentity.get(identity),
    all: (): readonly KnownDevice[] => [...byIdentity.values()],
    withExpiringTokens: (): readonly KnownDevice[] => [...expiring],
    withTokens: (): readonly KnownDevice[] => [...byToken.values()],
    byToken: (tokenHash: string): KnownDevice | undefined => byToken.get(tokenHash),
    byKey(keyHash: string, id: string, resource: string): KnownDevice | undefined {
      for (const { tenant, path } of orderedFor(groups.get(keyHash), resource)) {
        const here = byPlace.get(place(tenant, path, id));
        const found =
          here?.find(({ device }) => device.keyHash === keyHash) ?? here?.find(({ device }) => device.keyHash === undefined);
        if (found !== undefined) return found;
      }
      return byOwnKey.get(keyHash)?.find(({ device }) => device.device_id === id);
    },
  };
}

/** Groups of a key, those for the resource first. */
function orderedFor(groups: readonly IndexedGroup[] | undefined, resource: string): readonly IndexedGroup[] {
  if (groups === undefined || groups.length < 2) return groups ?? [];
  return [...groups].sort((a, b) => Number(b.group.resource === resource) - Number(a.group.resource === resource));
}

const same = (one: IndexedGroup, tenant: TenantId, path: string): boolean => one.tenant === tenant && one.path === path;

function append<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

function without<T>(map: Map<string, T[]>, key: string, value: T): void {
  const rest = (map.get(key) ?? []).filter((one) => one !== value);
  if (rest.length > 0) map.set(key, rest);
  else map.delete(key);
}
