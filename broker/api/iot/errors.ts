import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type ProvisioningCode, ProvisioningError } from '../../domain/device-document.ts';
import { RETRY_AFTER_S, toDomainError, toProblem } from '../http/problem.ts';

const STATUS: Record<ProvisioningCode, number> = {
  MISSING_HEADERS: 400,
  WRONG_SYNTAX: 400,
  DUPLICATE_GROUP: 409,
  DUPLICATE_DEVICE_ID: 409,
  DEVICE_NOT_FOUND: 404,
  DEVICE_GROUP_NOT_FOUND: 404,
  ADAPTER_NOT_FOUND: 404,
  PROCESS_NOT_FOUND: 404,
  IMPORT_NOT_FOUND: 404,
  COMMAND_NOT_FOUND: 404,
  TRANSFORMATION_NOT_FOUND: 404,
  RULE_NOT_FOUND: 404,
  VALIDATION_NOT_FOUND: 404,
  VIRTUAL_SENSOR_NOT_FOUND: 404,
  HEALTH_RULE_NOT_FOUND: 404,
  IN_USE: 409,
};

/** In this plugin errors look as IoT agents show them, `{"name", "message"}`, because their clients read that. */
export function iotErrors(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => sendIotError(error, request, reply));
}

export function sendIotError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof ProvisioningError) return send(reply, STATUS[error.code], error.code, error.message);
  const known = toDomainError(error);
  if (known.type === 'InternalError') request.log.error({ err: error, method: request.method }, 'request failed');
  if (known.type === 'Unavailable' || known.type === 'TooManyRequests') reply.header('retry-after', String(RETRY_AFTER_S));
  const { status } = toProblem(known);
  const name = status === 400 ? 'WRONG_SYNTAX' : known.type.replace(/(?<=.)([A-Z])/g, '_$1').toUpperCase();
  return send(reply, status, name, known.message);
}

/** Sends one error in the form of IoT agents. */
export function send(reply: FastifyReply, status: number, name: string, message: string): FastifyReply {
  return reply
    .code(status)
    .header('content-type', 'application/json')
    .send(Buffer.from(JSON.stringify({ name, message })));
}
