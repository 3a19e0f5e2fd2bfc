import type { CommandCarrier } from '../../broker/ports/ingest.ts';
import { commandPayload } from './payload.ts';

/** Sends to whoever listens to a device's command topic. Resolves with true when a listener has acknowledged it, false if nobody listens. */
export type SendToDevice = (
  identity: string,
  payload: string | Uint8Array,
  options: { readonly qos: 0 | 1; readonly retain: boolean },
) => Promise<boolean>;

/**
 * Commands over MQTT, to `[/]<key>/<device>/cmd`. Who does not listen gets them when it does.
 * @param retryMs where nobody says that a device has begun to listen: it is tried again after this
 */
export function mqttCarrier(name: string, send: SendToDevice, retryMs?: number): CommandCarrier {
  return {
    name,
    carries({ device, group }) {
      const transport = device.transport ?? group?.transport;
      return transport === undefined || transport.toUpperCase() === 'MQTT';
    },
    async carry(command, known) {
      const { body, entry } = commandPayload(command, known);
      const qos = entry?.mqtt?.qos === 0 || entry?.mqtt?.qos === '0' ? 0 : 1;
      const retain = entry?.mqtt?.retain === true || entry?.mqtt?.retain === 'true';
      const delivered = await send(known.identity, body, { qos, retain });
      return delivered ? { kind: 'delivered' } : { kind: 'waiting', ...(retryMs !== undefined && { retryMs }) };
    },
  };
}
