/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** How a quantity goes up and down. */
export interface SignalShape {
  readonly mean: number;
  /** From the mean to the afternoon's height. */
  readonly swing: number;
  /** Standard deviation of what is added to it. */
  readonly noise: number;
  /** How much of the deviation is still there at the next step, 0 to 1. */
  readonly memory?: number;
  readonly least?: number;
}

/**
 * A quantity as sensors see it: lowest at night, highest in the afternoon, with noise that has a memory.
 * @returns the value at a time; call it in the order of time
 */
export function signal({ mean, swing, noise, memory = 0.9, least }: SignalShape, random: () => number): (at: Date) => number {
  let deviation = 0;
  return (at) => {
    const hour = at.getUTCHours() + at.getUTCMinutes() / 60;
    deviation = memory * deviation + Math.sqrt(1 - memory ** 2) * noise * normal(random);
    const value = mean + swing * Math.sin(((hour - 9) / 24) * 2 * Math.PI) + deviation;
    return least === undefined ? value : Math.max(least, value);
  };
}

/** One draw from the standard normal distribution (Box and Muller). */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** How often things go wrong, as a share of messages or requests. */
export interface Rates {
  /** Nothing comes, and is not made up for. */
  readonly gap: number;
  /** Nothing comes for a while, and then all of it at once. */
  readonly late: number;
  /** The same comes twice. */
  readonly twice: number;
  /** A Modbus slave refuses, is slow or drops the connection; a sensor says something that cannot be. */
  readonly fault: number;
}

export const CALM: Rates = { gap: 0, late: 0, twice: 0, fault: 0 };
export const AS_IN_THE_FIELD: Rates = { gap: 0.02, late: 0.05, twice: 0.03, fault: 0.02 };
