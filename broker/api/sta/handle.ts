import { badRequest, DomainError, notFound } from '../../domain/errors.ts';
import type { JsonValue } from '../../domain/json.ts';
import { decoded, type Options, parseOptions } from '../../domain/sta/options.ts';
import { parseResourcePath, type ResourcePath } from '../../domain/sta/resource-path.ts';
import type { Answer, Item, Read, StaOperations, UpdateMode } from '../../operations/sta/operations.ts';
import { csv, dataArray, geoJson, optionsForFormat } from './formats.ts';
import { entityJson, nextLinkOf, pageJson, refsJson } from './render.ts';
import type { StaTarget } from './target.ts';

/** A request as HTTP, a batch or MQTT bring it. */
export interface StaRequest {
  readonly method: string;
  readonly target: StaTarget;
  /** Parsed. */
  readonly body?: unknown;
  readonly contentType?: string | undefined;
}

export interface StaReply {
  readonly status: number;
  /** What is sent as JSON; absent: nothing. */
  readonly json?: unknown;
  /** What is sent as it is, with its media type. */
  readonly text?: { readonly type: string; readonly content: string };
  readonly location?: string;
}

/** Rows of one CSV answer. */
const CSV_ROWS = 100_000;

/** Answers one request for something below a service root. @throws DomainError */
export async function handle(operations: StaOperations, request: StaRequest): Promise<StaReply> {
  const { method, target, body } = request;
  switch (method) {
    case 'GET':
      return get(operations, target);
    case 'POST':
      if (/^CreateObservations\/?$/.test(target.path)) return postObservations(operations, target, body);
      if (REF.test(target.path)) return link(operations, target, bodyOf(body));
      return created(await operations.create(target.caller, target, writePath(target), bodyOf(body)));
    case 'PATCH':
    case 'PUT':
      await operations.update(target.caller, target, writePath(target), bodyOf(body), modeOf(request));
      return { status: 200 };
    case 'DELETE':
      if (REF.test(target.path)) return unlink(operations, target);
      await operations.remove(target.caller, target, writePath(target));
      return { status: 200 };
    default:
      throw new DomainError('MethodNotAllowed', `${method} is not possible here, but DELETE, GET, PATCH, POST, PUT`);
  }
}

const REF = /\/\$ref\/?$/;

/** `POST Campaigns(1)/Datastreams/$ref` (OData 4.0, 11.4.6.1): what is there already becomes a member. */
async function link(operations: StaOperations, target: StaTarget, body: JsonValue): Promise<StaReply> {
  const { steps, many } = writePath(target);
  const last = steps.at(-1);
  if (last?.kind !== 'link' || !many) throw badRequest('Something is linked to a collection that belongs to an entity');
  const parent = { steps: steps.slice(0, -1), set: last.to, many: false, end: { kind: 'entities' } } as const;
  const references = (Array.isArray(body) ? body : [body]) as readonly JsonValue[];
  await operations.update(target.caller, target, parent, { [last.link]: references }, 'patch');
  return { status: 204 };
}

/** `DELETE Campaigns(1)/Datastreams(2)/$ref`, or `…/Datastreams/$ref?$id=Datastreams(2)` (OData 4.0, 11.4.6.2). */
async function unlink(operations: StaOperations, target: StaTarget): Promise<StaReply> {
  const [, id] = /(?:^|&)(?:\$|%24)id=[^&]*\((\d+)\)/.exec(decoded(target.query)) ?? [];
  const path = id === undefined ? target.path : target.path.replace(REF, `(${id})/$ref`);
  const found = parseResourcePath(path, target.model);
  if (found.many) throw badRequest('The member that is taken out is named by its id, or by $id');
  await operations.unlink(target.caller, target, found);
  return { status: 204 };
}

export function created(item: Item): StaReply {
  return { status: 201, location: item.selfLink(), json: entityJson({ item, options: {}, expanded: new Map() }) };
}

export function modeOf({ method, contentType }: Pick<StaRequest, 'method' | 'contentType'>): UpdateMode {
  if (method === 'PUT') return 'put';
  return contentType?.toLowerCase().startsWith('application/json-patch') ? 'json-patch' : 'patch';
}

async function get(operations: StaOperations, target: StaTarget): Promise<StaReply> {
  const path = parseResourcePath(target.path, target.model);
  const options = optionsOf(target, path);
  const found = await operations.read(target.caller, target, path, optionsForFormat(options, path, target.model));
  if (found.kind === 'property') return property(path, found.value);
  const url = `${target.url}/${target.path}`;
  switch (options.format) {
    case 'dataArray':
      if (found.kind === 'page') return { status: 200, json: dataArray({ ...found.page, options }, url) };
      break;
    case 'CSV': {
      const answers = await allRows(operations, target, path, options, found);
      return { status: 200, text: { type: 'text/csv; charset=UTF-8', content: csv(answers) } };
    }
    case 'GeoJSON': {
      const next = found.kind === 'page' && found.page.token !== undefined ? nextLinkOf(url, found.page) : undefined;
      const content = JSON.stringify(geoJson(found.kind === 'page' ? found.page.answers : [found.answer], next));
      return { status: 200, text: { type: 'application/geo+json; charset=UTF-8', content } };
    }
    default:
      break;
  }
  return { status: 200, json: answerJson(found, path, url) };
}

/** A table has no link to its next page: without $top all of it is sent. */
async function allRows(
  operations: StaOperations,
  target: StaTarget,
  path: ResourcePath,
  options: Options,
  first: Read,
): Promise<readonly Answer[]> {
  if (first.kind === 'entity') return [first.answer];
  if (first.kind !== 'page') return [];
  const answers = [...first.page.answers];
  let { token } = first.page;
  while (token !== undefined && options.top === undefined) {
    if (answers.length >= CSV_ROWS)
      throw new DomainError('TooManyResults', `A CSV answer has at most ${CSV_ROWS} rows: ask for fewer with $top or $filter`);
    const next = await operations.read(target.caller, target, path, { ...options, token, top: 10_000 });
    if (next.kind !== 'page') break;
    answers.push(...next.page.answers);
    token = next.page.token;
  }
  return answers;
}

export function answerJson(found: Exclude<Read, { kind: 'property' }>, path: ResourcePath, url: string): unknown {
  const isRef = path.end.kind === 'ref';
  if (found.kind === 'page') return isRef ? refsJson(found.page, url) : pageJson(found.page, url);
  return isRef ? { '@iot.selfLink': found.answer.item.selfLink() } : entityJson(found.answer);
}

/** @throws DomainError BadRequestData for options that mean nothing there */
export function optionsOf({ query, model }: Pick<StaTarget, 'query' | 'model'>, path: ResourcePath): Options {
  const options = parseOptions(query, path.set, model);
  const given = (options.written ?? []).map(([name]) => name);
  if (path.end.kind === 'property' && given.length > 0)
    throw badRequest(`A property takes no query options such as ${given[0]}`);
  if (!path.many) {
    const wrong = given.find((name) => !/^\$(select|expand|resultformat|resultmetadata)$/i.test(name));
    if (wrong !== undefined) throw badRequest(`${wrong} is for collections, and this is one entity`);
  }
  return options;
}

function property(path: ResourcePath, value: JsonValue | undefined): StaReply {
  if (value === undefined || value === null) return { status: 204 };
  if (path.end.kind !== 'property') throw notFound('This is no property');
  const { name, inside, raw } = path.end;
  if (!raw) return { status: 200, json: { [inside.at(-1) ?? (name === 'id' ? '@iot.id' : name)]: value } };
  if (typeof value === 'object') return { status: 200, json: value };
  return { status: 200, text: { type: 'text/plain; charset=UTF-8', content: String(value) } };
}

async function postObservations(operations: StaOperations, target: StaTarget, body: unknown): Promise<StaReply> {
  const results = await operations.createObservations(target.caller, target, bodyOf(body));
  const links = results.map((one) => ('number' in one ? `${target.url}/Observations(${one.number})` : `error: ${one.error}`));
  return { status: 201, json: links };
}

/** The path of a request that writes. @throws DomainError BadRequestData if there are query options */
export function writePath({ path, query, model }: StaTarget): ResourcePath {
  const option = query.split('&').find((pair) => /^(\$|%24)/.test(pair));
  if (option !== undefined) throw badRequest(`${option.split('=', 1)[0]} means nothing in a request that writes`);
  return parseResourcePath(path, model);
}

export function bodyOf(body: unknown): JsonValue {
  if (body === undefined || body === null) throw new DomainError('InvalidRequest', 'The request has no body');
  return body as JsonValue;
}
