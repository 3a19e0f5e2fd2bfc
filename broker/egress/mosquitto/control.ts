import { randomUUID } from 'node:crypto';
import type { IClientOptions, MqttClient } from 'mqtt';

const TOPIC = '$CONTROL/dynamic-security/v1';
/** How long an answer may take. */
const TIMEOUT_MS = 5000;

/** One command of the plugin, by its documentation: `{"command":"createClient","username":…}`. */
export interface ControlCommand {
  readonly command: string;
  readonly [member: string]: unknown;
}
export interface ControlResponse {
  readonly command: string;
  readonly error?: string;
  readonly data?: Record<string, unknown>;
}

/** The control channel of Mosquitto's dynamic-security plugin. */
export interface Control {
  readonly connected: boolean;
  /**
   * Carries out commands in their order.
   * @returns an answer for each; one that the plugin refuses has an `error`
   * @throws Error if the plugin cannot be reached or does not answer: what was carried out is not known
   */
  run(commands: readonly ControlCommand[]): Promise<readonly ControlResponse[]>;
  close(): Promise<void>;
}

export interface ControlOptions {
  /** mqtt: or mqtts: with the credentials of an administrator of the plugin. */
  readonly url: string;
  /** The channel is there, also again after an interruption. */
  onConnect(): void;
  onError(error: unknown): void;
}

/** Opens the channel and keeps it open. */
export async function dynamicSecurityControl({ url, onConnect, onError }: ControlOptions): Promise<Control> {
  const { connect } = await import('mqtt');
  const options: IClientOptions = {
    protocolVersion: 5,
    clientId: `mizar-control-${randomUUID()}`,
    reconnectPeriod: 1000,
    clean: true,
  };
  const client: MqttClient = connect(url, options);
  const waiting = new Map<string, { settle(responses: readonly ControlResponse[]): void; fail(error: Error): void }>();
  let subscribed = false;

  client.on('connect', () => {
    client
      .subscribeAsync(`${TOPIC}/response`, { qos: 1 })
      .then(() => {
        subscribed = true;
        onConnect();
      })
      .catch(onError);
  });
  client.on('error', onError);
  client.on('close', () => {
    subscribed = false;
    for (const { fail } of waiting.values()) fail(new Error('The connection to the MQTT broker was lost'));
    waiting.clear();
  });
  client.on('message', (_, payload) => {
    const { responses } = JSON.parse(payload.toString()) as { responses: (ControlResponse & { correlationData?: string })[] };
    const found = responses.find(({ correlationData }) => correlationData !== undefined && waiting.has(correlationData));
    if (found?.correlationData === undefined) return;
    waiting.get(found.correlationData)?.settle(responses);
    waiting.delete(found.correlationData);
  });

  return {
    get connected() {
      return subscribed;
    },
    async run(commands) {
      if (!subscribed) throw new Error('The MQTT broker is not connected');
      const correlationData = randomUUID();
      let timer: NodeJS.Timeout | undefined;
      const answered = new Promise<readonly ControlResponse[]>((settle, fail) => {
        waiting.set(correlationData, { settle, fail });
        timer = setTimeout(() => {
          waiting.delete(correlationData);
          fail(new Error('The dynamic-security plugin of the MQTT broker does not answer'));
        }, TIMEOUT_MS);
      });
      try {
        const body = JSON.stringify({ commands: commands.map((command) => ({ ...command, correlationData })) });
        // An error of the publication shows as a missing answer.
        client.publish(TOPIC, body, { qos: 1 });
        return await answered;
      } finally {
        clearTimeout(timer);
      }
    },
    close: () => client.endAsync(true),
  };
}
