import type { Micros } from './time.ts';

/**
 * When and where an attribute instance was last written: a hybrid logical clock and the broker it was written at. Brokers that exchange
 * entities keep, for each instance, the one with the larger stamp; so merging gives the same result in any order, however often.
 * A stamp is made where a client's write is accepted, and never again: what was merged from a peer keeps the peer's stamp.
 */
export interface Stamp {
  /** Hybrid logical time: never behind the wall clock of the origin, and larger than every stamp the origin had made or seen. */
  readonly at: Micros;
  /** The origin broker's id. */
  readonly origin: string;
}

/** Which of two stamps wins: the later, and of two equal times the one with the larger origin. Negative if `a` loses. */
export function compareStamps(a: Stamp, b: Stamp): number {
  if (a.at !== b.at) return a.at - b.at;
  return a.origin === b.origin ? 0 : a.origin < b.origin ? -1 : 1;
}

/** The next time of a hybrid logical clock that has made or seen `last`, when the wall clock shows `now`. */
export function nextTime(last: Micros, now: Micros): Micros {
  return now > last ? now : last + 1;
}
