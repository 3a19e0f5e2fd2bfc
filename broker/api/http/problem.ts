import { DomainError, type ErrorType, invalidRequest } from '../../domain/errors.ts';

/** What a refused request is answered with: the RFC 7807 members that 5.5.3 asks for, and those that say more. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly [member: string]: unknown;
}

const ERRORS = 'https://uri.etsi.org/ngsi-ld/errors/';

/**
 * HTTP status and title per Table 6.3.2-1; a new ErrorType does not compile until it has a row. Problems that the specification does not
 * name carry the type of its closest relative, because clients switch on the types they know.
 */
const ROWS: Record<ErrorType, { readonly status: number; readonly title: string; readonly as?: ErrorType }> = {
  AlreadyExists: { status: 409, title: 'Already exists' },
  BadGateway: { status: 502, title: 'Bad gateway', as: 'InternalError' },
  BadRequestData: { status: 400, title: 'Bad request data' },
  Conflict: { status: 409, title: 'Conflict' },
  GatewayTimeout: { status: 504, title: 'Gateway timeout', as: 'InternalError' },
  InternalError: { status: 500, title: 'Internal error' },
  InvalidRequest: { status: 400, title: 'Invalid request' },
  LdContextNotAvailable: { status: 504, title: '@context not available' },
  LoopDetected: { status: 508, title: 'Loop detected' },
  NoMultiTenantSupport: { status: 501, title: 'No multi-tenant support' },
  NonexistentTenant: { status: 404, title: 'No such tenant' },
  OperationNotSupported: { status: 422, title: 'Operation not supported' },
  ResourceNotFound: { status: 404, title: 'Resource not found' },
  TooComplexQuery: { status: 403, title: 'Query too complex' },
  TooManyResults: { status: 403, title: 'Too many results' },
  Unauthorized: { status: 401, title: 'Unauthorized' },
  Forbidden: { status: 403, title: 'Forbidden' },
  TooManyRequests: { status: 429, title: 'Too many requests' },
  Unavailable: { status: 503, title: 'Temporarily unavailable' },
  PayloadTooLarge: { status: 413, title: 'Payload too large', as: 'InvalidRequest' },
  UnsupportedMediaType: { status: 415, title: 'Unsupported media type', as: 'InvalidRequest' },
  NotAcceptable: { status: 406, title: 'Not acceptable', as: 'InvalidRequest' },
  MethodNotAllowed: { status: 405, title: 'Method not allowed', as: 'InvalidRequest' },
};

/** Seconds after which a client that was turned away may try again. */
export const RETRY_AFTER_S = 1;

/** Refusals of the framework, by its error codes, in our own words. */
const FRAMEWORK: Record<string, readonly [ErrorType, string]> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['PayloadTooLarge', 'The request body is larger than this broker accepts'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['UnsupportedMediaType', 'The Content-Type of the request is not supported here'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['InvalidRequest', 'The request body is not as long as its Content-Length says'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['InvalidRequest', 'The request body is not valid JSON'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['InvalidRequest', 'The request has no body'],
  FST_ERR_BAD_URL: ['InvalidRequest', 'The path of the request is not properly percent-encoded'],
};

/**
 * The error as the domain's own: what the framework refused is translated, and what nobody foresaw becomes an InternalError that shows
 * nothing of our insides.
 * @param contentType of the request; absent: it names none
 */
export function toDomainError(error: unknown, contentType?: string): DomainError {
  if (error instanceof DomainError) return error;
  // 6.3.4: 415 is for a header that names another type. That there must be one at all is a precondition like the others.
  if ((error as { code?: string } | undefined)?.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' && contentType === undefined)
    return invalidRequest('The request has a body, but no Content-Type header');
  const known = FRAMEWORK[(error as { code?: string } | undefined)?.code ?? ''];
  return known ? new DomainError(...known) : new DomainError('InternalError', 'Unexpected failure; it has been logged');
}

/** The problem that an error is answered with, sent as application/json as 5.5.3 requires. */
export function toProblem(error: unknown): Problem {
  const known = toDomainError(error);
  const row = ROWS[known.type];
  return {
    type: ERRORS + (row.as ?? known.type),
    title: row.title,
    status: row.status,
    detail: known.message,
    ...known.details,
  };
}

/** The HTTP status of a kind of refusal, for results that list refusals (5.2.16, 5.2.18). */
export const statusOf = (type: ErrorType): number => ROWS[type].status;
