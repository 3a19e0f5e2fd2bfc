import { badRequest } from '../../domain/errors.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import { limits } from '../../domain/limits.ts';

/** https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld and its versions. */
const CORE = /^https?:\/\/uri\.etsi\.org\/ngsi-ld\/v1\/ngsi-ld-core-context(?:-v[\d.]+)?\.jsonld$/;

export const isCoreContext = (value: unknown): value is string => typeof value === 'string' && CORE.test(value);

/** An address on the web, or the path of a context that this broker hosts (5.13). */
const URL_OR_OURS = /^(?:https?:\/\/|\/ngsi-ld\/v1\/jsonldContexts\/)/;

export interface Flattened {
  /** The objects in order, with every URL replaced by what is there, however deep. */
  readonly parts: readonly JsonObject[];
  /** Somewhere in it the core context is named: then an answer need not name it again. */
  readonly namesCore: boolean;
}

/**
 * What a @context consists of. Core contexts are left out, because the core is applied last whatever the position it is named at (5.5.7).
 * @param load the document behind a URL
 * @throws DomainError BadRequestData: not a @context, a circle, or a scoped context (5.5.7); whatever `load` throws
 */
export async function flattenContext(source: JsonValue, load: (url: string) => Promise<JsonValue>): Promise<Flattened> {
  const found: { parts: JsonObject[]; namesCore: boolean } = { parts: [], namesCore: false };
  await collect(source, load, found, 0);
  return found;
}

async function collect(
  source: JsonValue,
  load: (url: string) => Promise<JsonValue>,
  found: { readonly parts: JsonObject[]; namesCore: boolean },
  depth: number,
): Promise<void> {
  if (depth > limits().contextDepth) throw badRequest('The @context refers to other contexts without end');
  if (Array.isArray(source)) {
    // What can never be a context is refused before anything is fetched.
    source.forEach(refuseWrongKind);
    for (const item of source) await collect(item, load, found, depth + 1);
  } else if (typeof source === 'string') {
    if (isCoreContext(source)) {
      found.namesCore = true;
      return;
    }
    if (!URL_OR_OURS.test(source))
      throw badRequest(`The @context names ${JSON.stringify(source)}, which is not an http or https URL`);
    const document = await load(source);
    if (!isObject(document) || document['@context'] === undefined) {
      throw badRequest(`What ${source} answers is no JSON-LD @context: it has no member @context`);
    }
    await collect(document['@context'], load, found, depth + 1);
  } else if (isObject(source)) {
    refuseScoped(source);
    found.parts.push(source);
  } else refuseWrongKind(source);
}

function refuseWrongKind(source: JsonValue): void {
  if (typeof source === 'string' || (typeof source === 'object' && source !== null)) return;
  throw badRequest(`A @context is a URL, an object or an array of these, not ${JSON.stringify(source)}`);
}

function refuseScoped(context: JsonObject): void {
  for (const [term, definition] of Object.entries(context)) {
    if (isObject(definition) && definition['@context'] !== undefined) {
      throw badRequest(`The @context has a scoped context inside the term "${term}", which NGSI-LD does not allow (5.5.7)`);
    }
  }
}
