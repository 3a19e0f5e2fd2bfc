import type { FastifyRequest } from 'fastify';
import { badRequest, invalidRequest } from '../../domain/errors.ts';
import { type Iri, isIri } from '../../domain/iri.ts';
import { isObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import type { Join } from '../../domain/linked.ts';
import { type GeoParameters, parseGeoQuery } from '../../domain/query/parse/georel.ts';
import { type OrderParameters, parseOrder } from '../../domain/query/parse/order.ts';
import { parseQ } from '../../domain/query/parse/q.ts';
import { parseScopes } from '../../domain/query/parse/scope.ts';
import { parseTypes } from '../../domain/query/parse/types.ts';
import { compilePattern } from '../../domain/query/pattern.ts';
import type { Condition, EntityQuery, EntitySelector, Order } from '../../domain/query/query.ts';
import { refuseTooDeep } from '../../domain/query/too-wide.ts';
import { flag, listParameter, parameter } from '../http/request.ts';
import { attributeNames, datasetIdsOf } from './representation-parameters.ts';

/** What selects entities, as text: parameters of a URL or members of a Query (5.2.23). */
export interface SelectionText {
  readonly entities?: readonly SelectorText[] | undefined;
  readonly attrs?: readonly string[] | undefined;
  readonly q?: string | undefined;
  readonly csf?: string | undefined;
  readonly expandValues?: readonly string[] | undefined;
  readonly jsonKeys?: readonly string[] | undefined;
  readonly scopeQ?: string | undefined;
  readonly datasetId?: readonly string[] | undefined;
  readonly geo: GeoParameters;
  readonly order: OrderParameters;
  readonly join?: string | undefined;
  readonly joinLevel?: string | undefined;
  readonly containedBy?: readonly string[] | undefined;
}

/** 5.2.33 as text. */
interface SelectorText {
  readonly id?: readonly string[] | undefined;
  readonly idPattern?: string | undefined;
  readonly type?: string | undefined;
}

export interface Selection {
  readonly query: EntityQuery;
  readonly order: readonly Order[] | undefined;
  /** local=true, or implied by type=* (Table 6.4.3.2-1). */
  readonly local: boolean;
  /** Undefined: linked entities are not joined. */
  readonly join: Join | undefined;
}

/** The parameters of a URL that {@link selectionText} and {@link localOf} read. */
export const SELECTION_PARAMETERS = [
  'id', 'type', 'idPattern', 'attrs', 'q', 'csf', 'georel', 'geometry', 'coordinates', 'geoproperty', 'scopeQ', 'expandValues', 'jsonKeys',
  'datasetId', 'orderBy', 'orderFrom', 'orderGeometry', 'collation', 'local', 'join', 'joinLevel', 'containedBy', 'splitEntities',
  'entityMap', 'entityMapLifetime',
] as const; // biome-ignore format: a list to be read as one

export function selectionText(request: FastifyRequest): SelectionText {
  const text = (name: string): string | undefined => parameter(request, name);
  const selector = { id: listParameter(request, 'id'), idPattern: text('idPattern'), type: text('type') };
  const selects = selector.id !== undefined || selector.idPattern !== undefined || selector.type !== undefined;
  return {
    entities: selects ? [selector] : undefined,
    attrs: listParameter(request, 'attrs'),
    q: text('q'),
    csf: text('csf'),
    expandValues: listParameter(request, 'expandValues'),
    jsonKeys: listParameter(request, 'jsonKeys'),
    scopeQ: text('scopeQ'),
    datasetId: listParameter(request, 'datasetId'),
    geo: {
      georel: text('georel'),
      geometry: text('geometry'),
      coordinates: text('coordinates'),
      geoproperty: text('geoproperty'),
    },
    order: {
      orderBy: text('orderBy'),
      orderFrom: text('orderFrom'),
      orderGeometry: text('orderGeometry'),
      collation: text('collation'),
    },
    join: text('join'),
    joinLevel: text('joinLevel'),
    containedBy: listParameter(request, 'containedBy'),
  };
}

/** `local`; undefined if the request does not say. */
export function localOf(request: FastifyRequest): boolean | undefined {
  return parameter(request, 'local') === undefined ? undefined : flag(request, 'local');
}

/** @throws DomainError BadRequestData, OperationNotSupported */
export function selectionOf(text: SelectionText, context: Context, local: boolean | undefined): Selection {
  if (text.csf !== undefined) parseQ(text.csf, context, { what: 'csf' });
  const every = text.entities?.some((selector) => selector.type === '*') === true;
  if (every && local === false) throw badRequest('type=* means all local entities, so local=false contradicts it');
  const where = conditionOf(text, context);
  const join = joinOf(text);
  refuseTooDeep(where, join?.level ?? 0);
  const { scopeQ, attrs, datasetId } = text;
  return {
    query: {
      ...entitiesOf(text.entities, context),
      ...(attrs === undefined ? {} : { anyAttribute: attributeNames(attrs, context) }),
      ...(scopeQ === undefined ? {} : { scopes: parseScopes(scopeQ) }),
      ...(where === undefined ? {} : { where }),
      ...(datasetId === undefined ? {} : { datasetIds: datasetIdsOf(datasetId) }),
    },
    order: parseOrder(text.order, context),
    local: every || local === true,
    join,
  };
}

/** How linked entities are to be joined (4.5.23); undefined: not at all. @throws DomainError BadRequestData */
export function joinOf({
  join = '@none',
  joinLevel,
  containedBy,
}: Pick<SelectionText, 'join' | 'joinLevel' | 'containedBy'>): Join | undefined {
  if (joinLevel !== undefined && !/^[1-9]\d{0,5}$/.test(joinLevel)) {
    throw badRequest(`joinLevel must be a whole number of 1 or more, not "${joinLevel}"`);
  }
  const encountered = (containedBy ?? []).map(entityId);
  if (join === '@none') return undefined;
  if (join !== 'inline' && join !== 'flat') throw badRequest(`join must be flat, inline or @none, not "${join}"`);
  return { form: join, level: Number(joinLevel ?? 1), containedBy: encountered };
}

function conditionOf(text: SelectionText, context: Context): Condition | undefined {
  const geo = parseGeoQuery(text.geo, context);
  if (text.q === undefined) return geo;
  const { expandValues, jsonKeys } = text;
  const q = parseQ(text.q, context, { ...(expandValues && { expandValues }), ...(jsonKeys && { jsonKeys }) });
  return geo === undefined ? q : { kind: 'and', of: [q, geo] };
}

function entitiesOf(
  selectors: readonly SelectorText[] | undefined,
  context: Context,
): EntitySelector | Pick<EntityQuery, 'anyOf' | 'types'> {
  if (selectors === undefined) return {};
  const parsed = selectors.map((selector) => selectorOf(selector, context));
  if (parsed.length === 1) return parsed[0] as EntitySelector;
  const types = parsed.flatMap((selector) => (selector.types === undefined ? [] : [selector.types]));
  // Redundant, but an index knows what to do with it.
  return types.length === parsed.length ? { anyOf: parsed, types: { kind: 'any', of: types } } : { anyOf: parsed };
}

function selectorOf({ id, idPattern, type }: SelectorText, context: Context): EntitySelector {
  // 5.2.33: id takes precedence over idPattern.
  const pattern = id === undefined ? idPattern : undefined;
  if (pattern !== undefined) compilePattern(pattern);
  const types = type === undefined ? undefined : parseTypes(type, context);
  return {
    ...(id === undefined ? {} : { ids: id.map(entityId) }),
    ...(pattern === undefined ? {} : { idPattern: pattern }),
    ...(types === undefined ? {} : { types }),
  };
}

function entityId(text: string): Iri {
  if (isIri(text)) return text;
  throw badRequest(`${JSON.stringify(text)} is not the id of an entity: an absolute IRI such as urn:ngsi-ld:Vehicle:A4567`);
}

// ---- the body of a query by POST (5.2.23) ----------------------------------------------------------------------------------------------

/** A Query as text, from its JSON. Members of {@link SelectionText} and of how the answer is to look. */
export type QueryBody = SelectionText & {
  readonly pick?: string | undefined;
  readonly omit?: string | undefined;
  readonly lang?: string | undefined;
  readonly temporalQ?: Record<string, JsonValue> | undefined;
  readonly aggrParams?: Record<string, JsonValue> | undefined;
  readonly entityMap?: boolean | undefined;
  readonly entityMapLifetime?: string | undefined;
};

const BODY_MEMBERS = new Set([
  '@context', 'type', 'entities', 'attrs', 'pick', 'omit', 'q', 'csf', 'geoQ', 'scopeQ', 'lang', 'expandValues', 'jsonKeys', 'datasetId', 'temporalQ',
  'aggrParams', 'join', 'joinLevel', 'containedBy', 'splitEntities', 'ordering', 'orderBy', 'local', 'entityMap', 'entityMapLifetime',
]); // biome-ignore format: a list to be read as one

/** Reads the members of a Query. @throws DomainError BadRequestData naming the member */
export function readQueryBody(body: JsonValue): QueryBody {
  if (!isObject(body)) throw badRequest('The body must be a Query: a JSON object with "type": "Query"');
  for (const member in body) if (!BODY_MEMBERS.has(member)) throw badRequest(`A Query has no member "${member}"`);
  if (body['type'] !== 'Query') throw badRequest('The body must be a Query: its member "type" must be "Query"');
  const geoQ = objectMember(body, 'geoQ');
  const ordering = objectMember(body, 'ordering') ?? body;
  const pick = listMember(body, 'pick');
  const omit = listMember(body, 'omit');
  return {
    entities: selectorsOf(body['entities']),
    attrs: listMember(body, 'attrs'),
    q: textMember(body, 'q'),
    csf: textMember(body, 'csf'),
    expandValues: listMember(body, 'expandValues'),
    jsonKeys: listMember(body, 'jsonKeys'),
    scopeQ: textMember(body, 'scopeQ'),
    datasetId: listMember(body, 'datasetId'),
    lang: textMember(body, 'lang'),
    join: textMember(body, 'join'),
    joinLevel: body['joinLevel'] === undefined ? undefined : String(body['joinLevel']),
    containedBy: listMember(body, 'containedBy'),
    pick: pick?.join(','),
    omit: omit?.join(','),
    geo:
      geoQ === undefined
        ? {}
        : {
            georel: textMember(geoQ, 'georel'),
            geometry: textMember(geoQ, 'geometry'),
            coordinates: geoQ['coordinates'],
            geoproperty: textMember(geoQ, 'geoproperty'),
          },
    order: {
      orderBy: listMember(ordering, 'orderBy')?.join(','),
      // 5.2.43 calls it coordinates; the parameter of the URL is orderFrom.
      orderFrom: ordering === body ? ordering['orderFrom'] : (ordering['coordinates'] ?? ordering['orderFrom']),
      orderGeometry: textMember(ordering, 'orderGeometry') ?? textMember(ordering, 'geometry'),
      collation: textMember(ordering, 'collation'),
    },
    temporalQ: objectMember(body, 'temporalQ'),
    aggrParams: objectMember(body, 'aggrParams'),
    entityMap: flagMember(body, 'entityMap'),
    entityMapLifetime: textMember(body, 'entityMapLifetime'),
  };
}

function selectorsOf(value: JsonValue | undefined): readonly SelectorText[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.length === 0) throw badRequest('"entities" must be an array that is not empty');
  return value.map((selector: JsonValue) => {
    if (!isObject(selector)) throw badRequest('Each of "entities" must be an object with "type", "id" or "idPattern"');
    return {
      id: listMember(selector, 'id'),
      idPattern: textMember(selector, 'idPattern'),
      type: textMember(selector, 'type'),
    };
  });
}

function textMember(object: Record<string, JsonValue>, name: string): string | undefined {
  const value = object[name];
  if (value === undefined || typeof value === 'string') return value;
  throw badRequest(`"${name}" must be a text`);
}

function flagMember(object: Record<string, JsonValue>, name: string): boolean | undefined {
  const value = object[name];
  if (value === undefined || typeof value === 'boolean') return value;
  throw badRequest(`"${name}" must be true or false`);
}

function listMember(object: Record<string, JsonValue>, name: string): readonly string[] | undefined {
  const value = object[name];
  if (value === undefined) return undefined;
  const list = typeof value === 'string' ? [value] : value;
  if (!Array.isArray(list) || list.length === 0 || !list.every((item) => typeof item === 'string')) {
    throw badRequest(`"${name}" must be an array of texts that is not empty`);
  }
  return list as readonly string[];
}

function objectMember(object: Record<string, JsonValue>, name: string): Record<string, JsonValue> | undefined {
  const value = object[name];
  if (value === undefined || isObject(value)) return value;
  throw badRequest(`"${name}" must be an object`);
}

/** A parameter of the URL that must be one of these words. @throws DomainError InvalidRequest */
export function wordOf<T extends string>(text: string, words: readonly T[], what: string): T {
  const found = words.find((word) => word === text);
  if (found === undefined) throw invalidRequest(`${what} must be one of ${words.join(', ')}, not "${text}"`);
  return found;
}
