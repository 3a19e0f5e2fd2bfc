import { describe, expect, it } from 'vitest';
import { allowEverything, type Caller } from '../../broker/domain/access.ts';
import type { AttributeInstance } from '../../broker/domain/attribute.ts';
import { DEFAULT_TENANT, type Iri, type TenantId } from '../../broker/domain/iri.ts';
import { ingest } from '../../broker/operations/ingest.ts';
import type { Fragment } from '../../broker/ports/ingest.ts';
import { openSqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { testClock } from '../support/writes.ts';

const TYPE = 'https://example.org/Sensor' as Iri;
const TEMPERATURE = 'https://example.org/temperature' as Iri;
const caller = (tenant = DEFAULT_TENANT): Caller => ({ tenant, principal: { kind: 'device', id: 'd1' } });

function fragment(id: string, value: number, minute: number | undefined, more: Partial<Fragment> = {}): Fragment {
  const observedAt = minute === undefined ? {} : { observedAt: `2026-03-01T07:${String(minute).padStart(2, '0')}:00Z` };
  const instance = { type: 'Property', value, ...observedAt } as AttributeInstance;
  return { caller: caller(), id: id as Iri, types: [TYPE], attributes: { [TEMPERATURE]: [instance] }, ...more };
}

function open(access = allowEverything) {
  const clock = testClock();
  const store = openSqliteStore({ file: ':memory:', clock });
  const value = async (id: string, tenant = DEFAULT_TENANT) => {
    const instance = (await store.entities.get(tenant, id as Iri))?.entity.attributes[TEMPERATURE]?.[0];
    return instance?.type === 'Property' ? instance.value : undefined;
  };
  return { ...ingest({ entities: store.entities, clock, access }), store, value, [Symbol.asyncDispose]: () => store.close() };
}

describe('the ingest port', () => {
  it('stores a batch as one change per fragment, in order', async () => {
    await using broker = open();
    const answer = await broker.accept([fragment('urn:s:1', 1, 1), fragment('urn:s:1', 2, 2), fragment('urn:s:2', 5, 1)]);
    expect(answer).toEqual({ accepted: 3, refused: [] });
    expect([await broker.value('urn:s:1'), await broker.value('urn:s:2')]).toEqual([2, 5]);
    expect((await broker.store.feed.read(0, 10)).map(({ kind, id }) => [kind, id])).toEqual([
      ['created', 'urn:s:1'],
      ['updated', 'urn:s:1'],
      ['created', 'urn:s:2'],
    ]);
  });

  it('changes nothing when a batch comes again, also when it has late readings', async () => {
    await using broker = open();
    const batch = [fragment('urn:s:1', 2, 2), fragment('urn:s:1', 1, 1), fragment('urn:s:1', 3, 3)];
    await broker.accept(batch);
    const history = async () => {
      const evolution = await broker.store.history.evolution(DEFAULT_TENANT, 'urn:s:1' as Iri, {
        filter: { property: 'observedAt' },
        limitPerAttribute: 100,
      });
      return evolution?.attributes[TEMPERATURE]?.length;
    };
    expect(await broker.value('urn:s:1')).toBe(3);
    expect(await history()).toBe(3);
    expect(await broker.accept(batch)).toEqual({ accepted: 3, refused: [] });
    expect(await broker.value('urn:s:1')).toBe(3);
    expect(await history()).toBe(3);
  });

  it('refuses by index, and accepts the rest', async () => {
    await using broker = open();
    const answer = await broker.accept([
      fragment('urn:s:1', 1, 1),
      fragment('urn:s:2', 1, 1, { types: [] }),
      fragment('urn:s:3', 1, 1),
    ]);
    expect(answer).toMatchObject({ accepted: 2, refused: [{ index: 1, reason: expect.stringContaining('no type') }] });
    expect(await broker.value('urn:s:2')).toBeUndefined();
    expect(await broker.value('urn:s:3')).toBe(1);
  });

  it('asks whether the caller may, fragment by fragment', async () => {
    await using broker = open((_caller, { ids }) => ({ allowed: ids?.[0] !== 'urn:s:1', reason: 'not yours' }));
    const answer = await broker.accept([fragment('urn:s:1', 1, 1), fragment('urn:s:2', 1, 1)]);
    expect(answer).toEqual({ accepted: 1, refused: [{ index: 0, reason: 'not yours' }] });
    expect(await broker.value('urn:s:1')).toBeUndefined();
  });

  it('keeps tenants apart', async () => {
    await using broker = open();
    const city = 'city' as TenantId;
    await broker.accept([fragment('urn:s:1', 1, 1, { caller: caller(city) })]);
    expect([await broker.value('urn:s:1', city), await broker.value('urn:s:1')]).toEqual([1, undefined]);
  });
});
