import { DomainError, invalidRequest } from '../../domain/errors.ts';

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
  if (typeof body === 'object' && body !== null) checkShape(body, maxDepth);
  return body;
}

/** JSON.parse itself is not recursive, so this walk is the first that depth could hurt, and the last. */
function checkShape(value: object, levelsLeft: number): void {
  if (levelsLeft === 0) throw new DomainError('InvalidRequest', 'The request body is nested deeper than this broker accepts');
  if (Array.isArray(value)) {
    for (const item of value) checkMember(item, levelsLeft);
    return;
  }
  for (const name in value) {
    if (name === '__proto__') throw invalidRequest('The request body has a member that is called __proto__');
    checkMember((value as Record<string, unknown>)[name], levelsLeft);
  }
}

function checkMember(member: unknown, levelsLeft: number): void {
  if (typeof member === 'object') {
    if (member !== null) checkShape(member, levelsLeft - 1);
  } else if (member === Number.POSITIVE_INFINITY || member === Number.NEGATIVE_INFINITY) {
    // It would be stored as null.
    throw invalidRequest('The request body has a number that is larger than numbers can be (about 1.8e308)');
  }
}
