/**
 * What the domain refuses, by the names of 5.5.2 and Table 6.3.2-1. The API gives each its HTTP status; the domain knows none.
 * `Unauthorized`, `Forbidden`, `TooManyRequests`, `Unavailable` and the three `Payload…`/`Media…` names are ours: the specification leaves
 * authentication, back-pressure and transport limits to the binding.
 */
export type ErrorType =
  | 'AlreadyExists'
  | 'BadGateway'
  | 'BadRequestData'
  | 'Conflict'
  | 'GatewayTimeout'
  | 'InternalError'
  | 'InvalidRequest'
  | 'LdContextNotAvailable'
  | 'LoopDetected'
  | 'NoMultiTenantSupport'
  | 'NonexistentTenant'
  | 'OperationNotSupported'
  | 'ResourceNotFound'
  | 'TooComplexQuery'
  | 'TooManyResults'
  | 'Unauthorized'
  | 'Forbidden'
  | 'TooManyRequests'
  | 'Unavailable'
  | 'PayloadTooLarge'
  | 'UnsupportedMediaType'
  | 'NotAcceptable'
  | 'MethodNotAllowed';

/** A request that the domain refuses: a complete sentence that says what is so, and where in the request. */
export class DomainError extends Error {
  readonly type: ErrorType;
  /** Members that 5.5.3 lets a problem carry beside the standard ones, for example `invalidParams`. */
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(type: ErrorType, message: string, details?: Readonly<Record<string, unknown>>) {
    super(message);
    this.name = 'DomainError';
    this.type = type;
    this.details = details;
  }
}

/** The request's content is wrong: 400. */
export const badRequest = (message: string): DomainError => new DomainError('BadRequestData', message);
/** The request cannot be read at all (not JSON, contradicting headers, unknown parameters): 400. */
export const invalidRequest = (message: string): DomainError => new DomainError('InvalidRequest', message);
export const notFound = (message: string): DomainError => new DomainError('ResourceNotFound', message);
export const alreadyExists = (message: string): DomainError => new DomainError('AlreadyExists', message);
