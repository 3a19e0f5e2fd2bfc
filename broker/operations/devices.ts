import { type AccessFunction, type Caller, demand } from '../domain/access.ts';
import type { CommandedEntity } from '../domain/command.ts';
import type { Device, DeviceSession, KnownDevice, ServiceGroup } from '../domain/device.ts';
import { ProvisioningError, readDevice, readGroup } from '../domain/device-document.ts';
import { DomainError } from '../domain/errors.ts';
import type { TenantId } from '../domain/iri.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { Context } from '../domain/jsonld/context.ts';
import type { Instant } from '../domain/time.ts';
import type { Clock } from '../ports/clock.ts';
import type { DeviceDirectory, Unknown } from '../ports/device-directory.ts';
import type { DeviceGate } from '../ports/device-gate.ts';
import type { DocumentStore } from '../ports/document-store.ts';
import { type DeviceListener, deviceIndex, type IndexedDevice, type IndexedGroup } from './devices/index.ts';
import { checkGroup, documentId, duplicateDevice, effectiveKey, groupId, RESOURCES } from './devices/naming.ts';
import { type DeviceRefusal, type RefusalLog, refusalLog, type UnknownDevice } from './devices/refusals.ts';
import { deviceSecrets } from './devices/secrets.ts';
import { KEY_ID, keyId, type Shown, shownDevice, shownGroup } from './devices/shown.ts';
import { type CommandTargets, targetIndex } from './devices/targets.ts';
import { deviceTokens, type IssuedToken } from './devices/tokens.ts';

export interface DeviceOperationsOptions {
  readonly documents: DocumentStore;
  readonly access: AccessFunction;
  /** The table of a device's @context; undefined: the core context. */
  readonly resolveContext: (source: JsonValue | undefined) => Context | Promise<Context>;
  /** Throws an Error whose message says why the mapping of this device cannot be used: a bad expression, name or codec. */
  readonly checkMapping: (known: KnownDevice) => void;
  /** The entity of a device and its commands; undefined: it has none. Throws as long as the device's names are not known. */
  readonly commandsOf: (known: KnownDevice) => CommandedEntity | undefined;
  /** Hears of devices as well: other things that can be asked of them. */
  readonly follower?: DeviceListener;
  /** After this time a @context that could not be loaded is tried again. */
  readonly retryMs?: number;
  readonly clock: Clock;
  /** Who lets devices in at an MQTT broker outside. */
  readonly gate?: DeviceGate | undefined;
}

/** The service path of a request: where in a tenant a group or device belongs. "/*" is every path, for listing. */
export interface Place {
  readonly caller: Caller;
  readonly path: string;
}

/** Devices as they are kept. */
export interface DeviceRegistry {
  all(): readonly KnownDevice[];
  byIdentity(identity: string): KnownDevice | undefined;
  /** @throws ProvisioningError DEVICE_NOT_FOUND */
  find(place: Place, id: string): KnownDevice;
  /** Stores a new device with a new token. @throws ProvisioningError DUPLICATE_DEVICE_ID, WRONG_SYNTAX */
  create(place: Place, device: Device): Promise<{ readonly identity: string; readonly token: IssuedToken }>;
  /** Stores what has become of a device. */
  save(known: KnownDevice, device: Device): Promise<KnownDevice>;
  remove(known: KnownDevice): Promise<void>;
}

/** Provisioning of groups and devices as the FIWARE IoT Agent API has it, and the directory that adapters ask. */
export interface DeviceOperations extends DeviceDirectory {
  createGroups(place: Place, bodies: readonly JsonValue[]): Promise<void>;
  listGroups(place: Place): Promise<readonly Shown[]>;
  updateGroup(place: Place, resource: string, apikey: string, body: JsonValue): Promise<void>;
  deleteGroup(place: Place, resource: string, apikey: string, withDevices: boolean): Promise<void>;
  /** @returns the tokens of those that asked for one */
  createDevices(place: Place, bodies: readonly JsonValue[]): Promise<readonly IssuedToken[]>;
  listDevices(
    place: Place,
    limit: number,
    offset: number,
  ): Promise<{ readonly count: number; readonly devices: readonly Shown[] }>;
  getDevice(place: Place, id: string, apikey?: string): Promise<Shown>;
  updateDevice(place: Place, id: string, body: JsonValue, apikey?: string): Promise<void>;
  deleteDevice(place: Place, id: string, apikey?: string): Promise<void>;
  /** A new token; the one before stops to work, and sessions opened with it end. */
  issueToken(place: Place, id: string, apikey?: string, expiresAt?: Instant): Promise<IssuedToken>;
  revokeToken(place: Place, id: string, apikey?: string): Promise<void>;
  /** Takes back tokens whose time is over. @returns how many */
  endExpiredTokens(): Promise<number>;
  /** Who connects with these credentials; undefined: they hold for nobody. A device shows its token, a network server the API key. */
  authenticate(username: string | undefined, password: string): DeviceSession | undefined;
  /** Calls back when a session may no longer go on: device deleted, token replaced or revoked, group gone. */
  onRevoked(listener: (session: DeviceSession) => void): void;
  /** Calls back with a device that was provisioned, or changed; the answer to who did so waits for it. */
  onProvisioned(listener: (known: KnownDevice) => Promise<void>): void;
  /** The API key that stands in topics of a device; undefined: it has none. */
  apikeyOf(known: KnownDevice): string | undefined;
  /** Who may connect with a secret of its own: identity of a device or hash of a group's key, and the hash of the secret. */
  admitted(): ReadonlyMap<string, string>;
  readonly refusals: Pick<RefusalLog, 'note' | 'counts'>;
  /** What the device said lately and was not taken, newest first. */
  listRefusals(place: Place, id: string, apikey?: string): Promise<readonly DeviceRefusal[]>;
  /** Devices that showed a valid key and are not provisioned. */
  listUnknownDevices(place: Place): Promise<readonly UnknownDevice[]>;
  /** For operations that build on the registry, and have asked the access function themselves. */
  readonly registry: DeviceRegistry;
  /** Calls back with the identity of a device that was deleted. */
  onDeleted(listener: (identity: string) => void): void;
  /** Which attributes of which entities are commands to devices. */
  readonly commandTargets: CommandTargets;
}

/** How long a start waits for the @contexts of devices. */
const START_WAIT_MS = 1000;
/**
 * Loads groups, devices and their contexts into memory and answers with the operations on them.
 * @throws Error if the store cannot be read
 */
export async function deviceOperations(options: DeviceOperationsOptions): Promise<DeviceOperations> {
  const { documents, access, resolveContext, checkMapping, commandsOf, clock, gate, retryMs = 10_000 } = options;
  const secrets = await deviceSecrets(documents);
  const { hash } = secrets;
  const targets = targetIndex(commandsOf);
  const index = deviceIndex(...(options.follower ? [targets, options.follower] : [targets]));
  const deleted: ((identity: string) => void)[] = [];
  const provisioned: ((known: KnownDevice) => Promise<void>)[] = [];
  const listeners: ((session: DeviceSession) => void)[] = [];
  const provisioning = new Map<string, Promise<KnownDevice | Unknown>>();
  /** Devices whose @context could not be loaded, by identity. */
  const withoutContext = new Set<string>();
  let retry: NodeJS.Timeout | undefined;
  const revoked = (session: DeviceSession): void => {
    for (const listener of listeners) listener(session);
  };

  const refusals = refusalLog(clock);
  const tokens = deviceTokens({ secrets, index, clock, gate, save, revoked });

  for (const { tenant, body } of await documents.list('service-group', undefined)) {
    index.putGroup(tenant, body['subservice'] as string, body as unknown as ServiceGroup);
  }
  // A server of @contexts that does not answer delays the start by this much at most.
  const loading = (await documents.list('device', undefined)).map(({ tenant, body }) =>
    put(tenant, body['subservice'] as string, body as unknown as Device),
  );
  await Promise.race([Promise.all(loading), new Promise((wake) => setTimeout(wake, START_WAIT_MS).unref())]);

  /** The key's hash, from the key itself or from the key id that listings show. */
  function keyHashOf(apikey: string): string {
    if (!KEY_ID.test(apikey)) return hash(apikey);
    return index.keyHashes().find((known) => keyId(known) === apikey) ?? apikey;
  }

  /** What of an API key is kept with a device. A key id has nothing to seal. */
  function keyMembers(apikey: string): Pick<Device, 'keyHash' | 'sealedKey'> {
    return { keyHash: keyHashOf(apikey), ...(!KEY_ID.test(apikey) && { sealedKey: secrets.seal(apikey) }) };
  }

  function draftOf({ caller: { tenant }, path }: Place, device: Device): KnownDevice {
    const expand = (): never => {
      throw new DomainError('InternalError', 'A draft of a device has no names');
    };
    return { tenant, servicePath: path, identity: '', device, group: groupOf(tenant, path, device), expand };
  }

  async function put(tenant: TenantId, path: string, device: Device): Promise<KnownDevice> {
    const group = groupOf(tenant, path, device);
    // Its messages are refused until the names can be known: stored under other names they would be lost for good.
    const refused = (error: unknown) =>
      index.putDevice(tenant, path, device, group, () => {
        throw error;
      });
    try {
      const resolving = resolveContext(device.jsonLdContext ?? group?.jsonLdContext);
      if (resolving instanceof Promise)
        refused(new DomainError('LdContextNotAvailable', 'The @context of this device is being loaded'));
      const context = await resolving;
      return index.putDevice(tenant, path, device, group, (term) => context.expand(term));
    } catch (error) {
      const known = refused(error);
      withoutContext.add(known.identity);
      retry ??= setTimeout(retryContexts, retryMs);
      retry.unref();
      return known;
    }
  }

  async function retryContexts(): Promise<void> {
    retry = undefined;
    const identities = [...withoutContext];
    withoutContext.clear();
    for (const identity of identities) {
      const known = index.byIdentity(identity);
      if (known !== undefined) await put(known.tenant, known.servicePath, known.device);
    }
  }

  function groupOf(tenant: TenantId, path: string, device: Device): ServiceGroup | undefined {
    const groups = index.groups(tenant, path);
    if (device.keyHash !== undefined) {
      const own = groups.filter(({ group }) => group.keyHash === device.keyHash);
      return (own.find(({ group }) => group.resource === RESOURCES[device.protocol ?? '']) ?? own[0])?.group;
    }
    return groups.length === 1 ? groups[0]?.group : groups.find(({ group }) => group.entity_type === device.entity_type)?.group;
  }

  async function save(tenant: TenantId, path: string, device: Device, expectNew: boolean): Promise<KnownDevice> {
    const group = groupOf(tenant, path, device);
    const source = device.jsonLdContext ?? group?.jsonLdContext;
    let context: Context;
    try {
      context = await resolveContext(source);
      const draft = { tenant, servicePath: path, identity: '', device, group, expand: (term: string) => context.expand(term) };
      checkMapping(draft);
    } catch (error) {
      throw new ProvisioningError('WRONG_SYNTAX', (error as Error).message);
    }
    const id = documentId(path, device.device_id, device.keyHash);
    const body = { ...device, subservice: path } as unknown as JsonObject;
    const version = await documents.put('device', tenant, id, body, expectNew ? 0 : undefined);
    if (version === undefined) throw duplicateDevice(device.device_id);
    const known = index.putDevice(tenant, path, device, group, (term) => context.expand(term));
    for (const listener of provisioned) await listener(known);
    return known;
  }

  function found({ caller, path }: Place, id: string, apikey?: string): IndexedDevice {
    const keyHash = apikey === undefined ? undefined : keyHashOf(apikey);
    const device = index
      .devices(caller.tenant, path)
      .find((one) => one.known.device.device_id === id && (keyHash === undefined || effectiveKey(one.known) === keyHash));
    if (device === undefined) throw new ProvisioningError('DEVICE_NOT_FOUND', `No device was found with id:${id}`);
    return device;
  }

  function foundGroup({ caller, path }: Place, resource: string, apikey: string): IndexedGroup {
    const keyHash = keyHashOf(apikey);
    const group = index
      .groups(caller.tenant, path)
      .find((one) => one.group.resource === resource && one.group.keyHash === keyHash);
    if (group === undefined) throw new ProvisioningError('DEVICE_GROUP_NOT_FOUND', 'There is no such group in this service');
    return group;
  }

  async function remove(known: KnownDevice): Promise<void> {
    const { device, servicePath, tenant } = known;
    await documents.delete('device', tenant, documentId(servicePath, device.device_id, device.keyHash));
    index.removeDevice(known);
    revoked({ kind: 'device', identity: known.identity });
    for (const listener of deleted) listener(known.identity);
    refusals.forget(known.identity);
    if (device.tokenHash !== undefined) await gate?.dismiss(known.identity);
  }

  /** Group changes reach devices at use time, so every device of the group is looked at again. */
  async function refresh(tenant: TenantId, path: string): Promise<void> {
    for (const { known } of index.devices(tenant, path)) await put(tenant, known.servicePath, known.device);
  }

  /** An unknown device with a valid key: provisioned from its group, unless that says no. Once, however many messages come at the same time. */
  function autoprovision(one: IndexedGroup, deviceId: string): Unknown | Promise<KnownDevice | Unknown> {
    if (one.group.autoprovision === false || !/^[^+#/\0<>();'="]{1,128}$/.test(deviceId)) {
      refusals.noteUnknown(one.tenant, one.path, deviceId.slice(0, 128));
      return 'unknown-device';
    }
    const key = `${one.tenant}\n${one.path}\n${one.group.keyHash}\n${deviceId}`;
    let waiting = provisioning.get(key);
    if (waiting === undefined) {
      const protocol = Object.entries(RESOURCES).find(([, resource]) => resource === one.group.resource)?.[0];
      const device: Device = { device_id: deviceId, keyHash: one.group.keyHash, ...(protocol !== undefined && { protocol }) };
      waiting = save(one.tenant, one.path, device, true)
        .then(
          () => index.byKey(one.group.keyHash, deviceId, one.group.resource) ?? ('unknown-device' as const),
          (error) => {
            if (error instanceof ProvisioningError) return 'unknown-device' as const;
            throw error;
          },
        )
        .finally(() => provisioning.delete(key));
      provisioning.set(key, waiting);
    }
    return waiting;
  }

  function byHash(keyHash: string, deviceId: string, resource: string): KnownDevice | Unknown | Promise<KnownDevice | Unknown> {
    const known = index.byKey(keyHash, deviceId, resource);
    if (known !== undefined) return known;
    const group = index.groupOfKey(keyHash, resource);
    if (group !== undefined) return autoprovision(group, deviceId);
    return index.hasKey(keyHash) ? 'unknown-device' : 'unknown-key';
  }

  const permit = (place: Place, operation: string, effect: 'read' | 'administer'): void =>
    demand(access, place.caller, { operation, effect });

  return {
    get version() {
      return index.version;
    },
    byKey: (key, deviceId, resource) => byHash(hash(key), deviceId, resource),
    byPlace: index.at,
    byToken: tokens.byToken,
    bySession(session, deviceId, resource) {
      if (session.kind === 'group') return byHash(session.keyHash, deviceId, resource);
      if (session.kind === 'anonymous') return 'unknown-key';
      const known = index.byIdentity(session.identity);
      // A session that was opened with a token does not outlive it, not even by what is on its way already.
      return known?.device.device_id === deviceId && known.device.tokenHash !== undefined ? known : 'unknown-device';
    },

    async createGroups(place, bodies) {
      permit(place, 'createServiceGroup', 'administer');
      const read = bodies.map((body) => readGroup(body));
      for (const { group, apikey } of read) {
        const key = apikey ?? '';
        const whole = {
          ...group,
          resource: group.resource ?? '',
          keyHash: hash(key),
          sealedKey: secrets.seal(key),
        } as ServiceGroup;
        // A measure carries resource and key only, so the two must be enough to know the tenant.
        if (index.groupExists(whole.resource, whole.keyHash)) {
          throw new ProvisioningError(
            'DUPLICATE_GROUP',
            `A group for this API key and resource ${whole.resource} already exists`,
          );
        }
        checkGroup(place, whole, checkMapping, await contextFor(whole));
        const { tenant } = place.caller;
        const body = { ...whole, subservice: place.path } as unknown as JsonObject;
        await gate?.admitGroup({ tenant, group: whole, apikey: key });
        await documents.put('service-group', tenant, groupId(place.path, whole), body);
        index.putGroup(tenant, place.path, whole);
      }
      await refresh(place.caller.tenant, place.path);
    },
    async listGroups(place) {
      permit(place, 'listServiceGroups', 'read');
      return index.groups(place.caller.tenant, place.path).map((one) => shownGroup(one));
    },
    async updateGroup(place, resource, apikey, body) {
      permit(place, 'updateServiceGroup', 'administer');
      const one = foundGroup(place, resource, apikey);
      const { group } = readGroup(body, true);
      const { resource: _, ...rest } = group;
      const whole: ServiceGroup = { ...one.group, ...rest };
      checkGroup(place, whole, checkMapping, await contextFor(whole));
      const stored = { ...whole, subservice: one.path } as unknown as JsonObject;
      await documents.put('service-group', place.caller.tenant, groupId(one.path, whole), stored);
      index.putGroup(place.caller.tenant, one.path, whole);
      await refresh(place.caller.tenant, one.path);
    },
    async deleteGroup(place, resource, apikey, withDevices) {
      permit(place, 'deleteServiceGroup', 'administer');
      const one = foundGroup(place, resource, apikey);
      await documents.delete('service-group', place.caller.tenant, groupId(one.path, one.group));
      index.removeGroup(place.caller.tenant, one.path, one.group);
      if (withDevices) {
        const own = index
          .devices(place.caller.tenant, one.path)
          .filter(({ known }) => known.device.keyHash === one.group.keyHash);
        for (const device of own) await remove(device.known);
      }
      await refresh(place.caller.tenant, one.path);
      if (index.hasGroupKey(one.group.keyHash)) return;
      revoked({ kind: 'group', keyHash: one.group.keyHash });
      await gate?.dismissGroup(one.group.keyHash);
    },

    async createDevices(place, bodies) {
      permit(place, 'createDevice', 'administer');
      const read = bodies.map((body) => readDevice(body));
      const issued: IssuedToken[] = [];
      for (const { device, apikey, newToken } of read) {
        const whole = { ...device, ...(apikey !== undefined && keyMembers(apikey)) } as Device;
        if (newToken) issued.push(await tokens.issue(draftOf(place, whole), true));
        else await save(place.caller.tenant, place.path, whole, true);
      }
      return issued;
    },
    async listDevices(place, limit, offset) {
      permit(place, 'listDevices', 'read');
      const all = index.devices(place.caller.tenant, place.path);
      return { count: all.length, devices: all.slice(offset, offset + limit).map(({ known }) => shownDevice(known)) };
    },
    async getDevice(place, id, apikey) {
      permit(place, 'getDevice', 'read');
      return shownDevice(found(place, id, apikey).known);
    },
    async updateDevice(place, id, body, apikey) {
      permit(place, 'updateDevice', 'administer');
      const { known } = found(place, id, apikey);
      const { device } = readDevice(body, true);
      await save(place.caller.tenant, known.servicePath, { ...known.device, ...device }, false);
    },
    async deleteDevice(place, id, apikey) {
      permit(place, 'deleteDevice', 'administer');
      await remove(found(place, id, apikey).known);
    },
    async issueToken(place, id, apikey, expiresAt) {
      permit(place, 'issueDeviceToken', 'administer');
      return tokens.issue(found(place, id, apikey).known, false, expiresAt);
    },
    async revokeToken(place, id, apikey) {
      permit(place, 'revokeDeviceToken', 'administer');
      await tokens.revoke(found(place, id, apikey).known);
    },
    endExpiredTokens: tokens.sweep,
    authenticate: tokens.authenticate,
    apikeyOf: ({ device, group }) => tokens.keyOf(device, group),
    admitted() {
      const devices = index.withTokens().map(({ identity, device }) => [identity, device.tokenHash as string] as const);
      return new Map([...devices, ...index.groupKeys().map((keyHash) => [keyHash, keyHash] as const)]);
    },
    onRevoked(listener) {
      listeners.push(listener);
    },
    onProvisioned(listener) {
      provisioned.push(listener);
    },
    refusals,
    async listRefusals(place, id, apikey) {
      permit(place, 'listDeviceRefusals', 'read');
      return refusals.of(found(place, id, apikey).known.identity);
    },
    async listUnknownDevices(place) {
      permit(place, 'listUnknownDevices', 'read');
      return refusals.unknown(place.caller.tenant, place.path);
    },
    registry: {
      all: () => index.all(),
      byIdentity: index.byIdentity,
      find: (place, id) => found(place, id).known,
      async create(place, device) {
        const token = await tokens.issue(draftOf(place, device), true);
        return { identity: found(place, device.device_id).known.identity, token };
      },
      save: (known, device) => save(known.tenant, known.servicePath, device, false),
      remove,
    },
    onDeleted(listener) {
      deleted.push(listener);
    },
    commandTargets: { of: targets.of, any: targets.any, entities: targets.entities, device: index.byIdentity },
  };

  function contextFor(group: ServiceGroup): Promise<Context> {
    return Promise.resolve(resolveContext(group.jsonLdContext)).catch((error: Error) => {
      throw new ProvisioningError('WRONG_SYNTAX', error.message);
    });
  }
}
