import { DomainError } from '../../../domain/errors.ts';
import type { StaOperations } from '../../../operations/sta/operations.ts';
import { parseJsonBody } from '../../http/json-body.ts';
import type { StaReply } from '../handle.ts';
import type { StaTarget } from '../target.ts';
import { jsonBatch } from './json-batch.ts';
import { multipartBatch } from './multipart-batch.ts';

/** 18-088, 11: several requests in one, as multipart/mixed or as JSON. @throws DomainError if the batch itself cannot be read */
export async function handleBatch(
  operations: StaOperations,
  target: StaTarget,
  body: unknown,
  contentType: string | undefined,
  jsonDepth: number,
): Promise<StaReply> {
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase();
  if (type === 'multipart/mixed') {
    const boundary = /boundary="?([^";]+)"?/i.exec(contentType ?? '')?.[1]?.trim();
    if (boundary === undefined || boundary.length > 70)
      throw new DomainError('InvalidRequest', 'The Content-Type lacks a boundary');
    return multipartBatch(operations, target, String(body ?? ''), boundary, jsonDepth);
  }
  if (type !== 'application/json') {
    throw new DomainError('UnsupportedMediaType', 'A batch is multipart/mixed or application/json');
  }
  return jsonBatch(operations, target, typeof body === 'string' ? parseJsonBody(body, jsonDepth) : body);
}
