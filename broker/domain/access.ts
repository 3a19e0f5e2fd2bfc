import type { Onward } from './distribution.ts';
import { DomainError } from './errors.ts';
import type { Iri, TenantId } from './iri.ts';

/** Who is asking. Found out once, at the edge (HTTP, MQTT, peer), and carried by every operation: it cannot be forgotten. */
export interface Caller {
  readonly tenant: TenantId;
  readonly principal: Principal;
  /** The operation concerns this Snapshot only (5.5.15); `tenant` is then where its entities are. */
  readonly snapshot?: Iri;
  /** The request as it may be passed on to other context sources; absent: it concerns this broker alone (4.3.6, 5.5.13). */
  readonly onward?: Onward;
}

export type Principal =
  | { readonly kind: 'anonymous' }
  /** Somebody who has shown who they are: the subject of a token. */
  | { readonly kind: 'user'; readonly id: string; readonly admin?: boolean }
  /** A provisioned device, by its id in the device registry. */
  | { readonly kind: 'device'; readonly id: string }
  /** The broker itself: expiry, virtual sensors, merges. */
  | { readonly kind: 'system' };

/** What a caller wants to do, in words of the specification: `createEntity`, `queryEntities`, `createSubscription` … */
export interface AccessRequest {
  readonly operation: string;
  readonly effect: 'read' | 'write' | 'administer';
  /** What it concerns, as far as it is known before the store is asked. */
  readonly ids?: readonly Iri[];
  readonly types?: readonly Iri[];
  readonly attributes?: readonly Iri[];
}

/** Every operation asks this function, once, before anything else. Policies replace `allowEverything`. */
export type AccessFunction = (
  caller: Caller,
  request: AccessRequest,
) => { readonly allowed: boolean; readonly reason?: string };

export const allowEverything: AccessFunction = () => ({ allowed: true });

/** @throws DomainError Forbidden with the reason that the access function gave */
export function demand(access: AccessFunction, caller: Caller, request: AccessRequest): void {
  const answer = access(caller, request);
  if (!answer.allowed)
    throw new DomainError('Forbidden', answer.reason ?? `${request.operation} is not allowed to this caller`);
}
