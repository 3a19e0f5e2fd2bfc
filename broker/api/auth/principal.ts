import type { IncomingHttpHeaders } from 'node:http';
import type { Principal } from '../../domain/access.ts';

const ANONYMOUS: Principal = { kind: 'anonymous' };

/**
 * Who sends this request. The only place where the HTTP edge finds that out, before anything else is done for the request.
 * Nobody can prove who they are yet, so everyone is anonymous.
 * @throws DomainError Unauthorized if credentials are sent that do not hold
 */
export function principalOf(_headers: IncomingHttpHeaders): Principal {
  return ANONYMOUS;
}
