import type { Change } from './change.ts';
import type { Iri, TenantId } from './iri.ts';
import type { TypeSelection } from './query/query.ts';
import type { Subscription } from './subscription.ts';

/** Stands for "any type" or "any attribute". */
const ANY = '*';

/** The subscriptions of one tenant by what they fix: an entity id, or a type and a watched attribute. */
interface Drawer<S> {
  readonly byId: Map<string, Set<S>>;
  readonly byType: Map<string, Map<string, Set<S>>>;
}

/** Where one subscription lies in its tenant's drawer. */
interface Keys {
  readonly ids: ReadonlySet<string>;
  readonly types: ReadonlySet<string>;
  readonly names: readonly string[];
}

/**
 * Finds the subscriptions that a change may concern. The cost of a change depends on how many subscriptions it concerns, not on how many
 * there are, and is next to nothing for a tenant without any. What it finds still has to be tested with `concerns`.
 */
export class SubscriptionIndex<S extends { readonly tenant: TenantId; readonly subscription: Subscription }> {
  readonly #drawers = new Map<TenantId, Drawer<S>>();
  readonly #keysOf = new Map<S, Keys>();

  get size(): number {
    return this.#keysOf.size;
  }

  add(entry: S): void {
    const keys = keysOf(entry.subscription);
    this.#keysOf.set(entry, keys);
    let drawer = this.#drawers.get(entry.tenant);
    if (!drawer) {
      drawer = { byId: new Map(), byType: new Map() };
      this.#drawers.set(entry.tenant, drawer);
    }
    for (const id of keys.ids) put(drawer.byId, id, entry);
    for (const type of keys.types) {
      let names = drawer.byType.get(type);
      if (!names) {
        names = new Map();
        drawer.byType.set(type, names);
      }
      for (const name of keys.names) put(names, name, entry);
    }
  }

  remove(entry: S): void {
    const keys = this.#keysOf.get(entry);
    const drawer = this.#drawers.get(entry.tenant);
    if (!keys || !drawer) return;
    this.#keysOf.delete(entry);
    for (const id of keys.ids) take(drawer.byId, id, entry);
    for (const type of keys.types) {
      const names = drawer.byType.get(type);
      if (!names) continue;
      for (const name of keys.names) take(names, name, entry);
      if (names.size === 0) drawer.byType.delete(type);
    }
    if (drawer.byId.size === 0 && drawer.byType.size === 0) this.#drawers.delete(entry.tenant);
  }

  /** Each candidate once, in no particular order. What is answered may change with the index: look at it at once. */
  candidates(change: Change): Iterable<S> {
    const drawer = this.#drawers.get(change.tenant);
    if (!drawer) return NOBODY;
    const found = new Found<S>();
    found.add(drawer.byId.get(change.id));
    for (const type of change.types) collect(drawer.byType.get(type), change, found);
    collect(drawer.byType.get(ANY), change, found);
    return found.all();
  }
}

const NOBODY: readonly never[] = [];

/** Puts buckets together. Most changes find one of them only, which then serves as it is. */
class Found<S> {
  #only: ReadonlySet<S> | undefined;
  #several: Set<S> | undefined;

  add(bucket: ReadonlySet<S> | undefined): void {
    if (bucket === undefined || bucket === this.#only) return;
    if (this.#only === undefined) {
      this.#only = bucket;
      return;
    }
    this.#several ??= new Set(this.#only);
    for (const entry of bucket) this.#several.add(entry);
  }

  all(): Iterable<S> {
    return this.#several ?? this.#only ?? NOBODY;
  }
}

function collect<S>(names: ReadonlyMap<string, ReadonlySet<S>> | undefined, change: Change, found: Found<S>): void {
  if (!names) return;
  found.add(names.get(ANY));
  for (const { name } of change.attributes) found.add(names.get(name));
  // Creating or deleting an entity concerns whoever watches any attribute it has.
  if (change.kind !== 'updated') for (const name in change.entity.attributes) found.add(names.get(name));
}

function put<S>(map: Map<string, Set<S>>, key: string, entry: S): void {
  const bucket = map.get(key);
  if (bucket) bucket.add(entry);
  else map.set(key, new Set([entry]));
}

function take<S>(map: Map<string, Set<S>>, key: string, entry: S): void {
  const bucket = map.get(key);
  bucket?.delete(entry);
  if (bucket?.size === 0) map.delete(key);
}

function keysOf(subscription: Subscription): Keys {
  const ids = new Set<string>();
  const types = new Set<string>();
  for (const selector of subscription.entities ?? [{}]) {
    if (selector.ids) for (const id of selector.ids) ids.add(id);
    else for (const type of selector.types ? needed(selector.types) : [ANY]) types.add(type);
  }
  return { ids, types, names: subscription.watchedAttributes ?? [ANY] };
}

/** Types of which an entity must have at least one to be selected. */
function needed(selection: TypeSelection): readonly Iri[] {
  if (selection.kind === 'type') return [selection.type];
  if (selection.kind === 'any') return selection.of.flatMap(needed);
  // All of several are needed, so watching for the first is enough.
  return selection.of[0] ? needed(selection.of[0]) : [];
}
