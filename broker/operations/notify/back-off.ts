/** How long, and how often, deliveries that fail are tried again. */
export interface BackOff {
  /** Milliseconds to wait before attempt number `attempts` + 1; `atLeastMs` is what the receiver asked for (`cooldown`, 5.2.15). */
  waitMs(attempts: number, atLeastMs?: number): number;
  /** Attempts after which a delivery goes to the dead-letter list. */
  readonly maxAttempts: number;
}

export interface BackOffLimits {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** Twice as long after each failure. */
export function backOff(
  retryHours: number,
  { firstMs, longestMs }: BackOffLimits = { firstMs: 500, longestMs: 60_000 },
): BackOff {
  // Enough attempts to fill the retry time at the longest back-off, after the quick first ones.
  const attemptsAtLongest = Math.ceil((retryHours * 3_600_000) / longestMs);
  return {
    waitMs: (attempts, atLeastMs = 0) => Math.max(Math.min(firstMs * 2 ** Math.min(attempts - 1, 20), longestMs), atLeastMs),
    maxAttempts: retryHours === 0 ? 1 : Math.ceil(Math.log2(longestMs / firstMs)) + attemptsAtLongest,
  };
}
