import { createServer, type Server, type Socket } from 'node:net';

/** The four tables of a slave; an address that is not in a table is not there. */
export interface Tables {
  readonly holding: Map<number, number>;
  readonly input: Map<number, number>;
  readonly coil: Map<number, boolean>;
  readonly discrete: Map<number, boolean>;
}

export const emptyTables = (): Tables => ({ holding: new Map(), input: new Map(), coil: new Map(), discrete: new Map() });

/** What goes wrong with one request. */
export type Fault =
  | { readonly kind: 'exception'; readonly code: number }
  | { readonly kind: 'slow'; readonly ms: number }
  | { readonly kind: 'silent' }
  /** The connection is closed without an answer, or after half of it. */
  | { readonly kind: 'drop'; readonly half?: boolean };

/** A slave as it may stand in a field: tables by unit, and faults. */
export interface ModbusSlave {
  readonly units: ReadonlyMap<number, Tables>;
  /** Asked before each request. */
  fault?: (unit: number, pdu: Buffer) => Fault | undefined;
  /** Called with each request that is answered. */
  seen?: (unit: number, pdu: Buffer) => void;
}

/** A request that a table cannot serve; the protocol's exception codes. */
class Refused extends Error {
  readonly code: number;
  constructor(code: number) {
    super();
    this.code = code;
  }
}

/**
 * Answers one request.
 * @param pdu function code and data
 * @see MODBUS Application Protocol V1.1b3, 6
 */
export function answerTo(tables: Tables, pdu: Buffer): Buffer {
  const code = pdu[0] ?? 0;
  try {
    return Buffer.concat([Buffer.of(code), served(tables, code, pdu)]);
  } catch (error) {
    return Buffer.of(code | 0x80, error instanceof Refused ? error.code : 4);
  }
}

function served(tables: Tables, code: number, pdu: Buffer): Buffer {
  const address = pdu.length >= 3 ? pdu.readUInt16BE(1) : 0;
  const second = pdu.length >= 5 ? pdu.readUInt16BE(3) : 0;
  switch (code) {
    case 1:
    case 2:
      return readBits(code === 1 ? tables.coil : tables.discrete, address, second);
    case 3:
    case 4:
      return readWords(code === 3 ? tables.holding : tables.input, address, second);
    case 5:
      if (second !== 0xff00 && second !== 0) throw new Refused(3);
      put(tables.coil, address, second === 0xff00);
      return pdu.subarray(1, 5);
    case 6:
      put(tables.holding, address, second);
      return pdu.subarray(1, 5);
    case 15:
      if (second < 1 || second > 1968) throw new Refused(3);
      for (let at = 0; at < second; at++) put(tables.coil, address + at, (((pdu[6 + (at >> 3)] ?? 0) >> (at & 7)) & 1) === 1);
      return pdu.subarray(1, 5);
    case 16:
      if (second < 1 || second > 123 || pdu.length < 6 + second * 2) throw new Refused(3);
      for (let at = 0; at < second; at++) put(tables.holding, address + at, pdu.readUInt16BE(6 + at * 2));
      return pdu.subarray(1, 5);
    default:
      throw new Refused(1);
  }
}

function readWords(table: Map<number, number>, address: number, count: number): Buffer {
  if (count < 1 || count > 125) throw new Refused(3);
  const answer = Buffer.alloc(1 + count * 2);
  answer[0] = count * 2;
  for (let at = 0; at < count; at++) answer.writeUInt16BE(take(table, address + at), 1 + at * 2);
  return answer;
}

function readBits(table: Map<number, boolean>, address: number, count: number): Buffer {
  if (count < 1 || count > 2000) throw new Refused(3);
  const answer = Buffer.alloc(1 + Math.ceil(count / 8));
  answer[0] = answer.length - 1;
  for (let at = 0; at < count; at++) {
    if (take(table, address + at)) answer[1 + (at >> 3)] = (answer[1 + (at >> 3)] ?? 0) | (1 << (at & 7));
  }
  return answer;
}

function take<T>(table: Map<number, T>, address: number): T {
  const value = table.get(address);
  if (value === undefined) throw new Refused(2);
  return value;
}

function put<T>(table: Map<number, T>, address: number, value: T): void {
  if (!table.has(address)) throw new Refused(2);
  table.set(address, value);
}

/** Serves a slave over Modbus/TCP: header of transaction, protocol 0, length and unit. @returns where it listens */
export async function serveTcp(
  slave: ModbusSlave,
  port = 0,
  host = '127.0.0.1',
): Promise<{ readonly port: number; readonly connections: () => number; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    let buffered = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      buffered = Buffer.concat([buffered, chunk]);
      while (buffered.length >= 7 && buffered.length >= 6 + buffered.readUInt16BE(4)) {
        const end = 6 + buffered.readUInt16BE(4);
        const frame = buffered.subarray(0, end);
        buffered = buffered.subarray(end);
        respond(
          slave,
          frame[6] as number,
          frame.subarray(7),
          (pdu, half) => {
            const header = Buffer.from(frame.subarray(0, 7));
            header.writeUInt16BE(pdu.length + 1, 4);
            const answer = Buffer.concat([header, pdu]);
            socket.write(half ? answer.subarray(0, answer.length >> 1) : answer);
          },
          () => socket.destroy(),
        );
      }
    });
  });
  await new Promise<void>((listening, failed) => {
    server.once('error', failed);
    server.listen(port, host, listening);
  });
  return {
    port: (server.address() as { port: number }).port,
    connections: () => sockets.size,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}

/** What a serial line offers to a slave. */
export interface SerialLine {
  on(event: 'data', listener: (chunk: Buffer) => void): unknown;
  write(bytes: Buffer): unknown;
}

/** Serves a slave on a serial line: unit, function, data, CRC with the low byte first. What is garbled, or for another unit, is not answered. */
export function serveRtu(slave: ModbusSlave, line: SerialLine): void {
  let buffered = Buffer.alloc(0);
  line.on('data', (chunk) => {
    buffered = Buffer.concat([buffered, chunk]);
    for (
      let length = requestLength(buffered);
      length !== undefined && buffered.length >= length;
      length = requestLength(buffered)
    ) {
      const frame = buffered.subarray(0, length);
      if (frame.readUInt16LE(length - 2) !== crc16(frame.subarray(0, length - 2))) {
        // Out of step: on a real line the silence between frames would tell.
        buffered = buffered.subarray(1);
        continue;
      }
      buffered = buffered.subarray(length);
      const unit = frame[0] as number;
      respond(
        slave,
        unit,
        frame.subarray(1, length - 2),
        (pdu, half) => {
          const body = Buffer.concat([Buffer.of(unit), pdu]);
          const answer = Buffer.concat([body, Buffer.alloc(2)]);
          answer.writeUInt16LE(crc16(body), body.length);
          line.write(half ? answer.subarray(0, answer.length >> 1) : answer);
        },
        () => {},
      );
    }
  });
}

function respond(
  slave: ModbusSlave,
  unit: number,
  pdu: Buffer,
  send: (pdu: Buffer, half: boolean) => void,
  drop: () => void,
): void {
  const tables = slave.units.get(unit);
  // Nobody of that number here: the line stays silent.
  if (tables === undefined) return;
  const fault = slave.fault?.(unit, pdu);
  slave.seen?.(unit, pdu);
  switch (fault?.kind) {
    case 'silent':
      return;
    case 'drop':
      if (fault.half) send(answerTo(tables, pdu), true);
      drop();
      return;
    case 'exception':
      send(Buffer.of((pdu[0] ?? 0) | 0x80, fault.code), false);
      return;
    case 'slow':
      setTimeout(() => send(answerTo(tables, pdu), false), fault.ms).unref();
      return;
    default:
      send(answerTo(tables, pdu), false);
  }
}

/** The length of the request that begins here; undefined while that cannot be told. */
function requestLength(bytes: Buffer): number | undefined {
  if (bytes.length < 2) return undefined;
  if (bytes[1] === 15 || bytes[1] === 16) return bytes.length < 7 ? undefined : 9 + (bytes[6] as number);
  return 8;
}

/** CRC-16 of Modbus: polynomial 0xA001 (reflected), start 0xFFFF. @see MODBUS over Serial Line V1.02, 6.2.2 */
export function crc16(bytes: Buffer): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
  }
  return crc;
}
