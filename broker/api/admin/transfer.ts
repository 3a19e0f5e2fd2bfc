import type { FastifyPluginAsync } from 'fastify';
import { badRequest } from '../../domain/errors.ts';
import { type Iri, isTenantName, type TenantId } from '../../domain/iri.ts';
import type { TransferOperations } from '../../operations/transfer.ts';
import { parameter } from '../http/request.ts';

const tags = ['Operations'];
/** Entities of one answer. */
const MOST = 1_000;

/** Everything that the store holds, for `mizar export` and `mizar import` (docs/stores.md). */
export const transferRoutes =
  (operations: TransferOperations): FastifyPluginAsync =>
  async (app) => {
    app.get(
      '/admin/transfer',
      { schema: { summary: 'What there is to move to another store', tags } },
      async (request, reply) => reply.send(await operations.summary(request.caller)),
    );
    app.get(
      '/admin/transfer/entities',
      {
        config: { query: ['tenant', 'after', 'limit'] },
        schema: { summary: 'Entities of a tenant with all of their history, in ascending id, behind one', tags },
      },
      async (request, reply) => {
        const after = parameter(request, 'after');
        const limit = Number(parameter(request, 'limit') ?? 100);
        if (!Number.isInteger(limit) || limit < 1 || limit > MOST) throw badRequest(`limit must be from 1 to ${MOST}`);
        const page = { limit, ...(after === undefined ? {} : { after: after as Iri }) };
        return reply.send(await operations.entities(request.caller, tenantOf(parameter(request, 'tenant')), page));
      },
    );
    app.get(
      '/admin/transfer/documents',
      { config: { query: ['tenant'] }, schema: { summary: 'Subscriptions, registrations, contexts, devices …', tags } },
      async (request, reply) => {
        const tenant = parameter(request, 'tenant');
        return reply.send(await operations.documents(request.caller, tenant === undefined ? undefined : tenantOf(tenant)));
      },
    );
  };

/** The default tenant has no name. */
function tenantOf(text: string | undefined): TenantId {
  if (text === undefined || text === '') return '' as TenantId;
  if (!isTenantName(text)) throw badRequest(`${JSON.stringify(text)} is no name of a tenant`);
  return text;
}
