import type { JsonValue } from '../../broker/domain/json.ts';
import { type ContextResolver, contextResolver } from '../../broker/operations/contexts/resolve.ts';
import { bundledContext } from '../../contexts/index.ts';

export const CORE = 'https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld';
export const DEFAULT_VOCABULARY = 'https://uri.etsi.org/ngsi-ld/default-context/';

/** A resolver that knows the bundled contexts and no network. */
export function offlineContexts(): Promise<ContextResolver> {
  return contextResolver({ coreUrl: CORE, load: offlineDocument });
}

export async function offlineDocument(url: string): Promise<JsonValue> {
  const text = await bundledContext(url);
  if (text === undefined) throw new Error(`${url} is not bundled`);
  return JSON.parse(text);
}
