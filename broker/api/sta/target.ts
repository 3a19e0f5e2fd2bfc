import type { FastifyRequest } from 'fastify';
import type { Caller } from '../../domain/access.ts';
import { badRequest } from '../../domain/errors.ts';
import { isTenantName } from '../../domain/iri.ts';
import type { Model } from '../../domain/sta/model.ts';

/** A service root as this request came to it. */
export interface StaTarget {
  readonly model: Model;
  /** Without a slash at its end. */
  readonly url: string;
  readonly caller: Caller;
  /** What is behind the root, percent-encoded, without a slash at its start. */
  readonly path: string;
  /** Without the question mark. */
  readonly query: string;
}

/**
 * @param prefix path of the root without tenant: "/sta/v1.1"
 * @param publicUrl what the operator says that others reach; empty: what the client used
 */
export function targetOf(request: FastifyRequest, model: Model, prefix: string, publicUrl: string): StaTarget {
  const { tenant } = request.params as { tenant?: string };
  if (tenant !== undefined && !isTenantName(tenant)) throw badRequest(`"${tenant.slice(0, 80)}" cannot name a tenant`);
  const base = tenant === undefined ? prefix : `/${tenant}${prefix}`;
  const at = request.url.indexOf('?');
  const path = at < 0 ? request.url : request.url.slice(0, at);
  return {
    model,
    url: `${publicUrl === '' ? origin(request) : publicUrl.replace(/\/$/, '')}${base}`,
    caller: tenant === undefined ? request.caller : { ...request.caller, tenant },
    path: path.slice(base.length).replace(/^\/+/, ''),
    query: at < 0 ? '' : request.url.slice(at + 1),
  };
}

/** Links must be the ones that the client can use: what a proxy in front of us was asked. */
function origin(request: FastifyRequest): string {
  const first = (name: string) =>
    String(request.headers[name] ?? '')
      .split(',', 1)[0]
      ?.trim() ?? '';
  const forwarded = /^[\w.:[\]-]{1,255}$/.test(first('x-forwarded-host')) ? first('x-forwarded-host') : '';
  const protocol = /^https?$/.test(first('x-forwarded-proto')) ? first('x-forwarded-proto') : request.protocol;
  const host = /^[\w.:[\]-]{1,255}$/.test(request.host) ? request.host : 'localhost';
  return `${protocol}://${forwarded || host}`;
}
