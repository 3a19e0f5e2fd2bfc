import type { Micros } from '../../domain/time.ts';
import type { Subscribed } from './subscriptions-in-force.ts';

/** Throttling (5.2.12) of notifications for which it is settled only when they are sent whether they are wanted at all. */
export interface Throttle {
  /** Whether this one may be sent. One that was let through once is let through again, until it is {@link Throttle.done}. */
  admits(to: Subscribed, occasion: string, now: Micros): boolean;
  done(to: Subscribed, occasion: string): void;
}

export function throttle(): Throttle {
  const admitted = new Set<string>();
  const keyOf = ({ tenant, id }: Subscribed, occasion: string) => `${tenant} ${id} ${occasion}`;
  return {
    admits(to, occasion, now) {
      const { throttlingS } = to.subscription;
      if (throttlingS === undefined || admitted.has(keyOf(to, occasion))) return true;
      if (isThrottled(to, now)) return false;
      to.lastMade = now;
      admitted.add(keyOf(to, occasion));
      return true;
    },
    done: (to, occasion) => void admitted.delete(keyOf(to, occasion)),
  };
}

/** Too little time has passed since the last notification. */
export function isThrottled({ subscription: { throttlingS }, lastMade }: Subscribed, now: Micros): boolean {
  return throttlingS !== undefined && lastMade !== undefined && now - lastMade < throttlingS * 1e6;
}
