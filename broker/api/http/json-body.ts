import { DomainError, invalidRequest } from '../../domain/errors.ts';
import { parseExact } from '../../domain/json.ts';

/**
 * Reads a JSON body.
 * @param maxDepth objects and arrays inside each other; more would let a few kilobytes exhaust the stack of whoever walks them
 * @returns undefined if the body is empty
 * @throws DomainError InvalidRequest: not JSON (with the place), too deep, a member called __proto__, a number beyond all bounds
 */
export function parseJsonBody(text: string, maxDepth: number): unknown {
  if (text.length === 0) return undefined;
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw invalidRequest(`The request body is not valid JSON: ${(error as Error).message}`);
  }
  // Once read, it is known whether an integer lost digits; few bodies have one, and reading exactly is slow.
  if (typeof body === 'object' && body !== null && checkShape(body, maxDepth)) return parseExact(text);
  return body;
}

/**
 * JSON.parse itself is not recursive, so this walk is the first that depth could hurt, and the last.
 * @returns true if there is a number that may have lost digits
 */
function checkShape(value: object, levelsLeft: number): boolean {
  let inexact = false;
  if (levelsLeft === 0) throw new DomainError('InvalidRequest', 'The request body is nested deeper than this broker accepts');
  if (Array.isArray(value)) {
    for (const item of value) if (checkMember(item, levelsLeft)) inexact = true;
    return inexact;
  }
  for (const name in value) {
    if (name === '__proto__') throw invalidRequest('The request body has a member that is called __proto__');
    if (checkMember((value as Record<string, unknown>)[name], levelsLeft)) inexact = true;
  }
  return inexact;
}

function checkMember(member: unknown, levelsLeft: number): boolean {
  if (typeof member === 'object') {
    return member !== null && checkShape(member, levelsLeft - 1);
  }
  if (typeof member !== 'number') return false;
  if (member === Number.POSITIVE_INFINITY || member === Number.NEGATIVE_INFINITY) {
    // It would be stored as null.
    throw invalidRequest('The request body has a number that is larger than numbers can be (about 1.8e308)');
  }
  return member > Number.MAX_SAFE_INTEGER || member < Number.MIN_SAFE_INTEGER;
}
