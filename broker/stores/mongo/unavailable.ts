import {
  MongoBulkWriteError,
  MongoError,
  MongoNetworkError,
  MongoNotConnectedError,
  MongoServerSelectionError,
  MongoTopologyClosedError,
  MongoWriteConcernError,
} from 'mongodb';
import { DomainError } from '../../domain/errors.ts';

/** Codes of a server that is there and cannot serve now: not primary, shutting down, stepping down, no majority in time, cut off. */
const PASSING = new Set([6, 7, 50, 64, 79, 89, 91, 100, 133, 189, 262, 9001, 10107, 11600, 11602, 13388, 13435, 13436]);

/** True if the server cannot be reached or cannot serve now: what was asked of it may have been carried out or not. */
export function isPassing(error: unknown): boolean {
  if (
    error instanceof MongoNetworkError ||
    error instanceof MongoServerSelectionError ||
    error instanceof MongoNotConnectedError ||
    error instanceof MongoTopologyClosedError ||
    error instanceof MongoWriteConcernError ||
    isOfSocket(error)
  )
    return true;
  if (!(error instanceof MongoError)) return false;
  if (error instanceof MongoBulkWriteError && isCutOff(error)) return true;
  const { code, writeConcernErrors } = error as MongoError & { writeConcernErrors?: readonly unknown[] };
  return (
    (typeof code === 'number' && PASSING.has(code)) ||
    error.hasErrorLabel('RetryableWriteError') ||
    error.hasErrorLabel('TransientTransactionError') ||
    (writeConcernErrors?.length ?? 0) > 0
  );
}

/** What the operating system says of a connection, which the driver now and then passes on as it is. */
function isOfSocket(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && 'code' in error && SOCKET.has(String(error.code));
}

const SOCKET = new Set([
  'ECONNRESET',
  'ECONNABORTED',
  'ECONNREFUSED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
]);

/** A bulk write that broke off: the driver wraps what happened, or says it with the message alone. */
function isCutOff({ writeErrors, code, result, errorResponse }: MongoBulkWriteError): boolean {
  if (result.getWriteConcernError() !== undefined) return true;
  if ([writeErrors].flat().length > 0) return false;
  return typeof code !== 'number' || isPassing(errorResponse);
}

/** What the rest of the broker hears of an error of the driver. */
export function translated(error: unknown): unknown {
  if (!isPassing(error)) return error;
  return new DomainError('Unavailable', 'The database cannot be reached at the moment: try again later.');
}

/** Lets every method of a port say that the database cannot be reached in the words of the domain. */
export function translating<T extends object>(port: T): T {
  const methods = new Map<PropertyKey, unknown>();
  return new Proxy(port, {
    get(target, name) {
      const known = methods.get(name);
      if (known !== undefined) return known;
      const member = Reflect.get(target, name, target) as unknown;
      if (typeof member !== 'function') return member;
      const method = (...parameters: unknown[]): unknown => {
        const result = member.apply(target, parameters) as unknown;
        return result instanceof Promise ? result.catch(refuse) : result;
      };
      methods.set(name, method);
      return method;
    },
  });
}

function refuse(error: unknown): never {
  throw translated(error);
}
