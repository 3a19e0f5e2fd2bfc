import type { Caller } from '../../domain/access.ts';
import type { Onward } from '../../domain/distribution.ts';
import type { Entity } from '../../domain/entity.ts';
import { badRequest, DomainError } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject, type JsonValue } from '../../domain/json.ts';
import { parseQ } from '../../domain/query/parse/q.ts';
import type { EntityQuery } from '../../domain/query/query.ts';
import type { RegistrationInfo } from '../../domain/registration.ts';
import type { Representation } from '../../domain/representation.ts';
import type { Clock } from '../../ports/clock.ts';
import type { SourceReply } from '../../ports/context-source.ts';
import type { RegistrationInForce } from '../registry/registrations-in-force.ts';
import { selectedInformation } from '../registry/selection.ts';
import { matchOf } from './entities.ts';
import { remoteEntity } from './remote-entity.ts';
import { type Question, type Sources, staleWarning, warningOf } from './sources.ts';

/** What was found, and what was not as it should be (6.3.17). */
export interface Gathered<T> {
  readonly found: T;
  readonly warnings: readonly string[];
}

/** What one source sent. */
export interface Reply extends Gathered<readonly Entity[]> {
  readonly tookMs: number;
}

/** More entities are not gathered for one answer; what is left out is warned of. */
export interface ReadLimits {
  readonly entities: number;
  /** Pages asked of one source. */
  readonly pages: number;
  /** Sources asked for one answer. */
  readonly sources: number;
  /** Where a request does not say whether entities may be split. */
  readonly splitByDefault: boolean;
}

/** Which sources take part in a read of entities, and what they send. */
export interface Gathering {
  /** Everything that a source has for a question, page after page. */
  gather(caller: Caller, source: RegistrationInForce, question: Question): Promise<Reply>;
  /** The sources that a query concerns, and the part of what they are registered for (5.12). */
  concernedBy(
    caller: Caller,
    query: EntityQuery,
    wanted: readonly Iri[] | undefined,
  ): readonly { readonly source: RegistrationInForce; readonly information: readonly RegistrationInfo[] }[];
  /** The request was here before: what is here is answered, and nobody is asked again (Table 6.3.17-1). */
  loopWarning(caller: Caller): string;
}

export function gathering({
  sources,
  clock,
  limits,
}: {
  readonly sources: Sources;
  readonly clock: Clock;
  readonly limits: ReadLimits;
}): Gathering {
  /** The entities in a reply, and its warnings. */
  async function read(caller: Caller, source: RegistrationInForce, reply: SourceReply): Promise<Gathered<readonly Entity[]>> {
    const behind = reply.kind === 'answered' ? [...reply.warnings, ...(reply.cached ? [staleWarning(source)] : [])] : [];
    const warning = warningOf(reply, source);
    if (warning !== undefined) return { found: [], warnings: [...behind, warning] };
    if (reply.kind !== 'answered' || reply.status === 404 || reply.body === undefined) return { found: [], warnings: behind };
    const invalid = (what: string) =>
      warningOf({ kind: 'answered', status: 200, invalid: what, warnings: [] }, source) as string;
    try {
      const found: Entity[] = [];
      for (const one of [reply.body].flat() as readonly JsonValue[]) {
        if (!isObject(one)) throw badRequest('there is something that is no entity in the reply');
        found.push(remoteEntity(one, await sources.contextOf(caller, one), clock.now()));
      }
      return { found, warnings: behind };
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      return { found: [], warnings: [...behind, invalid(error.message)] };
    }
  }

  async function gather(caller: Caller, source: RegistrationInForce, question: Question): Promise<Reply> {
    const began = clock.micros();
    const found: Entity[] = [];
    const warnings: string[] = [];
    let next: Question | undefined = question;
    for (let page = 0; next !== undefined; page++) {
      if (page >= limits.pages || found.length >= limits.entities) {
        warnings.push(`199 ${source.id} "has more than ${found.length} entities, of which no more were asked for"`);
        break;
      }
      const reply: SourceReply = await sources.ask(caller, source, next);
      const part = await read(caller, source, reply);
      found.push(...part.found);
      warnings.push(...part.warnings);
      next = reply.kind === 'answered' && reply.next && part.found.length > 0 ? { ...next, ...reply.next } : undefined;
    }
    return { found, warnings, tookMs: Math.round((clock.micros() - began) / 1000) };
  }

  function concernedBy(
    caller: Caller,
    query: EntityQuery,
    wanted: readonly Iri[] | undefined,
  ): readonly { source: RegistrationInForce; information: readonly RegistrationInfo[] }[] {
    const { onward } = caller;
    const csf = onward?.query['csf'] ?? (isObject(onward?.body) ? onward.body['csf'] : undefined);
    const filter = typeof csf === 'string' && onward ? parseQ(csf, onward.context, { what: 'csf' }) : undefined;
    const selectors = query.anyOf ?? [{}];
    const selection = {
      matches: selectors.map((selector) => ({ ...matchOf(query), ...selector, ...(wanted ? { attributes: wanted } : {}) })),
      anySpace: true as const,
      ...(query.where ? { where: query.where } : {}),
      ...(query.scopes ? { scopes: query.scopes } : {}),
      ...(filter ? { filter } : {}),
    };
    const found: { source: RegistrationInForce; information: readonly RegistrationInfo[] }[] = [];
    for (const source of sources.inForce(caller, QUERY_OPERATIONS)) {
      const information = selectedInformation(source, selection);
      if (information.length > 0) found.push({ source, information });
    }
    return found;
  }

  return {
    gather,
    concernedBy,
    loopWarning: (caller) => `199 ${sources.alias(caller.tenant)} "a registration loop was detected"`,
  };
}

const QUERY_OPERATIONS = ['queryEntity', 'queryBatch'] as const;

/** Sources that were not asked, because one answer is not made of any number of them. */
export const tooMany = (left: readonly { readonly source: RegistrationInForce }[]): readonly string[] =>
  left.map(({ source }) => `199 ${source.id} "was not asked: too many sources are concerned"`);

/** 5.7.2.4: entities may be spread over several brokers, so that filters wait until they are put together. */
export function isSplit({ query, body }: Onward, { splitByDefault }: Pick<ReadLimits, 'splitByDefault'>): boolean {
  const said = query['splitEntities'] ?? (isObject(body) ? body['splitEntities'] : undefined);
  return said === undefined ? splitByDefault : said === true || said === 'true';
}

/** The question with the EntityMap that the source keeps itself. */
export const throughLinked = (question: Question, { entityMap }: { readonly entityMap?: Iri } = {}): Question =>
  entityMap === undefined ? question : { ...question, entityMap };

/** The attributes that the answer will show; undefined: any. */
export function wantedAttributes({ attrs, pick }: Representation): readonly Iri[] | undefined {
  if (attrs !== undefined) return attrs;
  const picked = [...(pick ?? [])].filter((name) => !name.startsWith('@') && !name.endsWith('/ngsi-ld/scope'));
  return picked.length > 0 ? picked : undefined;
}
