import type { Onward } from '../../domain/distribution.ts';
import type { Iri } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import { compilePattern } from '../../domain/query/pattern.ts';
import type { EntityInfo, Registration, RegistrationInfo } from '../../domain/registration.ts';
import type { Question } from './sources.ts';

type Pairs = readonly (readonly [string, string])[];

/** Parameters that ask for something else than which entities: how the answer looks is settled here, after merging. */
const FILTERS = ['q', 'georel', 'geometry', 'coordinates', 'geoproperty', 'scopeQ', 'expandValues', 'jsonKeys', 'datasetId'];
/** What goes only to sources that have entities as a whole (5.7.2.4): the filters of split entities are applied to the merged ones. */
const KEPT_WHEN_SPLIT = ['expandValues', 'jsonKeys', 'datasetId'];

/** The attributes to ask a source for: those wanted that it is registered for. undefined: all. */
export function attributesFor(
  information: readonly RegistrationInfo[],
  wanted: readonly Iri[] | undefined,
): readonly Iri[] | undefined {
  if (information.some(({ attributes }) => attributes === undefined)) return wanted;
  const registered = [...new Set(information.flatMap(({ attributes }) => attributes ?? []))];
  return wanted === undefined ? registered : registered.filter((name) => wanted.includes(name));
}

/** The client's query in texts, narrowed to what is registered (4.3.6.1). undefined: the source cannot have anything. */
function narrowed(
  onward: Onward,
  information: readonly RegistrationInfo[],
  wanted: readonly Iri[] | undefined,
  split: boolean,
): Pairs | undefined {
  const { context } = onward;
  const text = textOf(onward);
  const attributes = attributesFor(information, wanted);
  if (attributes !== undefined && attributes.length === 0) return undefined;
  const infos = information.some(({ entities }) => entities === undefined)
    ? []
    : information.flatMap(({ entities }) => entities ?? []);
  const ids = idsFor(text['id']?.split(','), infos);
  if (ids !== undefined && ids.length === 0) return undefined;
  const types =
    infos.length > 0 && infos.every((info) => info.types) ? [...new Set(infos.flatMap((info) => info.types ?? []))] : undefined;
  const patterns = [...new Set(infos.map(({ idPattern }) => idPattern))];
  const idPattern = text['idPattern'] ?? (ids === undefined && patterns.length === 1 ? patterns[0] : undefined);
  const type = text['type'] ?? types?.map((one) => context.compact(one)).join(',');
  return [
    ...(type === undefined ? [] : [['type', type] as const]),
    ...(ids === undefined ? [] : [['id', ids.join(',')] as const]),
    ...(idPattern === undefined || ids !== undefined ? [] : [['idPattern', idPattern] as const]),
    ...(attributes === undefined ? [] : [['attrs', attributes.map((name) => context.compact(name)).join(',')] as const]),
    ...FILTERS.flatMap((name) =>
      text[name] === undefined || (split && !KEPT_WHEN_SPLIT.includes(name)) ? [] : [[name, text[name]] as const],
    ),
  ];
}

/** The request as it concerns one source, if an EntityMap is in use (5.7.2.4). undefined: the map has nothing there. */
export function throughMap(onward: Onward, registration: Iri): { onward: Onward; entityMap?: Iri } | undefined {
  const { entityMap } = onward;
  if (entityMap === undefined) return { onward };
  const ids = entityMap.idsAt(registration);
  if (ids.length === 0) return undefined;
  const linked = entityMap.linked(registration);
  const more = linked === undefined ? {} : { entityMap: linked };
  if (onward.method !== 'POST' || !isObject(onward.body))
    return { onward: { ...onward, query: { ...onward.query, id: ids.join(',') } }, ...more };
  // The map holds what the selectors of the query found; their types still travel.
  const given: readonly JsonValue[] = Array.isArray(onward.body['entities']) ? onward.body['entities'] : [{}];
  const entities = given.filter(isObject).map(({ idPattern: _, ...selector }) => ({ ...selector, id: ids }));
  return { onward: { ...onward, body: { ...onward.body, entities } }, ...more };
}

/** What is asked of one source for a query. undefined: it cannot have anything. */
export function queryFor(
  onward: Onward,
  registration: Registration,
  information: readonly RegistrationInfo[],
  wanted: readonly Iri[] | undefined,
  split: boolean,
): Question | undefined {
  const pairs = narrowed(onward, information, wanted, split);
  if (pairs === undefined) return undefined;
  const byPost =
    onward.method === 'POST'
      ? registration.operations.includes('queryBatch')
      : !registration.operations.includes('queryEntity');
  const query = [['options', 'sysAttrs']] as const;
  return byPost
    ? { method: 'POST', path: 'entityOperations/query', query, body: bodyFrom(pairs) }
    : { method: 'GET', path: 'entities', query: [...pairs, ...query] };
}

/** Members of a temporal query (5.2.21), without lastN. */
const TEMPORAL = ['timerel', 'timeAt', 'endTimeAt', 'timeproperty'];

/**
 * What is asked of one source for evolutions (5.7.4), or for the one of `id` (5.7.3). undefined: it cannot have anything.
 * @param lastN how many of the latest instances are needed; undefined: all of them
 */
export function temporalQuestionFor(
  onward: Onward,
  information: readonly RegistrationInfo[],
  wanted: readonly Iri[] | undefined,
  more: { readonly id?: Iri; readonly lastN?: number | undefined; readonly split: boolean },
): Question | undefined {
  const { id, lastN, split } = more;
  const temporalQ = isObject(onward.body) && isObject(onward.body['temporalQ']) ? onward.body['temporalQ'] : {};
  const text: Readonly<Record<string, JsonValue | undefined>> = onward.method === 'POST' ? temporalQ : onward.query;
  const asked = narrowed(
    id === undefined ? onward : { ...onward, method: 'GET', query: { ...onward.query, id } },
    information,
    wanted,
    split,
  );
  if (asked === undefined) return undefined;
  const pairs: Pairs = [
    ...asked.filter(([name]) => id === undefined || name === 'attrs' || name === 'datasetId'),
    ...TEMPORAL.flatMap((name) => (typeof text[name] === 'string' ? [[name, text[name]] as const] : [])),
    ...(lastN === undefined ? [] : [['lastN', String(lastN)] as const]),
    ['options', 'sysAttrs'],
  ];
  const path = id === undefined ? 'temporal/entities' : `temporal/entities/${encodeURIComponent(id).replaceAll('%3A', ':')}`;
  return { method: 'GET', path, query: pairs };
}

/** The same question about the time behind what a partial answer covered (6.3.10). undefined: nothing is behind it. */
export function continued(question: Question, covered: { readonly from: string; readonly to: string }): Question | undefined {
  const text = Object.fromEntries(question.query);
  const { timerel, timeAt, endTimeAt, lastN } = text;
  const rest = question.query.filter(([name]) => !['timerel', 'timeAt', 'endTimeAt', 'limit', 'offset'].includes(name));
  const between = (from: string, to: string): Question | undefined =>
    from >= to ? undefined : { ...question, query: [...rest, ['timerel', 'between'], ['timeAt', from], ['endTimeAt', to]] };
  if (lastN !== undefined) return undefined;
  if (timerel === 'before' && timeAt !== undefined) return between(covered.to, timeAt);
  if (timerel === 'between' && endTimeAt !== undefined)
    return covered.to === timeAt ? undefined : between(covered.to, endTimeAt);
  if (covered.to === timeAt) return undefined;
  return { ...question, query: [...rest, ['timerel', 'after'], ['timeAt', covered.to]] };
}

/** The purge of a client, narrowed to what is registered: nothing else of a source may be deleted (4.3.6.1). undefined: nothing is left of it. */
export function purgeFor(onward: Onward, information: readonly RegistrationInfo[]): Question | undefined {
  const { context, query } = onward;
  const infos = information.some(({ entities }) => entities === undefined)
    ? []
    : information.flatMap(({ entities }) => entities ?? []);
  const ids = idsFor(query['id']?.split(','), infos);
  if (ids !== undefined && ids.length === 0) return undefined;
  const patterns = [...new Set(infos.map(({ idPattern }) => idPattern))];
  const idPattern = query['idPattern'] ?? (ids === undefined && patterns.length === 1 ? patterns[0] : undefined);
  const registered = attributesFor(information, undefined);
  const expanded = (list: string | undefined) => list?.split(',').map((name) => context.expand(name.trim()));
  const keep = expanded(query['keep']);
  const drop = expanded(query['drop']);
  const dropped = registered?.filter((name) => (drop?.includes(name) ?? true) && keep?.includes(name) !== true);
  if (dropped !== undefined && dropped.length === 0) return undefined;
  const own = ['id', 'idPattern', 'local', 'csf', ...(dropped ? ['keep', 'drop'] : [])];
  return {
    method: onward.method,
    path: onward.path,
    query: [
      ...Object.entries(query).filter(([name]) => !own.includes(name)),
      ...(ids === undefined ? [] : [['id', ids.join(',')] as const]),
      ...(idPattern === undefined || ids !== undefined ? [] : [['idPattern', idPattern] as const]),
      ...(dropped ? [['drop', dropped.map((name) => context.compact(name)).join(',')] as const] : []),
    ],
  };
}

/** The ids to ask for: those of the client that the source may have, or those registered; undefined: any. */
function idsFor(asked: readonly string[] | undefined, infos: readonly EntityInfo[]): readonly string[] | undefined {
  if (asked === undefined) {
    const ids = infos.map(({ id }) => id);
    return ids.length > 0 && ids.every((id) => id !== undefined) ? [...new Set(ids as Iri[])] : undefined;
  }
  if (infos.length === 0) return asked;
  return asked.filter((one) =>
    infos.some(({ id, idPattern }) =>
      id !== undefined ? id === one : idPattern === undefined || compilePattern(idPattern)(one),
    ),
  );
}

/** The query as texts, whether it came as URL or as body (5.2.23). */
function textOf({ method, query, body }: Onward): Readonly<Record<string, string>> {
  if (method !== 'POST' || !isObject(body)) return query;
  const text: Record<string, string> = {};
  const list = (value: JsonValue | undefined) =>
    Array.isArray(value) ? value.join(',') : typeof value === 'string' ? value : undefined;
  const put = (name: string, value: string | undefined) => {
    if (value !== undefined && value !== '') text[name] = value;
  };
  const selectors = (Array.isArray(body['entities']) ? body['entities'] : []).filter(isObject);
  const all = (name: string) =>
    selectors.length > 0 && selectors.every((one) => one[name] !== undefined)
      ? selectors.map((one) => list(one[name])).join(',')
      : undefined;
  put('type', all('type'));
  put('id', all('id'));
  if (selectors.length === 1) put('idPattern', list(selectors[0]?.['idPattern']));
  for (const name of ['q', 'scopeQ', 'expandValues', 'jsonKeys', 'datasetId']) put(name, list(body[name]));
  const geoQ = body['geoQ'];
  if (isObject(geoQ)) {
    for (const name of ['georel', 'geometry', 'geoproperty']) put(name, list(geoQ[name]));
    const { coordinates } = geoQ;
    put('coordinates', typeof coordinates === 'string' ? coordinates : JSON.stringify(coordinates));
  }
  return text;
}

/** The same as the body of a query by POST. */
function bodyFrom(pairs: Pairs): JsonObject {
  const text = Object.fromEntries(pairs);
  const { type, id, idPattern, attrs, georel, geometry, coordinates, geoproperty } = text;
  const selector = {
    ...(type === undefined ? {} : { type }),
    ...(id === undefined ? {} : { id: id.split(',').length === 1 ? id : id.split(',') }),
    ...(idPattern === undefined ? {} : { idPattern }),
  };
  const body: Record<string, JsonValue> = { type: 'Query' };
  if (Object.keys(selector).length > 0) body['entities'] = [selector];
  if (attrs !== undefined) body['attrs'] = attrs.split(',');
  for (const name of ['q', 'scopeQ']) if (text[name] !== undefined) body[name] = text[name];
  for (const name of ['expandValues', 'jsonKeys', 'datasetId'])
    if (text[name] !== undefined) body[name] = text[name].split(',');
  if (georel !== undefined && geometry !== undefined && coordinates !== undefined) {
    body['geoQ'] = {
      georel,
      geometry,
      coordinates: JSON.parse(coordinates) as JsonValue,
      ...(geoproperty === undefined ? {} : { geoproperty }),
    };
  }
  return body;
}
