import type { LookupFunction } from 'node:net';
import type { Agent } from 'undici';
import { type JsonValue, parseExact } from '../broker/domain/json.ts';
import type { Registration } from '../broker/domain/registration.ts';
import { type Instant, parseInstant, toMicros } from '../broker/domain/time.ts';
import type { ContextSource, SourceReply, SourceRequest } from '../broker/ports/context-source.ts';

export interface HttpSourceOptions {
  /** What may leave (broker/egress/guard.ts). */
  readonly guard: { checkAddress(target: URL): void; readonly lookup: LookupFunction };
  /** Larger replies are not read to their end, and not used. */
  readonly replyLimitBytes: number;
  /** Connections kept open to one source. */
  readonly connections: number;
}

/** Headers that belong to the connection or to this broker: contextSourceInfo cannot set them (4.3.6.5). */
const OURS = new Set([
  'ngsild-tenant', 'via', 'content-length', 'content-type', 'transfer-encoding', 'connection', 'keep-alive', 'host', 'upgrade', 'te', 'trailer', 'expect',
  'accept', 'accept-encoding', 'link', 'contenttype', 'jsonldcontext', 'ngsildconformance',
  'ngsild-entitymap',
]); // biome-ignore format: a list to be read as one
const CONTEXT_RELATION = 'http://www.w3.org/ns/json-ld#context';
const BASE = '/ngsi-ld/v1/';

/** Other brokers over HTTP (clause 6). Redirects are not followed: they could lead past the egress guard. */
export function httpSource({ guard, replyLimitBytes, connections }: HttpSourceOptions): ContextSource {
  // Loaded with the first question: a broker that asks nobody starts faster.
  let loading: Promise<Agent> | undefined;
  const loaded = () => {
    loading ??= import('undici').then(
      ({ Agent }) => new Agent({ connections, pipelining: 1, keepAliveTimeout: 10_000, connect: { lookup: guard.lookup } }),
    );
    return loading;
  };
  return {
    async ask(registration, request) {
      try {
        const endpoint = new URL(registration.endpoint);
        guard.checkAddress(endpoint);
        const agent = await loaded();
        const response = await agent.request({
          origin: endpoint.origin,
          path: pathOf(endpoint, request),
          method: request.method as 'GET',
          headers: headersOf(registration, request),
          body: request.body === undefined ? null : JSON.stringify(request.body),
          // One limit for all of it: a source that sends a byte now and then is as bad as one that sends none.
          signal: AbortSignal.timeout(request.timeoutMs),
        });
        const { statusCode: status, headers, body } = response;
        const warnings = [headers['ngsild-warning'] ?? []].flat();
        const chunks: Buffer[] = [];
        let size = 0;
        for await (const chunk of body as AsyncIterable<Buffer>) {
          size += chunk.length;
          if (size > replyLimitBytes) {
            return { kind: 'answered', status, warnings, invalid: `the reply is larger than ${replyLimitBytes} bytes` };
          }
          chunks.push(chunk);
        }
        const next = nextOf(headers['link'], endpoint);
        const range = status === 206 ? rangeOf(headers['content-range']) : undefined;
        return {
          kind: 'answered',
          status,
          warnings,
          bytes: size,
          ...(headers['location'] === undefined ? {} : { location: String(headers['location']) }),
          ...read(Buffer.concat(chunks)),
          ...(next ? { next } : {}),
          ...(range ? { range } : {}),
        };
      } catch (error) {
        return failure(error, request.timeoutMs);
      }
    },
    close: async () => (await loading)?.destroy(),
  };
}

function pathOf(endpoint: URL, { path, query }: SourceRequest): string {
  const base = endpoint.pathname.replace(/\/$/, '').replace(/\/ngsi-ld\/v1$/, '');
  const pairs = query.map(
    ([name, value]) => `${name}=${encodeURIComponent(value).replace(/%(?:3A|2C|2F|3B)/g, decodeURIComponent)}`,
  );
  return `${base}${BASE}${path}${pairs.length > 0 ? `?${pairs.join('&')}` : ''}`;
}

function headersOf(registration: Registration, request: SourceRequest): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.info)) if (!OURS.has(name.toLowerCase())) headers[name] = value;
  const accept = request.info['accept'];
  headers['Accept'] = accept ?? 'application/json';
  headers['Via'] = request.via.map((alias) => (/^\S+\s/.test(alias) ? alias : `1.1 ${alias}`)).join(', ');
  if (request.entityMap !== undefined)
    headers['NGSILD-EntityMap'] = `${BASE}entityMaps/${encodeURIComponent(request.entityMap)}`;
  if (registration.tenant !== undefined) headers['NGSILD-Tenant'] = registration.tenant;
  const inside =
    request.info['contentType'] === 'application/ld+json' ||
    (request.body !== undefined && request.contextUrl === undefined && hasContext(request.body));
  if (request.body !== undefined) headers['Content-Type'] = inside ? 'application/ld+json' : 'application/json';
  if (request.contextUrl !== undefined && !(inside && request.body !== undefined))
    headers['Link'] = `<${request.contextUrl}>; rel="${CONTEXT_RELATION}"; type="application/ld+json"`;
  return headers;
}

function hasContext(body: JsonValue): boolean {
  const one = Array.isArray(body) ? body[0] : body;
  return typeof one === 'object' && one !== null && '@context' in one;
}

function read(bytes: Buffer): { body?: JsonValue; invalid?: string } {
  if (bytes.length === 0) return {};
  try {
    const text = bytes.toString('utf8');
    // Only where there may be an integer that a number cannot hold is it worth looking closely.
    return { body: (/\d{16}/.test(text) ? parseExact(text) : JSON.parse(text)) as JsonValue };
  } catch {
    return { invalid: 'the reply is not JSON' };
  }
}

/** The next page (6.3.10), if it is at the same source. */
function nextOf(
  header: string | string[] | undefined,
  endpoint: URL,
): { path: string; query: (readonly [string, string])[] } | undefined {
  for (const [, target, parameters] of [header ?? []]
    .flat()
    .join(', ')
    .matchAll(/<([^>]*)>((?:[^,"<]|"[^"]*")*)/g)) {
    if (!/;\s*rel\s*=\s*"?next"?/i.test(parameters ?? '') || target === undefined || !URL.canParse(target, endpoint)) continue;
    const url = new URL(target, endpoint);
    const at = url.pathname.indexOf(BASE);
    if (url.origin !== endpoint.origin || at < 0) continue;
    return { path: url.pathname.slice(at + BASE.length), query: [...url.searchParams] };
  }
  return undefined;
}

/** "DateTime 2026-01-01T00:00:00Z-2026-01-02T00:00:00Z/*": backwards the later moment is first (6.3.10). */
function rangeOf(header: string | string[] | undefined): { from: Instant; to: Instant } | undefined {
  const [, start, end] = /^\S+\s+(\S+?Z)-(\S+?Z)\//.exec(String(header)) ?? [];
  const [one, other] = [parseInstant(start), parseInstant(end)];
  if (one === undefined || other === undefined) return undefined;
  return toMicros(one) <= toMicros(other) ? { from: one, to: other } : { from: other, to: one };
}

function failure(error: unknown, timeoutMs: number): SourceReply {
  const { name, message, code } = error as Error & { code?: string };
  if (name === 'TimeoutError' || name === 'AbortError' || /TIMEOUT/.test(code ?? ''))
    return { kind: 'timeout', reason: `there was no answer within ${timeoutMs} ms` };
  return { kind: 'unreachable', reason: message || code || 'the connection failed' };
}
