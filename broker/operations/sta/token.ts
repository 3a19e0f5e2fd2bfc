import { badRequest } from '../../domain/errors.ts';
import { isObject, type JsonValue } from '../../domain/json.ts';
import type { Value } from '../../domain/sta/filter/value.ts';
import type { Cursor } from './source.ts';

/** Where a page ended: a place of the source, or the key and id of the last entity. */
export type Token =
  | { readonly kind: 'place'; readonly cursor: Cursor }
  | { readonly kind: 'key'; readonly key: readonly Value[]; readonly id: number };

export function writeToken(token: Token): string {
  const content = token.kind === 'place' ? { c: token.cursor } : { k: token.key, i: token.id };
  return Buffer.from(JSON.stringify(content)).toString('base64url');
}

/** @throws DomainError BadRequestData if we cannot have written it */
export function readToken(text: string): Token {
  let content: unknown;
  try {
    content = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  } catch {
    content = undefined;
  }
  if (isObject(content)) {
    const { c, k, i } = content;
    if (Array.isArray(c) && c.length > 0 && c.length < 64 && c.every((part) => Number.isSafeInteger(part))) {
      return { kind: 'place', cursor: c as number[] };
    }
    if (Array.isArray(k) && Number.isSafeInteger(i) && k.every(isValue)) {
      return { kind: 'key', key: k as unknown as Value[], id: i as number };
    }
  }
  throw badRequest('$skiptoken is not one that this service wrote');
}

function isValue(value: JsonValue): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'bigint';
  if (!isObject(value)) return false;
  const { kind, span, micros } = value;
  if (kind === 'span') return isObject(span) && typeof span['from'] === 'number';
  return kind === 'duration' || kind === 'timeOfDay' ? typeof micros === 'number' : kind === 'json' || kind === 'geometry';
}
