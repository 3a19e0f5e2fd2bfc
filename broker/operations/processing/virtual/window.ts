import type { AttributeInstance } from '../../../domain/attribute.ts';
import { fromMicros, type Instant, type Micros, toMicros } from '../../../domain/time.ts';
import { type Place, placeKey } from './compiled.ts';

interface Input {
  instance?: AttributeInstance;
  /** When it was updated last. */
  at: Micros;
  /** It has counted for a result. */
  used: boolean;
}

/** Waits until all inputs of a virtual sensor have come within its window; every update of an input counts for one result at most. */
export interface InputWindow {
  updated(place: Place, instance: AttributeInstance, at: Micros): void;
  deleted(place: Place): void;
  /** Whether all inputs are fresh at this time, and none of them has counted yet. */
  complete(at: Micros): boolean;
  instanceOf(place: Place): AttributeInstance | undefined;
  /** The newest time at which an input was observed. */
  newest(): Instant;
  /** The inputs have counted. */
  use(): void;
}

export function inputWindow(inputs: readonly Place[], windowSeconds: number): InputWindow {
  const states = new Map<string, Input>(inputs.map((place) => [placeKey(place), { at: 0, used: true }]));
  return {
    updated(place, instance, at) {
      const state = states.get(placeKey(place));
      if (state !== undefined) Object.assign(state, { instance, at, used: false });
    },
    deleted(place) {
      const state = states.get(placeKey(place));
      if (state === undefined) return;
      delete state.instance;
      state.used = true;
    },
    complete: (at) => [...states.values()].every((state) => !state.used && at - state.at <= windowSeconds * 1e6),
    instanceOf: (place) => states.get(placeKey(place))?.instance,
    newest() {
      const times = [...states.values()].map(({ instance, at }) =>
        instance?.observedAt === undefined ? at : toMicros(instance.observedAt),
      );
      return fromMicros(Math.max(...times));
    },
    use() {
      for (const state of states.values()) state.used = true;
    },
  };
}
