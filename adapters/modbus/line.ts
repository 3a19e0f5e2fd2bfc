import { pause } from '../waiting.ts';
import type { Block } from './plan.ts';
import { type Line, lineName } from './settings.ts';
import type { ModbusWrite } from './value-chain.ts';

/** What the slave answered instead of data: it heard us, and says no. */
export class ModbusException extends Error {
  readonly code: number;
  constructor(code: number) {
    super(`the slave answers with exception ${code}: ${EXCEPTIONS[code] ?? 'unknown'}`);
    this.code = code;
  }
}

const EXCEPTIONS: Readonly<Record<number, string>> = {
  1: 'function not supported',
  2: 'address not there',
  3: 'bad value or quantity',
  4: 'device failure',
  5: 'accepted, working on it',
  6: 'busy',
  8: 'memory parity error',
  10: 'gateway path not available',
  11: 'the target behind the gateway does not answer',
};

/** One connection, TCP or serial, that any number of units share. One request at a time is on it: many slaves can do no more. */
export interface ModbusLine {
  /** @returns words, or bits @throws ModbusException, or another Error if there is no answer */
  read(
    unit: number,
    block: Pick<Block, 'table' | 'address' | 'length'>,
    timeoutMs: number,
  ): Promise<readonly number[] | readonly boolean[]>;
  /** Resolves when the slave has confirmed. @throws as read */
  write(unit: number, write: ModbusWrite, timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

/** How long a connection that could not be opened is left alone, first and at most. */
const RECONNECT_MS = [250, 60_000] as const;

/** Requests in a row without an answer, after which the connection itself is doubted. */
const HALF_OPEN = 3;

/**
 * The native part of serialport 13 tells of bytes outside of a callback scope, so what awaits them goes on with the next event of the process only, which in a quiet one would
 * be the time-out. While an answer is awaited there is an event at least this often.
 */
const AWAKE_MS = 3;

/** The part of modbus-serial's client that is used. */
interface Client {
  readonly isOpen: boolean;
  connectTCP(host: string, options: object): Promise<void>;
  connectTcpRTUBuffered(host: string, options: object): Promise<void>;
  connectRTUBuffered(path: string, options: object): Promise<void>;
  setID(unit: number): void;
  setTimeout(ms: number): void;
  readHoldingRegisters(address: number, length: number): Promise<{ data: number[] }>;
  readInputRegisters(address: number, length: number): Promise<{ data: number[] }>;
  readCoils(address: number, length: number): Promise<{ data: boolean[] }>;
  readDiscreteInputs(address: number, length: number): Promise<{ data: boolean[] }>;
  writeCoil(address: number, state: boolean): Promise<{ address: number; state: boolean }>;
  writeCoils(address: number, states: readonly boolean[]): Promise<{ address: number; length: number }>;
  writeRegister(address: number, value: number): Promise<{ address: number; value: number }>;
  writeRegisters(address: number, values: readonly number[]): Promise<{ address: number; length: number }>;
  on(event: 'close' | 'error', listener: (error?: Error) => void): void;
  close(done: () => void): void;
  destroy(done: () => void): void;
}

export function modbusLine(line: Line): ModbusLine {
  let client: Client | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let closed = false;
  let reconnectMs: number = RECONNECT_MS[0];
  let notBefore = 0;
  let silent = 0;

  /** One after the other, whoever asks. */
  function alone<T>(work: () => Promise<T>): Promise<T> {
    const turn = last.then(work);
    last = turn.catch(() => {});
    return turn;
  }

  async function opened(timeoutMs: number): Promise<Client> {
    if (closed) throw new Error('the connection is being closed');
    if (client?.isOpen) return client;
    await drop();
    if (Date.now() < notBefore) throw new Error(`${lineName(line)} could not be reached a moment ago`);
    try {
      const { default: ModbusRTU } = (await import('modbus-serial')) as unknown as { default: new () => Client };
      const fresh = new ModbusRTU();
      // Without a listener an error of the socket would end the process. Requests under way are rejected by it, or run into their time-out.
      fresh.on('error', () => {});
      await within(connect(fresh, line), Math.max(timeoutMs, 1000), `${lineName(line)} cannot be reached`, () =>
        fresh.destroy(() => {}),
      );
      client = fresh;
      reconnectMs = RECONNECT_MS[0];
      return fresh;
    } catch (error) {
      notBefore = Date.now() + reconnectMs;
      reconnectMs = Math.min(reconnectMs * 2, RECONNECT_MS[1]);
      throw error;
    }
  }

  /** Sends one request. After silence nothing that still comes may be taken for the answer to the next one. */
  async function ask<T>(unit: number, timeoutMs: number, request: (client: Client) => Promise<T>): Promise<T> {
    const open = await opened(timeoutMs);
    open.setID(unit);
    open.setTimeout(timeoutMs);
    const awake = line.kind === 'serial' ? setInterval(() => {}, AWAKE_MS) : undefined;
    try {
      // The library's own time-out covers the answer only, so a connection that is half open gets a second, outer one.
      const answer = await within(request(open), timeoutMs + 1000, 'no answer in time', () => {});
      silent = 0;
      return answer;
    } catch (error) {
      const code = (error as { modbusCode?: unknown }).modbusCode;
      if (typeof code === 'number') {
        silent = 0;
        throw new ModbusException(code);
      }
      silent++;
      // Frames of a serial line have no number that would tell which request they answer; those of TCP have, so other units keep the connection.
      if (line.kind === 'serial') await pause(Math.max(timeoutMs, quietMs(line.baudRate)));
      else if (line.framing === 'rtu' || silent >= HALF_OPEN) await drop();
      throw error instanceof Error ? error : new Error(String((error as { message?: unknown })?.message ?? error));
    } finally {
      clearInterval(awake);
    }
  }

  async function drop(): Promise<void> {
    const old = client;
    client = undefined;
    if (old === undefined) return;
    await within(new Promise<void>((done) => (old.isOpen ? old.close(done) : old.destroy(done))), 1000, '', () => {}).catch(
      () => {},
    );
  }

  return {
    read: (unit, { table, address, length }, timeoutMs) =>
      alone(async () => {
        const { data } = await ask<{ data: readonly number[] | readonly boolean[] }>(unit, timeoutMs, (open) =>
          open[READ[table]](address, length),
        );
        if (data.length < length) throw new Error(`the slave sent ${data.length} of ${length} values`);
        return data.slice(0, length);
      }),
    write: (unit, write, timeoutMs) =>
      alone(async () => {
        if (write.kind === 'coils') {
          const [first] = write.bits;
          if (write.bits.length > 1) await ask(unit, timeoutMs, (open) => open.writeCoils(write.address, write.bits));
          else {
            const echo = await ask(unit, timeoutMs, (open) => open.writeCoil(write.address, first as boolean));
            checkEcho(echo.address === write.address && echo.state === first);
          }
          return;
        }
        let words = write.kind === 'registers' ? write.words : [];
        if (write.kind === 'modify') {
          // Nobody else is on the line between the two, but the device itself might change the register.
          const { data } = await ask(unit, timeoutMs, (open) => open.readHoldingRegisters(write.address, 1));
          words = [((data[0] as number) & ~write.mask & 0xffff) | write.bits];
        }
        if (words.length > 1) {
          await ask(unit, timeoutMs, (open) => open.writeRegisters(write.address, words));
          return;
        }
        const word = words[0] as number;
        const echo = await ask(unit, timeoutMs, (open) => open.writeRegister(write.address, word));
        checkEcho(echo.address === write.address && echo.value === word);
      }),
    async close() {
      closed = true;
      await last.catch(() => {});
      await drop();
    },
  };
}

const READ = {
  holding: 'readHoldingRegisters',
  input: 'readInputRegisters',
  coil: 'readCoils',
  discrete: 'readDiscreteInputs',
} as const;

function connect(client: Client, line: Line): Promise<void> {
  if (line.kind === 'serial') {
    const { path, baudRate, dataBits, parity, stopBits } = line;
    return client.connectRTUBuffered(path, { baudRate, dataBits, parity, stopBits });
  }
  return line.framing === 'rtu'
    ? client.connectTcpRTUBuffered(line.host, { port: line.port })
    : client.connectTCP(line.host, { port: line.port });
}

function checkEcho(same: boolean): void {
  if (!same) throw new Error('the slave confirmed something else than was written');
}

/** The silence of 3.5 characters that ends a frame. */
const quietMs = (baudRate: number): number => Math.ceil((3.5 * 11 * 1000) / baudRate);

function within<T>(work: Promise<T>, ms: number, message: string, late: () => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      late();
      reject(new Error(message));
    }, ms);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
