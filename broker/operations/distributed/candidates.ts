import type { AccessFunction, Caller } from '../../domain/access.ts';
import { type Iri, isIri } from '../../domain/iri.ts';
import { isObject } from '../../domain/json.ts';
import type { EntityQuery } from '../../domain/query/query.ts';
import type { Representation } from '../../domain/representation.ts';
import type { EntityStore } from '../../ports/entity-store.ts';
import type { QueryRequest } from '../query.ts';
import type { RegistrationInForce } from '../registry/registrations-in-force.ts';
import { askedSources } from './asked-sources.ts';
import type { Gathered, Gathering, ReadLimits } from './gathering.ts';
import { type Question, type Sources, warningOf } from './sources.ts';

/** What an EntityMap is made of (5.14.4.4). */
export interface Candidates {
  /** In ascending order. */
  readonly ids: readonly Iri[];
  heldBy(id: Iri): readonly string[];
  /** By registration, where the source keeps an EntityMap of its own. */
  readonly linkedMaps: Readonly<Record<Iri, Iri>>;
}

/** 5.14.4: finds them. @returns undefined if no source is concerned */
export type FindCandidates = (
  caller: Caller,
  request: QueryRequest,
  representation: Representation,
) => Promise<Gathered<Candidates> | undefined>;

export function candidates({
  entities,
  sources,
  access,
  limits,
  gather,
  concernedBy,
  loopWarning,
}: Gathering & {
  readonly entities: EntityStore;
  readonly sources: Sources;
  readonly access: AccessFunction;
  readonly limits: ReadLimits;
}): FindCandidates {
  /** The ids that a source has for a question: from an EntityMap that it makes, if it can (5.14.4.4), else from the entities themselves. */
  async function idsOf(caller: Caller, source: RegistrationInForce, question: Question): Promise<IdsOfSource> {
    const mapped = await askForMap(sources, caller, source, question, 'createEntityMapQueryEntity', 'entityMaps');
    if (mapped !== undefined) return mapped;
    const { found, warnings } = await gather(caller, source, question);
    return { found: found.map(({ id }) => id), warnings };
  }

  async function idsHere(caller: Caller, query: EntityQuery): Promise<readonly Iri[]> {
    const ids: Iri[] = [];
    for (let after: Iri | undefined; ; after = ids.at(-1)) {
      const page = await entities.query(caller.tenant, query, {
        limit: IDS_AT_ONCE,
        ...(after === undefined ? {} : { after }),
      });
      for (const { id } of page.entities) ids.push(id);
      if (!page.more || page.entities.length === 0) return ids;
    }
  }

  return async (caller, request, representation) => {
    const asked = askedSources({ sources, access, limits, concernedBy, loopWarning }, caller, request, representation);
    if (asked === undefined) return undefined;
    const { questions, warnings } = asked;
    const [here, ...there] = await Promise.all([
      idsHere(caller, asked.here),
      ...questions.map(({ source, question }) => idsOf(caller, source, question)),
    ]);
    return {
      found: assembled(
        here,
        questions.map(({ source }) => source.id),
        there,
      ),
      warnings: [...warnings, ...there.flatMap((one) => one.warnings)],
    };
  };
}

const IDS_AT_ONCE = 1000;

/** The ids that one source has, and the EntityMap that it keeps of them. */
export type IdsOfSource = Gathered<readonly Iri[]> & { readonly linked?: Iri };

/** Asks a source for an EntityMap of its own. @returns undefined if it makes none: then it is asked what is in it */
export async function askForMap(
  sources: Sources,
  caller: Caller,
  source: RegistrationInForce,
  question: Question,
  operation: string,
  path: string,
): Promise<IdsOfSource | undefined> {
  if (!source.registration.operations.includes(operation)) return undefined;
  const lifetime = caller.onward?.query['entityMapLifetime'];
  const query = [
    ...question.query.filter(([name]) => name !== 'options'),
    ...(lifetime === undefined ? [] : [['entityMapLifetime', lifetime] as const]),
  ];
  const reply = await sources.ask(caller, source, { ...question, path, query });
  // Whoever cannot make one says so by whatever error (5.5.14); whoever does not answer will not answer a query either.
  if (reply.kind !== 'answered') return { found: [], warnings: [warningOf(reply, source) as string] };
  if (reply.status >= 300 || !isObject(reply.body) || !isObject(reply.body['entityMap'])) return undefined;
  const { id, entityMap } = reply.body;
  return { found: Object.keys(entityMap).filter(isIri), warnings: reply.warnings, ...(isIri(id) ? { linked: id } : {}) };
}

/** @param asked the registrations whose sources sent the ids, in the same order */
export function assembled(here: readonly Iri[], asked: readonly Iri[], there: readonly IdsOfSource[]): Candidates {
  const held = new Map<Iri, string[]>(here.map((id) => [id, ['@none']]));
  const linkedMaps: Record<Iri, Iri> = {};
  for (const [at, { found, linked }] of there.entries()) {
    const registration = asked[at] as Iri;
    if (linked !== undefined) linkedMaps[registration] = linked;
    for (const id of new Set(found)) {
      const known = held.get(id);
      if (known === undefined) held.set(id, [registration]);
      else known.push(registration);
    }
  }
  return { ids: [...held.keys()].sort(), heldBy: (id) => held.get(id) ?? [], linkedMaps };
}
