import type { Caller } from '../../domain/access.ts';
import type { Change, Position } from '../../domain/change.ts';
import { DomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/iri.ts';
import type { Options } from '../../domain/sta/options.ts';
import type { ResourcePath } from '../../domain/sta/resource-path.ts';
import type { ChangeFeed } from '../../ports/change-feed.ts';
import { type Affected, affected } from './affected.ts';
import { type Answer, Work } from './answer.ts';
import type { StaDependencies } from './dependencies.ts';
import type { Item } from './item.ts';
import type { Root } from './operations.ts';
import { isLinked, resolve } from './read.ts';
import { Reader } from './reader.ts';

/** What somebody watches: a collection, an entity, or a property of one. */
export interface Watch {
  readonly caller: Caller;
  readonly root: Root;
  readonly path: ResourcePath;
  readonly options: Options;
}

/** What is told to those who watch. */
export type Told =
  | { readonly kind: 'entity'; readonly answer: Answer }
  | { readonly kind: 'property'; readonly name: string; readonly item: Item };

/** Something that was made or changed, for who publishes everything. */
export interface News {
  readonly answer: Answer;
  /** The properties that may have changed; undefined: it is new. */
  readonly changed: ReadonlySet<string> | undefined;
  /** Entities one of whose collections it is in: its Datastream, its Thing. */
  readonly parents: readonly { readonly item: Item; readonly link: string }[];
}

/** Who publishes everything that happens, because nobody says who listens. */
export interface Everything {
  /** Where the links of what is told lead. */
  rootOf(tenant: TenantId): Root;
  tell(tenant: TenantId, news: News): Promise<void>;
}

export interface Watcher {
  /** @param key names the watch; the same key is the same watch, however many want it */
  add(key: string, watch: Watch): void;
  remove(key: string): void;
  /** From here on everything is told, too. */
  watchEverything(everything: Everything): void;
  /** Resolves when everything committed so far was told. */
  idle(): Promise<void>;
  stop(): void;
}

const BATCH = 500;

/**
 * Tells what changes of entities mean in SensorThings to those who watch (18-088, 14.2). Reads the change feed only while somebody watches, from where it is
 * then: nothing is kept for those who are not there. What is told is the state when it is told.
 */
export function watcher(
  dependencies: StaDependencies,
  feed: ChangeFeed,
  tell: (key: string, told: Told) => Promise<void>,
  onError: (error: unknown) => void,
): Watcher {
  const watches = new Map<string, Watch>();
  let everything: Everything | undefined;
  const isWatched = () => watches.size > 0 || everything !== undefined;
  let position: Promise<Position> | undefined;
  let working: Promise<void> | undefined;
  let wanted = false;
  let stopped = false;
  const stopListening = feed.onCommit(() => wake());

  function wake(): void {
    if (!isWatched() || stopped) return;
    wanted = true;
    working ??= work()
      .catch(onError)
      .finally(() => {
        working = undefined;
        if (wanted) wake();
      });
  }

  async function work(): Promise<void> {
    while (wanted && !stopped) {
      wanted = false;
      for (;;) {
        const from = await (position ?? feed.head());
        const changes = await feed.read(from, BATCH);
        const last = changes.at(-1);
        if (last === undefined) break;
        for (const tenant of new Set(changes.map((change) => change.tenant))) {
          const those = [...watches].filter(([, { caller }]) => caller.tenant === tenant);
          const own = changes.filter((change) => change.tenant === tenant);
          if (those.length > 0) await tellAll(those, own).catch(onError);
          if (everything !== undefined) await tellEverything(everything, tenant, own).catch(onError);
        }
        position = Promise.resolve(last.position);
      }
    }
  }

  async function tellAll(those: readonly (readonly [string, Watch])[], changes: readonly Change[]): Promise<void> {
    // Links of the answers depend on the root, which is one for nearly all who watch.
    const roots = new Map<string, (readonly [string, Watch])[]>();
    for (const one of those) {
      const { url } = one[1].root;
      roots.set(url, [...(roots.get(url) ?? []), one]);
    }
    for (const same of roots.values()) {
      const [, { caller, root }] = same[0] as readonly [string, Watch];
      const reader = new Reader(dependencies, caller, root.model, root.url);
      const found: Affected[] = [];
      for (const change of changes) found.push(...(await affected(reader, change)));
      const work = new Work(reader);
      for (const one of gathered(found)) {
        for (const [key, watch] of same) if (await concerns(reader, watch, one)) await tellOne(work, key, watch, one);
      }
    }
  }

  async function tellEverything(to: Everything, tenant: TenantId, changes: readonly Change[]): Promise<void> {
    const { model, url } = to.rootOf(tenant);
    const reader = new Reader(dependencies, { tenant, principal: { kind: 'system' } }, model, url);
    const work = new Work(reader);
    const found: Affected[] = [];
    for (const change of changes) found.push(...(await affected(reader, change)));
    for (const { item, changed } of gathered(found)) {
      const [answer] = await work.answers([item], {});
      if (answer !== undefined) await to.tell(tenant, { answer, changed, parents: await parentsOf(reader, item) });
    }
  }

  async function tellOne(work: Work, key: string, { path, options }: Watch, { item }: Affected): Promise<void> {
    if (path.end.kind === 'property') {
      await work.reader.complete([item]);
      await tell(key, { kind: 'property', name: path.end.name, item });
      return;
    }
    const [answer] = await work.answers([item], options);
    if (answer !== undefined) await tell(key, { kind: 'entity', answer });
  }

  return {
    add(key, watch) {
      if (!isWatched()) position = feed.head();
      watches.set(key, watch);
    },
    watchEverything(to) {
      if (!isWatched()) position = feed.head();
      everything = to;
    },
    remove(key) {
      watches.delete(key);
      if (!isWatched()) position = undefined;
    },
    async idle() {
      wake();
      while (working !== undefined) await working;
    },
    stop() {
      stopped = true;
      stopListening();
    },
  };
}

/** What its links to one lead to, where the link back is a collection. */
async function parentsOf(reader: Reader, item: Item): Promise<News['parents']> {
  const parents: { readonly item: Item; readonly link: string }[] = [];
  for (const { name, to, many, inverse } of item.type.links) {
    if (many || !reader.model.link(to, inverse)?.many) continue;
    const parent = await reader.one(item, name);
    if (parent !== undefined) parents.push({ item: parent, link: inverse });
  }
  return parents;
}

/** A Datastream that changed with each of many Observations is told of once, because what is told is the same. */
function gathered(found: readonly Affected[]): readonly Affected[] {
  const series = new Map<number, Affected>();
  const rest: (Affected | number)[] = found.map((one) => {
    if (one.item.origin.kind !== 'series') return one;
    const known = series.get(one.item.id);
    const changed =
      known === undefined
        ? one.changed
        : known.changed === undefined || one.changed === undefined
          ? undefined
          : new Set([...known.changed, ...one.changed]);
    series.set(one.item.id, { item: one.item, changed });
    return one.item.id;
  });
  const told = new Set<number>();
  return rest.flatMap((one) => {
    if (typeof one !== 'number') return [one];
    if (told.has(one)) return [];
    told.add(one);
    return [series.get(one) as Affected];
  });
}

/** Does a watch see this, as things are now? */
async function concerns(reader: Reader, { path }: Watch, { item, changed }: Affected): Promise<boolean> {
  if (path.set !== item.set) return false;
  const { steps, many, end } = path;
  const last = steps.at(-1);
  if (end.kind === 'property' && changed !== undefined && !changed.has(end.name)) return false;
  try {
    if (many && last?.kind === 'set') return true;
    if (many && last?.kind === 'link') {
      const parent = await resolve(reader, steps.slice(0, -1));
      return isLinked(reader, parent, last.link, item);
    }
    // What is new was nobody's until now; a property that it has is news.
    if (last?.kind === 'set' && last.id !== item.id) return false;
    return changed !== undefined && (await resolve(reader, steps)).id === item.id;
  } catch (error) {
    // The path leads nowhere now, and may later.
    if (error instanceof DomainError) return false;
    throw error;
  }
}
