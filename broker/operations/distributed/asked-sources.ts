import { type AccessFunction, type Caller, demand } from '../../domain/access.ts';
import type { EntityQuery } from '../../domain/query/query.ts';
import { refuseTooDeep, refuseTooWide } from '../../domain/query/too-wide.ts';
import type { Representation } from '../../domain/representation.ts';
import { concerned as concernedOf, type QueryRequest } from '../query.ts';
import type { RegistrationInForce } from '../registry/registrations-in-force.ts';
import { type Gathering, isSplit, type ReadLimits, throughLinked, tooMany, wantedAttributes } from './gathering.ts';
import { queryFor, throughMap } from './question.ts';
import type { Question, Sources } from './sources.ts';

/** What a query asks of context sources. */
export interface AskedSources {
  /** At most as many as one answer may have. */
  readonly questions: readonly { readonly source: RegistrationInForce; readonly question: Question }[];
  /** Of sources that are not asked: the request was here before, or they are too many. */
  readonly warnings: readonly string[];
  /** Entities may be spread over several brokers: only the whole of one tells whether it matches. */
  readonly split: boolean;
  /** What this broker looks for among its own. */
  readonly here: EntityQuery;
}

/**
 * @returns undefined if no source is concerned, or none may be asked
 * @throws DomainError BadRequestData (too wide, too deep) or what the access function says, if a source is concerned
 */
export function askedSources(
  {
    sources,
    access,
    limits,
    concernedBy,
    loopWarning,
  }: Pick<Gathering, 'concernedBy' | 'loopWarning'> & {
    readonly sources: Sources;
    readonly access: AccessFunction;
    readonly limits: ReadLimits;
  },
  caller: Caller,
  { query, local, joinLevel }: QueryRequest,
  representation: Representation,
): AskedSources | undefined {
  const { onward } = caller;
  if (onward === undefined || local) return undefined;
  const wanted = query.anyAttribute ?? wantedAttributes(representation);
  const concerned = concernedBy(caller, query, wanted);
  if (concerned.length === 0) return undefined;
  refuseTooWide(query, local);
  refuseTooDeep(query.where, joinLevel);
  demand(access, caller, { operation: 'queryEntities', effect: 'read', ...concernedOf(query) });
  const split = isSplit(onward, limits);
  const looping = sources.isLoop(caller);
  const all = (looping ? [] : concerned).flatMap(({ source, information }) => {
    const mapped = throughMap(onward, source.id);
    const question = mapped && queryFor(mapped.onward, source.registration, information, wanted, split);
    return question === undefined ? [] : [{ source, question: throughLinked(question, mapped) }];
  });
  const { where: _, scopes: __, anyAttribute: ___, ...broad } = query;
  return {
    questions: all.slice(0, limits.sources),
    warnings: [...(looping ? [loopWarning(caller)] : []), ...tooMany(all.slice(limits.sources))],
    split,
    here: split ? broad : query,
  };
}
