import { describe, expect, it } from 'vitest';
import { allowEverything } from '../../broker/domain/access.ts';
import { DomainError } from '../../broker/domain/errors.ts';
import type { ContextResolver } from '../../broker/operations/contexts/resolve.ts';
import { deviceOperations } from '../../broker/operations/devices.ts';
import type { DocumentStore } from '../../broker/ports/document-store.ts';
import { systemClock } from '../../broker/stores/system-clock.ts';
import { offlineContexts } from '../support/contexts.ts';
import { CITY, until } from '../support/devices.ts';
import { documentsInMemory } from '../support/documents.ts';

const AIR = 'https://raw.githubusercontent.com/smart-data-models/dataModel.Environment/master/context.jsonld';
const GROUP = { resource: '/iot/json', apikey: 'k', entity_type: 'T', jsonLdContext: AIR };

async function registry(documents: DocumentStore, resolveContext?: ContextResolver['resolve']) {
  const contexts = await offlineContexts();
  return deviceOperations({
    documents,
    access: allowEverything,
    resolveContext: resolveContext ?? contexts.resolve,
    checkMapping: () => {},
    commandsOf: () => undefined,
    clock: systemClock('test'),
    retryMs: 20,
  });
}

describe('the device registry', () => {
  it('starts without the @context of a device, refuses to name anything meanwhile, and tries again', async () => {
    const documents = documentsInMemory();
    const before = await registry(documents);
    await before.createGroups(CITY, [GROUP]);
    await before.createDevices(CITY, [{ device_id: 'd', apikey: 'k' }]);
    const contexts = await offlineContexts();
    let reachable = false;
    const after = await registry(documents, (source) => {
      if (reachable) return contexts.resolve(source);
      throw new DomainError('LdContextNotAvailable', 'no network');
    });
    const find = () => {
      const known = after.byKey('k', 'd', '/iot/json');
      if (typeof known === 'string' || known instanceof Promise) throw new Error('the device is not known');
      return known;
    };
    expect(() => find().expand('pm25')).toThrow('no network');
    const { version } = after;
    reachable = true;
    await until(() => after.version > version, 'the second attempt');
    const named = () => {
      try {
        return find().expand('pm25');
      } catch {
        return undefined;
      }
    };
    await until(() => named() !== undefined);
    expect(named()).toBe('https://smartdatamodels.org/dataModel.Environment/pm25');
  });

  it('asks the access function before anything else', async () => {
    const devices = await deviceOperations({
      documents: documentsInMemory(),
      access: (_caller, { effect }) => ({ allowed: effect === 'read' }),
      resolveContext: (await offlineContexts()).resolve,
      checkMapping: () => {},
      commandsOf: () => undefined,
      clock: systemClock('test'),
    });
    await expect(devices.createGroups(CITY, [GROUP])).rejects.toMatchObject({ type: 'Forbidden' });
    await expect(devices.createDevices(CITY, [{}])).rejects.toMatchObject({ type: 'Forbidden' });
    await expect(devices.issueToken(CITY, 'd')).rejects.toMatchObject({ type: 'Forbidden' });
    expect(await devices.listGroups(CITY)).toEqual([]);
  });

  it('keeps no API key and no token, neither on disk nor in what it shows', async () => {
    const documents = documentsInMemory();
    const devices = await registry(documents);
    await devices.createGroups(CITY, [{ ...GROUP, apikey: 'verySecretKey' }]);
    const [issued] = await devices.createDevices(CITY, [{ device_id: 'd', apikey: 'verySecretKey', newToken: true }]);
    const everything = JSON.stringify([
      await documents.list('service-group', undefined),
      await documents.list('device', undefined),
      await devices.listGroups(CITY),
      await devices.listDevices(CITY, 10, 0),
      devices.byToken(issued?.token ?? ''),
    ]);
    expect(everything).not.toContain('verySecretKey');
    expect(everything).not.toContain(issued?.token);
    expect(everything).toContain('"d"');
  });

  it('tells the tenants of equal device ids apart by their key', async () => {
    const devices = await registry(documentsInMemory());
    const other = { ...CITY, caller: { ...CITY.caller, tenant: 'other' as typeof CITY.caller.tenant } };
    await devices.createGroups(CITY, [GROUP]);
    await devices.createGroups(other, [{ ...GROUP, apikey: 'o' }]);
    await devices.createDevices(CITY, [{ device_id: 'd' }]);
    await devices.createDevices(other, [{ device_id: 'd' }]);
    expect(await devices.byKey('k', 'd', '/iot/json')).toMatchObject({ tenant: 'city' });
    expect(await devices.byKey('o', 'd', '/iot/json')).toMatchObject({ tenant: 'other' });
    expect(await devices.byKey('x', 'd', '/iot/json')).toBe('unknown-key');
  });

  it('provisions again an unknown device of a group that has lost it', async () => {
    const devices = await registry(documentsInMemory());
    await devices.createGroups(CITY, [GROUP]);
    expect(await devices.byKey('k', 'new', '/iot/json')).toMatchObject({ device: { device_id: 'new' } });
    await devices.deleteDevice(CITY, 'new');
    expect((await devices.listDevices(CITY, 10, 0)).count).toBe(0);
    expect(await devices.byKey('k', 'new', '/iot/json')).toMatchObject({ device: { device_id: 'new' } });
    await devices.deleteGroup(CITY, '/iot/json', 'k', true);
    expect(await devices.byKey('k', 'new', '/iot/json')).toBe('unknown-key');
    expect((await devices.listDevices(CITY, 10, 0)).count).toBe(0);
  });
});
