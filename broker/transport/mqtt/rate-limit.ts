/** At most so many in a span of time: for log lines that a broken device could cause a thousand times a second. */
export function rateLimited(count: number, spanMs: number) {
  let started = 0;
  let used = 0;
  let kept = 0;
  return {
    allows(): boolean {
      const now = Date.now();
      if (now - started > spanMs) {
        started = now;
        used = 0;
      }
      if (used >= count) {
        kept++;
        return false;
      }
      used++;
      return true;
    },
    /** How many were not allowed since this was asked last. */
    suppressed(): number {
      const since = kept;
      kept = 0;
      return since;
    },
  };
}
