import { conformTo, type Version } from '../../domain/conformance.ts';
import type { Entity } from '../../domain/entity.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { expandEntity } from '../../domain/jsonld/expand.ts';
import { parseQ, printQ } from '../../domain/query/parse/q.ts';
import { entityWriter } from '../../domain/representation.ts';
import type { SourceRequest } from '../../ports/context-source.ts';
import type { Question } from './sources.ts';

export type Worded = Pick<SourceRequest, 'path' | 'query' | 'body' | 'contextUrl'>;

/**
 * Compaction "over both payload and query parameters" (4.3.6.6): the question with every name in the terms of another @context.
 * @param contextOf the @context that an element of the body brings, or that of the request
 */
export async function inTermsOf(
  { path, query, body }: Question,
  from: Context,
  wanted: { readonly url: string; readonly context: Context },
  contextOf: (one: JsonObject) => Promise<Context>,
): Promise<Worded> {
  const to = wanted.context;
  const rename = (name: string) => renamed(name, from, to);
  return {
    contextUrl: wanted.url,
    path: path.replace(/(?<=(?:\/attrs|^types|^attributes)\/)[^/]+/, (name) =>
      encodeURIComponent(rename(decodeURIComponent(name))),
    ),
    query: query.map(([name, value]) => [name, textIn(name, value, from, to)] as const),
    ...(body === undefined
      ? {}
      : {
          body: isQuery(path)
            ? each(body, (one) => queryIn(without(one), from, to))
            : await eachLater(body, async (one) => recompact(one, await contextOf(one), to)),
        }),
  };
}

/**
 * The question in the terms in which it was asked. The @context goes along as a link if there is one for all of it, else inside the body.
 * @param asLd the source wants application/ld+json
 */
export function inOwnTerms({ path, query, body }: Question, context: Context, asLd: boolean): Worded {
  const { link, source } = context;
  if (body === undefined) return { path, query, ...(link === undefined ? {} : { contextUrl: link }) };
  const mixed =
    Array.isArray(body) && new Set(body.map((one: JsonValue) => isObject(one) && JSON.stringify(one['@context']))).size > 1;
  if (asLd || mixed || link === undefined)
    return { path, query, body: each(body, (one) => ({ '@context': one['@context'] ?? source, ...without(one) })) };
  return { path, query, contextUrl: link, body: each(body, without) };
}

/** The fallbacks of 4.3.6.8 over a payload of entities, for a source of an earlier version of the specification. */
export function inVersion(worded: Worded, version: Version | undefined): Worded {
  const { path, body } = worded;
  if (version === undefined || body === undefined || isQuery(path) || !/^(?:entities|entityOperations)\b/.test(path))
    return worded;
  if (/\/attrs\/[^/]+$/.test(path)) {
    // An attribute alone: what an entity with it would be made of.
    const { attribute } = conformTo({ attribute: body }, version) as { attribute: JsonValue };
    return { ...worded, body: attribute };
  }
  return { ...worded, body: conformTo(body, version) };
}

const isQuery = (path: string): boolean => path.endsWith('ntityOperations/query');

/** Parameters, and members of a Query (5.2.23), that hold names. */
const LISTS: ReadonlySet<string> = new Set([
  'type', 'attrs', 'pick', 'omit', 'keep', 'drop', 'expandValues', 'jsonKeys', 'geoproperty', 'geometryProperty',
]); // biome-ignore format: a list to be read as one
/** Members of entities, which pick and omit name as well. */
const RESERVED: ReadonlySet<string> = new Set(['id', 'type', 'scope']);

function textIn(name: string, value: string, from: Context, to: Context): string {
  if (name === 'q') {
    try {
      return printQ(parseQ(value, from), (iri) => to.compact(iri));
    } catch {
      // What cannot be read here is for the source to refuse.
      return value;
    }
  }
  return LISTS.has(name) ? value.replace(/[^,;|(){}\s]+/g, (one) => renamed(one, from, to)) : value;
}

function queryIn(query: JsonObject, from: Context, to: Context): JsonObject {
  const inside = (name: string, value: JsonValue): JsonValue => {
    if (typeof value === 'string') return name === 'type' && value === 'Query' ? value : textIn(name, value, from, to);
    if (Array.isArray(value)) return value.map((one: JsonValue) => inside(name, one));
    return isObject(value) && (name === 'entities' || name === 'geoQ') ? members(value) : value;
  };
  const members = (object: JsonObject): JsonObject =>
    Object.fromEntries(Object.entries(object).map(([name, value]) => [name, inside(name, value as JsonValue)]));
  return members(query);
}

function renamed(name: string, from: Context, to: Context): string {
  if (RESERVED.has(name) || name === '*') return name;
  try {
    return to.compact(from.expand(name));
  } catch {
    return name;
  }
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

const each = (body: JsonValue, change: (one: JsonObject) => JsonObject): JsonValue =>
  Array.isArray(body)
    ? body.map((one: JsonValue) => (isObject(one) ? change(one) : one))
    : isObject(body)
      ? change(body)
      : body;

async function eachLater(body: JsonValue, change: (one: JsonObject) => Promise<JsonObject>): Promise<JsonValue> {
  const later = (one: JsonValue) => (isObject(one) ? change(one) : Promise.resolve(one));
  return Array.isArray(body) ? Promise.all(body.map(later)) : later(body);
}

function without({ '@context': _, ...rest }: JsonObject): JsonObject {
  return rest;
}
