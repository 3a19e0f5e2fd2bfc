import { fromMicros } from '../../broker/domain/time.ts';
import type { Clock } from '../../broker/ports/clock.ts';
import { systemClock } from '../../broker/stores/system-clock.ts';

/** The real clock, which a test can put forward. */
export function steppingClock(): Clock & { step(ms: number): void } {
  const clock = systemClock('test');
  let ahead = 0;
  const micros = () => clock.micros() + ahead * 1000;
  return {
    now: () => (ahead === 0 ? clock.now() : fromMicros(Math.floor(micros() / 1000) * 1000)),
    micros,
    stamp: () => clock.stamp(),
    saw: (stamp) => clock.saw(stamp),
    step(ms) {
      ahead += ms;
    },
  };
}
