import { type AccessFunction, type Caller, demand } from '../../domain/access.ts';
import { type Contribution, contributions, mergeVersions, type Part, type Version } from '../../domain/distribution.ts';
import type { Entity } from '../../domain/entity.ts';
import { badRequest, DomainError, notFound } from '../../domain/errors.ts';
import type { Iri } from '../../domain/iri.ts';
import { compile } from '../../domain/query/evaluate.ts';
import type { TypeSelection } from '../../domain/query/query.ts';
import { typesMatch } from '../../domain/query/types.ts';
import { matchingInformation } from '../../domain/registration.ts';
import { hasAnyOf, type Representation } from '../../domain/representation.ts';
import type { Clock } from '../../ports/clock.ts';
import type { EntityStore } from '../../ports/entity-store.ts';
import type { QueryRequest } from '../query.ts';
import type { RegistrationInForce } from '../registry/registrations-in-force.ts';
import { askedSources } from './asked-sources.ts';
import { candidates, type FindCandidates } from './candidates.ts';
import {
  type Gathered,
  gathering,
  type ReadLimits,
  type Reply,
  throughLinked,
  tooMany,
  wantedAttributes,
} from './gathering.ts';
import { attributesFor, queryFor, throughMap } from './question.ts';
import type { Question, Sources } from './sources.ts';

/** An answer that several sources took part in. */
export interface Answer<T> extends Gathered<T> {
  /** For a retrieval: the registrations that have something of the entity; "@none" stands for this broker (5.2.39). */
  heldBy?(): readonly string[];
  /** What each of them contributed, how fresh, and what is missing and why. Worked out only if it is asked for. */
  madeOf(): readonly Contribution[];
}

export interface DistributedPage {
  readonly entities: readonly Entity[];
  readonly more: boolean;
  readonly count?: number;
  /** The registrations that have something of an entity; "@none" stands for this broker (5.2.39). */
  heldBy(id: Iri): readonly string[];
}

/** Reading entities that may be spread over several brokers (4.3.6.7, 5.7.1, 5.7.2). */
export interface DistributedReads {
  /** 5.7.1. @returns undefined if no source is concerned: then it is a local matter. `found` undefined: nobody has it. */
  retrieveEntity(
    caller: Caller,
    id: Iri,
    types: TypeSelection | undefined,
    representation: Representation,
  ): Promise<Answer<Entity | DomainError> | undefined>;
  /** 5.14.4: which entities there are, here and elsewhere, without their content. @returns undefined if no source is concerned */
  readonly candidates: FindCandidates;
  /** 5.7.2. @returns undefined if no source is concerned. @throws DomainError BadRequestData: an order, which only a local query has */
  queryEntities(
    caller: Caller,
    request: QueryRequest,
    representation: Representation,
  ): Promise<Answer<DistributedPage> | undefined>;
}

export function distributedReads(dependencies: {
  readonly entities: EntityStore;
  readonly sources: Sources;
  readonly clock: Clock;
  readonly access: AccessFunction;
  readonly limits: ReadLimits;
}): DistributedReads {
  const { entities, sources, clock, access, limits } = dependencies;
  const parts = gathering({ sources, clock, limits });
  const { gather, loopWarning } = parts;

  return {
    candidates: candidates({ ...dependencies, ...parts }),

    async retrieveEntity(caller, id, types, representation) {
      const { onward } = caller;
      if (onward === undefined) return undefined;
      demand(access, caller, { operation: 'retrieveEntity', effect: 'read', ids: [id] });
      const wanted = wantedAttributes(representation);
      const path = `entities/${encodeURIComponent(id).replaceAll('%3A', ':')}`;
      const retrieveFor = (attributes: readonly Iri[] | undefined): Question => ({
        method: 'GET',
        path,
        query: [
          ...(attributes ? [['attrs', attributes.map((name) => onward.context.compact(name)).join(',')] as const] : []),
          ['options', 'sysAttrs'],
        ],
      });
      // A source that only answers queries is asked for the one id (5.7.1.4 leaves it out, registrants count on it).
      const all = sources.inForce(caller, RETRIEVE_OPERATIONS).flatMap((source) => {
        const match = { ids: [id], ...(types ? { types } : {}), ...(wanted ? { attributes: wanted } : {}) };
        const information = matchingInformation(source.registration, match);
        if (information.length === 0) return [];
        const mapped = throughMap(onward, source.id);
        if (mapped === undefined) return [];
        const attributes = attributesFor(information, wanted);
        const query = { id, ...(onward.query['type'] === undefined ? {} : { type: onward.query['type'] }) };
        const question = source.registration.operations.includes('retrieveEntity')
          ? retrieveFor(attributes)
          : queryFor({ ...onward, method: 'GET', query }, source.registration, information, wanted, false);
        return question === undefined ? [] : [{ source, question: throughLinked(question, mapped) }];
      });
      if (all.length === 0) return undefined;
      const concerned = all.slice(0, limits.sources);
      const looping = sources.isLoop(caller);
      const [local, ...remote] = await Promise.all([
        entities.get(caller.tenant, id),
        ...(looping ? [] : concerned).map(({ source, question }) => gather(caller, source, question)),
      ]);
      const versions: Version[] = local ? [{ entity: local.entity, auxiliary: false }] : [];
      for (const [at, { found }] of remote.entries()) {
        const auxiliary = concerned[at]?.source.registration.mode === 'auxiliary';
        for (const entity of found) if (entity.id === id) versions.push({ entity, auxiliary });
      }
      const warnings = [
        ...(looping ? [loopWarning(caller)] : []),
        ...tooMany(all.slice(limits.sources)),
        ...remote.flatMap((one) => one.warnings),
      ];
      const merged = mergeVersions(versions, clock.micros());
      const parts = partsOf(
        local ? [local.entity] : [],
        (looping ? [] : concerned).map(({ source }) => source),
        remote,
      );
      const heldBy = holders(() => parts);
      const answer = (found: Entity | DomainError) => ({
        found,
        warnings,
        heldBy: () => heldBy(id),
        madeOf: () => contributions(found instanceof DomainError ? [] : [found], parts),
      });
      if (merged === undefined)
        return answer(notFound(`Entity ${id} does not exist, neither here nor at the sources that were asked`));
      if (types !== undefined && !typesMatch(types, merged.types))
        return answer(notFound(`Entity ${id} is not of the type that was asked for`));
      if (!hasAnyOf(merged, representation))
        return answer(notFound(`Entity ${id} has none of the attributes that were asked for`));
      return answer(merged);
    },

    async queryEntities(caller, request, representation) {
      const asked = askedSources({ sources, access, limits, ...parts }, caller, request, representation);
      if (asked === undefined) return undefined;
      const { query, page } = request;
      const { questions, split } = asked;
      if (page.order !== undefined)
        throw badRequest('An order needs local=true, because other context sources take part (5.7.2.4)');
      const end = (page.offset ?? 0) + page.limit;
      const remote = await Promise.all(questions.map(({ source, question }) => gather(caller, source, question)));
      const ours = await entities.query(caller.tenant, asked.here, {
        limit: split ? limits.entities : end + 1,
        count: page.count === true && !split,
      });
      const versions = new Map<Iri, Version[]>();
      const add = (entity: Entity, auxiliary: boolean) => {
        const known = versions.get(entity.id);
        if (known === undefined) versions.set(entity.id, [{ entity, auxiliary }]);
        else known.push({ entity, auxiliary });
      };
      for (const { entity } of ours.entities) add(entity, false);
      for (const [at, { found }] of remote.entries()) {
        const auxiliary = questions[at]?.source.registration.mode === 'auxiliary';
        for (const entity of found) add(entity, auxiliary);
      }
      const test = compile(
        split ? query : { ...(query.types ? { types: query.types } : {}), ...(query.ids ? { ids: query.ids } : {}) },
      );
      const merged = [...versions.values()].flatMap((some) => {
        const entity = mergeVersions(some, clock.micros());
        return entity !== undefined && test(entity) ? [entity] : [];
      });
      merged.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
      const found = merged.slice(page.offset ?? 0, end);
      const beyond = split ? 0 : Math.max(0, (ours.count ?? 0) - ours.entities.length);
      return {
        found: {
          entities: found,
          more: merged.length > end,
          heldBy: holders(() =>
            partsOf(
              ours.entities.map(({ entity }) => entity),
              questions.map(({ source }) => source),
              remote,
            ),
          ),
          ...(page.count ? { count: merged.length + beyond } : {}),
        },
        warnings: [...asked.warnings, ...remote.flatMap((one) => one.warnings)],
        madeOf: () =>
          contributions(
            found,
            partsOf(
              ours.entities.map(({ entity }) => entity),
              questions.map(({ source }) => source),
              remote,
            ),
          ),
      };
    },
  };
}

/** This broker first, then the sources as they were asked. */
function partsOf(
  local: readonly Entity[],
  sources: readonly RegistrationInForce[],
  replies: readonly Reply[],
): readonly Part[] {
  return [
    { source: 'local', entities: local },
    ...replies.map(({ found, warnings, tookMs }, at) => ({
      source: sources[at]!.id,
      entities: found,
      tookMs,
      missing: warnings.filter((one) => !one.startsWith('110 ')),
    })),
  ];
}

const RETRIEVE_OPERATIONS = ['retrieveEntity', 'queryEntity', 'queryBatch'] as const;

/** Who has something of an entity; worked out when it is asked for first. */
function holders(parts: () => readonly Part[]): (id: Iri) => readonly string[] {
  let by: Map<Iri, string[]> | undefined;
  return (id) => {
    if (by === undefined) {
      by = new Map();
      for (const { source, entities } of parts()) {
        for (const entity of entities) {
          const known = by.get(entity.id) ?? [];
          known.push(source === 'local' ? '@none' : source);
          by.set(entity.id, known);
        }
      }
    }
    return by.get(id) ?? [];
  };
}
