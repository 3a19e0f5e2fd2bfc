import { expect, test } from 'vitest';
import type { Iri } from '../../broker/domain/iri.ts';
import { compareIds } from '../../broker/stores/id-order.ts';
import { orderedId, putInOrder } from '../../broker/stores/sqlite/ordered-ids.ts';

const ends = [
  '',
  '0',
  '00',
  '12',
  '123',
  '1234',
  '12340',
  '12345',
  '1234:5',
  'abcd',
  'abcde',
  'ABCD',
  'é',
  '12é4',
  '\u{1f600}',
  '\uffee',
  '~~~~~',
];
const beginnings = ['urn:ngsi-ld:A:', 'urn:ngsi-ld:B:', 'urn:ngsi-ld:A:B:', 'https://example.org/', '']; // biome-ignore format: lists

/** Numbers that look random and are the same in every run. */
function* numbers(seed: number): Generator<number> {
  for (let x = seed; ; ) {
    x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
    yield x;
  }
}

test.each([
  ['alike at the beginning', 1, 4, 11],
  ['of every beginning', beginnings.length, 3, 11],
  ['with characters beyond ASCII', 2, 2, ends.length],
])('ids %s come in the order of the file', (_what, howManyBeginnings, longest, howManyEnds) => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = numbers(seed);
    const next = (below: number) => (random.next().value as number) % below;
    const ids = new Set<Iri>();
    for (let n = next(60); n >= 0; n--) {
      const end = Array.from({ length: 1 + next(longest) }, () => ends[next(howManyEnds)]).join('');
      ids.add(`${beginnings[next(howManyBeginnings)]}${end}` as Iri);
    }
    const known = [...ids].map(orderedId);
    putInOrder(known);
    expect(known.map(({ id }) => id)).toEqual([...ids].sort(compareIds));
  }
});
