import type { Caller } from '../../domain/access.ts';
import { parseVersion } from '../../domain/conformance.ts';
import type { Onward } from '../../domain/distribution.ts';
import { DomainError, type ErrorType } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/iri.ts';
import { isObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { hasExpired } from '../../domain/registration.ts';
import { type Micros, toMicros } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ContextSource, SourceReply, SourceRequest } from '../../ports/context-source.ts';
import type { RegistrationInForce, RegistrationsInForce } from '../registry/registrations-in-force.ts';
import { inOwnTerms, inTermsOf, inVersion, type Worded } from './in-terms-of.ts';
import { replyCache } from './reply-cache.ts';

/** What is asked of a source; the rest follows from registration and request. */
export type Question = Pick<SourceRequest, 'method' | 'path' | 'query' | 'body' | 'entityMap'> & {
  /** By which names are read, if not by the @context of the request: elements of a batch can bring their own. */
  readonly context?: Context;
  /** The names in it are in the terms that the source wants already; the body need not be an entity. */
  readonly names?: 'settled';
};

/** Asking context sources: which of them may be asked, how, and what becomes of it. */
export interface Sources {
  /** How this broker calls itself in Via, for a tenant (4.3.6.4). */
  alias(tenant: TenantId): string;
  /** True if the request has been here before. */
  isLoop(caller: Caller): boolean;
  /** Sources of the tenant that are in force and were not passed already. `operations`: those that offer one of them; undefined: all. `temporal`: also those of temporal information, which are asked about nothing else (5.9.1). */
  inForce(caller: Caller, operations?: readonly string[], temporal?: boolean): readonly RegistrationInForce[];
  ask(caller: Caller, source: RegistrationInForce, question: Question): Promise<SourceReply>;
  /** The @context of what a source sent: its own, or the one that was asked in. */
  contextOf(caller: Caller, body: JsonValue): Promise<Context>;
}

export function sources(dependencies: {
  readonly registrations: RegistrationsInForce;
  readonly source: ContextSource;
  readonly resolveContext: (source: JsonValue) => Promise<Context> | Context;
  readonly clock: Clock;
  /** For sources that do not say how long they need. */
  readonly timeoutMs: number;
  /** For replies that may be used again (5.2.34, cacheDuration). */
  readonly cacheBytes: number;
  readonly brokerId: string;
}): Sources {
  const { registrations, source, resolveContext, clock, timeoutMs, brokerId } = dependencies;
  const replies = replyCache(dependencies.cacheBytes);
  /** When endpoints failed last, as long as they have not answered since: several registrations can have one endpoint (5.2.34, cooldown). */
  const failures = new Map<string, Micros>();

  const alias = (tenant: TenantId) => (tenant === '' ? brokerId : `${brokerId}.${tenant}`);
  const onwardOf = (caller: Caller): Onward => {
    if (caller.onward === undefined) throw new DomainError('InternalError', 'A local request was to be passed on');
    return caller.onward;
  };

  return {
    alias,
    isLoop: (caller) => caller.onward?.via.some((entry) => pseudonym(entry) === alias(caller.tenant)) === true,

    inForce(caller, operations, temporal = false) {
      const via = caller.onward?.via ?? [];
      const known = registrations.offering(caller.tenant, operations, temporal);
      // Every read of a tenant with registrations comes through here; most have nothing to leave out.
      const except = caller.onward?.except ?? [];
      if (via.length === 0 && except.length === 0 && known.every(lastsForever)) return known;
      const passed = new Set(via.map(pseudonym));
      const now = clock.micros();
      return known.filter(
        ({ registration }) =>
          !except.includes(registration.id) &&
          !hasExpired(registration, now) &&
          (registration.alias === undefined || !passed.has(registration.alias)),
      );
    },

    async ask(caller, entry, question) {
      const onward = onwardOf(caller);
      const { registration, state, document } = entry;
      const now = clock.micros();
      const { cooldownMs, cacheMicros = 0, endpoint } = registration;
      const failedAt = Math.max(failures.get(endpoint) ?? 0, state.status === 'failed' ? (state.lastFailure ?? 0) : 0);
      // Whoever registers a source anew says that it is there.
      const coolingDown = cooldownMs !== undefined && failedAt > toMicros(document.modifiedAt);
      if (coolingDown && now - failedAt < cooldownMs * 1000)
        return { kind: 'timeout', reason: `it failed less than ${cooldownMs} ms ago (cooldown)` };
      const info: Record<string, string> = {};
      for (const { key, value } of registration.info) {
        const given = value === 'urn:ngsi-ld:request' ? onward.headers[key.toLowerCase()] : value;
        if (given !== undefined) info[key] = String(given);
      }
      const worded = await wordedFor(caller, question, question.context ?? onward.context, info);
      const query = registration.localOnly ? [...worded.query, ['local', 'true'] as const] : worded.query;
      const owner = `${caller.tenant} ${entry.id}`;
      const isRead = isConsumption(question);
      if (!isRead) replies.forget(owner);
      const cached = isRead && cacheMicros > 0;
      const key = cached ? JSON.stringify([document.modifiedAt, question.method, question.entityMap, worded, query, info]) : '';
      const known = cached ? replies.get(owner, key, now) : undefined;
      if (known !== undefined) return { ...known, cached: true };
      const reply = await source.ask(registration, {
        method: question.method,
        ...worded,
        query,
        via: [...onward.via, alias(caller.tenant)],
        info,
        ...(question.entityMap === undefined ? {} : { entityMap: question.entityMap }),
        timeoutMs: Math.min(registration.timeoutMs ?? timeoutMs, timeoutMs),
      });
      // 404 says that there is nothing, which is an answer like any other (6.3.17).
      const ok = reply.kind === 'answered' && reply.invalid === undefined && (reply.status < 300 || reply.status === 404);
      if (cached && ok) replies.put(owner, key, reply, clock.micros() + cacheMicros);
      state.timesSent++;
      state.status = ok ? 'ok' : 'failed';
      if (ok) {
        state.lastSuccess = clock.micros();
        failures.delete(endpoint);
      } else {
        state.timesFailed++;
        state.lastFailure = clock.micros();
        failures.set(endpoint, clock.micros());
      }
      entry.unsaved.mark(entry);
      return reply;
    },

    contextOf: (caller, body) => contextOf(caller, body),
  };

  async function contextOf(caller: Caller, body: JsonValue): Promise<Context> {
    const { context } = onwardOf(caller);
    const one = Array.isArray(body) ? body[0] : body;
    const own = isObject(one) ? one['@context'] : undefined;
    if (own === undefined) return context;
    try {
      return await resolveContext(own);
    } catch {
      return context;
    }
  }

  /** 4.3.6.6: which @context goes along, and where; and in the words of which version of the specification. */
  async function wordedFor(
    caller: Caller,
    question: Question,
    context: Context,
    info: Readonly<Record<string, string>>,
  ): Promise<Worded> {
    const version = info['ngsildConformance'] === undefined ? undefined : parseVersion(info['ngsildConformance']);
    const url = info['jsonldContext'];
    const worded =
      url === undefined || question.names === 'settled'
        ? inOwnTerms(question, context, info['contentType'] === 'application/ld+json')
        : await inTermsOf(question, context, { url, context: await resolveContext(url) }, (one) => contextOf(caller, one));
    return inVersion(worded, version);
  }
}

/** Context information consumption (5.7), the replies to which may be used again. */
function isConsumption({ method, path }: Question): boolean {
  if (method === 'POST') return /^(?:temporal\/)?entityOperations\/query$/.test(path);
  return method === 'GET' && /^(?:entities|types|attributes|temporal\/entities)(?:\/|$)/.test(path);
}

const lastsForever = ({ registration }: RegistrationInForce): boolean => registration.expiresAt === undefined;

/** "1.1 alias" and "alias" are the same. */
export function pseudonym(via: string): string {
  return via.trim().split(/\s+/).at(-1) ?? '';
}

const BY_STATUS: Readonly<Record<number, ErrorType>> = {
  400: 'BadRequestData',
  404: 'ResourceNotFound',
  409: 'Conflict',
  508: 'LoopDetected',
};

/** Why a source did not do what was asked (6.3.17). */
export function sourceError(reply: SourceReply, source: RegistrationInForce): DomainError {
  const where = `The context source of registration ${source.id}`;
  if (reply.kind !== 'answered') return new DomainError('GatewayTimeout', `${where} did not answer: ${reply.reason}`);
  const detail = isObject(reply.body) && typeof reply.body['detail'] === 'string' ? `: ${reply.body['detail']}` : '';
  return new DomainError(BY_STATUS[reply.status] ?? 'BadGateway', `${where} answered ${reply.status}${detail}`);
}

/** 110: what is answered came from a reply that was kept (6.3.17). */
export const staleWarning = (source: RegistrationInForce): string => `110 ${source.id} "Response is Stale"`;

/** NGSILD-Warning of a read (Table 6.3.17-1); undefined: nothing abnormal. */
export function warningOf(reply: SourceReply, source: RegistrationInForce): string | undefined {
  const text = (code: number, what: string) => `${code} ${source.id} "${what.replace(/[^\x20-\x7e]|["\\]/g, '')}"`;
  if (reply.kind !== 'answered') return text(199, reply.reason);
  if (reply.status === 404) return undefined;
  if (reply.status >= 300) return text(299, `answered ${reply.status}`);
  if (reply.invalid !== undefined) return text(111, reply.invalid);
  return undefined;
}

/** An error that a source told about one entity or one part of it. */
export function problemOf(given: JsonValue | undefined, source: RegistrationInForce): DomainError {
  const problem = isObject(given) ? given : {};
  const known: readonly ErrorType[] = [
    'AlreadyExists',
    'BadRequestData',
    'Conflict',
    'LoopDetected',
    'ResourceNotFound',
    'OperationNotSupported',
  ];
  const type = known.find((one) => String(problem['type']).endsWith(`/${one}`)) ?? 'BadGateway';
  return new DomainError(
    type,
    `The context source of registration ${source.id}: ${String(problem['detail'] ?? problem['title'] ?? 'failed')}`,
  );
}
