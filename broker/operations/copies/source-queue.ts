import type { BackOff } from '../notify/back-off.ts';

/** What became of the work on one copy: done; the source did not answer, so that the others need not try now; or it refused this one, which is tried again later. */
export type Outcome = 'done' | 'down' | { readonly againInMs: number };

/** The work that one context source has still to be asked for: a few copies at a time, none of them twice at once, with one back-off for all while it is down. */
export interface SourceQueue {
  /** There is something to do about this copy; at once, also if it was to wait. */
  wake(id: string): void;
  /** Copies that something has still to be done about. */
  readonly outstanding: number;
  /** Begins nothing any more. Resolves when nothing is under way. */
  close(): Promise<void>;
}

/** Requests under way to one source. */
const AT_ONCE = 4;

export function sourceQueue(options: {
  /** Does what there is to do about a copy. */
  readonly settle: (id: string) => Promise<Outcome>;
  readonly backOff: BackOff;
  readonly onError: (error: unknown) => void;
}): SourceQueue {
  const { settle, backOff, onError } = options;
  const waiting = new Set<string>();
  const busy = new Map<string, Promise<void>>();
  const later = new Map<string, NodeJS.Timeout>();
  let failures = 0;
  let pause: NodeJS.Timeout | undefined;
  let closed = false;

  function pump(): void {
    for (const id of waiting) {
      if (closed || pause !== undefined || busy.size >= AT_ONCE) return;
      // One that is being worked on comes again when that is done: what it is to become may have changed meanwhile.
      if (busy.has(id)) continue;
      waiting.delete(id);
      busy.set(id, work(id));
    }
  }

  async function work(id: string): Promise<void> {
    let outcome: Outcome;
    // Whatever is settled without a wait: by then it is known that this one is being worked on.
    await Promise.resolve();
    try {
      outcome = await settle(id);
    } catch (error) {
      onError(error);
      outcome = 'down';
    }
    busy.delete(id);
    if (closed) return;
    if (outcome === 'down') {
      waiting.add(id);
      rest();
      return;
    }
    failures = 0;
    if (outcome !== 'done') {
      const timer = setTimeout(() => wake(id), outcome.againInMs).unref();
      clearTimeout(later.get(id));
      later.set(id, timer);
    }
    pump();
  }

  function rest(): void {
    if (pause !== undefined) return;
    failures++;
    pause = setTimeout(() => {
      pause = undefined;
      pump();
    }, backOff.waitMs(failures)).unref();
  }

  function wake(id: string): void {
    clearTimeout(later.get(id));
    later.delete(id);
    waiting.add(id);
    pump();
  }

  return {
    wake,
    get outstanding() {
      return waiting.size + busy.size + later.size;
    },
    async close() {
      closed = true;
      clearTimeout(pause);
      for (const timer of later.values()) clearTimeout(timer);
      await Promise.all(busy.values());
    },
  };
}
