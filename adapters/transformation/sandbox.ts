import { Worker } from 'node:worker_threads';
import type { JsonValue } from '../../broker/ports/ingest.ts';
import type { Call } from './template.ts';

/** Functions to be called with arguments as JSON text. */
export interface SandboxRequest {
  readonly request: number;
  /** Tells these functions from all others; what is compiled is kept under it. */
  readonly program: string;
  /** Source of each function by its name. */
  readonly functions: Readonly<Record<string, string>>;
  /** Name, and the arguments as a JSON array. */
  readonly calls: readonly (readonly [string, string])[];
}

export interface SandboxAnswer {
  readonly request: number;
  /** By call: JSON text, '' for no value, or why it failed. */
  readonly results: readonly (string | { readonly error: string })[];
  readonly ms: number;
}

export type CallResult = { readonly value: JsonValue | undefined } | { readonly error: string };

/** Code of operators, run where it can do no harm: no access to anything but its arguments, limited in time and memory. */
export interface Sandbox {
  /** Calls functions one after the other; they share the time that one message has. Never throws. */
  call(program: string, functions: Readonly<Record<string, string>>, calls: readonly Call[]): Promise<readonly CallResult[]>;
  stop(): Promise<void>;
}

/** The interpreter stops a function by itself. This is for what it does not see, such as one long step inside it. */
const HARD_LIMIT_MS = 5000;
/** The worker's own memory, for what the interpreter's limit does not count. */
const WORKER_MEMORY_MB = 64;

interface Waiting {
  readonly request: SandboxRequest;
  readonly resolve: (results: readonly CallResult[]) => void;
}

/** A sandbox in a thread of its own, which is started with the first call. */
export function workerSandbox(hardLimitMs = HARD_LIMIT_MS): Sandbox {
  const waiting = new Map<number, Waiting>();
  let worker: Worker | undefined;
  let timer: NodeJS.Timeout | undefined;
  let requests = 0;

  function start(): Worker {
    const started = new Worker(new URL('./sandbox-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: WORKER_MEMORY_MB },
      // Code that runs there must find nothing of this process.
      env: {},
    });
    started.unref();
    started.on('message', (said: SandboxAnswer | { readonly begun: number }) => {
      clearTimeout(timer);
      if ('begun' in said) {
        timer = setTimeout(() => giveUp(said.begun), hardLimitMs);
        timer.unref();
        return;
      }
      const one = waiting.get(said.request);
      waiting.delete(said.request);
      one?.resolve(said.results.map(resultOf));
      // Nobody waits: the thread keeps no process alive.
      if (waiting.size === 0) started.unref();
    });
    started.on('error', (error) => lost(started, (error as Error).message));
    started.on('exit', () => lost(started, 'the sandbox has ended'));
    return started;
  }

  /** The one that is running fails; those that wait get another thread. */
  function giveUp(request: number): void {
    const stuck = worker;
    worker = undefined;
    fail(request, `it took more than ${hardLimitMs / 1000} s`);
    void stuck?.terminate();
    resend();
  }

  function lost(which: Worker, reason: string): void {
    if (which !== worker) return;
    worker = undefined;
    clearTimeout(timer);
    // The first that waits is the one that was running.
    const [first] = waiting.keys();
    if (first !== undefined) fail(first, reason.slice(0, 200));
    resend();
  }

  function resend(): void {
    if (waiting.size === 0) return;
    worker = start();
    worker.ref();
    for (const { request } of waiting.values()) worker.postMessage(request);
  }

  function fail(request: number, error: string): void {
    const one = waiting.get(request);
    waiting.delete(request);
    one?.resolve(one.request.calls.map(() => ({ error })));
  }

  return {
    call(program, functions, calls) {
      if (calls.length === 0) return Promise.resolve([]);
      worker ??= start();
      worker.ref();
      const request: SandboxRequest = {
        request: ++requests,
        program,
        functions,
        calls: calls.map(({ name, values }) => [name, JSON.stringify(values)] as const),
      };
      return new Promise((resolve) => {
        waiting.set(request.request, { request, resolve });
        worker?.postMessage(request);
      });
    },
    async stop() {
      const ending = worker;
      worker = undefined;
      clearTimeout(timer);
      for (const request of [...waiting.keys()]) fail(request, 'the broker is stopping');
      await ending?.terminate();
    },
  };
}

function resultOf(result: SandboxAnswer['results'][number]): CallResult {
  if (typeof result !== 'string') return result;
  return { value: result === '' ? undefined : (JSON.parse(result) as JsonValue) };
}
