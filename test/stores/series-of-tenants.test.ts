import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TenantId } from '../../broker/domain/iri.ts';
import type { NumberBound, NumberedInstance, SeriesPage } from '../../broker/ports/series-store.ts';
import { openSqliteStore, type SqliteStore } from '../../broker/stores/sqlite/sqlite-store.ts';
import { at, creation, iri, property, testClock, urn } from '../support/writes.ts';

const LARGE = 'large' as TenantId;
const SMALL = 'small' as TenantId;
const SPEED = iri('speed');
const second = (n: number) => at(new Date(Date.UTC(2026, 2, 1) + n * 1000).toISOString());
/** More series than are merged one by one. */
const MANY = 1_100;
const FEW = 7;

type Page = Omit<SeriesPage, 'limit' | 'after'> & { readonly numbers?: readonly NumberBound[] };

describe('Observations of two tenants in one file', () => {
  const clock = testClock();
  let store: SqliteStore;

  beforeEach(async () => {
    store = openSqliteStore({ file: ':memory:', clock });
    const cars = (tenant: TenantId, count: number, step: number) =>
      Array.from({ length: count }, (_, n) =>
        creation(clock, urn(`car${n}`), [iri('Car')], { [SPEED]: [property(n, { observedAt: second(n * step) })] }, { tenant }),
      );
    // Their times are mixed.
    await store.entities.commit([...cars(LARGE, MANY, 1), ...cars(SMALL, FEW, 100)]);
  });
  afterEach(() => store.close());

  const saying = ({ instance }: NumberedInstance) => (instance.type === 'Property' ? instance.value : undefined);
  const upTo = (count: number, from = 0) => Array.from({ length: count - from }, (_, n) => n + from);

  /** All pages, each of at most 90. */
  async function across(tenant: TenantId, page: Page = {}): Promise<unknown[]> {
    const values: unknown[] = [];
    let after: SeriesPage['after'];
    do {
      const { found, next } = await store.series.across!(tenant, [SPEED], { ...page, limit: 90, ...(after && { after }) });
      expect(found.length).toBeLessThanOrEqual(90);
      values.push(...found.map(saying));
      after = next;
    } while (after !== undefined);
    return values;
  }

  async function walked(tenant: TenantId, descending: boolean): Promise<unknown[]> {
    const values: unknown[] = [];
    for (let after: number | undefined; ; ) {
      const found = await store.series.walk(tenant, { limit: 90, descending, ...(after !== undefined && { after }) });
      values.push(...found.map(saying));
      if (found.length < 90) return values;
      after = found.at(-1)?.number;
    }
  }

  it('come in order of time, both ways, for each tenant its own', async () => {
    expect(await across(LARGE)).toEqual(upTo(MANY));
    expect(await across(SMALL)).toEqual(upTo(FEW));
    expect(await across(LARGE, { descending: true })).toEqual(upTo(MANY).reverse());
    expect(await across(SMALL, { descending: true })).toEqual(upTo(FEW).reverse());
  });

  it('are narrowed by time and by result', async () => {
    const from = Date.parse(second(300)) * 1000;
    expect(await across(LARGE, { from })).toEqual(upTo(MANY, 300));
    expect(await across(SMALL, { from })).toEqual([3, 4, 5, 6]);
    const numbers = [{ operator: '>', value: 3 }] as const;
    expect(await across(LARGE, { numbers })).toEqual(upTo(MANY, 4));
    expect(await across(SMALL, { numbers })).toEqual([4, 5, 6]);
    expect(await across(SMALL, { numbers: [{ operator: '>', value: 1000 }] })).toEqual([]);
  });

  it('come in order of their numbers, both ways', async () => {
    for (const [tenant, count] of [
      [LARGE, MANY],
      [SMALL, FEW],
    ] as const) {
      expect(await walked(tenant, false)).toEqual(upTo(count));
      expect(await walked(tenant, true)).toEqual(upTo(count).reverse());
    }
  });
});
