import { badRequest } from '../../../domain/errors.ts';
import { isObject, type JsonObject, type JsonValue } from '../../../domain/json.ts';
import type { StaOperations } from '../../../operations/sta/operations.ts';
import type { StaReply } from '../handle.ts';
import type { StaTarget } from '../target.ts';
import { BatchRun, type Part } from './run.ts';

interface JsonPart extends Part {
  readonly group: string | undefined;
  /** "$x" or "not $x": only if the request x found something, or nothing. */
  readonly condition: { readonly id: string; readonly wanted: boolean } | undefined;
}

/** Batches as JSON, after OData 4.01: requests of one `atomicityGroup` are one change set. */
export async function jsonBatch(operations: StaOperations, target: StaTarget, body: unknown): Promise<StaReply> {
  const requests = isObject(body) ? body['requests'] : undefined;
  if (!Array.isArray(requests)) throw badRequest('A JSON batch is an object with "requests"');
  const parts = (requests as readonly JsonValue[]).map(readPart);
  const run = new BatchRun(operations, target);
  const found = new Map<string, boolean>();
  const responses: JsonObject[] = [];
  const answer = ({ id }: Part, { status, location, json, text }: StaReply): void => {
    const content = text?.content ?? json;
    responses.push({
      ...(id === undefined ? {} : { id }),
      status,
      ...(location === undefined ? {} : { location }),
      ...(content === undefined ? {} : { body: content as JsonValue }),
    });
  };
  const skipped = (part: JsonPart): boolean => {
    const { condition } = part;
    return condition !== undefined && (found.get(condition.id) ?? false) !== condition.wanted;
  };
  for (let at = 0; at < parts.length; ) {
    const part = parts[at] as JsonPart;
    const { group } = part;
    if (group === undefined) {
      at++;
      if (skipped(part)) continue;
      const reply = await run.single(part);
      if (part.id !== undefined) {
        // An id may be used again: the latest success is what it means.
        const there = part.method === 'GET' ? run.found(part.id, reply) : reply.status < 300;
        found.set(part.id, there || (part.method !== 'GET' && found.get(part.id) === true));
      }
      answer(part, reply);
      continue;
    }
    const set: JsonPart[] = [];
    while (parts[at]?.group === group) set.push(parts[at++] as JsonPart);
    const wanted = set.filter((one) => !skipped(one));
    if (wanted.length === 0) continue;
    const replies = await run.changeSet(wanted);
    for (const [index, one] of wanted.entries()) {
      const reply = 'status' in replies ? replies : (replies[index] as StaReply);
      if (one.id !== undefined) found.set(one.id, reply.status < 300);
      answer(one, reply);
    }
  }
  return { status: 200, json: { responses } };
}

function readPart(value: JsonValue, at: number): JsonPart {
  if (!isObject(value)) throw badRequest(`Request ${at} of the batch must be an object`);
  const { id, method, url, body, atomicityGroup, headers } = value;
  const condition = value['if'];
  if (typeof method !== 'string' || typeof url !== 'string')
    throw badRequest(`Request ${at} of the batch lacks "method" or "url"`);
  const text = (one: JsonValue | undefined, name: string): string | undefined => {
    if (one === undefined || one === null) return undefined;
    if (typeof one !== 'string' && typeof one !== 'number') throw badRequest(`"${name}" of request ${at} must be a text`);
    return String(one);
  };
  const asked = /^\s*(not\s+)?\$([\w.:;,-]+)\s*$/.exec(text(condition, 'if') ?? '');
  if (condition !== undefined && asked === null) throw badRequest(`"if" of request ${at} must be "$id" or "not $id"`);
  const types = isObject(headers) ? Object.entries(headers).find(([name]) => name.toLowerCase() === 'content-type') : undefined;
  return {
    id: text(id, 'id'),
    method: method.toUpperCase(),
    url,
    body,
    contentType: types === undefined ? undefined : String(types[1]),
    group: text(atomicityGroup, 'atomicityGroup'),
    condition: asked === null ? undefined : { id: asked[2] as string, wanted: asked[1] === undefined },
  };
}
