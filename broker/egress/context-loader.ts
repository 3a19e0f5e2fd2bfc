import type { Agent } from 'undici';
import { BUNDLED, bundledContext, preparedTerms } from '../../contexts/index.ts';
import { badRequest, DomainError } from '../domain/errors.ts';
import { DEFAULT_TENANT } from '../domain/iri.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { Term } from '../domain/jsonld/context.ts';
import type { ContextLoader } from '../ports/context-loader.ts';
import type { DocumentStore } from '../ports/document-store.ts';
import type { EgressGuard } from './guard.ts';

export interface ContextLoaderOptions {
  readonly guard: EgressGuard;
  /** Where fetched contexts survive a restart. */
  readonly documents: DocumentStore;
  /** For the whole fetch, redirects included. */
  readonly timeoutMs: number;
  readonly limitBytes: number;
  /** The time, in milliseconds since 1970. */
  readonly now?: () => number;
}

const MAX_REDIRECTS = 5;
/** How long a context is good if its server does not say (6.3.16 asks for a heuristic). */
const HEURISTIC_MS = 60 * 60 * 1000;
/** For so long a failed fetch is answered with the same failure: a dead server is not asked for every request. */
const FAILURE_MS = 10_000;

interface Fetched {
  readonly document: JsonValue;
  readonly fetchedAtMs: number;
  readonly goodUntilMs: number;
}

/**
 * Contexts by URL: bundled copies first, then what was fetched before, then the network. A fetched context that is no longer fresh is still
 * answered, and fetched again in the background: a slow or dead server delays nobody who knew its context (6.3.16).
 */
export function contextLoader(options: ContextLoaderOptions): ContextLoader & { close(): Promise<void> } {
  const { guard, documents, timeoutMs, limitBytes, now = Date.now } = options;
  const startedMs = now();
  const memory = new Map<string, Fetched>();
  const failures = new Map<string, { readonly error: DomainError; readonly untilMs: number }>();
  const underWay = new Map<string, Promise<Fetched>>();
  // Loaded with the first fetch: what is bundled needs no network.
  let loading: Promise<Agent> | undefined;
  const loaded = () => {
    loading ??= import('undici').then(
      ({ Agent }) =>
        new Agent({
          connections: 4,
          keepAliveTimeout: 5000,
          connect: {
            timeout: timeoutMs,
            lookup: guard.lookup,
          },
        }),
    );
    return loading;
  };

  async function fetchDocument(url: string, signal: AbortSignal): Promise<Fetched> {
    let target = new URL(url);
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      if (target.protocol !== 'http:' && target.protocol !== 'https:') throw new Error(`${target.protocol} is not fetched`);
      guard.checkAddress(target);
      const agent = await loaded();
      const response = await agent.request({
        origin: target.origin,
        path: `${target.pathname}${target.search}`,
        method: 'GET',
        headers: { accept: 'application/ld+json, application/json;q=0.9', 'user-agent': 'mizar' },
        signal,
      });
      const { statusCode, headers, body } = response;
      if (statusCode >= 300 && statusCode < 400 && headers['location'] !== undefined) {
        await body.dump();
        target = new URL(String(headers['location']), target);
        continue;
      }
      if (statusCode !== 200) {
        await body.dump();
        throw new Error(`its server answered ${statusCode}`);
      }
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of body as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > limitBytes) throw new Error(`it is larger than ${limitBytes} bytes`);
        chunks.push(chunk);
      }
      const document = parsed(Buffer.concat(chunks).toString('utf8'), url);
      const fetchedAtMs = now();
      return { document, fetchedAtMs, goodUntilMs: fetchedAtMs + freshForMs(headers, fetchedAtMs) };
    }
    throw new Error(`it is redirected more than ${MAX_REDIRECTS} times`);
  }

  /** Fetches once, however many ask, and remembers the result: good ones on disk, failures for a moment. */
  function refresh(url: string): Promise<Fetched> {
    const waiting = underWay.get(url);
    if (waiting !== undefined) return waiting;
    const fetching = fetchDocument(url, AbortSignal.timeout(timeoutMs))
      .then(async (fetched) => {
        failures.delete(url);
        memory.set(url, fetched);
        await documents.put('context-cache', DEFAULT_TENANT, url, { ...fetched });
        return fetched;
      })
      .catch((cause: unknown) => {
        const reason =
          (cause as Error).name === 'TimeoutError' ? `there was no answer within ${timeoutMs} ms` : (cause as Error).message;
        const error =
          cause instanceof DomainError
            ? cause
            : new DomainError('LdContextNotAvailable', `The @context ${url} cannot be retrieved: ${reason}`);
        if (failures.size > 1000) failures.clear();
        failures.set(url, { error, untilMs: now() + FAILURE_MS });
        throw error;
      })
      .finally(() => underWay.delete(url));
    underWay.set(url, fetching);
    return fetching;
  }

  async function cached(url: string): Promise<Fetched | undefined> {
    const remembered = memory.get(url);
    if (remembered !== undefined) return remembered;
    const stored = (await documents.get('context-cache', DEFAULT_TENANT, url))?.body;
    if (stored === undefined) return undefined;
    const fetched = fetchedFrom(stored);
    memory.set(url, fetched);
    return fetched;
  }

  return {
    async load(url) {
      const bundled = memory.get(url) ?? (await bundledContext(url));
      if (typeof bundled === 'string') {
        const document = JSON.parse(bundled) as JsonObject;
        memory.set(url, { document, fetchedAtMs: now(), goodUntilMs: Number.POSITIVE_INFINITY });
        return document;
      }
      const known = await cached(url);
      const failure = failures.get(url);
      const failedLately = failure !== undefined && failure.untilMs > now();
      if (known !== undefined) {
        if (known.goodUntilMs <= now() && !failedLately) refresh(url).catch(() => {});
        return known.document;
      }
      if (failedLately) throw failure.error;
      return (await refresh(url)).document;
    },
    async prepared(url) {
      const found = await preparedTerms(url);
      if (found === undefined) return undefined;
      const terms = new Map<string, Term>();
      for (const [term, [iri, how]] of Object.entries(found.terms)) {
        terms.set(term, { iri, prefix: how.includes('p'), coerced: how.includes('c') });
      }
      return { terms, vocabulary: found.vocabulary };
    },
    async reload(url) {
      const bundled = await bundledContext(url);
      if (bundled !== undefined) return JSON.parse(bundled) as JsonObject;
      failures.delete(url);
      return (await refresh(url)).document;
    },
    async cached() {
      const found = new Map<string, { readonly fetchedAtMs: number; readonly goodUntilMs: number }>(memory);
      for (const url of Object.keys(BUNDLED)) found.set(url, { fetchedAtMs: startedMs, goodUntilMs: Number.POSITIVE_INFINITY });
      for (const { id, body } of await documents.list('context-cache', DEFAULT_TENANT)) found.set(id, fetchedFrom(body));
      return [...found]
        .map(([url, { fetchedAtMs, goodUntilMs }]) => ({ url, fetchedAtMs, goodUntilMs }))
        .sort((a, b) => (a.url < b.url ? -1 : 1));
    },
    recall() {
      memory.clear();
      failures.clear();
    },
    async forget(url) {
      memory.delete(url);
      failures.delete(url);
      await documents.delete('context-cache', DEFAULT_TENANT, url);
    },
    close: async () => (await loading)?.destroy(),
  };
}

/** 5.5.4: what can be retrieved, but is no JSON, is wrong data rather than not available. */
function parsed(text: string, url: string): JsonValue {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    throw badRequest(`What ${url} answers is no JSON, and so no @context`);
  }
}

const fetchedFrom = (stored: JsonObject): Fetched => ({
  document: stored['document'] as JsonValue,
  fetchedAtMs: Number(stored['fetchedAtMs'] ?? 0),
  goodUntilMs: Number(stored['goodUntilMs']),
});

/** How long an answer stays fresh: max-age (s-maxage first, because many are served from here), Expires, or the heuristic. */
function freshForMs(headers: Record<string, string | string[] | undefined>, nowMs: number): number {
  const control = String(headers['cache-control'] ?? '');
  if (/\bno-(?:store|cache)\b/i.test(control)) return 0;
  const age = /\bs-maxage=(\d+)/i.exec(control) ?? /\bmax-age=(\d+)/i.exec(control);
  if (age?.[1] !== undefined) return Number(age[1]) * 1000;
  const expires = Date.parse(String(headers['expires'] ?? ''));
  return Number.isNaN(expires) ? HEURISTIC_MS : Math.max(0, expires - nowMs);
}
