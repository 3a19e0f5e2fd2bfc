import { parentPort } from 'node:worker_threads';
import variant from '@jitl/quickjs-wasmfile-release-sync';
import {
  newQuickJSWASMModuleFromVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSRuntime,
  type QuickJSSyncVariant,
  type QuickJSWASMModule,
} from 'quickjs-emscripten-core';
import type { SandboxAnswer, SandboxRequest } from './sandbox.ts';

// Runs code of operators in QuickJS, an interpreter in WebAssembly: it has nothing of Node, and reaches no memory but its own. What goes in and out is JSON text.

export const LIMITS = { cpuMs: 50, memoryBytes: 32 * 1024 * 1024, stackBytes: 256 * 1024, resultChars: 256 * 1024 } as const;
/** Programs that stay compiled; each may hold as much memory as the limit says. */
const MOST_PROGRAMS = 8;

interface Program {
  readonly runtime: QuickJSRuntime;
  readonly context: QuickJSContext;
  readonly functions: ReadonlyMap<string, QuickJSHandle>;
}

let module: Promise<QuickJSWASMModule> | undefined;
const programs = new Map<string, Program>();
let deadline = 0;

/** Time that this thread has worked: a busy machine makes no function too slow. Microseconds. */
function worked(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

/** What a runaway function leaves behind is not worth a look: the whole interpreter goes, and the next message gets a fresh one. */
function startOver(): void {
  module = undefined;
  programs.clear();
}

async function programOf(request: SandboxRequest): Promise<Program> {
  let program = programs.get(request.program);
  if (program !== undefined) return program;
  module ??= newQuickJSWASMModuleFromVariant(variant as unknown as QuickJSSyncVariant);
  const quickjs = await module;
  if (programs.size >= MOST_PROGRAMS) startOver();
  const runtime = quickjs.newRuntime();
  runtime.setMemoryLimit(LIMITS.memoryBytes);
  runtime.setMaxStackSize(LIMITS.stackBytes);
  runtime.setInterruptHandler(() => worked() > deadline);
  const context = runtime.newContext();
  deadline = worked() + LIMITS.cpuMs * 1000;
  const functions = new Map<string, QuickJSHandle>();
  for (const [name, source] of Object.entries(request.functions)) {
    const made = context.evalCode(wrapped(source), name);
    if (made.error !== undefined) throw new Error(reasonOf(context, made.error));
    functions.set(name, made.value);
  }
  program = { runtime, context, functions };
  programs.set(request.program, program);
  return program;
}

/** The function of the operator, taking and giving JSON text. Built-in objects are frozen, so that one message cannot change how the next is read. */
const wrapped = (source: string): string => `(() => {
  "use strict";
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    const one = globalThis[name];
    if (one === globalThis || (typeof one !== "function" && (typeof one !== "object" || one === null))) continue;
    Object.freeze(one);
    if (one.prototype) Object.freeze(one.prototype);
  }
  Object.freeze(globalThis);
  const { parse, stringify } = JSON;
  const own = (${source}
);
  if (typeof own !== "function") throw new TypeError("it is not a function");
  return (text) => {
    const result = own(...parse(text));
    return result === undefined ? "" : (stringify(result) ?? "");
  };
})()`;

function reasonOf(context: QuickJSContext, error: QuickJSHandle): string {
  const said = context.dump(error) as unknown;
  error.dispose();
  if (typeof said === 'object' && said !== null && 'message' in said) {
    const { name, message } = said as { name?: unknown; message: unknown };
    if (message === 'interrupted') return `it took more than ${LIMITS.cpuMs} ms`;
    if (message === 'out of memory') return `it took more than ${LIMITS.memoryBytes / 1024 / 1024} MB of memory`;
    return `${String(name ?? 'Error')}: ${String(message)}`.slice(0, 200);
  }
  return String(said).slice(0, 200);
}

/** Errors after which the interpreter may be in any state. */
const FATAL = /^it took more than|out of memory|stack overflow|Aborted|memory access|unreachable/;

async function run(request: SandboxRequest): Promise<SandboxAnswer> {
  const started = performance.now();
  const answer = (results: SandboxAnswer['results']): SandboxAnswer => ({
    request: request.request,
    results,
    ms: performance.now() - started,
  });
  try {
    const { context, functions } = await programOf(request);
    deadline = worked() + LIMITS.cpuMs * 1000;
    const results: (string | { error: string })[] = [];
    for (const [name, values] of request.calls) {
      const text = context.newString(values);
      const called = context.callFunction(functions.get(name) as QuickJSHandle, context.undefined, text);
      text.dispose();
      if (called.error !== undefined) {
        const error = reasonOf(context, called.error);
        results.push({ error });
        if (FATAL.test(error)) {
          startOver();
          break;
        }
        continue;
      }
      const result = context.getString(called.value);
      called.value.dispose();
      results.push(
        result.length > LIMITS.resultChars ? { error: `its result is longer than ${LIMITS.resultChars / 1024} KiB` } : result,
      );
    }
    while (results.length < request.calls.length) results.push({ error: 'a call before it failed' });
    return answer(results);
  } catch (error) {
    startOver();
    return answer(request.calls.map(() => ({ error: (error as Error).message.slice(0, 200) })));
  }
}

/** One after the other: each has the thread to itself. */
let last: Promise<void> = Promise.resolve();
parentPort?.on('message', (request: SandboxRequest) => {
  last = last.then(async () => {
    // Whoever waits is told that it is this one's turn: only from then on its time counts.
    parentPort?.postMessage({ begun: request.request });
    parentPort?.postMessage(await run(request));
  });
});
