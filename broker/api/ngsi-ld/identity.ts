import type { FastifyPluginAsync } from 'fastify';
import type { TenantId } from '../../domain/iri.ts';
import { accepted, LD_JSON, sendBody, withContext } from '../http/negotiation.ts';
import { contextOf } from '../http/request.ts';

/** What a broker says about itself (5.2.40). */
export interface Identity {
  /** How it calls itself in Via, for a tenant (4.3.6.4). */
  alias(tenant: TenantId): string;
  uptimeS(): number;
  now(): string;
  readonly version: string;
}

/** Resource info/sourceIdentity, 6.33. */
export const identityRoutes =
  (identity: Identity): FastifyPluginAsync =>
  async (app) => {
    const retrieve = {
      config: { clause: '5.15.1', query: [] },
      schema: { summary: 'Retrieve Context Source Identity', tags: ['Context sources'] },
    };
    app.get('/info/sourceIdentity', retrieve, async (request, reply) => {
      const media = accepted(request);
      const context = await contextOf(request);
      const { tenant } = request.caller;
      const body = JSON.stringify({
        id: `urn:ngsi-ld:ContextSourceIdentity:${identity.alias(tenant)}`,
        type: 'ContextSourceIdentity',
        contextSourceAlias: identity.alias(tenant),
        contextSourceUptime: `PT${identity.uptimeS()}S`,
        contextSourceTimeAt: identity.now(),
        contextSourceExtras: { product: 'Mizar', version: identity.version },
      });
      return sendBody(request, reply, { media, context, body: media === LD_JSON ? withContext(body, context) : body });
    });
  };
