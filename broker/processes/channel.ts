import { DomainError, type ErrorType } from '../domain/errors.ts';
import { carryOut } from '../operations/elsewhere.ts';
import type { Neighbour, Offered } from '../ports/neighbour.ts';

type Message =
  | readonly [kind: 'call', number: number, name: string, method: string, parameters: readonly unknown[]]
  | readonly [kind: 'done', number: number, result: unknown]
  | readonly [kind: 'failed', number: number, error: unknown];

/** What goes over in one piece: all messages of one turn of the event loop. */
export type Parcel = readonly Message[];

interface Call {
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

export interface Channel extends Neighbour {
  receive(parcel: Parcel): void;
  /** The other process is gone: nobody will answer. */
  broken(): void;
}

/**
 * Calls in both directions between two processes. Messages of one turn travel together: handing over a parcel costs many times what a message adds to it.
 * @param send hands a parcel to the other process, in order
 * @param most calls that may wait for their answers
 */
export function channel(send: (parcel: Parcel) => void, offered: Offered, most: number): Channel {
  const calls = new Map<number, Call>();
  let last = 0;
  let gone = false;
  let outbox: Message[] = [];

  function post(message: Message): void {
    if (gone) return;
    outbox.push(message);
    if (outbox.length === 1) setImmediate(dispatch);
  }

  function dispatch(): void {
    const parcel = outbox;
    outbox = [];
    if (gone) return;
    try {
      send(parcel);
    } catch {
      // Something in it is no data, which is a mistake of ours: the others are not to suffer from it.
      for (const message of parcel) sendAlone(message);
    }
  }

  function sendAlone(message: Message): void {
    try {
      send([message]);
    } catch (error) {
      const [kind, number] = message;
      if (kind !== 'call') {
        send([['failed', number, new Error(String(error))]]);
        return;
      }
      calls.get(number)?.reject(error);
      calls.delete(number);
    }
  }

  return {
    call(operations, method, parameters) {
      if (gone) return Promise.reject(lost());
      if (calls.size >= most) {
        return Promise.reject(new DomainError('Unavailable', `${calls.size} writes are waiting already: try again later.`));
      }
      return new Promise((resolve, reject) => {
        calls.set(++last, { resolve, reject });
        post(['call', last, operations, method, packed(parameters, 0) as readonly unknown[]]);
      });
    },
    receive(parcel) {
      for (const message of parcel) {
        if (message[0] === 'call') {
          const [, number, name, method, parameters] = message;
          carryOut(offered, name, method, unpacked(parameters, 0) as readonly unknown[]).then(
            (result) => post(['done', number, packed(result, 0)]),
            (error: unknown) => post(['failed', number, packed(error, 0)]),
          );
          continue;
        }
        const [kind, number, content] = message;
        const call = calls.get(number);
        calls.delete(number);
        if (kind === 'done') call?.resolve(unpacked(content, 0));
        else call?.reject(unpacked(content, 0));
      }
    },
    broken() {
      gone = true;
      for (const { reject } of calls.values()) reject(lost());
      calls.clear();
    },
  };
}

const lost = (): DomainError =>
  new DomainError('Unavailable', 'The process that was to do this has ended: whether it did is not known.');

/** What a DomainError is on its way. No operation has parameters or results with a member of this name. */
const ERROR = '$domainError';
/** Where errors are: in a list inside a result or a parameter, and no deeper. What is deeper is the content of entities. */
const DEPTH = 4;

/** The same with DomainErrors as data; most often the very same. */
function packed(value: unknown, depth: number): unknown {
  if (value instanceof DomainError) return { [ERROR]: [value.type, value.message, value.details] };
  return mapped(value, depth, packed);
}

function unpacked(value: unknown, depth: number): unknown {
  if (isPackedError(value)) {
    const [type, message, details] = value[ERROR];
    return new DomainError(type, message, details);
  }
  return mapped(value, depth, unpacked);
}

function isPackedError(
  value: unknown,
): value is { [ERROR]: [ErrorType, string, Readonly<Record<string, unknown>> | undefined] } {
  if (typeof value !== 'object' || value === null) return false;
  const content = (value as Record<string, unknown>)[ERROR];
  return Array.isArray(content) && content.length === 3 && Object.keys(value).length === 1;
}

/** Applies a change to members; copies only what has one that changes. */
function mapped(value: unknown, depth: number, change: (value: unknown, depth: number) => unknown): unknown {
  if (depth >= DEPTH || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    let copy: unknown[] | undefined;
    for (let at = 0; at < value.length; at++) {
      const now = change(value[at], depth + 1);
      if (now === value[at]) continue;
      copy ??= [...value];
      copy[at] = now;
    }
    return copy ?? value;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  let copy: Record<string, unknown> | undefined;
  for (const name in value) {
    const before = (value as Record<string, unknown>)[name];
    const now = change(before, depth + 1);
    if (now === before) continue;
    copy ??= { ...value };
    copy[name] = now;
  }
  return copy ?? value;
}
