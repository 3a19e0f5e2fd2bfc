import { createHash } from 'node:crypto';
import type { JsonValue } from '../../domain/json.ts';
import { type Context, type ContextTerms, contextTable } from '../../domain/jsonld/context.ts';
import { flattenContext, isCoreContext } from './flatten.ts';
import { termsOf, unprotected } from './terms.ts';

/** Turns a @context into a table. */
export interface ContextResolver {
  /**
   * The table of what a request named as @context; undefined: the core context. Known contexts are answered at once, others when their
   * documents are there. A known one that was checked long ago is answered as it is and looked at again in the background.
   * @throws DomainError BadRequestData (not valid), LdContextNotAvailable
   */
  resolve(source: JsonValue | undefined): Context | Promise<Context>;
  /** The core context. */
  readonly core: Context;
  /** Forgets all tables: a document they were made from is not what it was. */
  forget(): void;
}

export interface ContextResolverOptions {
  /** The document behind a URL. */
  readonly load: (url: string) => Promise<JsonValue>;
  /** What was found in a document in advance. */
  readonly prepared?: (url: string) => Promise<ContextTerms | undefined>;
  /** The core context that answers name; its terms apply whatever core a client names. */
  readonly coreUrl: string;
  /** After this time a context is looked at again, in case that its documents changed. */
  readonly recheckMs?: number;
  /** At most this many tables are kept. */
  readonly tables?: number;
  /** Where an answer may point to for a context that has no URL of its own; asked when an answer first needs it. */
  readonly linkFor?: (key: string, source: JsonValue) => string | undefined;
}

interface Known {
  readonly context: Context;
  checkedAt: number;
}

/** Loads the core context and answers with a resolver. @throws if the core context cannot be loaded: then nothing works */
export async function contextResolver(options: ContextResolverOptions): Promise<ContextResolver> {
  const { load, prepared, coreUrl, recheckMs = 60_000, tables = 500, linkFor = () => undefined } = options;
  const coreTerms = (await prepared?.(coreUrl)) ?? (await termsOf([unprotected(await load(coreUrl))], load));
  const core = contextTable({ key: keyOf([coreUrl]), source: coreUrl, link: coreUrl, ...coreTerms });
  const known = new Map<string, Known>();
  const underWay = new Map<string, Promise<Context>>();

  async function make(source: JsonValue): Promise<Context> {
    const { parts, namesCore } = await flattenContext(source, load);
    if (parts.length === 0) return namedCore(source);
    const key = keyOf([coreUrl, source, parts as readonly JsonValue[]]);
    // The core goes first so that its prefixes can be used, and last because its terms win.
    const own = await termsOf([unprotected(await load(coreUrl)), ...parts], load);
    const terms = new Map([...own.terms, ...coreTerms.terms]);
    const whole = namesCore ? source : withCore(source, coreUrl);
    const link = linkOf(source);
    const table = contextTable({ key, source: whole, link, terms, vocabulary: coreTerms.vocabulary });
    if (link !== undefined) return table;
    return {
      ...table,
      get link() {
        return linkFor(key, whole);
      },
    };
  }

  /** The core under another name: answers repeat the name that the client knows. */
  function namedCore(source: JsonValue): Context {
    const link = linkOf(source) ?? coreUrl;
    return link === coreUrl && source === coreUrl ? core : contextTable({ key: keyOf([source]), source, link, ...coreTerms });
  }

  function resolveAnew(cacheKey: string, source: JsonValue): Promise<Context> {
    const waiting = underWay.get(cacheKey);
    if (waiting !== undefined) return waiting;
    const made = make(source)
      .then((fresh) => {
        // An unchanged context stays the same object: whatever hangs on it (expanded names, rendered entities) stays valid.
        const before = known.get(cacheKey)?.context;
        const context = before?.key === fresh.key ? before : fresh;
        known.delete(cacheKey);
        known.set(cacheKey, { context, checkedAt: Date.now() });
        const [oldest] = known.keys();
        if (known.size > tables && oldest !== undefined) known.delete(oldest);
        return context;
      })
      .finally(() => underWay.delete(cacheKey));
    underWay.set(cacheKey, made);
    return made;
  }

  return {
    core,
    forget: () => known.clear(),
    resolve(source) {
      if (source === undefined || source === coreUrl) return core;
      const cacheKey = typeof source === 'string' ? source : JSON.stringify(source);
      const found = known.get(cacheKey);
      if (found === undefined) return resolveAnew(cacheKey, source);
      if (Date.now() - found.checkedAt > recheckMs && !underWay.has(cacheKey)) {
        found.checkedAt = Date.now();
        resolveAnew(cacheKey, source).catch(() => {});
      }
      return found.context;
    },
  };
}

/** What a Link header can name: the one URL of the source, apart from the core. */
function linkOf(source: JsonValue): string | undefined {
  if (typeof source === 'string') return source;
  if (!Array.isArray(source)) return undefined;
  const others = source.filter((item) => !isCoreContext(item));
  if (others.length === 0) return source.find((item) => typeof item === 'string');
  return others.length === 1 && typeof others[0] === 'string' ? others[0] : undefined;
}

/** The source as an answer names it: what the client named, and the core (5.2.3). */
function withCore(source: JsonValue, coreUrl: string): JsonValue {
  const items: readonly JsonValue[] = Array.isArray(source) ? source : [source];
  return [...items, coreUrl];
}

function keyOf(content: JsonValue): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('base64url').slice(0, 22);
}
