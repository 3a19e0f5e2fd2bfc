import type { Iri } from '../domain/iri.ts';
import type { JsonValue } from '../domain/json.ts';
import type { Registration } from '../domain/registration.ts';
import type { Instant } from '../domain/time.ts';

/** A request to another NGSI-LD broker, in the words of clause 6, whatever carries it. */
export interface SourceRequest {
  readonly method: string;
  /** Behind /ngsi-ld/v1/, percent-encoded. */
  readonly path: string;
  readonly query: readonly (readonly [name: string, value: string])[];
  /** The URL of the @context that names are in; undefined: they are in the core @context, or the body brings its own. */
  readonly contextUrl?: string;
  readonly body?: JsonValue;
  /** Already there when the request came here, ourselves last (6.3.18). */
  readonly via: readonly string[];
  /** contextSourceInfo that is to be conveyed, by name (4.3.6.5). */
  readonly info: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** The EntityMap that the source keeps for us (5.5.14). */
  readonly entityMap?: Iri;
}

export type SourceReply =
  | {
      readonly kind: 'answered';
      /** As in HTTP. */
      readonly status: number;
      /** undefined: there was none, or it was not JSON ({@link invalid}). */
      readonly body?: JsonValue;
      /** Why the body cannot be used: not JSON, or larger than allowed. */
      readonly invalid?: string;
      /** NGSILD-Warning of the source, and of those behind it. */
      readonly warnings: readonly string[];
      /** How large it was. */
      readonly bytes?: number;
      /** It was not asked again: this is what it answered before (5.2.34, cacheDuration). */
      readonly cached?: true;
      /** A partial answer about time (206): the span that it covers (6.3.10). */
      readonly range?: { readonly from: Instant; readonly to: Instant };
      /** Where what was created is. */
      readonly location?: string;
      /** More would come from the next page, whose path and query this is. */
      readonly next?: { readonly path: string; readonly query: readonly (readonly [string, string])[] };
    }
  | { readonly kind: 'timeout' | 'unreachable'; readonly reason: string };

/** A remote broker that can be asked. Never throws: what went wrong is a reply. Nothing is tried again, because the request may have been carried out. */
export interface ContextSource {
  ask(registration: Registration, request: SourceRequest): Promise<SourceReply>;
  close(): Promise<void>;
}
