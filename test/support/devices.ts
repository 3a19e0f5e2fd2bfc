import mqtt, { type IClientOptions, type MqttClient } from 'mqtt';
import pino from 'pino';
import { commandsOf } from '../../adapters/commands/targets.ts';
import { deviceIntake, type Intake } from '../../adapters/intake.ts';
import { checkMapping } from '../../adapters/interpret.ts';
import { allowEverything } from '../../broker/domain/access.ts';
import type { TenantId } from '../../broker/domain/iri.ts';
import type { Instant } from '../../broker/domain/time.ts';
import { type DeviceOperations, deviceOperations, type Place } from '../../broker/operations/devices.ts';
import type { DocumentStore } from '../../broker/ports/document-store.ts';
import type { Fragment, Ingest } from '../../broker/ports/ingest.ts';
import { systemClock } from '../../broker/stores/system-clock.ts';
import { type MqttServer, type MqttServerOptions, mqttServer } from '../../broker/transport/mqtt.ts';
import { offlineContexts } from './contexts.ts';
import { documentsInMemory } from './documents.ts';

export const CITY: Place = { caller: { tenant: 'city' as TenantId, principal: { kind: 'anonymous' } }, path: '/' };

/** An ingest port that remembers what it was given; a test decides when a commit happens, and whether. */
export interface RecordingIngest extends Ingest {
  readonly fragments: Fragment[];
  readonly batches: number[];
  /** From now on commits wait until `open`. */
  hold(): void;
  open(): void;
  /** From now on the store is gone. */
  fail(failing: boolean): void;
}

export function recordingIngest(): RecordingIngest {
  const fragments: Fragment[] = [];
  const batches: number[] = [];
  let gate: Promise<void> = Promise.resolve();
  let release = () => {};
  let gone = false;
  return {
    fragments,
    batches,
    hold() {
      gate = new Promise((resolve) => {
        release = resolve;
      });
    },
    open: () => release(),
    fail(failing) {
      gone = failing;
    },
    async accept(batch) {
      await gate;
      if (gone) throw new Error('the store is gone');
      batches.push(batch.length);
      fragments.push(...batch);
      return { accepted: batch.length, refused: [] };
    },
  };
}

export interface DeviceSide extends AsyncDisposable {
  readonly devices: DeviceOperations;
  readonly intake: Intake;
  readonly ingest: RecordingIngest;
  readonly server: MqttServer;
  readonly logged: string[];
  /** Connects a real MQTT client, which is closed with everything else. */
  connect(options?: IClientOptions): Promise<MqttClient>;
}

/** Registry, intake and embedded MQTT broker, put together as the broker does it, with a store that only remembers. */
export async function deviceSide(
  options: Partial<MqttServerOptions> & { readonly documents?: DocumentStore; readonly now?: () => Instant } = {},
): Promise<DeviceSide> {
  const contexts = await offlineContexts();
  const devices = await deviceOperations({
    documents: options.documents ?? documentsInMemory(),
    access: allowEverything,
    resolveContext: contexts.resolve,
    checkMapping,
    commandsOf,
    clock: systemClock('test'),
  });
  const ingest = recordingIngest();
  const intake = deviceIntake({
    ingest,
    directory: devices,
    commands: { answered: async () => false, fetch: async () => [], open: () => [] },
    now: options.now ?? (() => '2026-03-01T12:00:00Z' as Instant),
  });
  const logged: string[] = [];
  const logger = pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) });
  const server = await mqttServer({
    logger,
    host: '127.0.0.1',
    port: 0,
    packetLimitBytes: 64 * 1024,
    connectionLimit: 100,
    authenticate: devices.authenticate,
    maySubscribe: intake.maySubscribe,
    onMessages: intake.mqtt,
    ...options,
  });
  devices.onRevoked((session) => server.disconnect(session));
  const clients: MqttClient[] = [];
  return {
    devices,
    intake,
    ingest,
    server,
    logged,
    async connect(clientOptions = {}) {
      const client = await mqtt.connectAsync(
        `mqtt://127.0.0.1:${server.port}`,
        { reconnectPeriod: 0, ...clientOptions },
        false,
      );
      client.on('error', () => {});
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      ingest.open();
      for (const client of clients) client.end(true);
      await server.close(1000);
    },
  };
}

/** Resolves when the condition holds. @throws after so many seconds */
export async function until(condition: () => boolean, what = 'condition', seconds = 6): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
