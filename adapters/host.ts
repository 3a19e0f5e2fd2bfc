import type { JsonValue } from '../broker/ports/ingest.ts';
import type { Adapter, AdapterState, DeviceMessage, Log, Once, Surroundings } from './adapter.ts';
import { startAdapter } from './kinds.ts';

/** An adapter as the operator wrote it down. */
export interface AdapterDocument {
  /** Tells it from all others of its broker. */
  readonly id: string;
  readonly kind: string;
  readonly settings: JsonValue;
  /** Grows or changes with every change. */
  readonly version: number;
}

/** What came from which adapter. */
export interface AdapterMessage extends DeviceMessage {
  readonly adapter: string;
}

export interface HostOptions extends Omit<Surroundings, 'name' | 'sink'> {
  /** Resolves when the messages cannot be lost any more. */
  readonly take: (messages: readonly AdapterMessage[], once?: Once) => Promise<void>;
}

/** Runs adapters: those of the documents that it was given last, each as it is written now. */
export interface AdapterHost {
  /** Starts what is new, stops what is gone, and starts anew what has changed. */
  run(documents: readonly AdapterDocument[]): Promise<void>;
  states(): Readonly<Record<string, AdapterState>>;
  /** @returns what the device says @throws Error whose message says why not */
  command(adapter: string, device: string, name: string, value: JsonValue): Promise<JsonValue>;
  stop(): Promise<void>;
}

interface Running {
  readonly version: number;
  readonly adapter: Adapter | undefined;
  /** Why it does not run. */
  readonly error?: string;
}

export function adapterHost({ take, ...surroundings }: HostOptions): AdapterHost {
  const running = new Map<string, Running>();
  let last: Promise<unknown> = Promise.resolve();
  let stopped = false;

  async function stopOne(id: string): Promise<void> {
    const { adapter } = running.get(id) ?? {};
    running.delete(id);
    await adapter?.stop();
  }

  async function startOne({ id, kind, settings, version }: AdapterDocument): Promise<void> {
    try {
      const sink = {
        take: (messages: readonly DeviceMessage[], once?: Once) =>
          take(
            messages.map((message) => ({ ...message, adapter: id })),
            once,
          ),
      };
      running.set(id, { version, adapter: await startAdapter(kind, settings, { ...surroundings, name: id, sink }) });
    } catch (error) {
      // One that cannot run must not keep the others from it.
      running.set(id, { version, adapter: undefined, error: (error as Error).message });
      surroundings.log('error', `the adapter cannot run: ${(error as Error).message}`, { adapter: id });
    }
  }

  async function change(documents: readonly AdapterDocument[]): Promise<void> {
    const wanted = new Map(documents.map((document) => [document.id, document]));
    const ending = [...running].filter(([id, { version }]) => wanted.get(id)?.version !== version).map(([id]) => stopOne(id));
    await Promise.all(ending);
    if (stopped) return;
    for (const document of documents) if (!running.has(document.id)) await startOne(document);
  }

  return {
    run(documents) {
      const turn = last.then(() => change(documents));
      last = turn.catch(() => {});
      return turn;
    },
    states: () =>
      Object.fromEntries(
        [...running].map(([id, { adapter, error }]): [string, AdapterState] => [
          id,
          adapter === undefined ? { running: false, error: error ?? '' } : { running: true, ...adapter.state() },
        ]),
      ),
    async command(id, device, name, value) {
      const { adapter, error } = running.get(id) ?? { error: 'there is no such adapter here' };
      if (adapter === undefined) throw new Error(`the adapter does not run: ${error}`);
      if (adapter.command === undefined) throw new Error('devices of this adapter take no commands');
      return adapter.command(device, name, value);
    },
    async stop() {
      stopped = true;
      await last.catch(() => {});
      await Promise.all([...running.keys()].map(stopOne));
    },
  };
}

export type { Log };
