import type { Iri } from '../../domain/iri.ts';
import { hasPlainOrder } from '../id-order.ts';

/** Which entity has a key: that never changes. */
export interface KnownId {
  readonly key: number;
  readonly tenant: number;
  readonly id: Iri;
  /** Its order among others that are plain is that of JavaScript. */
  readonly plain: boolean;
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
    const known = { key, tenant, id, plain: hasPlainOrder(id) };
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
