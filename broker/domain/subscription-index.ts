import type { Change } from './change.ts';
import type { Iri, TenantId } from './iri.ts';
import type { TypeSelection } from './query/query.ts';
import type { Subscription } from './subscription.ts';

/** Stands for "any type" or "any attribute" in a key. */
const ANY = '*';

/**
 * Finds the subscriptions that a change may concern, by what they fix: an entity id, or a type and a watched attribute. The cost of a
 * change depends on how many subscriptions it concerns, not on how many there are. What it finds still has to be tested with `concerns`.
 */
export class SubscriptionIndex<S extends { readonly tenant: TenantId; readonly subscription: Subscription }> {
  readonly #byKey = new Map<string, Set<S>>();
  readonly #keysOf = new Map<S, readonly string[]>();

  get size(): number {
    return this.#keysOf.size;
  }

  add(entry: S): void {
    const keys = keysOf(entry.tenant, entry.subscription);
    this.#keysOf.set(entry, keys);
    for (const key of keys) {
      const bucket = this.#byKey.get(key);
      if (bucket) bucket.add(entry);
      else this.#byKey.set(key, new Set([entry]));
    }
  }

  remove(entry: S): void {
    for (const key of this.#keysOf.get(entry) ?? []) {
      const bucket = this.#byKey.get(key);
      bucket?.delete(entry);
      if (bucket?.size === 0) this.#byKey.delete(key);
    }
    this.#keysOf.delete(entry);
  }

  /** Each candidate once, in no particular order. */
  candidates(change: Change): Iterable<S> {
    const found = new Set<S>();
    const take = (key: string) => {
      const bucket = this.#byKey.get(key);
      if (bucket) for (const entry of bucket) found.add(entry);
    };
    take(idKey(change.tenant, change.id));
    const names = change.kind === 'updated' ? changedNames(change) : namesOf(change);
    for (const type of [...change.types, ANY]) {
      take(typeKey(change.tenant, type, ANY));
      for (const name of names) take(typeKey(change.tenant, type, name));
    }
    return found;
  }
}

function changedNames(change: Change): ReadonlySet<string> {
  return new Set(change.attributes.map((attribute) => attribute.name));
}

/** Creating or deleting an entity concerns whoever watches any attribute it has. */
function namesOf(change: Change): ReadonlySet<string> {
  return new Set([...Object.keys(change.entity.attributes), ...change.attributes.map((attribute) => attribute.name)]);
}

function keysOf(tenant: TenantId, subscription: Subscription): readonly string[] {
  const keys = new Set<string>();
  const names = subscription.watchedAttributes ?? [ANY];
  for (const selector of subscription.entities ?? [{}]) {
    if ('ids' in selector && selector.ids) {
      for (const id of selector.ids) keys.add(idKey(tenant, id));
      continue;
    }
    const types = 'types' in selector && selector.types ? needed(selector.types) : [ANY];
    for (const type of types) for (const name of names) keys.add(typeKey(tenant, type, name));
  }
  return [...keys];
}

/** Types of which an entity must have at least one to be selected. */
function needed(selection: TypeSelection): readonly Iri[] {
  if (selection.kind === 'type') return [selection.type];
  if (selection.kind === 'any') return selection.of.flatMap(needed);
  // All of several are needed, so watching for the first is enough.
  return selection.of[0] ? needed(selection.of[0]) : [];
}

const idKey = (tenant: TenantId, id: Iri) => `i ${tenant} ${id}`;
const typeKey = (tenant: TenantId, type: string, name: string) => `t ${tenant} ${type} ${name}`;
