import type { CommandCarrier, HttpPush, KnownDevice } from '../../broker/ports/ingest.ts';
import { protocolOf } from '../protocol.ts';
import { commandPayload } from './payload.ts';
import { parseJsonResults, parseUltraLightResults } from './results.ts';

/** How long a device may take to answer. */
const TIMEOUT_MS = 10_000;
/** A device that cannot be connected to is tried again after this, until the command expires. */
const RETRY_MS = 10_000;
const MOST_INFO_CHARS = 1000;

/** Commands to devices with an `endpoint`: POST, 200 (JSON also 201) with the result in the body; anything else is an error (device API of FIWARE IoT agents). */
export function httpCarrier(push: HttpPush): CommandCarrier {
  return {
    name: 'http',
    carries: (known) => endpointOf(known) !== undefined,
    async carry(command, known) {
      const { body, contentType, entry } = commandPayload(command, known);
      const reply = await push({
        uri: endpointOf(known) as string,
        headers: {
          'fiware-service': known.tenant,
          'fiware-servicepath': known.servicePath,
          ...entry?.headers,
          'content-type': contentType,
        },
        body,
        timeoutMs: TIMEOUT_MS,
      });
      if ('failed' in reply) {
        // What may have arrived is not sent again: nobody wants a gate to open twice.
        return reply.again ? { kind: 'waiting', retryMs: RETRY_MS } : { kind: 'done', ok: false, info: reply.failed };
      }
      const format = protocolOf(known);
      if (reply.status !== 200 && !(format === 'json' && reply.status === 201)) {
        return {
          kind: 'done',
          ok: false,
          info: `The device answered ${reply.status}: ${reply.body}`.slice(0, MOST_INFO_CHARS),
        };
      }
      const text = reply.body.slice(0, MOST_INFO_CHARS);
      try {
        const results =
          format === 'json' ? parseJsonResults(reply.body) : parseUltraLightResults(reply.body, known.device.device_id);
        const own = results.find(({ name }) => name === command.name);
        return own === undefined ? { kind: 'done', ok: true, info: text } : { kind: 'done', ok: own.ok, info: own.info };
      } catch {
        return { kind: 'done', ok: true, info: text };
      }
    },
  };
}

/** Where the device takes commands; a transport that is said and is not HTTP has no such place. */
export function endpointOf({ device, group }: KnownDevice): string | undefined {
  const transport = device.transport ?? group?.transport;
  if (transport !== undefined && transport.toUpperCase() !== 'HTTP') return undefined;
  return device.endpoint ?? group?.endpoint;
}
