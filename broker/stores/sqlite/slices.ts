import { setImmediate } from 'node:timers/promises';

/** How long one query may keep the process from everything else. */
const SLICE_MS = 5;

/** Cuts long work into slices, so that a query over a hundred thousand entities does not hold up the small ones. */
export class Slices {
  #end = performance.now() + SLICE_MS;

  /** True if the slice is used up: then {@link rest} before going on. */
  get over(): boolean {
    return performance.now() > this.#end;
  }

  /** Lets everybody else have their turn. What was read before may have changed afterwards. */
  async rest(): Promise<void> {
    await setImmediate();
    this.#end = performance.now() + SLICE_MS;
  }
}
