import { describe, expect, it } from 'vitest';
import { allowEverything, type Caller } from '../../broker/domain/access.ts';
import type { Command } from '../../broker/domain/command.ts';
import type { KnownDevice } from '../../broker/domain/device.ts';
import { DomainError } from '../../broker/domain/errors.ts';
import type { Iri, TenantId } from '../../broker/domain/iri.ts';
import { commandOperations } from '../../broker/operations/commands/operations.ts';
import { type CommandTarget, targetIndex } from '../../broker/operations/devices/targets.ts';
import type { Carried, CommandCarrier } from '../../broker/ports/commands.ts';
import type { DocumentStore } from '../../broker/ports/document-store.ts';
import { openSqliteStore, type SqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { systemClock } from '../../broker/stores/system-clock.ts';

const CALLER: Caller = { tenant: 'city' as TenantId, principal: { kind: 'anonymous' } };
const ENTITY = 'urn:ngsi-ld:Lamp:lamp3' as Iri;
const DIM = {
  name: 'dim',
  attribute: 'https://x/dim' as Iri,
  statusAttribute: 'https://x/dim_status' as Iri,
  infoAttribute: 'https://x/dim_info' as Iri,
};

function desk(
  options: {
    readonly documents?: (documents: DocumentStore) => DocumentStore;
    carriers?: CommandCarrier[];
    /** Of a broker before this one. */
    store?: SqliteStore;
  } = {},
) {
  const clock = systemClock('test');
  const store =
    options.store ?? openSqliteStore({ file: ':memory:', clock, shared: false } as Parameters<typeof openSqliteStore>[0]);
  const index = targetIndex(() => ({ id: ENTITY, types: ['https://x/Lamp' as Iri], commands: [DIM] }));
  const known = { tenant: 'city', identity: 'city/#lamp3', device: { device_id: 'lamp3' } } as unknown as KnownDevice;
  index.put(known);
  const errors: unknown[] = [];
  const commands = commandOperations({
    documents: options.documents?.(store.documents) ?? store.documents,
    entities: store.entities,
    clock,
    access: allowEverything,
    targets: {
      of: index.of,
      any: index.any,
      entities: index.entities,
      device: (identity) => (identity === known.identity ? known : undefined),
    },
    expiryMs: 60_000,
    onError: (error) => errors.push(error),
  });
  for (const carrier of options.carriers ?? []) commands.register(carrier);
  const target = index.of('city' as TenantId, ENTITY)?.get(DIM.attribute) as CommandTarget;
  const status = async () => {
    const entity = (await store.entities.get('city' as TenantId, ENTITY))?.entity;
    return (entity?.attributes[DIM.statusAttribute]?.[0] as { value?: unknown } | undefined)?.value;
  };
  return { commands, store, target, status, errors, known };
}

const carrier = (carry: (command: Command) => Promise<Carried>): CommandCarrier => ({
  name: 'test',
  carries: () => true,
  carry,
});

describe('commands', () => {
  it('end when whoever follows them has kept the end: what could not be kept is told again at the next start, and then no more', async () => {
    const first = desk();
    let keeps = false;
    const told: string[] = [];
    const follow = async ({ state }: Command): Promise<void> => {
      await Promise.resolve();
      if (state === 'OK' && !keeps) throw new Error('the disk is full');
      told.push(state);
    };
    first.commands.onState(follow);
    await first.commands.send(CALLER, first.target, 40, { origin: 'urn:ngsi-ld:Task:1' });
    const isOpen = ({ commands }: typeof first, tenant = 'city') => commands.isOpen(tenant as TenantId, 'urn:ngsi-ld:Task:1');
    expect([isOpen(first), isOpen(first, 'town')]).toEqual([true, false]);
    expect(await first.commands.answered('city/#lamp3', 'dim', { ok: true, info: 'done' })).toBe(true);
    expect([told, first.errors.length, isOpen(first)]).toEqual([['PENDING'], 1, false]);
    await first.commands.stop();

    keeps = true;
    const second = desk({ store: first.store });
    second.commands.onState(follow);
    await second.commands.load();
    expect([told, second.errors]).toEqual([['PENDING', 'OK'], []]);
    // It has ended, and is not open again.
    expect([isOpen(second), await second.commands.answered('city/#lamp3', 'dim', { ok: true, info: 'again' })]).toEqual([
      false,
      false,
    ]);
    await second.commands.stop();

    const third = desk({ store: first.store });
    third.commands.onState(follow);
    await third.commands.load();
    expect(told).toEqual(['PENDING', 'OK']);
    await third.commands.stop();
  });

  it('are carried one after the other, and states are told in their order', async () => {
    let underWay = 0;
    const values: unknown[] = [];
    const states: string[] = [];
    let told: () => void = () => {};
    const finished = new Promise<void>((resolve) => {
      told = resolve;
    });
    const { commands, target } = desk({
      carriers: [
        carrier(async ({ value }) => {
          expect(++underWay).toBe(1);
          await new Promise((resolve) => setImmediate(resolve));
          underWay--;
          values.push(value);
          return { kind: 'done', ok: value !== 2, info: `was ${value}` };
        }),
      ],
    });
    commands.onState(({ value, state }) => {
      states.push(`${value} ${state}`);
      if (states.length === 6) told();
    });
    for (const value of [1, 2, 3]) await commands.send(CALLER, target, value);
    await finished;
    expect(values).toEqual([1, 2, 3]);
    expect(states.filter((state) => state.startsWith('2'))).toEqual(['2 PENDING', '2 ERROR']);
    expect(commands.figures()).toEqual({ open: 0, ended: { OK: 2, ERROR: 1, EXPIRED: 0 } });
  });

  it('an answer that overtakes the delivery is the end, and the delivery does not bring it back', async () => {
    let release: (carried: Carried) => void = () => {};
    const { commands, target, status, known } = desk({
      carriers: [
        carrier(
          () =>
            new Promise((resolve) => {
              release = resolve;
            }),
        ),
      ],
    });
    await commands.send(CALLER, target, 1);
    expect(await commands.answered(known.identity, 'dim', { ok: true, info: 'quick' })).toBe(true);
    release({ kind: 'delivered' });
    await commands.stop();
    expect(await status()).toBe('OK');
    expect(await commands.answered(known.identity, 'dim', { ok: true, info: 'twice' })).toBe(false);
  });

  it('two answers at the same time count once', async () => {
    const { commands, target, known } = desk();
    await commands.send(CALLER, target, 1);
    const answers = await Promise.all([1, 2].map((info) => commands.answered(known.identity, 'dim', { ok: true, info })));
    expect(answers.sort()).toEqual([false, true]);
  });

  it('a carrier that throws, or cannot reach the device, loses nothing', async () => {
    let attempts = 0;
    const { commands, target, known, errors, status } = desk({
      carriers: [
        carrier(async () => {
          attempts++;
          if (attempts === 1) throw new Error('the bus is down');
          return attempts === 2 ? { kind: 'waiting' } : { kind: 'delivered' };
        }),
      ],
    });
    await commands.send(CALLER, target, 1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(errors).toHaveLength(1);
    for (let turn = 0; turn < 1000 && (await status()) !== 'DELIVERED'; turn++) {
      commands.reachable(known.identity);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await status()).toBe('DELIVERED');
  });

  it('are refused when too many wait, when the caller may not, and nothing is kept then', async () => {
    const { commands, target } = desk();
    for (let count = 0; count < 100; count++) await commands.send(CALLER, target, count);
    await expect(commands.send(CALLER, target, 100)).rejects.toMatchObject({ type: 'TooManyRequests' });
    expect(commands.figures().open).toBe(100);
  });

  it('a final state on disk that was never shown is shown at the next start, and not carried', async () => {
    let lost = false;
    const { commands, target, known, store, status } = desk({
      documents: (documents) => ({
        get: (...parameters) => documents.get(...parameters),
        list: (...parameters) => documents.list(...parameters),
        delete: (...parameters) => documents.delete(...parameters),
        async put(...parameters) {
          const version = await documents.put(...parameters);
          // As if the broker died right after the commit.
          if (lost) throw new DomainError('Unavailable', 'gone');
          return version;
        },
      }),
    });
    await commands.send(CALLER, target, 1);
    lost = true;
    await expect(commands.answered(known.identity, 'dim', { ok: true, info: 'done' })).rejects.toThrow('gone');
    expect(await status()).toBe('PENDING');
    const carried: unknown[] = [];
    const next = commandOperations({
      documents: store.documents,
      entities: store.entities,
      clock: systemClock('test'),
      access: allowEverything,
      targets: commands.targets,
      expiryMs: 60_000,
      onError: (error) => expect.unreachable(String(error)),
    });
    next.register(
      carrier(async (command) => {
        carried.push(command);
        return { kind: 'delivered' };
      }),
    );
    await next.load();
    expect(await status()).toBe('OK');
    expect(carried).toEqual([]);
    expect(await store.documents.list('command', undefined)).toEqual([]);
  });
});
