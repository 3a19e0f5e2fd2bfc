import type { JsonValue } from '../broker/ports/ingest.ts';
import type { AdapterState, Log } from './adapter.ts';
import type { AdapterDocument } from './host.ts';
import type { Outbox, Waiting } from './outbox.ts';
import { pause } from './waiting.ts';

/** How an adapter process reaches its broker. */
export interface BrokerAccess {
  /** Base URL. */
  readonly url: string;
  /** Name and token of the process, as the broker gave them. */
  readonly name: string;
  readonly token: string;
}

/** A command that waits for a device of this process. */
export interface GivenCommand {
  readonly id: string;
  readonly adapter: string;
  readonly device: string;
  readonly name: string;
  readonly value: JsonValue;
}

export interface CommandResult {
  readonly id: string;
  readonly ok: boolean;
  readonly info: JsonValue;
}

/** What the broker knows for its process. */
export interface Orders {
  readonly version: string;
  /** Absent: what the process has is still so. */
  readonly adapters?: readonly AdapterDocument[];
  readonly commands: readonly GivenCommand[];
}

const BATCH = 500;
const BATCH_BYTES = 512 * 1024;
const TIMEOUT_MS = 30_000;
const BACK_OFF_MS = [200, 30_000] as const;

/** The broker is not there, or does not take what it was sent. */
class BrokerError extends Error {}

export interface DeliveryFigures {
  readonly delivered: number;
  readonly refused: number;
  readonly lastRefusals: readonly string[];
  readonly reachable: boolean;
  readonly lastError?: string;
}

/**
 * Brings what waits in the outbox to the broker, oldest first, one batch at a time, for as long as it takes. The broker remembers the last sequence of each
 * outbox together with what it stored, so a batch whose answer was lost changes nothing when it comes again.
 */
export function deliver(outbox: Outbox, access: BrokerAccess, log: Log): { figures(): DeliveryFigures; stop(): Promise<void> } {
  const stopping = new AbortController();
  const lastRefusals: string[] = [];
  let delivered = 0;
  let refused = 0;
  let lastError: string | undefined;

  async function send(batch: readonly Waiting[]): Promise<void> {
    const last = (batch.at(-1) as Waiting).sequence;
    const messages = batch.map(({ sequence, body }) => `{"sequence":${sequence},"message":${body}}`);
    const answer = (await post(
      access,
      'deliveries',
      `{"outbox":${JSON.stringify(outbox.id)},"messages":[${messages.join(',')}]}`,
      stopping.signal,
    )) as {
      readonly delivered?: number;
      readonly refused?: readonly { readonly sequence: number; readonly reason: string }[];
    };
    if (answer.delivered !== last) throw new BrokerError(`the broker confirms ${answer.delivered} instead of ${last}`);
    outbox.acknowledged(last);
    delivered += batch.length;
    for (const { sequence, reason } of answer.refused ?? []) {
      refused++;
      log('warn', `the broker refuses a message: ${reason}`, { sequence });
      lastRefusals.push(reason);
      if (lastRefusals.length > 20) lastRefusals.shift();
    }
  }

  async function run(): Promise<void> {
    let backOffMs: number = BACK_OFF_MS[0];
    while (!stopping.signal.aborted) {
      await outbox.something();
      if (stopping.signal.aborted) return;
      const batch = outbox.oldest(BATCH, BATCH_BYTES);
      if (batch.length === 0) continue;
      try {
        await send(batch);
        if (lastError !== undefined) log('info', 'the broker is there again');
        lastError = undefined;
        backOffMs = BACK_OFF_MS[0];
      } catch (error) {
        if (stopping.signal.aborted) return;
        if (lastError === undefined) log('warn', `not delivered, kept on disk: ${(error as Error).message}`);
        lastError = (error as Error).message;
        await pause(backOffMs, stopping.signal);
        backOffMs = Math.min(backOffMs * 2, BACK_OFF_MS[1]);
      }
    }
  }

  const running = run();
  return {
    figures: () => ({
      delivered,
      refused,
      lastRefusals: [...lastRefusals],
      reachable: lastError === undefined,
      ...(lastError !== undefined && { lastError }),
    }),
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/**
 * Asks the broker what is to be done: answers when the adapters have changed, a command waits, or some seconds have passed.
 * @throws if the broker is not there
 */
export async function synchronize(
  access: BrokerAccess,
  held: {
    readonly version: string;
    readonly states: Readonly<Record<string, AdapterState>>;
    readonly results: readonly CommandResult[];
  },
  signal: AbortSignal,
): Promise<Orders> {
  return (await post(access, 'sync', JSON.stringify(held), signal)) as Orders;
}

async function post({ url, name, token }: BrokerAccess, what: string, body: string, signal: AbortSignal): Promise<unknown> {
  const response = await fetch(`${url.replace(/\/$/, '')}/iot/adapter-processes/${encodeURIComponent(name)}/${what}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body,
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    redirect: 'error',
  }).catch((error: Error) => {
    throw new BrokerError(`${url} cannot be reached: ${(error.cause as Error | undefined)?.message ?? error.message}`);
  });
  const text = await response.text();
  if (!response.ok) throw new BrokerError(`${url} answers ${response.status}: ${text.slice(0, 300)}`);
  return JSON.parse(text);
}
