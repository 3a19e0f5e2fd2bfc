import type { Iri } from '../../domain/iri.ts';
import { type OrderedId, orderedId } from './ordered-ids.ts';

/** Which entity has a key: that never changes. */
export interface KnownId extends OrderedId {
  readonly key: number;
  readonly tenant: number;
}

/** About how many bytes one takes. */
const WEIGHT = 200;

/** Ids of entities by their keys, for those who must put many candidates in order to look at a few. Two generations, as in entity-cache.ts. */
export class IdCache {
  readonly #generation: number;
  #young = new Map<number, KnownId>();
  #old = new Map<number, KnownId>();

  constructor(limitBytes: number) {
    this.#generation = Math.max(100, limitBytes / WEIGHT / 2);
  }

  get(key: number): KnownId | undefined {
    const known = this.#young.get(key);
    if (known !== undefined) return known;
    const older = this.#old.get(key);
    if (older !== undefined) this.#put(older);
    return older;
  }

  set(key: number, tenant: number, id: Iri): KnownId {
    const known = { key, tenant, ...orderedId(id) };
    this.#put(known);
    return known;
  }

  #put(known: KnownId): void {
    if (this.#young.size >= this.#generation) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(known.key, known);
  }
}
