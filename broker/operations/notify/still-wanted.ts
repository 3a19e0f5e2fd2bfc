import { statusOf } from '../../domain/subscription.ts';
import type { Micros } from '../../domain/time.ts';
import type { DeliveryResult } from '../../ports/notifier.ts';
import type { Subscribed } from './subscriptions-in-force.ts';

/**
 * A notification has waited: its subscription may have been paused, have expired or been replaced meanwhile.
 * @param current the subscription as it is in force now
 * @returns the subscription, or what becomes of the notification without being sent
 */
export function stillWanted<S extends Subscribed>(current: S | undefined, now: Micros): S | DeliveryResult {
  if (current === undefined || statusOf(current.subscription, now) !== 'active') return { delivered: true };
  if (current.contextMissing) return { delivered: false, reason: 'the @context of its notifications cannot be reached yet' };
  return current;
}
