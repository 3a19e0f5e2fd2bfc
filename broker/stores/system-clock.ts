import { compareStamps, nextTime, type Stamp } from '../domain/stamp.ts';
import { fromMicros, type Micros } from '../domain/time.ts';
import type { Clock } from '../ports/clock.ts';

/**
 * The machine's clock, and stamps of this broker that never go back, also if the machine's clock does.
 * @param origin this broker's id: part of every stamp
 * @param last   the highest stamp time known from before; a store that is opened with this clock tells it by `saw`
 */
export function systemClock(origin: string, last: Micros = 0): Clock {
  let highest: Stamp = { at: last, origin };
  let nowMs = 0;
  let now = fromMicros(0);
  return {
    // Every write asks, many of them in the same millisecond.
    now() {
      const ms = Date.now();
      if (ms !== nowMs) {
        nowMs = ms;
        now = fromMicros(ms * 1000);
      }
      return now;
    },
    micros: () => Date.now() * 1000,
    stamp: () => {
      highest = { at: nextTime(highest.at, Date.now() * 1000), origin };
      return highest;
    },
    saw: (stamp) => {
      if (compareStamps(stamp, highest) > 0) highest = stamp;
    },
  };
}
