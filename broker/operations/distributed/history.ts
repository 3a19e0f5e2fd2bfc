import type { Caller } from '../../domain/access.ts';
import { type AttributeInstance, instanceValue } from '../../domain/attribute.ts';
import { DomainError } from '../../domain/errors.ts';
import type { TemporalEvolution, TimeProperty } from '../../domain/history.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { expandTemporalEntity } from '../../domain/jsonld/expand-temporal.ts';
import { intervalMatches, isTemporal, matchingInformation, type RegistrationMatch } from '../../domain/registration.ts';
import { type Instant, parseInstant, toMicros } from '../../domain/time.ts';
import type { EvolutionSelection, HistoryOperations } from '../history.ts';
import { matchOf } from './entities.ts';
import { attributesFor } from './question.ts';
import type { Sources } from './sources.ts';

/** What does not travel: how the answer looks, and how many of it, is settled here. */
const OURS = new Set([
  'local', 'options', 'format', 'lang', 'limit', 'offset', 'count', 'csf', 'attrs', 'pick', 'omit', 'aggrMethods', 'aggrPeriodDuration', 'entityMap',
  'entityMapLifetime', 'splitEntities',
]); // biome-ignore format: a list to be read as one

/**
 * Reading evolutions that are spread over several brokers (5.7.3, 5.7.4): the instances of all of them, each once. Aggregates, and all writes to history, are made
 * from what is here alone.
 */
export function distributedHistory(local: HistoryOperations, sources: Sources): HistoryOperations {
  /** What sources have of these entities. A source that fails is left out. */
  async function ask(
    caller: Caller,
    operation: string,
    match: RegistrationMatch,
    { filter, attributes }: EvolutionSelection,
  ): Promise<readonly TemporalEvolution[]> {
    const { onward } = caller;
    if (onward === undefined || sources.isLoop(caller)) return [];
    const asked = sources.inForce(caller, [operation], true).map(async (source) => {
      const { registration } = source;
      if (isTemporal(registration) && filter.time !== undefined && !intervalMatches(registration, filter)) return [];
      const information = matchingInformation(registration, { ...match, ...(attributes ? { attributes } : {}) });
      const wanted = attributesFor(information, attributes);
      if (information.length === 0 || wanted?.length === 0) return [];
      const reply = await sources.ask(caller, source, {
        method: onward.method,
        path: onward.path,
        query: [
          ...Object.entries(onward.query).filter(([name]) => !OURS.has(name)),
          ...(wanted ? [['attrs', wanted.map((name) => onward.context.compact(name)).join(',')] as const] : []),
          ['options', 'sysAttrs'],
        ],
        ...(onward.body === undefined ? {} : { body: onward.body }),
      });
      if (reply.kind !== 'answered' || (reply.status !== 200 && reply.status !== 206) || reply.body === undefined) return [];
      const context = await sources.contextOf(caller, reply.body);
      return ([reply.body].flat() as readonly JsonValue[]).flatMap((one) => remoteEvolution(one, context));
    });
    return (await Promise.all(asked)).flat();
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

  return {
    ...local,

    async retrieveTemporal(caller, id, selection) {
      if (caller.onward === undefined) return local.retrieveTemporal(caller, id, selection);
      const [here, there] = await Promise.all([
        orNothing(local.retrieveTemporal(caller, id, selection)),
        ask(caller, 'retrieveTemporal', { ids: [id] }, selection),
      ]);
      const versions = [...(here instanceof DomainError ? [] : [here]), ...there.filter((one) => one.id === id)];
      const [first, ...more] = versions;
      if (first === undefined) throw here;
      return more.reduce((merged, one) => mergeEvolutions(merged, one, selection), first);
    },

    async queryTemporal(caller, asked) {
      if (caller.onward === undefined || asked.local) return local.queryTemporal(caller, asked);
      const there = await ask(caller, 'queryTemporal', matchOf(asked.query), asked.selection);
      if (there.length === 0) return local.queryTemporal(caller, asked);
      const { limit, offset = 0, count, ...rest } = asked.page;
      // Pages are cut from the whole, so the part that is here must reach as far as the page does.
      const page = { ...rest, limit: offset + limit, ...(count === undefined ? {} : { count }) };
      const here = await local.queryTemporal(caller, { ...asked, page });
      const byId = new Map(here.evolutions.map((one) => [one.id, one]));
      const known = byId.size;
      for (const one of there) {
        const before = byId.get(one.id);
        byId.set(one.id, before ? mergeEvolutions(before, one, asked.selection) : one);
      }
      const all = [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
      return {
        evolutions: all.slice(offset, offset + limit),
        more: all.length > offset + limit || here.more,
        ...(here.count === undefined ? {} : { count: here.count + byId.size - known }),
        ...(here.cut ? { cut: here.cut } : {}),
      };
    },
  };
}

function remoteEvolution(body: JsonValue, context: Context): readonly TemporalEvolution[] {
  if (!isObject(body)) return [];
  try {
    const { id, types, scopes, attributes } = expandTemporalEntity(body, context);
    if (id === undefined || types === undefined) return [];
    const given = new Map(
      Object.entries(body).map(([name, value]) => [name === 'id' || name === 'type' ? name : context.expand(name), value]),
    );
    const timed: Record<Iri, readonly AttributeInstance[]> = {};
    for (const [name, instances] of Object.entries(attributes) as [Iri, readonly AttributeInstance[]][]) {
      const sent = [given.get(name) ?? []].flat() as readonly JsonValue[];
      timed[name] = instances.map((instance, at) => ({ ...instance, ...systemMembers(sent[at]) }));
    }
    const createdAt = parseInstant(body['createdAt']) ?? EPOCH;
    return [
      {
        id,
        types,
        attributes: timed,
        createdAt,
        modifiedAt: parseInstant(body['modifiedAt']) ?? createdAt,
        ...(scopes ? { scopes } : {}),
      },
    ];
  } catch (error) {
    // What is no evolution is not made part of one.
    if (error instanceof DomainError) return [];
    throw error;
  }
}

const EPOCH = '1970-01-01T00:00:00Z' as Instant;

function systemMembers(sent: JsonValue | undefined): { createdAt?: Instant; modifiedAt?: Instant; instanceId?: Iri } {
  if (!isObject(sent)) return {};
  const found: { createdAt?: Instant; modifiedAt?: Instant } = {};
  for (const name of ['createdAt', 'modifiedAt'] as const) {
    const at = parseInstant((sent as JsonObject)[name]);
    if (at) found[name] = at;
  }
  return typeof sent['instanceId'] === 'string' ? { ...found, instanceId: sent['instanceId'] as Iri } : found;
}

/** All instances of both, each once, in order of the time asked for; of those only the newest, if lastN says so. */
function mergeEvolutions(a: TemporalEvolution, b: TemporalEvolution, { filter, lastN }: EvolutionSelection): TemporalEvolution {
  const attributes: Record<Iri, readonly AttributeInstance[]> = { ...a.attributes };
  for (const [name, instances] of Object.entries(b.attributes) as [Iri, readonly AttributeInstance[]][]) {
    const known = new Map((attributes[name] ?? []).map((one) => [identityOf(one), one]));
    for (const one of instances) if (!known.has(identityOf(one))) known.set(identityOf(one), one);
    const merged = [...known.values()].sort((x, y) => timeOf(x, filter.property) - timeOf(y, filter.property));
    attributes[name] = lastN === undefined ? merged : merged.slice(-lastN);
  }
  return { ...a, types: [...new Set([...a.types, ...b.types])], attributes };
}

/** The same measurement, heard of at two places. */
const identityOf = (one: AttributeInstance): string =>
  JSON.stringify([one.datasetId, one.observedAt ?? one.instanceId, instanceValue(one), one.deletedAt]);

function timeOf(one: AttributeInstance, property: TimeProperty): number {
  const at = one[property];
  return at === undefined ? 0 : toMicros(at);
}
