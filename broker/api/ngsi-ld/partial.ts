import type { FastifyReply } from 'fastify';
import type { PartialWrite } from '../../operations/distributed/writes.ts';
import { toProblem } from '../http/problem.ts';

/** 207 with a BatchOperationResult (5.2.16): a write to an entity, of which some sources did their part and others did not. */
export function sendPartialWrite(reply: FastifyReply, { id, success, failures }: PartialWrite): FastifyReply {
  return send(reply, {
    success: success && id !== '' ? [id] : [],
    errors: failures.map(({ error, registrationId }) => ({
      entityId: id,
      error: toProblem(error),
      ...(registrationId && { registrationId }),
    })),
  });
}

/** 207 with an UpdateResult (5.2.18). Names are IRIs, because a partial success has no @context (6.3.6). */
export function sendPartialUpdate(reply: FastifyReply, { updated, failures }: PartialWrite): FastifyReply {
  return send(reply, {
    updated,
    notUpdated: failures.flatMap(({ error, registrationId, attributes }) =>
      (attributes ?? []).map((attributeName) => ({
        attributeName,
        reason: error.message,
        ...(registrationId && { registrationId }),
      })),
    ),
  });
}

function send(reply: FastifyReply, body: unknown): FastifyReply {
  return reply
    .code(207)
    .header('content-type', 'application/json')
    .send(Buffer.from(JSON.stringify(body)));
}
