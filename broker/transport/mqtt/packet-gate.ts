import type { Socket } from 'node:net';

/** Packets that are handed on with one read: what is handed on is worked off before anything else in the process has its turn. */
const PACKETS_AT_ONCE = 32;

/**
 * Hands on a few packets at a time, so that a connection that floods does not keep the process from the others. Lets only packets up to a size through to the parser, which itself would collect up to 256 MB for one. Watches what is read from the socket
 * and counts: a packet is a type byte, its length in up to four bytes of seven bits, and that many bytes (MQTT 3.1.1, 2.2.3).
 * A longer packet, or a length that does not end, closes the connection; `onOversize` is called once.
 */
export function packetGate(socket: Socket, limitBytes: number, onOversize: () => void): void {
  const read = socket.read.bind(socket);
  let body = 0;
  /** Bytes of the length seen so far; -1: the next byte is a packet's type. */
  let lengthBytes = -1;
  let length = 0;
  let packets = 0;
  socket.read = (size?: number) => {
    const chunk: Buffer | null = read(size);
    if (chunk === null) return null;
    const end = passes(chunk);
    if (end < 0) {
      onOversize();
      socket.destroy();
      return null;
    }
    if (end === chunk.length) return chunk;
    // The rest goes back, where it is found with the next read; a connection that ends is not over before it is read.
    socket.unshift(chunk.subarray(end));
    return chunk.subarray(0, end);
  };

  /** How much of the chunk may be handed on; -1: a packet in it is too large. */
  function passes(chunk: Buffer): number {
    let at = 0;
    packets = 0;
    while (at < chunk.length) {
      if (body === 0 && lengthBytes < 0 && packets === PACKETS_AT_ONCE) return at;
      if (body > 0) {
        const skipped = Math.min(body, chunk.length - at);
        body -= skipped;
        at += skipped;
      } else if (lengthBytes < 0) {
        lengthBytes = 0;
        length = 0;
        at++;
      } else {
        const byte = chunk[at++] as number;
        length += (byte & 127) * 128 ** lengthBytes++;
        const ends = byte < 128;
        if (length > limitBytes || (!ends && lengthBytes === 4)) return -1;
        if (ends) {
          body = length;
          lengthBytes = -1;
          packets++;
        }
      }
    }
    return at;
  }
}
