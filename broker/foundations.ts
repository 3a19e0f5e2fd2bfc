import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Config } from './config.ts';
import { type AccessFunction, allowEverything } from './domain/access.ts';
import { type Limits, setLimits } from './domain/limits.ts';
import { contextLoader } from './egress/context-loader.ts';
import { type EgressGuard, egressGuard } from './egress/guard.ts';
import { type ContextOperations, contextOperations } from './operations/contexts/operations.ts';
import type { Clock } from './ports/clock.ts';
import type { DocumentStore } from './ports/document-store.ts';

/** Where the database is. */
export const databaseFile = ({ dataDir }: Config): string => (dataDir === ':memory:' ? dataDir : join(dataDir, 'mizar.db'));

/** What all processes of a broker have in common, whatever else they do. */
export interface Foundations {
  readonly access: AccessFunction;
  readonly limits: Limits;
  readonly guard: EgressGuard;
  readonly contexts: ContextOperations;
  /** Documents behind @contexts are asked of the store again: another process has changed some. */
  forgetContexts(): void;
  close(): Promise<void>;
}

export async function foundations(config: Config, documents: DocumentStore, clock: Clock): Promise<Foundations> {
  const access = allowEverything;
  const limits: Limits = {
    queryChars: config.queryChars,
    queryTerms: config.queryTerms,
    queryDepth: config.queryDepth,
    orders: config.queryOrders,
    patternChars: config.patternChars,
    positions: config.geometryPositions,
    contextDepth: config.contextDepth,
  };
  setLimits(limits);
  const local = config.host === 'localhost' || config.host.startsWith('127.') || config.host === '::1';
  const guard = egressGuard({
    privateAddresses: config.egressPrivate === 'true' || (config.egressPrivate === 'auto' && local),
    allow: config.egressAllow,
  });
  const loader = contextLoader({ guard, documents, timeoutMs: config.contextTimeoutMs, limitBytes: config.contextLimitBytes });
  const contexts = await contextOperations({
    loader,
    documents,
    clock,
    access,
    coreUrl: `https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-${config.coreContext}.jsonld`,
    baseUrl: config.publicUrl.replace(/\/$/, '') || `http://${config.host}:${config.httpPort}`,
    newId: () => `urn:ngsi-ld:Context:${randomUUID()}`,
  });
  return {
    access,
    limits,
    guard,
    contexts,
    forgetContexts() {
      loader.recall();
      contexts.forget();
    },
    close: loader.close,
  };
}
