import { type AccessFunction, demand } from '../../domain/access.ts';
import { type AdapterRecord, adapterId, masked, unmasked } from '../../domain/adapter.ts';
import type { DescribedDevice, DeviceSession } from '../../domain/device.ts';
import { ProvisioningError, syntax } from '../../domain/device-document.ts';
import type { TenantId } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { DocumentStore } from '../../ports/document-store.ts';
import type { DeviceOperations, Place } from '../devices.ts';

export interface AdapterRecordsOptions {
  readonly documents: DocumentStore;
  readonly access: AccessFunction;
  readonly devices: Pick<DeviceOperations, 'createDevices' | 'updateDevice' | 'getDevice'> & {
    authenticate(username: string | undefined, password: string): DeviceSession | undefined;
  };
  /** @throws Error that says what of the settings cannot be used */
  readonly check: (kind: string, settings: JsonValue) => readonly DescribedDevice[];
  /** Something has changed: other adapters are to run. */
  readonly onChange: (tenant: TenantId) => void;
}

/** Adapters as data: written, shown and deleted through the API, on disk when that is answered. */
export interface AdapterRecords {
  load(): Promise<void>;
  /** Creates or replaces. @returns true if it is new @throws ProvisioningError */
  put(place: Place, name: string, body: JsonValue): Promise<boolean>;
  /** Secrets are masked. */
  list(place: Place): readonly JsonObject[];
  get(place: Place, name: string): JsonObject;
  delete(place: Place, name: string): Promise<void>;
  /** Those that run in a process of this tenant, or (undefined) all that run in the broker. */
  runningIn(process: { readonly tenant: TenantId; readonly name: string } | undefined): readonly AdapterRecord[];
  byId(tenant: TenantId, id: string): AdapterRecord | undefined;
}

const MEMBERS = [
  'name',
  'kind',
  'settings',
  'enabled',
  'process',
  'apikey',
  'jsonLdContext',
  'service',
  'service_path',
  'version',
  'state',
];
/** The value of `transport` of a device that an adapter speaks for; its `endpoint` names the adapter. */
export const ADAPTER_TRANSPORT = 'adapter';

export function adapterRecords({ documents, access, devices, check, onChange }: AdapterRecordsOptions): AdapterRecords {
  const records = new Map<string, AdapterRecord>();
  const key = (tenant: TenantId, id: string): string => `${tenant}\n${id}`;

  function found({ caller, path }: Place, name: string): AdapterRecord {
    const record = records.get(key(caller.tenant, adapterId({ path, name })));
    if (record === undefined)
      throw new ProvisioningError('ADAPTER_NOT_FOUND', `There is no adapter "${name}" in this service path`);
    return record;
  }

  /** What the settings say about devices becomes provisioning; what an operator has provisioned stays. */
  async function provision(place: Place, record: AdapterRecord, described: readonly DescribedDevice[]): Promise<void> {
    for (const device of described) {
      const own = { transport: ADAPTER_TRANSPORT, endpoint: record.name };
      let before: JsonObject | undefined;
      try {
        before = await devices.getDevice(place, device.device_id);
      } catch (error) {
        if (!(error instanceof ProvisioningError) || error.code !== 'DEVICE_NOT_FOUND') throw error;
      }
      const context = record.jsonLdContext === undefined ? {} : { jsonLdContext: record.jsonLdContext };
      if (before === undefined) {
        await devices.createDevices(place, [{ ...device, ...own, ...context } as unknown as JsonValue]);
        continue;
      }
      const changes = {
        ...own,
        ...(device.commands !== undefined && { commands: joined(before['commands'], device.commands) }),
        ...(device.attributes !== undefined && { attributes: joined(before['attributes'], device.attributes) }),
        ...(device.static_attributes !== undefined && {
          static_attributes: joined(before['static_attributes'], device.static_attributes),
        }),
      };
      await devices.updateDevice(place, device.device_id, changes as unknown as JsonValue);
    }
  }

  return {
    async load() {
      for (const { tenant, body, version } of await documents.list('adapter', undefined)) {
        const record = { ...(body as unknown as AdapterRecord), tenant, version };
        records.set(key(tenant, adapterId(record)), record);
      }
    },
    async put(place, name, body) {
      demand(access, place.caller, { operation: 'putAdapter', effect: 'administer' });
      const { tenant } = place.caller;
      const id = adapterId({ path: place.path, name });
      const before = records.get(key(tenant, id));
      const read = readAdapter(name, body, before);
      let described: readonly DescribedDevice[];
      try {
        described = check(read.kind, read.settings);
      } catch (error) {
        throw syntax((error as Error).message);
      }
      const keyHash = isObject(body) && typeof body['apikey'] === 'string' ? keyHashOf(body['apikey']) : before?.keyHash;
      const stored = { ...read, path: place.path, ...(keyHash !== undefined && { keyHash }) };
      const version = await documents.put('adapter', tenant, id, stored as unknown as JsonObject);
      const record: AdapterRecord = { ...stored, tenant, version: version ?? 1 };
      await provision(place, record, described);
      records.set(key(tenant, id), record);
      onChange(tenant);
      return before === undefined;
    },
    list(place) {
      demand(access, place.caller, { operation: 'listAdapters', effect: 'read' });
      const own = [...records.values()].filter(
        ({ tenant, path }) => tenant === place.caller.tenant && (place.path === '/*' || path === place.path),
      );
      return own.map(shown);
    },
    get(place, name) {
      demand(access, place.caller, { operation: 'getAdapter', effect: 'read' });
      return shown(found(place, name));
    },
    async delete(place, name) {
      demand(access, place.caller, { operation: 'deleteAdapter', effect: 'administer' });
      const record = found(place, name);
      await documents.delete('adapter', record.tenant, adapterId(record));
      records.delete(key(record.tenant, adapterId(record)));
      onChange(record.tenant);
    },
    runningIn: (process) =>
      [...records.values()].filter(
        (record) =>
          record.enabled !== false &&
          (process === undefined
            ? record.process === undefined
            : record.process === process.name && record.tenant === process.tenant),
      ),
    byId: (tenant, id) => records.get(key(tenant, id)),
  };

  function keyHashOf(apikey: string): string {
    const session = devices.authenticate(undefined, apikey);
    if (session?.kind !== 'group') throw syntax('apikey: no group of devices has this API key');
    return session.keyHash;
  }
}

function readAdapter(
  name: string,
  body: JsonValue,
  before: AdapterRecord | undefined,
): Omit<AdapterRecord, 'tenant' | 'path' | 'version' | 'keyHash'> {
  if (!isObject(body)) throw syntax('The adapter must be a JSON object');
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(name)) throw syntax('The name of an adapter must be 1 to 64 letters, digits, "_" or "-"');
  const unknown = Object.keys(body).find((member) => !MEMBERS.includes(member));
  if (unknown !== undefined)
    throw syntax(
      `${unknown}: an adapter has no such member; it has kind, settings, enabled, process, apikey and jsonLdContext`,
    );
  const { kind, settings, enabled, process, jsonLdContext } = body;
  if (typeof kind !== 'string') throw syntax('kind: must be a text');
  if (settings === undefined) throw syntax('settings: are missing');
  if (enabled !== undefined && typeof enabled !== 'boolean') throw syntax('enabled: must be true or false');
  if (process !== undefined && (typeof process !== 'string' || process === ''))
    throw syntax('process: must be the name of an adapter process');
  return {
    name,
    kind,
    settings: unmasked(settings, before?.settings),
    ...(enabled !== undefined && { enabled }),
    ...(process !== undefined && { process }),
    ...(jsonLdContext !== undefined && { jsonLdContext }),
  };
}

function shown({
  tenant,
  path,
  name,
  kind,
  settings,
  enabled,
  process,
  keyHash,
  jsonLdContext,
  version,
}: AdapterRecord): JsonObject {
  return {
    name,
    kind,
    settings: masked(settings),
    enabled: enabled !== false,
    ...(process !== undefined && { process }),
    ...(keyHash !== undefined && { apikey: `key:${keyHash.slice(0, 16)}` }),
    ...(jsonLdContext !== undefined && { jsonLdContext }),
    version,
    service: tenant,
    service_path: path,
  };
}

/** Entries by name: those that are there, and those that are new. */
function joined(before: JsonValue | undefined, described: readonly { readonly name: string }[]): readonly unknown[] {
  const old = Array.isArray(before) ? (before as readonly { readonly name: string }[]) : [];
  return [...old, ...described.filter(({ name }) => !old.some((entry) => entry.name === name))];
}
