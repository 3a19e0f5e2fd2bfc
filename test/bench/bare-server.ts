/**
 * What Node itself can do: a bare node:http server that answers the bytes it was given (PUT /bytes), and parses what is posted.
 * Prints its port. Also the bare sender (argument "send"): undici POSTs of the same bytes to one URL, 50 at a time; prints requests/s.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent } from 'undici';

if (process.argv[2] === 'send') {
  const { url, body, count } = JSON.parse(process.argv[3]!) as { url: string; body: string; count: number };
  const agent = new Agent({ connections: 32 });
  const { origin, pathname } = new URL(url);
  let left = count;
  const began = process.hrtime.bigint();
  await Promise.all(
    Array.from({ length: 50 }, async () => {
      while (left-- > 0) {
        const answer = await agent.request({
          origin,
          path: pathname,
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
        });
        await answer.body.dump();
      }
    }),
  );
  console.log(count / (Number(process.hrtime.bigint() - began) / 1e9));
  await agent.close();
} else {
  let bytes = Buffer.from('{}');
  let type = 'application/json';
  const server = createServer((request, response) => {
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': type, 'content-length': bytes.length });
      response.end(bytes);
      return;
    }
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      if (request.method === 'PUT') {
        bytes = Buffer.from(body);
        type = request.headers['content-type'] ?? type;
      } else {
        // Parsed, as every server has to, and nothing else.
        JSON.parse(body.toString());
      }
      response.writeHead(201, { 'content-length': 0 });
      response.end();
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
}
