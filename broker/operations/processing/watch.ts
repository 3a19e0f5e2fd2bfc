import type { KnownDevice } from '../../domain/device.ts';
import type { Micros } from '../../domain/time.ts';

/** Something that is expected of a device every now and then. */
export interface Watch {
  /** Tells it from all other watches, and from what it was before a change. */
  readonly key: string;
  readonly seconds: number;
  /** When it was there last, by what is stored and heard; undefined: never. */
  lastSeen(known: KnownDevice): Promise<Micros | undefined>;
  /** It has been missing for too long. Called again with every sweep, until it is there. */
  overdue(known: KnownDevice, since: Micros): Promise<void>;
  /** It is there, after it had been overdue or when this is looked at for the first time. */
  back?(known: KnownDevice, since: Micros): Promise<void>;
}

interface Watched {
  /** Before that nothing can have changed. */
  next: Micros;
  /** undefined: not looked at yet. */
  overdue?: boolean;
}

/** Devices are looked at in slices, so that a sweep holds up nothing. */
const READS_PER_SWEEP = 2000;
/** What is missing is looked for again after this time. */
const AGAIN_MICROS = 60e6;

/**
 * Finds what has not come. A device is looked at only when something of it may be missing: after it was looked at, the earliest such moment is known. Nothing is
 * asked on the way of a measure, and what is found is the same after a restart.
 */
export function watchKeeper(now: () => Micros) {
  const states = new Map<string, Watched>();
  const started = now();

  return {
    /** @param watched each watch with the devices that it concerns */
    async sweep(watched: Iterable<readonly [Watch, readonly KnownDevice[]]>): Promise<void> {
      let left = READS_PER_SWEEP;
      let concerned = 0;
      for (const [watch, devices] of watched) {
        concerned += devices.length;
        for (const known of devices) {
          const key = `${watch.key}\n${known.identity}`;
          const state = states.get(key) ?? { next: 0 };
          const looked = now();
          if (looked < state.next) continue;
          if (--left < 0) return;
          // What was never there is expected from the time on at which somebody began to wait for it.
          const since = (await watch.lastSeen(known)) ?? started;
          const overdue = looked >= since + watch.seconds * 1e6;
          if (overdue) await watch.overdue(known, since);
          else if (state.overdue !== false) await watch.back?.(known, since);
          state.overdue = overdue;
          state.next = overdue ? looked + Math.min(watch.seconds * 1e6, AGAIN_MICROS) : since + watch.seconds * 1e6;
          states.set(key, state);
        }
      }
      // Of devices that are gone.
      if (states.size > 2 * concerned + 1000) states.clear();
    },
    /** What is watched has changed. */
    clear(): void {
      states.clear();
    },
  };
}
