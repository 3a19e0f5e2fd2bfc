import type { Caller } from '../../domain/access.ts';
import type { Onward } from '../../domain/distribution.ts';
import type { Entity } from '../../domain/entity.ts';
import { DomainError, type ErrorType } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { expandEntity } from '../../domain/jsonld/expand.ts';
import { hasExpired } from '../../domain/registration.ts';
import { entityWriter } from '../../domain/representation.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ContextSource, SourceReply, SourceRequest } from '../../ports/context-source.ts';
import type { RegistrationInForce, RegistrationsInForce } from '../registry/registrations-in-force.ts';

/** What is asked of a source; the rest follows from registration and request. */
export type Question = Pick<SourceRequest, 'method' | 'path' | 'query' | 'body'>;

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
  readonly brokerId: string;
}): Sources {
  const { registrations, source, resolveContext, clock, timeoutMs, brokerId } = dependencies;

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
      if (via.length === 0 && known.every(lastsForever)) return known;
      const passed = new Set(via.map(pseudonym));
      const now = clock.micros();
      return known.filter(
        ({ registration }) =>
          !hasExpired(registration, now) && (registration.alias === undefined || !passed.has(registration.alias)),
      );
    },

    async ask(caller, entry, question) {
      const onward = onwardOf(caller);
      const { registration, state } = entry;
      const now = clock.micros();
      const { cooldownMs } = registration;
      if (cooldownMs !== undefined && state.status === 'failed' && now - (state.lastFailure ?? 0) < cooldownMs * 1000)
        return { kind: 'timeout', reason: `it failed less than ${cooldownMs} ms ago (cooldown)` };
      const info: Record<string, string> = {};
      for (const { key, value } of registration.info) {
        const given = value === 'urn:ngsi-ld:request' ? onward.headers[key.toLowerCase()] : value;
        if (given !== undefined) info[key] = String(given);
      }
      const prepared = await inContext(question, onward.context, info);
      const reply = await source.ask(registration, {
        ...question,
        ...prepared,
        query: registration.localOnly ? [...question.query, ['local', 'true']] : question.query,
        via: [...onward.via, alias(caller.tenant)],
        info,
        timeoutMs: Math.min(registration.timeoutMs ?? timeoutMs, timeoutMs),
      });
      // 404 says that there is nothing, which is an answer like any other (6.3.17).
      const ok = reply.kind === 'answered' && reply.invalid === undefined && (reply.status < 300 || reply.status === 404);
      state.timesSent++;
      state.status = ok ? 'ok' : 'failed';
      if (ok) state.lastSuccess = clock.micros();
      else {
        state.timesFailed++;
        state.lastFailure = clock.micros();
      }
      entry.stateChanged = true;
      return reply;
    },

    async contextOf(caller, body) {
      const { context } = onwardOf(caller);
      const one = Array.isArray(body) ? body[0] : body;
      const own = isObject(one) ? one['@context'] : undefined;
      if (own === undefined) return context;
      try {
        return await resolveContext(own);
      } catch {
        return context;
      }
    },
  };

  /** 4.3.6.6: which @context goes along, and where. */
  async function inContext(
    { body }: Question,
    context: Context,
    info: Readonly<Record<string, string>>,
  ): Promise<Pick<SourceRequest, 'body' | 'contextUrl'>> {
    const url = info['jsonldContext'];
    if (url !== undefined) {
      const wanted = await resolveContext(url);
      return { contextUrl: url, ...(body === undefined ? {} : { body: each(body, (one) => recompact(one, context, wanted)) }) };
    }
    if (body === undefined) return context.link === undefined ? {} : { contextUrl: context.link };
    const inside = info['contentType'] === 'application/ld+json' || context.link === undefined;
    if (inside) return { body: each(body, (one) => ({ '@context': context.source, ...without(one) })) };
    return { contextUrl: context.link, body: each(body, without) };
  }
}

const lastsForever = ({ registration }: RegistrationInForce): boolean => registration.expiresAt === undefined;

const each = (body: JsonValue, change: (one: JsonObject) => JsonObject): JsonValue =>
  Array.isArray(body)
    ? body.map((one: JsonValue) => (isObject(one) ? change(one) : one))
    : isObject(body)
      ? change(body)
      : body;

function without({ '@context': _, ...rest }: JsonObject): JsonObject {
  return rest;
}

/** The same entity, or part of one, in the terms of another @context. What is not one stays as it is. */
function recompact(body: JsonObject, from: Context, to: Context): JsonObject {
  try {
    const fragment = expandEntity(body, from, { nulls: 'everywhere' });
    const { type, ...rest } = entityWriter(to, {})({ types: [], ...fragment } as unknown as Entity);
    return {
      ...(body['id'] === undefined ? {} : { id: body['id'] }),
      ...(fragment.types ? { type: type as JsonValue } : {}),
      ...rest,
    } as JsonObject;
  } catch {
    return without(body);
  }
}

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
