import type { Iri } from '../../domain/iri.ts';
import { compareIds, hasPlainOrder } from '../id-order.ts';

/** An id, and what puts it in order among others sooner than comparing their texts. */
export interface OrderedId {
  readonly id: Iri;
  /** Its order among others that are plain is that of JavaScript. */
  readonly plain: boolean;
  /** Up to the last colon, the same object for all that begin alike. */
  readonly beginning: string;
  /** The next four characters as a number that is in their order; -1 if they are not all ASCII. */
  readonly next: number;
}

/** Beginnings that are kept as one object each. */
const BEGINNINGS = 1000;
let beginnings = new Map<string, string>();

export function orderedId(id: Iri): OrderedId {
  const at = id.lastIndexOf(':') + 1;
  let beginning = id.slice(0, at);
  const known = beginnings.get(beginning);
  if (known === undefined) {
    if (beginnings.size >= BEGINNINGS) beginnings = new Map();
    beginnings.set(beginning, beginning);
  } else beginning = known;
  let next = 0;
  for (let place = at; place < at + 4; place++) {
    const code = place < id.length ? id.charCodeAt(place) : 0;
    if (code > 127) return { id, plain: hasPlainOrder(id), beginning, next: -1 };
    next = next * 128 + code;
  }
  return { id, plain: hasPlainOrder(id), beginning, next };
}

/** A place in the list, behind `next` in one number: together they have 48 bits. */
const PLACES = 2 ** 20;

/** Puts ids in ascending order, in place. Most begin alike and differ in the next characters, so that numbers are compared and hardly any text. */
export function putInOrder<T extends OrderedId>(ids: T[]): void {
  const beginning = ids[0]?.beginning;
  if (ids.length < PLACES && ids.every((one) => one.plain && one.next >= 0 && one.beginning === beginning)) {
    const numbers = new Float64Array(ids.length);
    for (let at = 0; at < ids.length; at++) numbers[at] = (ids[at] as T).next * PLACES + at;
    numbers.sort();
    const before = ids.slice();
    for (let at = 0; at < ids.length; at++) ids[at] = before[(numbers[at] as number) % PLACES] as T;
    orderEquals(ids);
  } else if (ids.every(({ plain }) => plain)) ids.sort(byText);
  else ids.sort((a, b) => compareIds(a.id, b.id));
}

const byText = (a: OrderedId, b: OrderedId): number => (a.id < b.id ? -1 : 1);

/** Those with the same `next` lie side by side, and are put in order among themselves. */
function orderEquals<T extends OrderedId>(ids: T[]): void {
  for (let from = 0; from < ids.length - 1; ) {
    let to = from + 1;
    while (to < ids.length && (ids[to] as T).next === (ids[from] as T).next) to++;
    if (to - from > 1) {
      const equal = ids.slice(from, to).sort(byText);
      for (let at = 0; at < equal.length; at++) ids[from + at] = equal[at] as T;
    }
    from = to;
  }
}
