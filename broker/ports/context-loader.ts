import type { JsonValue } from '../domain/json.ts';
import type { ContextTerms } from '../domain/jsonld/context.ts';

/** A document that was fetched and is kept. */
export interface CachedContext {
  readonly url: string;
  /** Milliseconds since 1970. */
  readonly fetchedAtMs: number;
  /** Until when its server lets it be used; Infinity: for good, because it ships with the broker. */
  readonly goodUntilMs: number;
}

/** A JSON-LD document behind a URL: bundled, cached on disk, or fetched within limits of time and size. */
export interface ContextLoader {
  /** @throws DomainError LdContextNotAvailable (a gateway-timeout class error, 5.5.2) naming the URL and the reason */
  load(url: string): Promise<JsonValue>;
  /** What the document defines by itself, if that was found in advance: of the core contexts that ship with the broker. */
  prepared(url: string): Promise<ContextTerms | undefined>;
  /** Fetches it again now, unless it is bundled; if that fails, what was cached stays. @throws DomainError LdContextNotAvailable */
  reload(url: string): Promise<JsonValue>;
  /** What is cached, the bundled ones included, ascending by URL. */
  cached(): Promise<readonly CachedContext[]>;
  /** Forgets what is in memory: what was stored is asked of the store again. */
  recall(): void;
  /** Drops it from the cache. A bundled one stays. */
  forget(url: string): Promise<void>;
}
