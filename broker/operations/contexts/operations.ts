import { type AccessFunction, type Caller, demand } from '../../domain/access.ts';
import { badRequest, DomainError, invalidRequest, notFound } from '../../domain/errors.ts';
import { DEFAULT_TENANT, type TenantId } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import { fromMicros, type Instant } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ContextLoader } from '../../ports/context-loader.ts';
import type { DocumentStore, StoredDocument } from '../../ports/document-store.ts';
import { type ContextResolver, contextResolver } from './resolve.ts';

export const CONTEXT_KINDS = ['Hosted', 'Cached', 'ImplicitlyCreated'] as const;
export type ContextKind = (typeof CONTEXT_KINDS)[number];

/** What is known about a stored @context (5.13.3.5). */
export interface ContextMetadata {
  readonly URL: string;
  readonly localId: string;
  readonly kind: ContextKind;
  readonly createdAt: Instant;
  readonly expiresAt?: Instant;
}

/**
 * Storing, managing and serving @contexts (5.13). Hosted ones belong to their tenant (5.5.10); requests can use them whoever knows their URL.
 * Implicitly created ones belong to all, because whoever is sent a link to one must be able to get it. Where an id is asked for, the URL of a
 * cached context does as well.
 */
export interface ContextOperations extends ContextResolver {
  /** 5.13.2. @returns the local id. @throws DomainError InvalidRequest if it has no @context, BadRequestData if that is not valid, LdContextNotAvailable if it names one that is not there */
  addContext(caller: Caller, body: JsonValue): Promise<string>;
  /** 5.13.3. */
  listContexts(caller: Caller, kind: ContextKind | undefined): Promise<readonly ContextMetadata[]>;
  /** 5.13.4. @throws DomainError ResourceNotFound, OperationNotSupported for a cached one */
  serveContext(caller: Caller, id: string): Promise<JsonObject>;
  /** 5.13.4, details. @throws DomainError ResourceNotFound */
  describeContext(caller: Caller, id: string): Promise<ContextMetadata>;
  /** 5.13.5. @throws DomainError ResourceNotFound, LdContextNotAvailable (then the old one stays), BadRequestData to reload what is not cached, or delete what ships with the broker */
  deleteContext(caller: Caller, id: string, reload: boolean): Promise<void>;
}

const PATH = '/ngsi-ld/v1/jsonldContexts/';

export async function contextOperations(dependencies: {
  readonly loader: ContextLoader;
  readonly documents: DocumentStore;
  readonly clock: Clock;
  readonly access: AccessFunction;
  /** The core context that answers name. */
  readonly coreUrl: string;
  /** Under which others reach this broker, without a slash at the end. */
  readonly baseUrl: string;
  /** A new local id: an IRI. */
  readonly newId: () => string;
}): Promise<ContextOperations> {
  const { loader, documents, clock, access, coreUrl, baseUrl, newId } = dependencies;
  const linked = new Map<string, string>();
  /** Made by {@link linkFor}, and not on disk yet. */
  const onTheirWay = new Map<string, JsonObject>();
  const urlOf = (id: string) => `${baseUrl}${PATH}${encodeURIComponent(id).replaceAll('%3A', ':')}`;

  /** A document of ours by the URL under which we serve it, whatever host name the client knows us by; others from the network. */
  async function load(url: string): Promise<JsonValue> {
    const at = url.indexOf(PATH);
    if (at >= 0) {
      const id = decodeId(url.slice(at + PATH.length));
      const found =
        (await ours(DEFAULT_TENANT, id)) ?? (await documents.list('context', undefined)).find((one) => one.id === id)?.body;
      if (found !== undefined) return { '@context': found['context'] as JsonValue };
      if (at === 0 || url.startsWith(baseUrl + PATH)) {
        throw new DomainError('LdContextNotAvailable', `The @context ${url} is not stored here (any more)`);
      }
    }
    return loader.load(url);
  }

  /** Gives an inline context a URL, when an answer must link to it: it becomes one of kind ImplicitlyCreated (5.13.1). */
  function linkFor(key: string, source: JsonValue): string {
    const known = linked.get(key);
    if (known !== undefined) return known;
    const id = `urn:ngsi-ld:Context:${key}`;
    const url = urlOf(id);
    linked.set(key, url);
    const body = { kind: 'ImplicitlyCreated', createdAt: clock.now(), context: source };
    onTheirWay.set(id, body);
    // The answer that names it need not wait; if storing fails, the next answer tries again.
    documents
      .put('context', DEFAULT_TENANT, id, body, 0)
      .catch(() => linked.delete(key))
      .finally(() => onTheirWay.delete(id));
    return url;
  }

  async function ours(tenant: TenantId, id: string): Promise<JsonObject | undefined> {
    const own = onTheirWay.get(id) ?? (await documents.get('context', tenant, id))?.body;
    if (own !== undefined || tenant === DEFAULT_TENANT) return own;
    const common = (await documents.get('context', DEFAULT_TENANT, id))?.body;
    return common?.['kind'] === 'ImplicitlyCreated' ? common : undefined;
  }

  const resolver = await contextResolver({ load, prepared: loader.prepared, coreUrl, linkFor });

  const stored = ({ id, body }: Pick<StoredDocument, 'id' | 'body'>): ContextMetadata => ({
    URL: urlOf(id),
    localId: id,
    kind: body['kind'] as ContextKind,
    createdAt: body['createdAt'] as Instant,
  });

  async function listed(tenant: TenantId): Promise<readonly StoredDocument[]> {
    const common = await documents.list('context', DEFAULT_TENANT);
    if (tenant === DEFAULT_TENANT) return common;
    return [...(await documents.list('context', tenant)), ...common.filter(({ body }) => body['kind'] === 'ImplicitlyCreated')];
  }

  async function cached(): Promise<readonly ContextMetadata[]> {
    return (await loader.cached()).map(({ url, fetchedAtMs, goodUntilMs }) => ({
      URL: url,
      localId: url,
      kind: 'Cached' as const,
      createdAt: fromMicros(fetchedAtMs * 1000),
      ...(Number.isFinite(goodUntilMs) && { expiresAt: fromMicros(goodUntilMs * 1000) }),
    }));
  }

  async function describe(tenant: TenantId, id: string): Promise<ContextMetadata> {
    const body = await ours(tenant, id);
    if (body !== undefined) return stored({ id, body });
    const fetched = (await cached()).find(({ URL }) => URL === id);
    if (fetched === undefined) throw notFound(`There is no stored @context ${id}`);
    return fetched;
  }

  return {
    ...resolver,

    forget() {
      linked.clear();
      resolver.forget();
    },

    async addContext(caller, body) {
      demand(access, caller, { operation: 'addContext', effect: 'write' });
      const context = isObject(body) ? body['@context'] : undefined;
      if (context === undefined) throw invalidRequest('The body must be a JSON object with a member @context');
      await resolver.resolve(context);
      const id = newId();
      await documents.put('context', caller.tenant, id, { kind: 'Hosted', createdAt: clock.now(), context });
      return id;
    },

    async listContexts(caller, kind) {
      demand(access, caller, { operation: 'listContexts', effect: 'read' });
      const own = kind === 'Cached' ? [] : (await listed(caller.tenant)).map(stored);
      const fetched = kind === undefined || kind === 'Cached' ? await cached() : [];
      return [...own.filter((one) => kind === undefined || one.kind === kind), ...fetched];
    },

    async serveContext(caller, id) {
      demand(access, caller, { operation: 'serveContext', effect: 'read' });
      const { kind } = await describe(caller.tenant, id);
      if (kind === 'Cached')
        throw new DomainError('OperationNotSupported', `${id} is cached, and served by its own server only (5.13.4)`);
      return { '@context': (await ours(caller.tenant, id))?.['context'] as JsonValue };
    },

    describeContext(caller, id) {
      demand(access, caller, { operation: 'serveContext', effect: 'read' });
      return describe(caller.tenant, id);
    },

    async deleteContext(caller, id, reload) {
      demand(access, caller, { operation: 'deleteContext', effect: 'write' });
      const { kind, expiresAt } = await describe(caller.tenant, id);
      if (reload) {
        if (kind !== 'Cached') throw badRequest(`${id} is ${kind}: only cached contexts can be reloaded (5.13.5)`);
        const document = await loader.reload(id).catch((error: unknown) => {
          throw error instanceof DomainError ? new DomainError('LdContextNotAvailable', error.message) : error;
        });
        if (!isObject(document) || document['@context'] === undefined) {
          throw new DomainError('LdContextNotAvailable', `What ${id} answers is no JSON-LD @context`);
        }
      } else if (kind === 'Cached') {
        if (expiresAt === undefined) throw badRequest(`${id} ships with the broker, and cannot be deleted`);
        await loader.forget(id);
      } else {
        await documents.delete('context', kind === 'ImplicitlyCreated' ? DEFAULT_TENANT : caller.tenant, id);
      }
      linked.clear();
      resolver.forget();
    },
  };
}

function decodeId(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
