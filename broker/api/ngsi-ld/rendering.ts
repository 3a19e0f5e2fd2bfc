import type { Entity } from '../../domain/entity.ts';
import type { StoredEntity } from '../../operations/query.ts';

/** One way of writing entities: for one tenant, @context and representation. Equal keys mean equal text for one version of an entity. */
export interface Rendering {
  readonly key: string;
  /** The text of an entity that is not in the cache. */
  write(entity: Entity): string;
}

/** The JSON text of entities, remembered by rendering and version. Bounded in bytes; what was not asked for longest goes first. */
export interface RenderingCache {
  /** The text of one entity. Its content is only read if the text is not known. */
  text(rendering: Rendering, stored: StoredEntity): string;
  /** The texts of a page, in its order. */
  texts(rendering: Rendering, page: readonly StoredEntity[]): string[];
  /** For metrics. */
  statistics(): { readonly bytes: number; readonly texts: number; readonly hits: number; readonly misses: number };
}

/** A version is never written again, so nothing in here ever has to be invalidated. */
type Texts = Map<number, string>;

/** Ways of writing whose keys are known. */
const WAYS = 1000;

/** What a Map entry costs beside its text, roughly. */
const ENTRY_BYTES = 64;

/**
 * Two generations: texts that are used move to the young one, and when it is full the old one is dropped and the young becomes the old. That
 * costs a lookup no bookkeeping, and keeps what is used.
 */
export function renderingCache(maxBytes: number): RenderingCache {
  let young = new Map<string, Texts>();
  let old = new Map<string, Texts>();
  let youngBytes = 0;
  let oldBytes = 0;
  let hits = 0;
  let misses = 0;
  /** The keys as they were first met: texts that are the same are compared sooner if they are the same object. */
  let keys = new Map<string, string>();

  function first(key: string): string {
    const known = keys.get(key);
    if (known !== undefined) return known;
    if (keys.size >= WAYS) keys = new Map();
    keys.set(key, key);
    return key;
  }

  function keep(key: string, version: number, text: string): void {
    // Every character counts as one byte, as V8 keeps Latin text; other text takes two.
    const bytes = text.length + ENTRY_BYTES;
    if (youngBytes + bytes > maxBytes / 2) {
      old = young;
      oldBytes = youngBytes;
      young = new Map();
      youngBytes = 0;
    }
    youngBytes += bytes;
    let texts = young.get(key);
    if (texts === undefined) {
      texts = new Map();
      young.set(key, texts);
    }
    texts.set(version, text);
  }

  function textOf(rendering: Rendering, key: string, stored: StoredEntity): string {
    if (stored.renderedAs === key) {
      hits += 1;
      return stored.rendered as string;
    }
    const text = fromMaps(rendering, stored);
    stored.renderedAs = key;
    stored.rendered = text;
    return text;
  }

  function fromMaps(rendering: Rendering, stored: StoredEntity): string {
    const { version } = stored;
    const known = young.get(rendering.key)?.get(version);
    if (known !== undefined) {
      hits += 1;
      return known;
    }
    let text = old.get(rendering.key)?.get(version);
    if (text === undefined) {
      misses += 1;
      text = rendering.write(stored.entity);
    } else {
      hits += 1;
    }
    keep(rendering.key, version, text);
    return text;
  }

  return {
    text: (rendering, stored) => textOf(rendering, first(rendering.key), stored),
    texts(rendering, page) {
      const key = first(rendering.key);
      return page.map((stored) => textOf(rendering, key, stored));
    },
    statistics() {
      let texts = 0;
      for (const generation of [young, old]) for (const some of generation.values()) texts += some.size;
      return { bytes: youngBytes + oldBytes, texts, hits, misses };
    },
  };
}
