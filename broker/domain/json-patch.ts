import { badRequest } from './errors.ts';
import { isObject, type JsonValue, jsonEquals } from './json.ts';

/**
 * Applies a JSON Patch (RFC 6902) to a document and answers the new one.
 * @throws DomainError BadRequestData that names the operation and path which do not fit
 */
export function applyJsonPatch(document: JsonValue, patch: JsonValue): JsonValue {
  if (!Array.isArray(patch)) throw badRequest('A JSON Patch must be an array of operations');
  let after: JsonValue = structuredClone(document) as JsonValue;
  for (const operation of patch as readonly JsonValue[]) after = applied(after, operation);
  return after;
}

function applied(document: JsonValue, operation: JsonValue): JsonValue {
  if (!isObject(operation)) throw badRequest('An operation of a JSON Patch must be an object');
  const { op, path, value } = operation;
  if (typeof path !== 'string') throw badRequest('An operation of a JSON Patch lacks its "path"');
  const needsValue = op === 'add' || op === 'replace' || op === 'test';
  if (needsValue && value === undefined) throw badRequest(`"${op}" ${path} lacks its "value"`);
  switch (op) {
    case 'add':
      return put(document, pointer(path), value as JsonValue, true);
    case 'replace':
      return put(document, pointer(path), value as JsonValue, false);
    case 'remove':
      return removed(document, pointer(path));
    case 'move':
    case 'copy': {
      if (typeof operation['from'] !== 'string') throw badRequest(`"${op}" ${path} lacks its "from"`);
      const from = pointer(operation['from']);
      if (op === 'move' && path.startsWith(`${operation['from']}/`)) throw badRequest(`"move" ${path} is inside what it moves`);
      const moved = structuredClone(valueAt(document, from)) as JsonValue;
      return put(op === 'move' ? removed(document, from) : document, pointer(path), moved, true);
    }
    case 'test':
      if (!jsonEquals(valueAt(document, pointer(path)), value)) throw badRequest(`The test of ${path} failed`);
      return document;
    default:
      throw badRequest(`${JSON.stringify(op)} is not an operation of JSON Patch`);
  }
}

function pointer(text: string): readonly string[] {
  if (text === '') return [];
  if (!text.startsWith('/')) throw badRequest(`"${text}" is not a JSON Pointer`);
  return text
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

const nowhere = (path: readonly string[]): never => {
  throw badRequest(`There is nothing at /${path.join('/')}`);
};

function valueAt(document: JsonValue, path: readonly string[]): JsonValue {
  let at: JsonValue | undefined = document;
  for (const part of path) {
    if (Array.isArray(at)) at = /^(0|[1-9]\d*)$/.test(part) ? (at[Number(part)] as JsonValue | undefined) : undefined;
    else at = isObject(at) && Object.hasOwn(at, part) ? at[part] : undefined;
    if (at === undefined) return nowhere(path);
  }
  return at;
}

/** The document with a value in place; what holds it is changed, because the document is ours. */
function put(document: JsonValue, path: readonly string[], value: JsonValue, adds: boolean): JsonValue {
  const name = path.at(-1);
  if (name === undefined) return value;
  if (name === '__proto__') return nowhere(path);
  const holder = valueAt(document, path.slice(0, -1));
  if (Array.isArray(holder)) {
    const list = holder as JsonValue[];
    const at = name === '-' && adds ? list.length : /^(0|[1-9]\d*)$/.test(name) ? Number(name) : Number.NaN;
    if (!(at <= (adds ? list.length : list.length - 1))) return nowhere(path);
    list.splice(at, adds ? 0 : 1, value);
  } else if (isObject(holder) && (adds || Object.hasOwn(holder, name))) (holder as Record<string, JsonValue>)[name] = value;
  else return nowhere(path);
  return document;
}

function removed(document: JsonValue, path: readonly string[]): JsonValue {
  const name = path.at(-1);
  if (name === undefined) return null;
  valueAt(document, path);
  const holder = valueAt(document, path.slice(0, -1));
  if (Array.isArray(holder)) (holder as JsonValue[]).splice(Number(name), 1);
  else delete (holder as Record<string, JsonValue>)[name];
  return document;
}
