import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { type AccessFunction, demand } from '../../domain/access.ts';
import type { AdapterRecord } from '../../domain/adapter.ts';
import { adapterId } from '../../domain/adapter.ts';
import { ProvisioningError, syntax } from '../../domain/device-document.ts';
import type { TenantId } from '../../domain/iri.ts';
import type { JsonObject, JsonValue } from '../../domain/json.ts';
import type { DocumentStore } from '../../ports/document-store.ts';
import type { Place } from '../devices.ts';

/** A process that runs adapters next to their devices, and shows its token. */
export interface ProcessIdentity {
  readonly tenant: TenantId;
  readonly name: string;
}

/** One thing that a process heard, as it was kept in its outbox. */
export interface DeliveredMessage {
  readonly sequence: number;
  readonly adapter: string;
  readonly message: JsonObject;
}

export interface Delivery {
  /** Tells the outbox from one that was there before it. */
  readonly outbox: string;
  /** Ascending. */
  readonly messages: readonly DeliveredMessage[];
}

export interface DeliveryReport {
  /** Everything up to this sequence is with the broker: stored, or refused for good. */
  readonly delivered: number;
  readonly refused: readonly { readonly sequence: number; readonly reason: string }[];
}

/** A command on its way to a process. */
export interface ProcessCommand {
  readonly id: string;
  readonly adapter: string;
  readonly device: string;
  readonly name: string;
  readonly value: JsonValue;
}

export interface SyncRequest {
  readonly version: string;
  readonly states: JsonObject;
  readonly results: readonly { readonly id: string; readonly ok: boolean; readonly info: JsonValue }[];
}

export interface SyncAnswer {
  readonly version: string;
  readonly adapters?: readonly {
    readonly id: string;
    readonly kind: string;
    readonly settings: JsonValue;
    readonly version: number;
  }[];
  readonly commands: readonly ProcessCommand[];
}

export interface AdapterProcessesOptions {
  readonly documents: DocumentStore;
  readonly access: AccessFunction;
  readonly adaptersOf: (process: ProcessIdentity) => readonly AdapterRecord[];
  /**
   * Stores what an adapter heard, in order. @returns why each was refused; undefined: stored
   * @throws DomainError Unavailable if it cannot be stored now; then all of it is delivered again
   */
  readonly store: (tenant: TenantId, messages: readonly DeliveredMessage[]) => Promise<readonly (string | undefined)[]>;
  /** A process has carried a command out, or not. */
  readonly onResult: (
    process: ProcessIdentity,
    id: string,
    result: { readonly ok: boolean; readonly info: JsonValue },
  ) => Promise<void>;
  readonly waitMs?: number;
  readonly now: () => string;
}

export interface AdapterProcesses {
  load(): Promise<void>;
  /** @returns its token, shown this once. A process of that name gets a new one, and its old one ends. */
  create(place: Place, name: string): Promise<string>;
  list(place: Place): readonly JsonObject[];
  delete(place: Place, name: string): Promise<void>;
  authenticate(name: string, token: string): ProcessIdentity | undefined;
  deliver(process: ProcessIdentity, delivery: Delivery): Promise<DeliveryReport>;
  /** Answers when the adapters are not those the process has, a command waits, or some seconds have passed. */
  sync(process: ProcessIdentity, request: SyncRequest, gone: AbortSignal): Promise<SyncAnswer>;
  /** The adapters of a tenant have changed: processes that wait are told. */
  changed(tenant: TenantId): void;
  /** @returns true when the process has it; false if it does not ask at the moment */
  hand(process: ProcessIdentity, command: ProcessCommand): boolean;
  stateOf(process: ProcessIdentity, adapter: string): JsonValue | undefined;
  stop(): void;
}

interface Known {
  readonly identity: ProcessIdentity;
  readonly tokenHash: string;
  /** What was delivered last, by outbox: the newest outbox, and the one before it. */
  readonly delivered: Readonly<Record<string, number>>;
}

interface Live {
  lastSeen?: string;
  states: JsonObject;
  /** Ends the wait of a sync. */
  wake?: () => void;
  readonly commands: ProcessCommand[];
  /** Deliveries of one process are taken one after the other. */
  turn: Promise<unknown>;
}

const WAIT_MS = 20_000;
const TOKEN_BYTES = 24;
const hash = (token: string): string => createHash('sha256').update(token).digest('hex');

export function adapterProcesses(options: AdapterProcessesOptions): AdapterProcesses {
  const { documents, access, adaptersOf, store, onResult, now, waitMs = WAIT_MS } = options;
  const processes = new Map<string, Known>();
  const live = new Map<string, Live>();
  const key = ({ tenant, name }: ProcessIdentity): string => `${tenant}\n${name}`;
  let stopped = false;

  function liveOf(identity: ProcessIdentity): Live {
    let one = live.get(key(identity));
    if (one === undefined) {
      one = { states: {}, commands: [], turn: Promise.resolve() };
      live.set(key(identity), one);
    }
    return one;
  }

  async function save(known: Known): Promise<void> {
    const { identity, tokenHash, delivered } = known;
    await documents.put('adapter-process', identity.tenant, identity.name, { tokenHash, delivered });
    processes.set(key(identity), known);
  }

  async function take(identity: ProcessIdentity, { outbox, messages }: Delivery): Promise<DeliveryReport> {
    const known = processes.get(key(identity));
    if (known === undefined) throw new ProvisioningError('PROCESS_NOT_FOUND', 'This adapter process has been deleted');
    const before = known.delivered[outbox] ?? 0;
    const fresh = messages.filter(({ sequence }) => sequence > before);
    const last = messages.at(-1)?.sequence ?? before;
    if (fresh.length === 0) return { delivered: last, refused: [] };
    const outcomes = await store(identity.tenant, fresh);
    // Behind the write: a stop in between makes the batch come again, and readings that are there already are duplicates by their time and value.
    const other = Object.entries(known.delivered)
      .filter(([name]) => name !== outbox)
      .slice(-1);
    await save({ ...(processes.get(key(identity)) ?? known), delivered: { ...Object.fromEntries(other), [outbox]: last } });
    const refused = outcomes.flatMap((reason, at) =>
      reason === undefined ? [] : [{ sequence: (fresh[at] as DeliveredMessage).sequence, reason }],
    );
    return { delivered: last, refused };
  }

  const versionOf = (records: readonly AdapterRecord[]): string =>
    createHash('sha256')
      .update(JSON.stringify(records.map((record) => [adapterId(record), record.version]).sort()))
      .digest('hex')
      .slice(0, 16);

  return {
    async load() {
      for (const { tenant, id, body } of await documents.list('adapter-process', undefined)) {
        const identity = { tenant, name: id };
        processes.set(key(identity), { identity, ...(body as unknown as Omit<Known, 'identity'>) });
      }
    },
    async create(place, name) {
      demand(access, place.caller, { operation: 'createAdapterProcess', effect: 'administer' });
      if (!/^[A-Za-z0-9_-]{1,64}$/.test(name))
        throw syntax('The name of an adapter process must be 1 to 64 letters, digits, "_" or "-"');
      const identity = { tenant: place.caller.tenant, name };
      const token = randomBytes(TOKEN_BYTES).toString('base64url');
      await save({ identity, tokenHash: hash(token), delivered: processes.get(key(identity))?.delivered ?? {} });
      return token;
    },
    list(place) {
      demand(access, place.caller, { operation: 'listAdapterProcesses', effect: 'read' });
      return [...processes.values()].flatMap(({ identity }) => {
        if (identity.tenant !== place.caller.tenant) return [];
        const { lastSeen, states } = liveOf(identity);
        const adapters = adaptersOf(identity).map(adapterId);
        return [
          {
            name: identity.name,
            service: identity.tenant,
            adapters,
            ...(lastSeen !== undefined && { lastSeen }),
            ...(states['outbox'] !== undefined && { outbox: states['outbox'] }),
            ...(states['delivery'] !== undefined && { delivery: states['delivery'] }),
          } as JsonObject,
        ];
      });
    },
    async delete(place, name) {
      demand(access, place.caller, { operation: 'deleteAdapterProcess', effect: 'administer' });
      const identity = { tenant: place.caller.tenant, name };
      if (!processes.delete(key(identity)))
        throw new ProvisioningError('PROCESS_NOT_FOUND', `There is no adapter process "${name}"`);
      await documents.delete('adapter-process', identity.tenant, name);
      live.get(key(identity))?.wake?.();
      live.delete(key(identity));
    },
    authenticate(name, token) {
      const given = Buffer.from(hash(token));
      for (const { identity, tokenHash } of processes.values()) {
        if (identity.name === name && timingSafeEqual(Buffer.from(tokenHash), given)) return identity;
      }
      return undefined;
    },
    deliver(identity, delivery) {
      const one = liveOf(identity);
      const turn = one.turn.then(() => take(identity, delivery));
      one.turn = turn.catch(() => {});
      return turn;
    },
    async sync(identity, { version, states, results }, gone) {
      const one = liveOf(identity);
      one.lastSeen = now();
      one.states = states;
      for (const { id, ...result } of results) await onResult(identity, id, result);
      // Of two that ask with one name only the later waits on.
      one.wake?.();
      if (!stopped && versionOf(adaptersOf(identity)) === version && one.commands.length === 0) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(done, waitMs);
          one.wake = done;
          gone.addEventListener('abort', done);
          function done(): void {
            clearTimeout(timer);
            gone.removeEventListener('abort', done);
            if (one.wake === done) delete one.wake;
            resolve();
          }
        });
      }
      const records = adaptersOf(identity);
      const current = versionOf(records);
      return {
        version: current,
        ...(current !== version && {
          adapters: records.map((record) => ({
            id: adapterId(record),
            kind: record.kind,
            settings: record.settings,
            version: record.version,
          })),
        }),
        commands: gone.aborted ? [] : one.commands.splice(0),
      };
    },
    changed(tenant) {
      for (const { identity } of processes.values()) if (identity.tenant === tenant) live.get(key(identity))?.wake?.();
    },
    hand(identity, command) {
      const one = live.get(key(identity));
      if (one?.wake === undefined) return false;
      one.commands.push(command);
      one.wake();
      return true;
    },
    stateOf(identity, adapter) {
      const states = live.get(key(identity))?.states['adapters'];
      return typeof states === 'object' && states !== null
        ? ((states as JsonObject)[adapter] as JsonValue | undefined)
        : undefined;
    },
    stop() {
      stopped = true;
      for (const { wake } of live.values()) wake?.();
    },
  };
}
