import type { FastifyReply } from 'fastify';
import type { EntityPage } from '../../operations/query.ts';

/** Longer keys are not worth the memory. */
const REMEMBERED_KEY_LENGTH = 2_000;

/**
 * What was made for a key, as long as there is room. Two generations: when the young one is full the old one is dropped, so that what is used
 * stays, and to make room costs nothing (the first key of a Map that others were deleted from is far to find). What throws is not remembered.
 */
export function remember<T>(limit: number): (key: string, make: () => T) => T {
  let young = new Map<string, T>();
  let old = new Map<string, T>();
  return (key, make) => {
    const found = young.get(key);
    if (found !== undefined) return found;
    const made = old.get(key) ?? make();
    if (key.length > REMEMBERED_KEY_LENGTH) return made;
    if (young.size >= limit / 2) {
      old = young;
      young = new Map();
    }
    young.set(key, made);
    return made;
  };
}

export interface SentPage {
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

/**
 * Pages as they went out, by the store's answer: the same answer object for the same request means that nothing has changed since.
 * Only what is asked for again is kept, and all is forgotten at once when it becomes too much.
 */
export function sentPages(maxBytes: number): {
  get(page: EntityPage): SentPage | undefined;
  /** True if the page was sent before: then it is worth being kept. */
  sentBefore(page: EntityPage): boolean;
  keep(page: EntityPage, body: Buffer, reply: FastifyReply): void;
} {
  let sent = new WeakMap<EntityPage, SentPage>();
  const once = new WeakSet<EntityPage>();
  let bytes = 0;
  return {
    get: (page) => sent.get(page),
    sentBefore(page) {
      if (once.has(page)) return true;
      once.add(page);
      return false;
    },
    keep(page, body, reply) {
      bytes += body.length;
      if (bytes > maxBytes) {
        sent = new WeakMap();
        bytes = body.length;
      }
      const headers: Record<string, string> = {};
      for (const name of ['content-type', 'link', 'ngsild-results-count']) {
        const value = reply.getHeader(name);
        if (value !== undefined) headers[name] = String(value);
      }
      sent.set(page, { headers, body });
    },
  };
}
