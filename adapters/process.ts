import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromMicros, type Instant } from '../broker/ports/ingest.ts';
import type { AdapterState, Log } from './adapter.ts';
import { adapterHost } from './host.ts';
import { openOutbox } from './outbox.ts';
import type { ProcessConfig } from './process-config.ts';
import { type CommandResult, deliver, type GivenCommand, type Orders, synchronize } from './remote-ingest.ts';
import { pause } from './waiting.ts';

/** How long the outbox may go on being emptied when the process is asked to end. */
const LAST_DELIVERIES_MS = 3000;
const SYNC_BACK_OFF_MS = [500, 30_000] as const;
/** The broker hears how things are at least this often, because it answers within about the same time. */
const RESULTS_KEPT = 1000;

/**
 * Runs the adapters that the broker has for this process, and keeps what they hear on disk until the broker has it. What is to be run is kept on disk as well, so
 * that a start without the broker goes on with what was known last.
 * @throws if the data folder cannot be used
 */
export async function runAdapterProcess(config: ProcessConfig, log: Log): Promise<{ stop(): Promise<void> }> {
  mkdirSync(config.dataDir, { recursive: true });
  const outbox = openOutbox({ folder: config.dataDir, limitBytes: config.outboxBytes });
  const access = { url: config.brokerUrl, name: config.name, token: config.token };
  const delivery = deliver(outbox, access, log);
  const stopping = new AbortController();
  const results: CommandResult[] = [];
  let full = false;
  const host = adapterHost({
    now: () => fromMicros(Date.now() * 1000) as Instant,
    log,
    // Next to its devices the process is in their network, and does what its operator has told it.
    mayContact: async () => {},
    ...(config.dropFolder !== undefined && { dropFolder: config.dropFolder }),
    async take(messages, once) {
      if (outbox.figures().full !== full) {
        full = !full;
        log(
          full ? 'warn' : 'info',
          full
            ? 'the outbox is full: devices are not asked any more until the broker takes what waits'
            : 'the outbox has room again',
          outbox.figures(),
        );
      }
      await outbox.keep(
        messages.map((message) => JSON.stringify(message)),
        once,
      );
    },
  });

  const file = join(config.dataDir, 'adapters.json');
  let version = '';
  const known = readOrders(file);
  if (known?.adapters !== undefined) {
    version = known.version;
    await host.run(known.adapters);
  }

  async function obey(orders: Orders): Promise<void> {
    if (orders.adapters !== undefined && orders.version !== version) {
      writeFileSync(`${file}.new`, JSON.stringify({ version: orders.version, adapters: orders.adapters }), { mode: 0o600 });
      renameSync(`${file}.new`, file);
      await host.run(orders.adapters);
      version = orders.version;
      log('info', 'adapters as the broker has them', { adapters: orders.adapters.map(({ id, kind }) => `${id} (${kind})`) });
    }
    for (const command of orders.commands) void carryOut(command);
  }

  async function carryOut({ id, adapter, device, name, value }: GivenCommand): Promise<void> {
    const result = await host.command(adapter, device, name, value).then(
      (info): CommandResult => ({ id, ok: true, info }),
      (error: Error): CommandResult => ({ id, ok: false, info: error.message }),
    );
    results.push(result);
    if (results.length > RESULTS_KEPT) results.shift();
    // Told at once instead of when the broker answers the question that is open.
    asking.abort();
  }

  let asking = new AbortController();
  async function synchronizing(): Promise<void> {
    let backOffMs: number = SYNC_BACK_OFF_MS[0];
    let failed = false;
    while (!stopping.signal.aborted) {
      asking = new AbortController();
      const told = [...results];
      // A question with results is answered at once, since it names no version that could be the right one.
      const held = { version: told.length > 0 ? '' : version, states: states(), results: told };
      try {
        const orders = await synchronize(access, held, AbortSignal.any([stopping.signal, asking.signal]));
        results.splice(0, told.length);
        await obey(orders);
        backOffMs = SYNC_BACK_OFF_MS[0];
        failed = false;
      } catch (error) {
        if (stopping.signal.aborted) return;
        if (asking.signal.aborted) continue;
        if (!failed) log('warn', (error as Error).message);
        failed = true;
        await pause(backOffMs, stopping.signal);
        backOffMs = Math.min(backOffMs * 2, SYNC_BACK_OFF_MS[1]);
      }
    }
  }

  const states = (): Readonly<Record<string, AdapterState>> => ({
    adapters: host.states(),
    outbox: outbox.figures(),
    delivery: { ...delivery.figures() },
  });
  const syncing = synchronizing();
  return {
    async stop() {
      stopping.abort();
      await syncing;
      await host.stop();
      const until = Date.now() + LAST_DELIVERIES_MS;
      while (outbox.figures().waiting > 0 && delivery.figures().reachable && Date.now() < until) await pause(20);
      // Closing wakes the delivery, which then sees that it is to end.
      const ended = delivery.stop();
      outbox.close();
      await ended;
    },
  };
}

function readOrders(file: string): Orders | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Orders;
  } catch {
    return undefined;
  }
}
