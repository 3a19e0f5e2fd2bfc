/**
 * MQTT devices for the benchmark, as bare sockets, so that what they cost falls on the broker's side alone.
 * `device-load.ts crowd <port> <devices> <key> <prefix of their ids>`: connects, subscribes to commands and publishes one measure each; prints "ready" and stays until its input ends.
 * `device-load.ts steady <port> <seconds> <key>`: 50 devices publish 20 times a second each; prints the p99 of the time to acknowledgement, in ms.
 * `device-load.ts flood <port> <connections> <key>`: publishes as fast as the broker reads, until its input ends; prints how many were acknowledged.
 */
import { connect, type Socket } from 'node:net';

const [mode, port, count, key = 'crowdKey', prefix = 'd'] = process.argv.slice(2) as [string, string, string, string?, string?];

/** A packet of MQTT 3.1.1: type and flags, length in groups of seven bits, the rest. */
function packet(head: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length: number[] = [];
  for (let rest = body.length, more = true; more; rest >>= 7) {
    more = rest > 127;
    length.push((rest & 127) | (more ? 128 : 0));
  }
  return Buffer.concat([Buffer.from([head, ...length]), body]);
}
const number = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);
const text = (value: string): Buffer => Buffer.concat([number(Buffer.byteLength(value)), Buffer.from(value)]);

/** Resolves when the broker has accepted the connection. */
async function device(id: string): Promise<Socket> {
  const socket = connect({ port: Number(port), host: '127.0.0.1', noDelay: true });
  socket.on('error', (error) => {
    console.error(error.message);
    process.exit(1);
  });
  // Version 3.1.1, a clean session, keep-alive of 600 s.
  socket.write(packet(0x10, text('MQTT'), Buffer.from([4, 2, 2, 88]), text(id)));
  await new Promise((resolve) => socket.once('data', resolve));
  return socket;
}

const measure = (id: string, messageId: number, value: number): Buffer =>
  packet(0x32, text(`/json/${key}/${id}/attrs`), number(messageId), Buffer.from(`{"temperature":${value},"n":${messageId}}`));

const inputEnds = new Promise<void>((resolve) => process.stdin.once('end', resolve).resume());

async function crowd(): Promise<void> {
  const sockets: Socket[] = [];
  for (let from = 0; from < Number(count); from += 100) {
    const some = Array.from({ length: Math.min(100, Number(count) - from) }, async (_, at) => {
      const id = `${prefix}${from + at}`;
      const socket = await device(id);
      socket.write(packet(0x82, number(1), text(`/${key}/${id}/cmd`), Buffer.from([1])));
      await new Promise((resolve) => socket.once('data', resolve));
      socket.write(measure(id, 2, from));
      await new Promise((resolve) => socket.once('data', resolve));
      sockets.push(socket);
    });
    await Promise.all(some);
  }
  console.log('ready');
  await inputEnds;
}

async function steady(): Promise<void> {
  const latencies: number[] = [];
  const stop = performance.now() + Number(count) * 1000;
  const work = Array.from({ length: 50 }, async (_, at) => {
    const id = `s${at}`;
    const socket = await device(id);
    await new Promise((wake) => setTimeout(wake, at));
    for (let messageId = 1; performance.now() < stop; messageId++) {
      const sent = performance.now();
      socket.write(measure(id, messageId, messageId % 100));
      await new Promise((resolve) => socket.once('data', resolve));
      const took = performance.now() - sent;
      latencies.push(took);
      await new Promise((wake) => setTimeout(wake, Math.max(0, 50 - took)));
    }
  });
  await Promise.all(work);
  latencies.sort((a, b) => a - b);
  console.log(latencies[Math.floor(latencies.length * 0.99)]);
  process.exit(0);
}

async function flood(): Promise<void> {
  let bytes = 0;
  for (let at = 0; at < Number(count); at++) {
    const socket = await device(`flood${at}`);
    socket.on('data', (chunk) => {
      bytes += chunk.length;
    });
    const many = Buffer.concat(Array.from({ length: 500 }, (_, n) => measure(`flood${at}`, n + 1, n)));
    const write = () => {
      while (socket.write(many));
      socket.once('drain', write);
    };
    write();
  }
  console.log('ready');
  await inputEnds;
  // An acknowledgement has four bytes.
  console.log(bytes / 4);
  process.exit(0);
}

await { crowd, steady, flood }[mode as 'crowd']();
process.exit(0);
