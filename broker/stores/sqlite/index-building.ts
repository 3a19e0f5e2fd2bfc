import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { Iri } from '../../domain/iri.ts';
import type { AttributeIndex, AttributeIndexes } from './attribute-indexes.ts';
import type { Database } from './database.ts';
import type { EntityRow } from './entity-cache.ts';
import type { GroupCommit } from './group-commit.ts';
import { type IndexedValue, valuesOf } from './indexed-values.ts';

/** The parts of the store that building an index needs. */
export interface Building {
  readonly database: Database;
  readonly commits: GroupCommit;
  readonly indexes: AttributeIndexes;
  /** Whether an entity of this shape can have values under a path that begins with the name. */
  has(shape: number, name: Iri): boolean;
  rows(keys: readonly number[]): readonly (EntityRow | undefined)[];
}

/** How long one slice may hold up everything else. */
const SLICE_MS = 4;
/** Who has their turn for longer than this is at work: nothing but looking who waits takes less. */
const BUSY_MS = 0.5;
/** Values that are gathered and put in order before they are written: in no order, each would change a page of its own. */
const GATHERED = 100_000;
/** Entities that are looked at in one step, and rows that are removed in one. */
const STEP = 200;
const REMOVED_AT_ONCE = 2_000;

const NEXT = 'SELECT key, id, shape FROM entity WHERE tenant = ? AND shape IS NOT NULL AND id > ? ORDER BY id LIMIT ?';

interface Gathered {
  readonly values: readonly { readonly value: IndexedValue; readonly id: Iri; readonly key: number }[];
  /** The last entity that was looked at. */
  readonly end: string;
  readonly all: boolean;
}

/**
 * Puts everything that is stored into an index, in slices between which everybody else has their turn, and if there is work for them at least as much time. Writes that come meanwhile keep
 * the index up to date themselves. What is complete is remembered in the file, so that a restart goes on.
 */
export async function buildIndex(parts: Building, index: AttributeIndex, closed: () => boolean): Promise<void> {
  try {
    await build(parts, index, closed);
  } finally {
    index.touched = undefined;
  }
}

async function build(parts: Building, index: AttributeIndex, closed: () => boolean): Promise<void> {
  const { commits, indexes } = parts;
  while (index.state === 'building' && !closed()) {
    index.touched = new Set();
    const { values, end, all } = await gather(parts, index, closed);
    for (let at = 0; at < values.length && !closed() && index.state === 'building'; ) {
      const began = performance.now();
      at = await commits.submit(() => write(indexes, index, values, at));
      await rest(performance.now() - began);
    }
    if (closed() || index.state !== 'building') return;
    await commits.submit(() => {
      const { cursor } = index;
      commits.onRollback(() => {
        index.cursor = cursor;
        index.state = 'building';
      });
      index.cursor = end;
      if (all) index.state = 'ready';
      indexes.save(index);
    });
  }
}

/** Lets everybody else have their turn, and if there is work for them as much time as the slice took. */
async function rest(usedMs: number): Promise<void> {
  const began = performance.now();
  await setImmediate();
  if (performance.now() - began > BUSY_MS) await sleep(Math.max(1, usedMs), undefined, { ref: false });
}

async function gather(parts: Building, index: AttributeIndex, closed: () => boolean): Promise<Gathered> {
  const values: { value: IndexedValue; id: Iri; key: number }[] = [];
  const name = index.path.names[0] as Iri;
  let end = index.cursor;
  for (let began = performance.now(); ; ) {
    const found = parts.database.all(NEXT, index.tenant, end, STEP) as [number, string, number][];
    const keys = found.filter(([, , shape]) => parts.has(shape, name)).map(([key]) => key);
    for (const row of parts.rows(keys)) {
      if (row?.text === undefined) continue;
      for (const value of valuesOf(index.test, row.entity)) values.push({ value, id: row.id, key: row.key });
    }
    end = found.at(-1)?.[1] ?? end;
    const all = found.length < STEP;
    if (all || values.length >= GATHERED || closed()) return { values: values.sort(byValue), end, all };
    const used = performance.now() - began;
    if (used < SLICE_MS) continue;
    await rest(used);
    began = performance.now();
  }
}

type Entry = Gathered['values'][number];

/** Near enough to the order of the file. */
function byValue({ value: [slotA, a] }: Entry, { value: [slotB, b] }: Entry): number {
  if (slotA !== slotB) return slotA - slotB;
  return a === b ? 0 : a < b ? -1 : 1;
}

/** Inside a transaction. @returns how far it came */
function write(indexes: AttributeIndexes, index: AttributeIndex, values: Gathered['values'], from: number): number {
  const end = performance.now() + SLICE_MS;
  let at = from;
  for (; at < values.length && (at % 50 !== 0 || at === from || performance.now() < end); at++) {
    const { value, id, key } = values[at] as Entry;
    // Its values are in the index already, and what was gathered may be no more.
    if (!index.touched?.has(key)) indexes.insert(index, value, id, key);
  }
  return at;
}

/** Removes an index with all that it holds, likewise. */
export async function removeIndex({ commits, indexes }: Building, index: AttributeIndex, closed: () => boolean): Promise<void> {
  for (let done = false; !done && !closed(); ) {
    done = await commits.submit(() => {
      indexes.save(index);
      return indexes.remove(index, REMOVED_AT_ONCE);
    });
    if (!done) await sleep(2, undefined, { ref: false });
  }
}
