import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { packetGate } from '../../broker/transport/mqtt/packet-gate.ts';

/** A packet of MQTT with a body of so many bytes. */
function packet(bytes: number): Buffer {
  const length = bytes < 128 ? [bytes] : [(bytes & 127) | 128, bytes >> 7];
  return Buffer.from([0x30, ...length, ...Array.from({ length: bytes }, (_, at) => at & 255)]);
}

/** A socket that was sent this, and everything that is read from it, read by read. */
async function readAll(sent: readonly Buffer[]): Promise<{ chunks: Buffer[]; oversize: number }> {
  const stream = new PassThrough({ highWaterMark: 1 << 20 });
  let oversize = 0;
  packetGate(stream as unknown as Socket, 10_000, () => oversize++);
  const chunks: Buffer[] = [];
  const ended = new Promise<void>((resolve) => stream.once('close', () => resolve()));
  stream.on('readable', () => {
    for (let chunk = stream.read(); chunk !== null; chunk = stream.read()) chunks.push(chunk as Buffer);
  });
  for (const chunk of sent) stream.write(chunk);
  stream.end();
  await ended;
  return { chunks, oversize };
}

describe('what a connection may hand on at once', () => {
  it('is a few packets, and nothing is lost, doubled or out of order, also of what came right before the end', async () => {
    const packets = Array.from({ length: 500 }, (_, at) => packet(at % 300));
    const whole = Buffer.concat(packets);
    const { chunks } = await readAll([whole]);
    expect(Buffer.concat(chunks).equals(whole)).toBe(true);
    expect(chunks.length).toBeGreaterThanOrEqual(Math.floor(500 / 32));
    const largest = Math.max(...chunks.map((chunk) => chunk.length));
    expect(largest).toBeLessThan(32 * 303 + 1);
  });

  it('does not wait for a packet that has not arrived as a whole', async () => {
    const whole = Buffer.concat([packet(200), packet(200)]);
    const { chunks } = await readAll([whole.subarray(0, 1), whole.subarray(1, 150), whole.subarray(150)]);
    expect(Buffer.concat(chunks).equals(whole)).toBe(true);
  });

  it('ends with a packet above the limit', async () => {
    const tooLarge = Buffer.from([0x30, 0xff, 0xff, 0x7f, 1, 2, 3]);
    const { chunks, oversize } = await readAll([tooLarge]);
    expect(oversize).toBe(1);
    expect(chunks).toEqual([]);
  });
});
