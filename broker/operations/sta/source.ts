import type { Item } from './item.ts';

/** Where a page ended: numbers whose meaning only the source knows. */
export type Cursor = readonly number[];

export interface Placed {
  readonly item: Item;
  readonly cursor: Cursor;
}

export interface SourcePage {
  readonly placed: readonly Placed[];
  /** Where to go on, also if what was looked at last is no part of it. undefined: there is no more. */
  readonly next: Cursor | undefined;
}

/** The members of a collection in an order that the store has them in, so that going on behind a place costs the same everywhere. */
export interface Source {
  /** id: ascending id; time: ascending phenomenonTime (time), then id; none: an order of its own. */
  readonly order: 'id' | 'time' | 'none';
  /** Members behind a place, about `limit` of them; fewer do not mean the end. */
  page(after: Cursor | undefined, limit: number, descending: boolean): Promise<SourcePage>;
  /** How many there are, if that is known without going through them. */
  count?(): Promise<number>;
}

/** A few members that are there already. */
export function listSource(items: readonly Item[]): Source {
  const sorted = [...items].sort((a, b) => a.id - b.id);
  return {
    order: 'id',
    count: async () => sorted.length,
    async page(after, limit, descending) {
      const ordered = descending ? sorted.toReversed() : sorted;
      const from = after?.[0];
      const rest = from === undefined ? ordered : ordered.filter(({ id }) => (descending ? id < from : id > from));
      const placed = rest.slice(0, limit).map((item) => ({ item, cursor: [item.id] }));
      return { placed, next: rest.length > limit ? placed.at(-1)?.cursor : undefined };
    },
  };
}

/** One source after the other. */
export function chained(order: Source['order'], sources: readonly Source[]): Source {
  return {
    order,
    ...(sources.every(({ count }) => count !== undefined)
      ? { count: async () => (await Promise.all(sources.map((source) => source.count?.() ?? 0))).reduce((a, b) => a + b, 0) }
      : {}),
    async page(after, limit, descending) {
      const last = sources.length - 1;
      let [at, ...inner] = (after ?? [descending ? last : 0]) as [number, ...number[]];
      for (;;) {
        const source = sources[at];
        if (source === undefined) return { placed: [], next: undefined };
        const here = at;
        const { placed, next } = await source.page(inner.length > 0 ? inner : undefined, limit, descending);
        const located = placed.map(({ item, cursor }) => ({ item, cursor: [here, ...cursor] }));
        if (next !== undefined) return { placed: located, next: [here, ...next] };
        at += descending ? -1 : 1;
        inner = [];
        const more = sources[at] !== undefined;
        if (located.length > 0 || !more) return { placed: located, next: more ? [at] : undefined };
      }
    },
  };
}

/** Of each member of an outer source those of an inner one. */
export function nested(order: Source['order'], outer: Source, inner: (item: Item) => Promise<Source>): Source {
  return {
    order,
    async page(after, limit, descending) {
      // A cursor is that of the outer member, its length in front, and that of the inner one, if we are in the middle.
      const length = after?.[0] ?? 0;
      const outerCursor = after?.slice(1, 1 + length);
      const innerCursor = after?.slice(1 + length);
      const resume = innerCursor !== undefined && innerCursor.length > 0;
      const placed: Placed[] = [];
      let from: Cursor | undefined = outerCursor;
      let current: Placed | undefined;
      if (resume) {
        // The member itself is found again just before what comes behind it.
        current = await memberAt(outer, outerCursor as Cursor, descending);
        if (current !== undefined) {
          const left = await fill(placed, current, innerCursor, await inner(current.item), limit, descending);
          if (left !== undefined) return { placed, next: [length, ...(outerCursor as Cursor), ...left] };
        }
      }
      for (;;) {
        const page = await outer.page(from, limit, descending);
        for (const [at, member] of page.placed.entries()) {
          const left = await fill(placed, member, undefined, await inner(member.item), limit, descending);
          if (left !== undefined) return { placed, next: [member.cursor.length, ...member.cursor, ...left] };
          const more = at < page.placed.length - 1 || page.next !== undefined;
          if (placed.length >= limit && more) return { placed, next: [member.cursor.length, ...member.cursor] };
        }
        if (page.next === undefined) return { placed, next: undefined };
        if (placed.length > 0) return { placed, next: [page.next.length, ...page.next] };
        from = page.next;
      }
    },
  };
}

/** @returns where the inner source goes on; undefined: it is at its end */
async function fill(
  placed: Placed[],
  member: Placed,
  after: Cursor | undefined,
  inner: Source,
  limit: number,
  descending: boolean,
): Promise<Cursor | undefined> {
  let from = after;
  for (;;) {
    const page = await inner.page(from, Math.max(1, limit - placed.length), descending);
    for (const { item, cursor } of page.placed) {
      placed.push({ item, cursor: [member.cursor.length, ...member.cursor, ...cursor] });
    }
    if (page.next === undefined) return undefined;
    if (placed.length >= limit) return page.next;
    from = page.next;
  }
}

/** The member that a cursor stands for: outer sources are in order of id, which is the last number of the cursor. */
async function memberAt(outer: Source, cursor: Cursor, descending: boolean): Promise<Placed | undefined> {
  const before = [...cursor.slice(0, -1), (cursor.at(-1) as number) + (descending ? 1 : -1)];
  const { placed } = await outer.page(before, 1, descending);
  return placed[0]?.cursor.at(-1) === cursor.at(-1) ? placed[0] : undefined;
}
