import { type AccessFunction, type Caller, demand } from '../../domain/access.ts';
import { badRequest, DomainError } from '../../domain/errors.ts';
import { aggregateEvolution, type EvolutionPart, mergeEvolutions, seenDuring } from '../../domain/evolution.ts';
import type { AggregatedEvolution, Aggregation, HistorySelection, TemporalEvolution } from '../../domain/history.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject, type JsonValue } from '../../domain/json.ts';
import { compile } from '../../domain/query/evaluate.ts';
import { parseQ } from '../../domain/query/parse/q.ts';
import type { EntityQuery } from '../../domain/query/query.ts';
import { isTemporal, type RegistrationInfo } from '../../domain/registration.ts';
import { type Instant, toMicros } from '../../domain/time.ts';
import type { HistoryStore } from '../../ports/history-store.ts';
import {
  type EvolutionSelection,
  type Evolutions,
  endTogether,
  type HistoryOperations,
  refuseIneligible,
  type TemporalQuery,
} from '../history.ts';
import type { RegistrationInForce } from '../registry/registrations-in-force.ts';
import { selectedInformation } from '../registry/selection.ts';
import { askForMap, assembled, type Candidates, type IdsOfSource } from './candidates.ts';
import { matchOf } from './entities.ts';
import { isSplit, type ReadLimits } from './gathering.ts';
import { continued, temporalQuestionFor, throughMap } from './question.ts';
import { remoteEvolution } from './remote-evolution.ts';
import { type Question, type Sources, staleWarning, warningOf } from './sources.ts';

/** A part, and whose it is: a registration's, or "@none" for this broker (5.2.39). */
interface Held extends EvolutionPart {
  readonly by: string;
}

/** 5.7.4 with all instances, whatever answers to clients are limited to. @returns undefined if no source takes part. @throws DomainError as queryTemporal */
export type WholeEvolutions = (caller: Caller, request: TemporalQuery) => Promise<readonly TemporalEvolution[] | undefined>;

export interface DistributedHistory extends HistoryOperations {
  readonly wholeEvolutions: WholeEvolutions;
  /** 5.14.5: which evolutions there are, here and elsewhere. @returns undefined if no source takes part. @throws DomainError as queryTemporal */
  candidates(caller: Caller, request: Omit<TemporalQuery, 'page'>): Promise<Candidates | undefined>;
}

/**
 * Reading evolutions that are spread over several brokers (5.7.3, 5.7.4): the instances of all of them, each once, and what is aggregated is what was put
 * together. Writing them is in history-writes.ts.
 */
export function distributedHistory(dependencies: {
  readonly local: HistoryOperations;
  readonly history: HistoryStore;
  readonly sources: Sources;
  readonly access: AccessFunction;
  readonly instancesPerAttribute: number;
  /** Instances of one attribute that are put together from several places where all of them are needed: to be aggregated, for a Snapshot. */
  readonly mostInstances: number;
  readonly limits: ReadLimits;
}): DistributedHistory {
  const { local, history, sources, access, instancesPerAttribute, mostInstances, limits } = dependencies;

  interface Asked {
    readonly source: RegistrationInForce;
    readonly question: Question;
  }

  /** The sources that may have something, and what each is asked. */
  function questions(
    caller: Caller,
    operations: readonly string[],
    query: EntityQuery,
    { filter, attributes, lastN }: EvolutionSelection,
    more: { readonly id?: Iri; readonly split: boolean; readonly whole: boolean },
  ): readonly Asked[] {
    const { onward } = caller;
    if (onward === undefined) return [];
    if (sources.isLoop(caller)) {
      onward.onWarnings?.([`199 ${sources.alias(caller.tenant)} "a registration loop was detected"`]);
      return [];
    }
    const wanted = more.split ? undefined : (query.anyAttribute ?? attributes);
    const csf = onward.query['csf'] ?? (isObject(onward.body) ? onward.body['csf'] : undefined);
    const selection = {
      matches: (query.anyOf ?? [{}]).map((selector) => ({
        ...matchOf(query),
        ...selector,
        ...(wanted ? { attributes: wanted } : {}),
      })),
      anySpace: true as const,
      ...(query.where ? { where: query.where } : {}),
      ...(query.scopes ? { scopes: query.scopes } : {}),
      ...(typeof csf === 'string' ? { filter: parseQ(csf, onward.context, { what: 'csf' }) } : {}),
    };
    return sources.inForce(caller, operations, true).flatMap((source) => {
      // Sources that say nothing about time may have any (5.9.1); the others what lies in their interval.
      const about = isTemporal(source.registration) ? { ...selection, temporal: filter } : selection;
      const information: readonly RegistrationInfo[] = selectedInformation(source, about);
      if (information.length === 0) return [];
      const mapped = throughMap(onward, source.id);
      const question =
        mapped &&
        temporalQuestionFor(mapped.onward, information, wanted, {
          ...(more.id === undefined ? {} : { id: more.id }),
          lastN: more.whole ? undefined : lastN,
          split: more.split,
        });
      if (question === undefined) return [];
      return [{ source, question: mapped?.entityMap === undefined ? question : { ...question, entityMap: mapped.entityMap } }];
    });
  }

  /** What one source has: all pages of entities, and, if it must be whole, all of the time that is asked for. */
  async function gather(
    caller: Caller,
    { source, question }: Asked,
    { filter }: Pick<EvolutionSelection, 'filter'>,
    whole: boolean,
  ): Promise<{ readonly parts: readonly Held[]; readonly warnings: readonly string[] }> {
    const auxiliary = source.registration.mode === 'auxiliary';
    const parts: Held[] = [];
    const warnings: string[] = [];
    let window: Question | undefined = question;
    for (let asked = 0; window !== undefined; ) {
      let page: Question | undefined = window;
      let covered: { readonly from: Instant; readonly to: Instant } | undefined;
      while (page !== undefined) {
        if (asked++ >= limits.pages || parts.length >= limits.entities) {
          warnings.push(`199 ${source.id} "has more than was asked for"`);
          return { parts, warnings };
        }
        const reply = await sources.ask(caller, source, page);
        if (reply.kind === 'answered') warnings.push(...reply.warnings, ...(reply.cached ? [staleWarning(source)] : []));
        const warning = warningOf(reply, source);
        if (warning !== undefined) return { parts, warnings: [...warnings, warning] };
        if (reply.kind !== 'answered' || reply.status === 404 || reply.body === undefined) break;
        const context = await sources.contextOf(caller, reply.body);
        const { range } = reply;
        if (range !== undefined && (covered === undefined || toMicros(range.to) < toMicros(covered.to))) covered = range;
        const cut = range && !whole ? { cut: { from: toMicros(range.from), to: toMicros(range.to) } } : {};
        for (const one of [reply.body].flat() as readonly JsonValue[]) {
          const evolution = remoteEvolution(one, context);
          if (evolution !== undefined) parts.push({ evolution: { ...evolution, ...cut }, auxiliary, by: source.id });
          else warnings.push(`111 ${source.id} "there is something that is no temporal evolution in the reply"`);
        }
        page = reply.next === undefined ? undefined : { ...page, ...reply.next };
      }
      window = whole && covered !== undefined ? continued(window, covered) : undefined;
    }
    return { parts: whole ? joined(parts, filter) : parts, warnings };
  }

  /** The ids of what matches here, a part at a time. */
  async function idsHere(caller: Caller, query: EntityQuery, selection: EvolutionSelection): Promise<readonly Iri[]> {
    const ids: Iri[] = [];
    for (let after: Iri | undefined; ; after = ids.at(-1)) {
      const page = { limit: IDS_AT_ONCE, ...(after === undefined ? {} : { after }) };
      const found = await history.query(caller.tenant, query, { ...selection, limitPerAttribute: 1 }, page);
      for (const { id } of found.evolutions) ids.push(id);
      if (!found.more || found.evolutions.length === 0) return ids;
    }
  }

  async function gatherAll(
    caller: Caller,
    all: readonly Asked[],
    selection: EvolutionSelection,
    whole: boolean,
  ): Promise<readonly Held[]> {
    const asked = all.slice(0, limits.sources);
    const found = await Promise.all(asked.map((one) => gather(caller, one, selection, whole)));
    const left = all
      .slice(limits.sources)
      .map(({ source }) => `199 ${source.id} "was not asked: too many sources are concerned"`);
    const warnings = [...found.flatMap((one) => one.warnings), ...left];
    if (warnings.length > 0) caller.onward?.onWarnings?.(warnings);
    return found.flatMap(({ parts }) => parts);
  }

  async function orNothing<T>(found: Promise<T>): Promise<T | DomainError> {
    try {
      return await found;
    } catch (error) {
      if (error instanceof DomainError && (error.type === 'ResourceNotFound' || error.type === 'NonexistentTenant'))
        return error;
      throw error;
    }
  }

  const limited = (selection: EvolutionSelection): HistorySelection => ({
    ...selection,
    limitPerAttribute: instancesPerAttribute,
  });
  const unlimited = (selection: EvolutionSelection): HistorySelection => ({ ...selection, limitPerAttribute: mostInstances });

  /** One evolution as a whole, to be aggregated. @returns undefined if no source has to do with it, or none has anything */
  async function wholeOf(caller: Caller, id: Iri, selection: EvolutionSelection): Promise<TemporalEvolution | undefined> {
    const asked = questions(caller, ['retrieveTemporal'], { ids: [id] }, selection, { id, split: false, whole: true });
    if (asked.length === 0) return undefined;
    demand(access, caller, { operation: 'retrieveTemporal', effect: 'read', ids: [id] });
    const there = (await gatherAll(caller, asked, selection, true)).filter(({ evolution }) => evolution.id === id);
    if (there.length === 0) return undefined;
    const here = await history.evolution(caller.tenant, id, unlimited(selection));
    return notCut(together([...(here ? [ours(here)] : []), ...there], unlimited(selection)));
  }

  /** 5.7.4: what is here and there, put together, filtered if entities may be split, a page of it. @returns undefined if no source takes part */
  async function everywhere(
    caller: Caller,
    request: TemporalQuery,
    selection: HistorySelection,
    whole: boolean,
    here: (request: TemporalQuery) => Promise<Evolutions<TemporalEvolution>>,
  ): Promise<Evolutions<TemporalEvolution> | undefined> {
    const { onward } = caller;
    const { query, page } = request;
    if (onward === undefined || request.local) return undefined;
    const split = isSplit(onward, limits);
    const asked = questions(caller, ['queryTemporal'], query, request.selection, { split, whole });
    if (asked.length === 0) return undefined;
    if (page.descending) throw badRequest('An order needs local=true, because other context sources take part (5.7.4.4)');
    const { limit, offset = 0, count, ...rest } = page;
    const { where: _, scopes: __, anyAttribute: ___, ...broad } = query;
    const { attributes: ____, ...broadSelection } = request.selection;
    // What may not be asked is refused here, before others are asked. Pages are cut from the whole, so the part that is here must reach as far as the page does.
    const known = await orNothing(
      here(
        split
          ? { ...request, query: broad, selection: broadSelection, page: { ...rest, limit: limits.entities }, local: true }
          : { ...request, page: { ...rest, limit: offset + limit, ...(count === undefined ? {} : { count }) } },
      ),
    );
    const found: Evolutions<TemporalEvolution> = known instanceof DomainError ? NOTHING : known;
    const there = await gatherAll(caller, asked, request.selection, whole);
    const byId = new Map<Iri, Held[]>();
    const parts = [...found.evolutions.map(ours), ...there];
    for (const part of parts) {
      const before = byId.get(part.evolution.id);
      if (before === undefined) byId.set(part.evolution.id, [part]);
      else before.push(part);
    }
    const mine = new Set(found.evolutions);
    const test = compile(query);
    const merged = [...byId.values()].flatMap((parts) => {
      const [only, ...others] = parts as [Held, ...Held[]];
      const one = others.length === 0 && mine.has(only.evolution) ? only.evolution : together(parts, selection);
      return split ? (test(seenDuring(one)) ? (onlyWanted(one, selection) ?? []) : []) : [one];
    });
    merged.sort((a, b) => (a.id < b.id ? -1 : 1));
    const answer = {
      evolutions: merged.slice(offset, offset + limit),
      more: merged.length > offset + limit || (!split && found.more),
      ...(count ? { count: merged.length + (split ? 0 : Math.max(0, (found.count ?? 0) - found.evolutions.length)) } : {}),
    };
    return endTogether(answer, selection);
  }

  return {
    ...local,

    async retrieveTemporal(caller, id, selection) {
      const asked = questions(caller, ['retrieveTemporal'], { ids: [id] }, selection, { id, split: false, whole: false });
      if (asked.length === 0) return local.retrieveTemporal(caller, id, selection);
      const [here, found] = await Promise.all([
        orNothing(local.retrieveTemporal(caller, id, selection)),
        gatherAll(caller, asked, selection, false),
      ]);
      const there = found.filter(({ evolution }) => evolution.id === id);
      if (there.length === 0) {
        if (here instanceof DomainError) throw here;
        return here;
      }
      return together([...(here instanceof DomainError ? [] : [ours(here)]), ...there], limited(selection));
    },

    async aggregateTemporal(caller, id, selection, aggregation): Promise<AggregatedEvolution> {
      const whole = await wholeOf(caller, id, selection);
      if (whole === undefined) return local.aggregateTemporal(caller, id, selection, aggregation);
      return aggregated(whole, selection, aggregation);
    },

    async queryTemporal(caller, request) {
      const found = await everywhere(caller, request, limited(request.selection), false, (asked) =>
        local.queryTemporal(caller, asked),
      );
      return found ?? local.queryTemporal(caller, request);
    },

    async candidates(caller, { query, selection, local: here }) {
      const { onward } = caller;
      if (onward === undefined || here) return undefined;
      const split = isSplit(onward, limits);
      const operations = ['queryTemporal', 'createEntityMapQueryTemporal'];
      const all = questions(caller, operations, query, selection, { split, whole: false });
      if (all.length === 0) return undefined;
      // Refuses what may not be asked, and who may not ask.
      await orNothing(local.queryTemporal(caller, { query, selection, local: false, page: { limit: 0 } }));
      const asked = all.slice(0, limits.sources);
      const { where: _, scopes: __, anyAttribute: ___, ...broad } = query;
      const { attributes: ____, ...broadSelection } = selection;
      const [ours, ...there] = await Promise.all([
        split ? idsHere(caller, broad, broadSelection) : idsHere(caller, query, selection),
        ...asked.map(async (one): Promise<IdsOfSource> => {
          const { source, question } = one;
          const mapped = await askForMap(
            sources,
            caller,
            source,
            question,
            'createEntityMapQueryTemporal',
            'temporal/entityMaps',
          );
          if (mapped !== undefined) return mapped;
          const { parts, warnings } = await gather(caller, one, selection, false);
          return { found: parts.map(({ evolution }) => evolution.id), warnings };
        }),
      ]);
      const warnings = there.flatMap((one) => one.warnings);
      if (warnings.length > 0) onward.onWarnings?.(warnings);
      return assembled(
        ours,
        asked.map(({ source }) => source.id),
        there,
      );
    },

    async wholeEvolutions(caller, request) {
      const found = await wholePage(caller, request);
      return found?.evolutions.map(notCut);
    },

    async queryAggregated(caller, request, aggregation) {
      const { selection } = request;
      const found = await wholePage(caller, request);
      if (found === undefined) return local.queryAggregated(caller, request, aggregation);
      return { ...found, evolutions: found.evolutions.map((one) => aggregated(notCut(one), selection, aggregation)) };
    },
  };

  function wholePage(caller: Caller, request: TemporalQuery): Promise<Evolutions<TemporalEvolution> | undefined> {
    return everywhere(caller, request, unlimited(request.selection), true, async (asked) => {
      // Refuses what may not be asked, and who may not ask; the instances are read below, all of them.
      await local.queryTemporal(caller, { ...asked, page: { ...asked.page, limit: 0 } });
      return history.query(caller.tenant, asked.query, unlimited(asked.selection), asked.page);
    });
  }

  function notCut(evolution: TemporalEvolution): TemporalEvolution {
    if (evolution.cut === undefined) return evolution;
    throw new DomainError(
      'TooComplexQuery',
      `More than ${mostInstances} instances of one attribute of ${evolution.id} would have to be gathered: ask for a shorter time`,
    );
  }

  function aggregated(
    evolution: TemporalEvolution,
    selection: EvolutionSelection,
    aggregation: Aggregation,
  ): AggregatedEvolution {
    const found = aggregateEvolution(evolution, selection, aggregation);
    refuseIneligible(found, selection);
    const { heldBy } = evolution;
    return heldBy ? { ...found, heldBy } : found;
  }
}

/** Evolutions that are looked at to learn their ids. */
const IDS_AT_ONCE = 200;

const NOTHING = { evolutions: [], more: false } as const;

const ours = (evolution: TemporalEvolution): Held => ({ evolution, auxiliary: false, by: '@none' });

function together(parts: readonly Held[], selection: HistorySelection): TemporalEvolution {
  const heldBy = [...new Set(parts.map(({ by }) => by))];
  return { ...mergeEvolutions(parts, selection), heldBy: () => heldBy };
}

/** The windows and pages of one source, put together again. */
function joined(parts: readonly Held[], filter: HistorySelection['filter']): readonly Held[] {
  const byId = new Map<Iri, Held>();
  const all = { filter, limitPerAttribute: Number.POSITIVE_INFINITY };
  for (const part of parts) {
    const known = byId.get(part.evolution.id);
    byId.set(part.evolution.id, known ? { ...part, evolution: mergeEvolutions([known, part], all) } : part);
  }
  return [...byId.values()];
}

/** What the selection names; undefined: nothing of it is there. */
function onlyWanted(evolution: TemporalEvolution, { attributes: wanted }: HistorySelection): TemporalEvolution | undefined {
  if (wanted === undefined) return evolution;
  const names = new Set<string>(wanted);
  const attributes = Object.fromEntries(Object.entries(evolution.attributes).filter(([name]) => names.has(name)));
  return Object.keys(attributes).length === 0 ? undefined : { ...evolution, attributes };
}
