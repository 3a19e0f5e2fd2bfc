import type { EntityQuery } from '../../domain/query/query.ts';
import type { Clock } from '../../ports/clock.ts';
import { type AttributeIndex, conjuncts, type IndexedPath, indexablePath } from './attribute-indexes.ts';
import { type Building, buildIndex, removeIndex } from './index-building.ts';
import type { IndexRules } from './index-rules.ts';
import { spansOf } from './indexed-values.ts';

/** What a walk looks at beyond this much for each match, an index could have spared. */
const WASTED_PER_MATCH = 8;
/** An index is made when at least this many entities were looked at in vain. */
const LEAST_DEMAND = 20_000;
/** Paths whose demand is counted; the one that was asked for longest ago makes room. */
const COUNTED = 500;
const HALF_LIFE_MS = 10 * 60_000;
/** An index that no query used for so long goes. */
const UNUSED_MICROS = 24 * 3600 * 1e6;
/** How long an index is watched before it is weighed. */
const WEIGHED_EVERY_MICROS = 3600 * 1e6;
/** Measured (test/bench/index-cost.ts): a row changed in an index costs a write about so many times what a candidate costs a query. */
const CHANGE_COST = 3;

interface Demand {
  wasted: number;
  /** An index that did not pay must be asked for more before it comes again. */
  times: number;
  lastAsked: number;
}

interface Parts extends Building {
  readonly clock: Clock;
  readonly rules: IndexRules;
  /** Entities of a tenant. */
  entities(tenant: number): number;
}

interface Watch {
  since: number;
  saved: number;
  changes: number;
}

/**
 * Makes indexes for what queries really ask, and drops those that do not pay. A query that looks at many entities for few matches counts as demand
 * for an index of each path that could have found them; when what was looked at in vain is as much as building takes, the index is built. An index that costs writes more than it saves queries, or that nobody uses, goes again.
 */
export class IndexDemand {
  readonly #parts: Parts;
  readonly #demand = new Map<string, Demand>();
  readonly #watched = new WeakMap<AttributeIndex, Watch>();
  #working: Promise<void> = Promise.resolve();
  readonly #worked = new Set<AttributeIndex>();
  #closed = false;
  readonly #timer: NodeJS.Timeout;

  constructor(parts: Parts) {
    this.#parts = parts;
    // What a restart interrupted goes on.
    for (const index of parts.indexes.list()) if (index.state !== 'ready') this.#work(index);
    this.#timer = setInterval(() => this.upkeep(), 60_000).unref();
  }

  /** A query has looked at so many candidates, of which so many matched. */
  looked(tenant: number, query: EntityQuery, candidates: number, matches: number): void {
    if (candidates <= WASTED_PER_MATCH * (matches + 1) || !query.where || this.#closed) return;
    const { indexes, rules } = this.#parts;
    for (const [path, comparisons] of pathsOf(query)) {
      if (indexes.find(tenant, path) || rules.forbidden(tenant, path) || !spansOf(comparisons)) continue;
      const name = `${tenant} ${JSON.stringify(path)}`;
      const demand = this.#demand.get(name) ?? { wasted: 0, times: 1, lastAsked: 0 };
      demand.wasted += candidates - matches;
      demand.lastAsked = Date.now();
      this.#demand.delete(name);
      this.#demand.set(name, demand);
      if (this.#demand.size > COUNTED) this.#demand.delete(this.#demand.keys().next().value as string);
      const pinned = rules.pinned(tenant, path);
      if (!pinned && demand.wasted < LEAST_DEMAND * demand.times) continue;
      if (!pinned && demand.wasted < 2 * this.#parts.entities(tenant) * demand.times) continue;
      if (!pinned && !this.#room(tenant)) continue;
      demand.wasted = 0;
      this.ensure(tenant, path).catch(() => {});
    }
  }

  #room(tenant: number): boolean {
    const { indexes, rules } = this.#parts;
    return indexes.list(tenant).filter((index) => !rules.pinned(tenant, index.path)).length < rules.limit;
  }

  /** Makes an index, if it is not there. @returns when all entities are in it */
  async ensure(tenant: number, path: IndexedPath): Promise<void> {
    const { commits, indexes, clock } = this.#parts;
    await commits.submit(() => {
      if (!indexes.find(tenant, path)) this.#work(indexes.create(tenant, path, clock.micros()));
    });
    await this.#working;
  }

  drop(index: AttributeIndex): void {
    index.state = 'dropping';
    this.#work(index);
  }

  /** One after the other, so that there is never more than one slice in a turn. */
  #work(index: AttributeIndex): void {
    this.#worked.add(index);
    this.#working = this.#working
      .then(() => (index.state === 'dropping' ? removeIndex : buildIndex)(this.#parts, index, () => this.#closed))
      // The store is closed or the disk is full: upkeep or the next start goes on.
      .catch(() => {})
      .finally(() => this.#worked.delete(index));
  }

  /** Once a minute: lets old demand fade, and drops what does not pay. */
  upkeep(): void {
    const { clock, indexes, rules } = this.#parts;
    const fade = 0.5 ** (60_000 / HALF_LIFE_MS);
    for (const [name, demand] of this.#demand) {
      demand.wasted *= fade;
      if (demand.wasted < 1 && demand.times === 1) this.#demand.delete(name);
    }
    const now = clock.micros();
    for (const index of indexes.list()) {
      if (index.state !== 'ready' && !this.#worked.has(index)) this.#work(index);
      if (index.state !== 'ready' || rules.pinned(index.tenant, index.path)) continue;
      if (rules.forbidden(index.tenant, index.path) || now - index.lastUsed > UNUSED_MICROS || !this.#pays(index, now)) {
        const name = `${index.tenant} ${JSON.stringify(index.path)}`;
        this.#demand.set(name, { wasted: 0, times: 2 * (this.#demand.get(name)?.times ?? 1), lastAsked: Date.now() });
        this.drop(index);
      }
    }
  }

  /** Over the last hour, what it saved queries against what it cost writes. */
  #pays(index: AttributeIndex, now: number): boolean {
    const watch = this.#watched.get(index);
    if (watch && now - watch.since < WEIGHED_EVERY_MICROS) return true;
    this.#watched.set(index, { since: now, saved: index.saved, changes: index.changes });
    return watch === undefined || index.saved - watch.saved >= CHANGE_COST * (index.changes - watch.changes);
  }

  /** Stops building; writes down what the next start wants to know. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    const { commits, indexes } = this.#parts;
    const known = indexes.list();
    if (known.length === 0) return;
    const save = () => {
      for (const index of known) indexes.save(index);
    };
    commits.submit(save).catch(() => {});
  }
}

/** What a query compares that an index can hold. */
function pathsOf({ where }: EntityQuery): readonly (readonly [IndexedPath, Parameters<typeof spansOf>[0]])[] {
  const found = new Map<string, [IndexedPath, Parameters<typeof spansOf>[0][number][]]>();
  for (const condition of where ? conjuncts(where) : []) {
    const path = condition.kind === 'compare' ? indexablePath(condition.path) : undefined;
    if (condition.kind !== 'compare' || path === undefined) continue;
    const text = JSON.stringify(path);
    const known = found.get(text) ?? [path, []];
    found.set(text, known);
    known[1].push(condition);
  }
  return [...found.values()];
}
