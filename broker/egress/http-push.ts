import type { HttpPush } from '../ports/commands.ts';
import type { EgressGuard } from './guard.ts';

/** More than this of a device's answer is of no interest. */
const REPLY_BYTES = 64 * 1024;
/** Errors that say that nothing was sent: the connection never was. */
const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Requests to the endpoints of devices, behind the egress guard. Redirects are not followed. */
export function httpPush(guard: EgressGuard): { readonly push: HttpPush; close(): Promise<void> } {
  let loading: Promise<typeof import('undici') & { agent: import('undici').Agent }> | undefined;
  const loaded = () => {
    loading ??= import('undici').then((undici) => ({
      ...undici,
      // A device has little memory: one connection, one request at a time.
      agent: new undici.Agent({
        connections: 1,
        pipelining: 1,
        keepAliveTimeout: 4000,
        connect: { lookup: guard.lookup, timeout: 5000 },
      }),
    }));
    return loading;
  };
  return {
    async push({ method = 'POST', uri, headers, body, timeoutMs }) {
      try {
        const url = new URL(uri);
        guard.checkAddress(url);
        const { request, agent } = await loaded();
        const reply = await request(url, {
          dispatcher: agent,
          method,
          headers,
          body:
            method === 'GET'
              ? null
              : typeof body === 'string'
                ? body
                : Buffer.from(body.buffer, body.byteOffset, body.byteLength),
          headersTimeout: timeoutMs,
          bodyTimeout: timeoutMs,
        });
        const chunks: Buffer[] = [];
        let bytes = 0;
        for await (const chunk of reply.body as AsyncIterable<Buffer>) {
          bytes += chunk.length;
          if (bytes > REPLY_BYTES) break;
          chunks.push(chunk);
        }
        return { status: reply.statusCode, body: Buffer.concat(chunks).toString('utf8') };
      } catch (error) {
        const { code, message } = error as Error & { code?: string };
        const late = code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT';
        return {
          failed: late ? 'The device did not answer in time' : message || code || 'The connection failed',
          again: NEVER_SENT.has(code ?? ''),
        };
      }
    },
    close: async () => (await loading)?.agent.close(),
  };
}
