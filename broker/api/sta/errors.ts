import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { RETRY_AFTER_S, toDomainError, toProblem } from '../http/problem.ts';

/** What SensorThings services answer errors with; 18-088 gives no form. */
export interface StaError {
  readonly code: number;
  readonly type: 'error';
  readonly message: string;
}

export function staError(error: unknown): StaError {
  const { status, detail } = toProblem(toDomainError(error));
  return { code: status, type: 'error', message: detail };
}

/** In this plugin errors look as SensorThings clients know them. */
export function staErrors(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => sendStaError(error, request, reply));
}

export function sendStaError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = toDomainError(error);
  if (known.type === 'InternalError')
    request.log.error({ err: error, method: request.method, url: request.url }, 'request failed');
  if (known.type === 'Unavailable' || known.type === 'TooManyRequests') reply.header('retry-after', String(RETRY_AFTER_S));
  const body = staError(known);
  return reply
    .code(body.code)
    .header('content-type', 'application/json; charset=UTF-8')
    .send(Buffer.from(JSON.stringify(body)));
}
