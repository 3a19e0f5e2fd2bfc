import { describe, expect, it } from 'vitest';
import type { Attributes } from '../../../broker/domain/attribute.ts';
import type { Entity } from '../../../broker/domain/entity.ts';
import type { Iri } from '../../../broker/domain/iri.ts';
import { compileOrder } from '../../../broker/domain/query/order.ts';
import type { Order } from '../../../broker/domain/query/query.ts';
import type { Instant } from '../../../broker/domain/time.ts';

const A = 'https://vocab.example/a' as Iri;
const entity = (id: string, attribute?: object): Entity => ({
  id: id as Iri,
  types: ['https://vocab.example/T' as Iri],
  attributes: (attribute === undefined ? {} : { [A]: [attribute] }) as Attributes,
  createdAt: '2026-01-01T00:00:00Z' as Instant,
  modifiedAt: '2026-01-01T00:00:00Z' as Instant,
  stamp: { at: 0, origin: 'a' },
});
const values = (...list: unknown[]) => list.map((value, at) => entity(`urn:x:${at}`, { type: 'Property', value }));
const sorted = (entities: readonly Entity[], order: Partial<Order>) =>
  [...entities].sort(compileOrder([{ by: { names: [A] }, direction: 'asc', ...order }])).map(({ id }) => Number(id.slice(6)));

describe('4.23: the order of entities', () => {
  it('ranks data types as 4.23.2 does, and puts what has no value last in both directions', () => {
    const mixed = values('2026-01-01T00:00:00Z', '2026-01-01', '10:00:00Z', true, [1], { a: 1 }, 'text', 5);
    const all = [entity('urn:x:8'), ...mixed];
    expect(sorted(all, {})).toEqual([7, 6, 5, 4, 3, 2, 1, 0, 8]);
    expect(sorted(all, { direction: 'desc' })).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('sorts text by collation, moments by time, and equals by id', () => {
    expect(sorted(values('b', 'á', 'A', 'Zebra'), {})).toEqual([2, 1, 0, 3]);
    expect(sorted(values('apple', 'Zebra', 'banana'), {})).toEqual([0, 2, 1]);
    expect(sorted(values('2026-01-01T00:00:00.5Z', '2026-01-01T00:00:00Z'), {})).toEqual([1, 0]);
    expect(sorted(values(1, 1, 1), { direction: 'desc' })).toEqual([0, 1, 2]);
    expect(sorted(values('b', 'A', 'a'), { collation: 'und-u-ks-level1' })).toEqual([1, 2, 0]);
  });

  it('sorts by distance, and what is no place behind', () => {
    const place = (x: number) => ({ type: 'GeoProperty', value: { type: 'Point', coordinates: [x, 0] } });
    const all = [entity('urn:x:0', place(3)), entity('urn:x:1', place(1)), entity('urn:x:2', { type: 'Property', value: 0 })];
    const from = { type: 'Point', coordinates: [0, 0] } as const;
    expect(sorted(all, { direction: 'dist-asc', from })).toEqual([1, 0, 2]);
    expect(sorted(all, { direction: 'dist-desc', from })).toEqual([0, 1, 2]);
  });
});
