import type { Logger } from 'pino';
import { httpCarrier } from '../adapters/commands/http-carrier.ts';
import { mqttCarrier } from '../adapters/commands/mqtt-carrier.ts';
import { commandsOf } from '../adapters/commands/targets.ts';
import { deviceIntake, type Intake } from '../adapters/intake.ts';
import { checkMapping } from '../adapters/interpret.ts';
import type { Config } from './config.ts';
import type { AccessFunction } from './domain/access.ts';
import type { EgressGuard } from './egress/guard.ts';
import { httpPush } from './egress/http-push.ts';
import { type CommandOperations, commandOperations } from './operations/commands/operations.ts';
import { announce } from './operations/commands/show.ts';
import { type DeviceOperations, type DeviceOperationsOptions, deviceOperations } from './operations/devices.ts';
import { ingest } from './operations/ingest.ts';
import type { Clock } from './ports/clock.ts';
import type { DocumentStore } from './ports/document-store.ts';
import type { EntityStore } from './ports/entity-store.ts';
import type { MqttServer, MqttServerOptions } from './transport/mqtt.ts';
import { sweepEvery } from './upkeep.ts';

export interface DeviceSideOptions {
  readonly config: Config;
  readonly documents: DocumentStore;
  readonly entities: EntityStore;
  readonly clock: Clock;
  readonly access: AccessFunction;
  readonly resolveContext: DeviceOperationsOptions['resolveContext'];
  readonly guard: EgressGuard;
  readonly logger: Logger;
}

/** Registry, intake and commands of devices, tied together. */
export interface DeviceSide {
  readonly devices: DeviceOperations;
  readonly commands: CommandOperations;
  readonly intake: Intake;
  /** What the embedded MQTT broker asks about its sessions, and hands over. */
  readonly mqtt: Pick<MqttServerOptions, 'authenticate' | 'maySubscribe' | 'listener' | 'onListening' | 'onMessages'>;
  /** The embedded MQTT broker is there: sessions can be ended, commands sent. */
  connect(mqtt: MqttServer): void;
  /** Brings on its way what waited when the broker stopped. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export async function deviceSide(options: DeviceSideOptions): Promise<DeviceSide> {
  const { config, documents, entities, clock, access, resolveContext, guard, logger } = options;
  const onError = (error: unknown) => logger.error({ err: error }, 'devices');
  let mqtt: MqttServer | undefined;

  const devices = await deviceOperations({ documents, access, resolveContext, checkMapping, commandsOf });
  const commands = commandOperations({
    documents,
    entities,
    clock,
    access,
    targets: devices.commandTargets,
    expiryMs: config.commandExpiryS * 1000,
    onError,
  });
  const pushing = httpPush(guard);
  commands.register(httpCarrier(pushing.push));
  commands.register(mqttCarrier(async (...sent) => (await mqtt?.send(...sent)) ?? false));
  const intake = deviceIntake({
    ingest: ingest({ entities, clock, access }),
    directory: devices,
    commands,
    now: clock.now,
  });
  devices.onRevoked((session) => mqtt?.disconnect(session));
  devices.onProvisioned((known) => announce(entities, clock, known.tenant, commandsOf(known)));
  devices.onDeleted((identity) => void commands.forget(identity).catch(onError));
  let stopSweeping = () => {};

  return {
    devices,
    commands,
    intake,
    mqtt: {
      authenticate: devices.authenticate,
      maySubscribe: intake.maySubscribe,
      listener: intake.listener,
      onListening: commands.reachable,
      onMessages: intake.mqtt,
    },
    connect(server) {
      mqtt = server;
    },
    async start() {
      await commands.load();
      stopSweeping = sweepEvery(1000, commands.sweep, onError);
    },
    async stop() {
      stopSweeping();
      await commands.stop();
      await pushing.close();
    },
  };
}
