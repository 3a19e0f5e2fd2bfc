import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { DeviceOutcome, MeasureMessage } from '../../broker/ports/ingest.ts';
import type { Log } from '../adapter.ts';

/** What is used of a request and its response of the library. */
interface CoapRequest {
  readonly method: string;
  readonly url: string;
  readonly payload: Buffer;
  readonly headers: Readonly<Record<string, unknown>>;
}
interface CoapResponse extends Duplex {
  code: string;
  setOption(name: string, value: string): void;
}

export interface CoapServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** @throws if the store is unavailable */
  readonly take: (message: MeasureMessage) => Promise<DeviceOutcome>;
  readonly log: Log;
}

export interface CoapServer {
  readonly port: number;
  close(): Promise<void>;
}

const LIMIT_BYTES = 256 * 1024;
const FORMATS: Readonly<Record<string, MeasureMessage['format']>> = { json: 'json', ul: 'ultralight', d: 'ultralight' };

/** Codes of RFC 7252, 12.1.2, by what became of a measure. */
const CODES: Readonly<Record<string, string>> = {
  DEVICE_GROUP_NOT_FOUND: '4.03',
  DEVICE_NOT_FOUND: '4.04',
  INTERNAL_ERROR: '5.00',
};

/**
 * Measures over CoAP (RFC 7252): POST or PUT to `/json?k=<key>&i=<device>[&t=<time>]` or `/ul?…`, and `/json/attrs/<name>?…` for one value. A confirmable request is
 * acknowledged with 2.04 when the measure is on disk; with `getCmd=1` the commands that wait are in the answer.
 */
export async function coapServer({ host, port, take, log }: CoapServerOptions): Promise<CoapServer> {
  const { createServer } = await import('coap');
  const server = createServer({ type: host.includes(':') ? 'udp6' : 'udp4' });
  server.on('request', (request: CoapRequest, response: CoapResponse) => {
    answer(request, response).catch((error: unknown) => {
      log('error', 'a measure over CoAP could not be stored', { err: error });
      end(response, '5.03', 'try again later');
    });
  });
  server.on('error', (error: Error) => log('warn', `CoAP: ${error.message}`));

  async function answer(request: CoapRequest, response: CoapResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url, 'coap://localhost');
    const [, kind = '', attrs, name, ...rest] = pathname.replace(/^\/iot(?=\/)/, '').split('/');
    const format = Object.hasOwn(FORMATS, kind) ? FORMATS[kind] : undefined;
    if (format === undefined || rest.length > 0 || (attrs !== undefined && (attrs !== 'attrs' || !name)))
      return end(response, '4.04', 'there are /json and /ul');
    if (request.method !== 'POST' && request.method !== 'PUT') return end(response, '4.05', 'POST a measure');
    if (request.payload.length > LIMIT_BYTES) return end(response, '4.13', `at most ${LIMIT_BYTES} bytes`);
    const key = searchParams.get('k');
    const deviceId = searchParams.get('i');
    if (!key || !deviceId) return end(response, '4.00', 'k and i must name the API key and the device');
    const time = searchParams.get('t');
    const outcome = await take({
      format,
      key,
      deviceId,
      body: request.payload,
      ...(time !== null && { time }),
      ...(name !== undefined && { attribute: decodeURIComponent(name) }),
      ...(searchParams.get('getCmd') === '1' && { getCommands: true }),
    });
    if (!outcome.accepted) return end(response, CODES[outcome.code] ?? '4.00', `${outcome.code}: ${outcome.reason}`);
    end(response, '2.04', outcome.commands ?? '');
  }

  await new Promise<void>((listening, failed) => {
    server.listen(port, host, (error?: Error | null) => (error ? failed(error) : listening()));
  });
  const socket = (server as unknown as { _sock: Socket | null })._sock;
  return {
    port: (socket?.address() as AddressInfo | undefined)?.port ?? port,
    close: () => new Promise((closed) => server.close(() => closed())),
  };
}

function end(response: CoapResponse, code: string, text: string): void {
  response.code = code;
  response.end(text);
}
