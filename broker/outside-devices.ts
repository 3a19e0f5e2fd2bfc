import type { Logger } from 'pino';
import type { SendToDevice } from '../adapters/commands/mqtt-carrier.ts';
import type { Intake } from '../adapters/intake.ts';
import type { Config } from './config.ts';
import { DomainError } from './domain/errors.ts';
import { type DynamicSecurity, dynamicSecurity } from './egress/mosquitto/dynamic-security.ts';
import type { CommandOperations } from './operations/commands/operations.ts';
import type { DeviceOperations } from './operations/devices.ts';
import type { DeviceGate } from './ports/device-gate.ts';
import { type OutsideMqtt, outsideMqtt } from './transport/mqtt/outside.ts';

/** The MQTT broker outside that devices connect to, if there is one. */
export interface OutsideDevices {
  /** For the registry; undefined: that broker decides by itself who may connect. */
  readonly gate: DeviceGate | undefined;
  readonly send: SendToDevice;
  /** To whoever listens there; nothing happens if there is no such broker, or it is away. */
  publish(topic: string, payload: string): Promise<void>;
  start(devices: DeviceOperations, commands: CommandOperations, intake: Intake): Promise<void>;
  figures(): Readonly<Record<string, number>> | undefined;
  stop(): Promise<void>;
}

export function outsideDevices(config: Config, brokerId: string, logger: Logger): OutsideDevices {
  const url = config.mqttOutside;
  let mqtt: OutsideMqtt | undefined;
  let security: DynamicSecurity | undefined;
  let devices: DeviceOperations | undefined;
  const told = (): DynamicSecurity => {
    if (security === undefined) throw new DomainError('Unavailable', 'The MQTT broker outside is not connected yet');
    return security;
  };
  const gate: DeviceGate = {
    admit: async (admission) => told().admit(admission),
    dismiss: async (identity) => security?.dismiss(identity),
    admitGroup: async (admission) => told().admitGroup(admission),
    dismissGroup: async (keyHash) => security?.dismissGroup(keyHash),
  };

  return {
    gate: config.mqttOutsideControl === 'dynamic-security' && url !== '' ? gate : undefined,
    async send(identity, payload, options) {
      const known = devices?.commandTargets.device(identity);
      const apikey = known && devices?.apikeyOf(known);
      if (mqtt === undefined || known === undefined || apikey === undefined) return false;
      const topic = `${apikey}/${known.device.device_id}/cmd`;
      return (await mqtt.publish(`/${topic}`, payload, options)) || mqtt.publish(topic, payload, options);
    },
    async publish(topic, payload) {
      await mqtt?.publish(topic, payload, { qos: 1, retain: false });
    },
    async start(registry, commands, intake) {
      devices = registry;
      if (url === '') return;
      const takeIn = async (credentials?: { readonly username: string; readonly password: string }) => {
        mqtt = await outsideMqtt({
          logger,
          url,
          ...(credentials !== undefined && { credentials }),
          connections: config.mqttOutsideConnections,
          clientId: `mizar-${brokerId}`,
          onMessages: intake.mqtt,
          isSlow: intake.isSlow,
          onHeard: (identity) => {
            if (commands.open(identity).length > 0) commands.reachable(identity);
          },
        });
      };
      if (config.mqttOutsideControl === 'none') return takeIn();
      security = await dynamicSecurity({
        url,
        admitted: registry.admitted,
        onReady: (credentials) => void takeIn(credentials),
        onError: (error) => logger.error({ err: error }, 'dynamic security of the MQTT broker outside'),
        onMissing: (names) =>
          logger.error({ devices: names }, 'the MQTT broker outside has forgotten these devices or keys: they need new tokens'),
      });
    },
    figures: () => mqtt?.figures(),
    async stop() {
      await mqtt?.close();
      await security?.close();
    },
  };
}
