import type { FastifyRequest } from 'fastify';
import type { Model } from '../../domain/sta/model.ts';
import type { StaOperations } from '../../operations/sta/operations.ts';
import { handleBatch } from './batch/batch.ts';
import { handle, type StaReply } from './handle.ts';
import { serviceRoot } from './service-root.ts';
import { targetOf } from './target.ts';

export interface StaServiceSettings {
  readonly model: Model;
  /** Path of the root without tenant: "/sta/v1.1". */
  readonly prefix: string;
  /** What others reach; empty: what the client used. */
  readonly publicUrl: string;
  readonly jsonDepth: number;
  /** Conformance classes beyond those that every root has, with their settings. @param url of the root */
  readonly conformance: (url: string) => Readonly<Record<string, unknown>>;
  /** The rules of this root as a text for people; absent: it has none. */
  readonly rules?: string;
}

/** What one service root answers. @throws DomainError */
export interface StaService {
  root(request: FastifyRequest): StaReply;
  rules(): StaReply;
  batch(request: FastifyRequest): Promise<StaReply>;
  /** @param body parsed, if it is JSON */
  resource(request: FastifyRequest, method: string, body: unknown): Promise<StaReply>;
}

export function staService(operations: StaOperations, settings: StaServiceSettings): StaService {
  const { conformance, jsonDepth, model, prefix, publicUrl, rules = '' } = settings;
  const target = (request: FastifyRequest) => targetOf(request, model, prefix, publicUrl);
  return {
    root(request) {
      const { url } = target(request);
      return { status: 200, json: serviceRoot({ model, url, more: conformance(url) }) };
    },
    rules: () => ({ status: 200, text: { type: 'text/plain; charset=UTF-8', content: rules } }),
    batch: (request) => handleBatch(operations, target(request), request.body, request.headers['content-type'], jsonDepth),
    resource: (request, method, body) =>
      handle(operations, { method, target: target(request), body, contentType: request.headers['content-type'] }),
  };
}
