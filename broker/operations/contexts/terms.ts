import { badRequest, DomainError } from '../../domain/errors.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import type { ContextTerms, Term } from '../../domain/jsonld/context.ts';

/** The context's object, free to be redefined: what a client's context says about core terms is overruled, not an error. */
export function unprotected(document: JsonValue): JsonObject {
  const context = isObject(document) ? document['@context'] : undefined;
  if (!isObject(context)) throw new DomainError('LdContextNotAvailable', 'The core @context cannot be read');
  const { '@protected': _, ...rest } = context;
  return rest;
}

/** The part of an active context of the jsonld package that we read. */
interface ActiveContext {
  readonly mappings: ReadonlyMap<string, Record<string, unknown> | null>;
  readonly '@vocab'?: string;
}

type ProcessContext = (active: unknown, local: unknown, options: object) => Promise<ActiveContext>;

/** Lets the `jsonld` package process context objects in order, and reads its result. @throws DomainError BadRequestData if it refuses them */
export async function termsOf(
  objects: readonly JsonObject[],
  load: (url: string) => Promise<JsonValue>,
): Promise<ContextTerms> {
  // Loaded with the first context that is not the core: most of a start would go into it.
  const { default: jsonld } = await import('jsonld');
  const processContext = (jsonld as unknown as { processContext: ProcessContext }).processContext;
  const documentLoader = async (url: string) => ({ contextUrl: null, documentUrl: url, document: await load(url) });
  let active: ActiveContext;
  try {
    const initial = await processContext(null, null, { documentLoader });
    active = await processContext(initial, { '@context': objects }, { documentLoader });
  } catch (error) {
    const cause = (error as { details?: { cause?: unknown } }).details?.cause;
    if (error instanceof DomainError || cause instanceof DomainError) throw error instanceof DomainError ? error : cause;
    throw badRequest(`The @context is not valid: ${(error as Error).message}`);
  }
  const terms = new Map<string, Term>();
  for (const [term, mapping] of active.mappings) {
    const iri = mapping?.['@id'];
    if (typeof iri !== 'string' || mapping?.['reverse']) continue;
    const coerced =
      mapping?.['@type'] !== undefined || mapping?.['@container'] !== undefined || mapping?.['@language'] !== undefined;
    terms.set(term, { iri, prefix: mapping?.['_prefix'] === true, coerced });
  }
  return { terms, vocabulary: active['@vocab'] ?? 'https://uri.etsi.org/ngsi-ld/default-context/' };
}
