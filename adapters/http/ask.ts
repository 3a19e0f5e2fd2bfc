import type { Surroundings } from '../adapter.ts';

/** What is asked of a web service, and how long and how large its answer may be. */
export interface Asked {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

/** An answer, and how to say that it was read: only then is its next version all that is asked for. */
export interface Fetched {
  readonly body: Buffer;
  taken(): void;
}

/**
 * Asks one URL again and again; what has not changed since it was taken (ETag, Last-Modified) is not sent again.
 * @returns asks once: undefined if nothing has changed. @throws Error that says why there is no answer
 */
export function conditionalAsk(
  mayContact: Surroundings['mayContact'],
): (asked: Asked, signal: AbortSignal) => Promise<Fetched | undefined> {
  let known: { readonly etag?: string; readonly modified?: string } = {};
  return async ({ url, headers, timeoutMs, maxBytes }, signal) => {
    await mayContact(new URL(url));
    const response = await fetch(url, {
      headers: {
        ...headers,
        ...(known.etag !== undefined && { 'if-none-match': known.etag }),
        ...(known.modified !== undefined && { 'if-modified-since': known.modified }),
      },
      // Where it leads to was not looked at.
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    }).catch((error: Error) => {
      throw new Error(`no answer: ${(error.cause as Error | undefined)?.message ?? error.message}`);
    });
    if (response.status === 304) {
      await response.body?.cancel();
      return undefined;
    }
    if (!response.ok) {
      await response.body?.cancel();
      throw new Error(`the answer is ${response.status}`);
    }
    const body = await limited(response, maxBytes);
    const etag = response.headers.get('etag');
    const modified = response.headers.get('last-modified');
    return {
      body,
      taken() {
        known = { ...known, ...(etag !== null && { etag }), ...(modified !== null && { modified }) };
      },
    };
  };
}

async function limited(response: Response, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > maxBytes) throw new Error(`the answer is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
