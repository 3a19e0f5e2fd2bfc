import type { JsonValue } from '../domain/json.ts';

/** A JSON-LD document behind a URL: bundled, cached on disk, or fetched within limits of time and size. */
export interface ContextLoader {
  /** @throws DomainError LdContextNotAvailable (a gateway-timeout class error, 5.5.2) naming the URL and the reason */
  load(url: string): Promise<JsonValue>;
}
