import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { RequestSeries } from '../api/admin/request-times.ts';
import type { Config } from '../config.ts';
import { operationsElsewhere } from '../operations/elsewhere.ts';
import type { Offered } from '../ports/neighbour.ts';
import { type Channel, channel, type Parcel } from './channel.ts';

/** What a server process needs to know to begin. */
export interface ServerStart {
  readonly config: Config;
  /** Where the primary process listens for what servers do not answer themselves. */
  readonly socketPath: string;
  readonly brokerId: string;
}

/** What a server process offers to the primary. */
export interface ServerOperations {
  figures(): Promise<ServerFigures>;
  /** Answers what is under way, and takes no more. */
  drain(): Promise<void>;
}

export interface ServerFigures {
  readonly requests: readonly RequestSeries[];
  readonly residentBytes: number;
  readonly cpuSeconds: number;
}

/** The server processes, for whoever reports about them. */
export interface Servers {
  /** Those that listen. */
  readonly running: number;
  /** Those that ended by themselves. */
  readonly restarts: number;
  figures(): Promise<readonly ServerFigures[]>;
}

interface Server {
  readonly child: ChildProcess;
  readonly channel: Channel;
  readonly operations: ServerOperations;
  listening: boolean;
}

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 10_000;
/** One that has lived so long begins with the shortest wait again. */
const LIVED_MS = 30_000;
/** A server that does not answer in time has no figures. */
const FIGURES_MS = 1_000;

const PROGRAM = join(import.meta.dirname, '../mizar.js');
/** How main.ts knows that it is to be a server. */
export const SERVER_ARGUMENT = '--server-process';

/** The processes that serve beside the primary: starts them, starts those again that end, and carries out what they call. */
export class Supervisor implements Servers {
  readonly #wanted: number;
  readonly #logger: Logger;
  readonly #mostCalls: number;
  readonly #servers = new Map<number, Server>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #restarts = 0;
  #stopping = false;
  #start: ServerStart | undefined;
  #offered: Offered = {};

  constructor(wanted: number, logger: Logger, mostCalls: number) {
    this.#wanted = wanted;
    this.#logger = logger;
    this.#mostCalls = mostCalls;
  }

  get running(): number {
    return [...this.#servers.values()].filter(({ listening }) => listening).length;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** Starts the servers. Resolves at once: those that listen are counted by {@link running}. */
  start(start: ServerStart, offered: Offered): void {
    this.#start = start;
    this.#offered = offered;
    for (let number = 1; number <= this.#wanted; number++) this.#fork(number, FIRST_WAIT_MS);
  }

  #fork(number: number, waitMs: number): void {
    const began = Date.now();
    const child = fork(PROGRAM, [SERVER_ARGUMENT], { serialization: 'advanced', execArgv: process.execArgv });
    const link = channel(
      (parcel) => {
        if (child.connected) child.send(parcel as never, () => {});
      },
      { ...this.#offered, primary: { listening: () => this.#listening(number) } },
      this.#mostCalls,
    );
    const operations = operationsElsewhere<ServerOperations>(link, 'server');
    this.#servers.set(number, { child, channel: link, operations, listening: false });
    child.on('message', (parcel) => link.receive(parcel as Parcel));
    child.once('error', (error) => this.#logger.error({ err: error, server: number }, 'server process'));
    child.once('exit', (code, signal) => {
      link.broken();
      this.#servers.delete(number);
      if (this.#stopping) return;
      this.#restarts++;
      const wait = Date.now() - began > LIVED_MS ? FIRST_WAIT_MS : waitMs;
      this.#logger.error({ server: number, pid: child.pid, code, signal, againInMs: wait }, 'a server process has ended');
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        this.#fork(number, Math.min(2 * wait, LONGEST_WAIT_MS));
      }, wait);
      this.#timers.add(timer);
    });
    child.send(this.#start as never, () => {});
  }

  #listening(number: number): void {
    const server = this.#servers.get(number);
    if (!server) return;
    server.listening = true;
    this.#logger.info({ server: number, pid: server.child.pid }, 'a server process listens');
  }

  /** Of those that answer in time. */
  async figures(): Promise<readonly ServerFigures[]> {
    const asked = [...this.#servers.values()].filter(({ listening }) => listening);
    const found = await Promise.all(
      asked.map(({ operations }) => {
        const late = new Promise<undefined>((resolve) => setTimeout(resolve, FIGURES_MS, undefined).unref());
        return Promise.race([operations.figures().catch(() => undefined), late]);
      }),
    );
    return found.filter((figures) => figures !== undefined);
  }

  /** Lets all of them answer what is under way and end; after `patienceMs` they are ended. */
  async stop(patienceMs: number): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all(
      [...this.#servers.values()].map(async ({ child, operations }) => {
        const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
        const late = setTimeout(() => child.kill('SIGKILL'), patienceMs);
        operations.drain().catch(() => {});
        await ended;
        clearTimeout(late);
      }),
    );
  }
}
