import { type AccessFunction, type Caller, demand } from '../../domain/access.ts';
import { type Command, type CommandState, isFinal } from '../../domain/command.ts';
import type { KnownDevice } from '../../domain/device.ts';
import { DomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/iri.ts';
import type { JsonValue } from '../../domain/json.ts';
import { compareInstants, fromMicros, type Instant, toMicros } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Carried, CommandCarrier, CommandDesk } from '../../ports/commands.ts';
import type { DocumentStore } from '../../ports/document-store.ts';
import type { EntityStore } from '../../ports/entity-store.ts';
import type { CommandTarget, CommandTargets } from '../devices/targets.ts';
import { commandDocument, readCommand } from './document.ts';
import { showState } from './show.ts';

export interface CommandOptions {
  readonly documents: DocumentStore;
  readonly entities: EntityStore;
  readonly clock: Clock;
  readonly access: AccessFunction;
  /** What can be asked of which device. */
  readonly targets: CommandTargets;
  /** A command without a time of its own expires after this. */
  readonly expiryMs: number;
  readonly onError: (error: unknown) => void;
}

export interface SendOptions {
  /** Absent: the time that the configuration gives. */
  readonly expiresAt?: Instant;
  readonly origin?: string;
}

/** Commands to devices: kept on disk, brought by carriers, answered once. Started with {@link CommandOperations.load}. */
export interface CommandOperations extends CommandDesk {
  readonly targets: CommandTargets;
  /**
   * Gives a command to a device. Resolves when it is on disk and its status PENDING can be read.
   * @throws DomainError Forbidden; TooManyRequests if too many wait for this device; BadRequestData if it has expired already; Unavailable
   */
  send(caller: Caller, target: CommandTarget, value: JsonValue, options?: SendOptions): Promise<Command>;
  /** Whether a command with this origin is open. */
  isOpen(tenant: TenantId, origin: string): boolean;
  /** The command, as long as it is open; undefined: there is none, or it has ended. */
  get(id: string): Command | undefined;
  /** What is open for a device, oldest first. @throws DomainError Forbidden */
  list(caller: Caller, identity: string): Promise<readonly Command[]>;
  /** Ends a command that somebody gave by mistake. @returns false if the device has no such open command. @throws DomainError Forbidden */
  takeBack(caller: Caller, identity: string, id: string): Promise<boolean>;
  /** Nobody wants it any more. @returns false if it has ended already */
  cancel(id: string, why: string): Promise<boolean>;
  /** The device is gone: what is open for it ends. */
  forget(identity: string): Promise<void>;
  /** Reads what was open when the broker stopped, and brings it on its way. */
  load(): Promise<void>;
  /** Ends what has expired. @returns how many */
  sweep(): Promise<number>;
  /** No more is carried; resolves when what is under way is on disk. */
  stop(): Promise<void>;
  figures(): { readonly open: number; readonly ended: Readonly<Record<string, number>> };
}

/** Most commands that wait for one device. */
const MOST_OPEN = 100;
/** After the store or a carrier has failed. */
const STORE_RETRY_MS = 10_000;
/** How long a stop waits for what is on its way to a device; it is carried again after the next start. */
const STOP_WAIT_MS = 2000;

export function commandOperations(options: CommandOptions): CommandOperations {
  const { documents, entities, clock, access, targets, expiryMs, onError } = options;
  /** By device, oldest first. */
  const open = new Map<string, Command[]>();
  const byId = new Map<string, string>();
  const carriers: CommandCarrier[] = [];
  const listeners: Parameters<CommandDesk['onState']>[0][] = [];
  /** What is written about a device's commands happens one after the other. */
  const chains = new Map<string, Promise<unknown>>();
  const carrying = new Map<string, Promise<void>>();
  /** Devices that became reachable while something was being carried to them. */
  const again = new Set<string>();
  const retries = new Map<string, NodeJS.Timeout>();
  const ended: Record<string, number> = { OK: 0, ERROR: 0, EXPIRED: 0 };
  let stopped = false;
  let closed = false;
  let lastId = 0;

  /** Ids grow, so that their order is the order of commands, also over restarts. */
  function newId(): string {
    lastId = Math.max(lastId + 1, clock.micros());
    return lastId.toString().padStart(17, '0');
  }

  function inTurn<T>(device: string, step: () => Promise<T>): Promise<T> {
    const before = chains.get(device) ?? Promise.resolve();
    const after = before.then(step, step);
    const settled = after.catch(() => {});
    chains.set(device, settled);
    void settled.then(() => chains.get(device) === settled && chains.delete(device));
    return after;
  }

  const current = ({ device, id }: Command): Command | undefined => open.get(device)?.find((one) => one.id === id);

  function keep(command: Command): void {
    const own = open.get(command.device) ?? [];
    const at = own.findIndex(({ id }) => id === command.id);
    if (at < 0) own.push(command);
    else own[at] = command;
    open.set(command.device, own);
    byId.set(command.id, command.device);
  }

  function drop({ device, id }: Command): void {
    byId.delete(id);
    const rest = (open.get(device) ?? []).filter((one) => one.id !== id);
    if (rest.length > 0) open.set(device, rest);
    else open.delete(device);
  }

  /** The state on disk, in the entity, and told. A final state on disk is the end, whatever is lost afterwards: it is shown at the next start. */
  async function write(command: Command, expect?: 0): Promise<void> {
    await documents.put('command', command.tenant, command.id, commandDocument(command), expect);
    if (isFinal(command)) {
      drop(command);
      ended[command.state] = (ended[command.state] ?? 0) + 1;
    } else keep(command);
    await show(command);
  }

  async function show(command: Command): Promise<void> {
    await showState(entities, clock, command);
    let heard = true;
    for (const listener of listeners) {
      try {
        await listener(command);
      } catch (error) {
        onError(error);
        heard = false;
      }
    }
    if (isFinal(command) && heard) await documents.delete('command', command.tenant, command.id);
  }

  /** @returns false if it has come to its end meanwhile, or is there already */
  function reach(command: Command, state: CommandState, info?: JsonValue): Promise<boolean> {
    return inTurn(command.device, async () => {
      const now = current(command);
      if (closed || now === undefined || now.state === state) return false;
      const at = clock.now();
      const next: Command = {
        ...now,
        state,
        ...(info !== undefined && { info }),
        ...(state === 'DELIVERED' ? { deliveredAt: at } : { endedAt: at }),
      };
      await write(next);
      return true;
    });
  }

  /** Brings what waits for a device, one command at a time. */
  function carry(device: string): void {
    if (stopped) return;
    if (carrying.has(device)) {
      again.add(device);
      return;
    }
    const run = carryAll(device)
      .catch((error: unknown) => {
        onError(error);
        retryAfter(device, STORE_RETRY_MS);
      })
      .finally(() => {
        carrying.delete(device);
        if (again.delete(device)) carry(device);
      });
    carrying.set(device, run);
  }

  async function carryAll(device: string): Promise<void> {
    for (;;) {
      const next = open.get(device)?.find(({ state }) => state === 'PENDING');
      const known = next && targets.device(device);
      if (stopped || next === undefined || known === undefined) return;
      // What is late by more than the sweeper's second must not reach the device.
      const carried: Carried = hasExpired(next) ? { kind: 'waiting' } : await tryCarriers(next, known);
      if (carried.kind === 'waiting') {
        if (carried.retryMs !== undefined) retryAfter(device, carried.retryMs);
        return;
      }
      if (carried.kind === 'delivered') await reach(next, 'DELIVERED');
      else await reach(next, carried.ok ? 'OK' : 'ERROR', carried.info);
    }
  }

  async function tryCarriers(command: Command, known: KnownDevice): Promise<Carried> {
    let retryMs: number | undefined;
    for (const carrier of carriers) {
      if (!carrier.carries(known)) continue;
      try {
        const carried = await carrier.carry(command, known);
        if (carried.kind !== 'waiting') return carried;
        if (carried.retryMs !== undefined) retryMs = Math.min(retryMs ?? carried.retryMs, carried.retryMs);
      } catch (error) {
        onError(error);
        retryMs ??= STORE_RETRY_MS;
      }
    }
    return { kind: 'waiting', ...(retryMs !== undefined && { retryMs }) };
  }

  function retryAfter(device: string, ms: number): void {
    if (stopped) return;
    clearTimeout(retries.get(device));
    const timer = setTimeout(() => {
      retries.delete(device);
      carry(device);
    }, ms).unref();
    retries.set(device, timer);
  }

  const hasExpired = ({ expiresAt }: Command): boolean => compareInstants(expiresAt, clock.now()) <= 0;

  return {
    targets,
    register(carrier) {
      carriers.push(carrier);
    },
    onState(listener) {
      listeners.push(listener);
    },
    reachable: carry,
    open: (identity) => open.get(identity) ?? [],
    isOpen: (tenant, origin) =>
      [...open.values()].some((own) => own.some((command) => command.origin === origin && command.tenant === tenant)),
    get(id) {
      const device = byId.get(id);
      return device === undefined ? undefined : open.get(device)?.find((one) => one.id === id);
    },

    async send(caller, { known, entity, types, command: what }, value, { expiresAt, origin } = {}) {
      demand(access, caller, { operation: 'sendCommand', effect: 'write', ids: [entity], types, attributes: [what.attribute] });
      const now = clock.now();
      if (expiresAt !== undefined && compareInstants(expiresAt, now) <= 0) {
        throw new DomainError('BadRequestData', `The command ${what.name} would have expired already, at ${expiresAt}`);
      }
      if ((open.get(known.identity)?.length ?? 0) >= MOST_OPEN) {
        throw new DomainError('TooManyRequests', `${MOST_OPEN} commands wait for this device already`);
      }
      const command: Command = {
        ...what,
        id: newId(),
        tenant: known.tenant,
        device: known.identity,
        entity,
        types,
        value,
        state: 'PENDING',
        createdAt: now,
        expiresAt: expiresAt ?? fromMicros(toMicros(now) + expiryMs * 1000),
        ...(origin !== undefined && { origin }),
      };
      await inTurn(known.identity, () => write(command, 0));
      carry(known.identity);
      return command;
    },

    async answered(identity, name, { ok, info }) {
      for (;;) {
        const own = open.get(identity)?.filter((command) => command.name === name) ?? [];
        const answeredOne = own.find(({ state }) => state === 'DELIVERED') ?? own[0];
        if (answeredOne === undefined) return false;
        if (await reach(answeredOne, ok ? 'OK' : 'ERROR', info)) return true;
      }
    },

    async fetch(identity, lastOfName = false, most = Number.POSITIVE_INFINITY) {
      const waiting = (open.get(identity) ?? []).filter((command) => command.state === 'PENDING' && !hasExpired(command));
      const fetched: Command[] = [];
      for (const command of waiting) {
        if (fetched.length >= most) break;
        const later = lastOfName && waiting.findLast(({ name }) => name === command.name) !== command;
        const reached = later
          ? reach(command, 'ERROR', 'A later command took its place before the device asked for it')
          : reach(command, 'DELIVERED');
        if ((await reached) && !later) fetched.push(command);
      }
      return fetched;
    },

    async list(caller, identity) {
      demand(access, caller, { operation: 'listCommands', effect: 'read' });
      return open.get(identity) ?? [];
    },
    async takeBack(caller, identity, id) {
      demand(access, caller, { operation: 'cancelCommand', effect: 'administer' });
      return byId.get(id) === identity && this.cancel(id, 'Taken back');
    },
    async cancel(id, why) {
      const command = this.get(id);
      if (command === undefined || !(await reach(command, 'ERROR', why))) return false;
      carry(command.device);
      return true;
    },
    async forget(identity) {
      for (const command of [...(open.get(identity) ?? [])]) await reach(command, 'ERROR', 'The device was deleted');
    },

    async load() {
      const known = (await documents.list('command', undefined)).map(({ tenant, id, body }) => readCommand(tenant, id, body));
      for (const command of known) {
        lastId = Math.max(lastId, Number(command.id));
        if (!isFinal(command)) keep(command);
      }
      // What was on disk may not have been shown when the broker died.
      for (const command of known) await inTurn(command.device, () => show(command));
      for (const device of [...open.keys()]) carry(device);
    },
    async sweep() {
      const late = [...open.values()].flatMap((own) => own.filter(hasExpired));
      const outcomes = await Promise.all(late.map((command) => reach(command, 'EXPIRED')));
      // What stood behind them can go now.
      for (const { device } of late) carry(device);
      return outcomes.filter(Boolean).length;
    },
    async stop() {
      stopped = true;
      for (const timer of retries.values()) clearTimeout(timer);
      const patience = new Promise((wake) => setTimeout(wake, STOP_WAIT_MS).unref());
      await Promise.race([Promise.all(carrying.values()), patience]);
      closed = true;
      await Promise.all(chains.values());
    },
    figures: () => ({ open: byId.size, ended: { ...ended } }),
  };
}
