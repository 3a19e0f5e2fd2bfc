/**
 * Listens for notifications: counts them, and looks whether those of one subscription about one entity come in order. Prints its port.
 * GET tells {received, repeated, disordered, sample, lastMs, p99Ms}, and DELETE forgets it. A value of `speed` that is a time (milliseconds since 1970) says
 * when the change was sent, and so how long it took.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const VALUE = '"speed":{"type":"Property","value":';
let received = 0;
let repeated = 0;
let disordered = 0;
let sample = '';
let lastMs = 0;
const newest = new Map<string, number>();
let delays: number[] = [];
const p99 = () => delays.sort((a, b) => a - b)[Math.floor(delays.length * 0.99)] ?? 0;

const server = createServer((request, response) => {
  if (request.method === 'GET') {
    response.end(JSON.stringify({ received, repeated, disordered, sample, lastMs, p99Ms: p99() }));
    return;
  }
  if (request.method === 'DELETE') {
    received = repeated = disordered = 0;
    newest.clear();
    delays = [];
    response.end();
    return;
  }
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    lastMs = Date.now();
    const sequence = Number(request.headers['mizar-sequence']);
    if (sequence > 0) {
      const text = (chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)).toString();
      if (sample === '') sample = text;
      const sentMs = Number.parseFloat(text.slice(text.indexOf(VALUE) + VALUE.length, text.indexOf(VALUE) + VALUE.length + 18));
      if (sentMs > 1e12) delays.push(lastMs - sentMs);
      const subscription = between(text, '"subscriptionId":"');
      const before = newest.get(`${subscription} ${between(text, '"data":[{"id":"')}`) ?? 0;
      if (sequence === before) repeated++;
      else if (sequence < before) disordered++;
      newest.set(`${subscription} ${between(text, '"data":[{"id":"')}`, Math.max(before, sequence));
    }
    received++;
    response.writeHead(200, { 'content-length': 0 }).end();
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));

function between(text: string, start: string): string {
  const from = text.indexOf(start) + start.length;
  return text.slice(from, text.indexOf('"', from));
}
