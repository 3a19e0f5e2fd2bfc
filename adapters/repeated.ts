import { pause } from './waiting.ts';

/** How often something was done, and how it went. */
export interface RepeatedFigures {
  readonly runs: number;
  readonly failures: number;
  readonly lastRunAt?: string;
  readonly lastError?: string;
  /** true after three failures in a row. */
  readonly failing: boolean;
}

const LONGEST_BACK_OFF_MS = 3_600_000;
const FAILING = 3;

/** Does something at once and then every so often, never twice at a time; after failures more and more seldom. */
export function repeated(
  everyMs: number,
  work: (signal: AbortSignal) => Promise<void>,
  onFailing: (error: Error) => void,
): { figures(): RepeatedFigures; stop(): Promise<void> } {
  const stopping = new AbortController();
  const figures = {
    runs: 0,
    failures: 0,
    lastRunAt: undefined as string | undefined,
    lastError: undefined as string | undefined,
  };
  let row = 0;
  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const began = Date.now();
      figures.lastRunAt = new Date(began).toISOString();
      figures.runs++;
      try {
        await work(stopping.signal);
        row = 0;
        figures.lastError = undefined;
      } catch (error) {
        if (stopping.signal.aborted) return;
        figures.failures++;
        row++;
        figures.lastError = (error as Error).message;
        if (row === FAILING) onFailing(error as Error);
      }
      const wait =
        row < FAILING ? everyMs : Math.min(everyMs * 2 ** (row - FAILING + 1), Math.max(LONGEST_BACK_OFF_MS, everyMs));
      await pause(Math.max(0, began + wait - Date.now()), stopping.signal);
    }
  }
  const running = run();
  return {
    figures: () => {
      const { lastRunAt, lastError, ...rest } = figures;
      return {
        ...rest,
        failing: row >= FAILING,
        ...(lastRunAt !== undefined && { lastRunAt }),
        ...(lastError !== undefined && { lastError }),
      };
    },
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
