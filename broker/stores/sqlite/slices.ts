import { setImmediate } from 'node:timers/promises';

/** How long one query may keep the process from everything else. */
const SLICE_MS = 5;

/** Those who rest, one behind the other. */
let queue: Promise<unknown> = Promise.resolve();

/**
 * Cuts long work into slices, so that a query over a hundred thousand entities does not hold up the small ones. Between two slices, also of different
 * queries, everybody else has their turn: fifty long queries at once take longer, and the small ones wait as long as for one.
 */
export class Slices {
  #end = performance.now() + SLICE_MS;

  /** True if the slice is used up: then {@link rest} before going on. */
  get over(): boolean {
    return performance.now() > this.#end;
  }

  /** Lets everybody else have their turn. What was read before may have changed afterwards. */
  async rest(): Promise<void> {
    queue = queue.then(() => setImmediate());
    await queue;
    this.#end = performance.now() + SLICE_MS;
  }
}
