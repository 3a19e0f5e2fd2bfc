import type { Caller } from '../../domain/access.ts';
import { type Iri, isIri, type TenantId } from '../../domain/iri.ts';
import { isObject, type JsonObject } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import type { RegistrationDocument } from '../../domain/registration-document.ts';
import type { Instant } from '../../domain/time.ts';
import type { SourceReply } from '../../ports/context-source.ts';
import type { Question, Sources } from '../distributed/sources.ts';
import type { RegistrationInForce, RegistrationsInForce } from '../registry/registrations-in-force.ts';
import type { CopyRecord } from './records.ts';

/** What a source said to a request about a copy. */
export type CopyReply =
  | { readonly kind: 'done'; readonly remoteId?: Iri }
  /** There is no such subscription (any more). */
  | { readonly kind: 'absent' }
  /** A subscription with that id is there already: an earlier request arrived, and its answer did not. */
  | { readonly kind: 'exists' }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'down'; readonly reason: string };

/** Asks sources to create, change, delete and show copies of subscriptions (5.8.1.4, 5.8.2.4, 5.8.5.4, 5.8.3). */
export interface CopyRequests {
  create(record: CopyRecord, context: Context, ask: Asked, body: JsonObject): Promise<CopyReply>;
  update(record: CopyRecord, context: Context, ask: Asked, fragment: JsonObject): Promise<CopyReply>;
  remove(record: CopyRecord, context: Context, ask: Asked): Promise<CopyReply>;
  /** Whether it is still there. */
  look(record: CopyRecord, context: Context, ask: Asked): Promise<CopyReply>;
}

/** What goes along with a request that the subscription caused. */
export interface Asked {
  /** The brokers that the subscription came through (4.3.6.4). */
  readonly via: readonly string[];
  /** Values of the request that made the subscription, for contextSourceInfo that asks for them (4.3.6.5). */
  readonly headers: Readonly<Record<string, string>>;
}

export function copyRequests({
  sources,
  registrations,
}: {
  readonly sources: Sources;
  readonly registrations: RegistrationsInForce;
}): CopyRequests {
  async function ask(
    record: CopyRecord,
    context: Context,
    { via, headers }: Asked,
    method: string,
    body?: JsonObject,
  ): Promise<CopyReply> {
    const { tenant, source } = record;
    const path =
      method === 'POST'
        ? 'subscriptions'
        : `subscriptions/${encodeURIComponent(record.remoteId ?? record.id).replaceAll('%3A', ':')}`;
    const known = registrations.get(tenant, record.registration);
    const entry = known?.registration.endpoint === source.endpoint ? known : ended(tenant, source);
    const question: Question = { method, path, query: [], names: 'settled', ...(body ? { body } : {}) };
    const caller: Caller = {
      tenant,
      principal: { kind: 'system' },
      onward: { context, via, headers, method, path, query: {} },
    };
    // That it concerns only what the source has itself is said in the copy: the parameter `local` is for entities (6.3.18).
    const asked = { ...entry, registration: { ...source, localOnly: false } };
    const reply = await sources.ask(caller, asked, question);
    return judged(reply, method);
  }

  return {
    create: (record, context, asked, body) =>
      ask(record, context, asked, 'POST', { id: record.id, type: 'Subscription', ...body }),
    update: (record, context, asked, fragment) => ask(record, context, asked, 'PATCH', { type: 'Subscription', ...fragment }),
    remove: (record, context, asked) => ask(record, context, asked, 'DELETE'),
    look: (record, context, asked) => ask(record, context, asked, 'GET'),
  };
}

/** A source whose registration is gone or points elsewhere by now. */
function ended(tenant: TenantId, source: CopyRecord['source']): RegistrationInForce {
  const at = '1970-01-01T00:00:00Z' as Instant;
  const document: RegistrationDocument = {
    id: source.id,
    members: {},
    context: [],
    registration: source,
    createdAt: at,
    modifiedAt: at,
  };
  return {
    id: source.id,
    tenant,
    document,
    registration: source,
    state: { timesSent: 0, timesFailed: 0 },
    // There is nothing to write it to.
    unsaved: { mark: () => {} },
  };
}

/** Answers that say "not now" rather than "not this". */
const NOT_NOW: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);

function judged(reply: SourceReply, method: string): CopyReply {
  if (reply.kind !== 'answered') return { kind: 'down', reason: reply.reason };
  const { status, body, location } = reply;
  if (status >= 200 && status < 300) {
    const named = location === undefined ? undefined : decoded(location.split('/').at(-1) ?? '');
    return { kind: 'done', ...(method === 'POST' && isIri(named) ? { remoteId: named } : {}) };
  }
  if (status === 404 && method !== 'POST') return { kind: 'absent' };
  if (status === 409 && method === 'POST') return { kind: 'exists' };
  const detail = isObject(body) && typeof body['detail'] === 'string' ? `: ${body['detail'].slice(0, 300)}` : '';
  return { kind: NOT_NOW.has(status) ? 'down' : 'refused', reason: `answered ${status}${detail}` };
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
