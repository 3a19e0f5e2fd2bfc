import type { Stamp } from '../domain/stamp.ts';
import type { Instant, Micros } from '../domain/time.ts';

/** What time is it. Everything that needs the time asks here, so that tests decide it. */
export interface Clock {
  /** Wall clock, UTC, as clients see it: milliseconds. */
  now(): Instant;
  micros(): Micros;
  /** A new stamp of this broker, larger than every one it made before (also before a restart) or has seen. */
  stamp(): Stamp;
  /** A peer's stamp was seen: later stamps of this broker are larger. */
  saw(stamp: Stamp): void;
}
