/**
 * What a text or value from outside may cost the rules in this room. One set for the process: configuration sets it once at start, before anything
 * is read. Each is shown in /health, and refused requests name the limit that they exceed.
 */
export interface Limits {
  /** Characters of q, scopeQ, a type selection, pick, omit … */
  readonly queryChars: number;
  /** Conditions, types, scopes, names or values in one of them. */
  readonly queryTerms: number;
  /** Parentheses or linked entities inside each other. */
  readonly queryDepth: number;
  /** Attributes that a query is ordered by. */
  readonly orders: number;
  /** Characters of a regular expression. */
  readonly patternChars: number;
  /** Positions of one geometry: more than a country's border needs; without a limit one could occupy the broker for seconds. */
  readonly positions: number;
  /** @contexts that name @contexts. */
  readonly contextDepth: number;
}

export const DEFAULT_LIMITS: Limits = {
  queryChars: 16_384,
  queryTerms: 500,
  queryDepth: 50,
  orders: 20,
  patternChars: 1000,
  positions: 50_000,
  contextDepth: 8,
};

let inForce = DEFAULT_LIMITS;

export const limits = (): Limits => inForce;

export function setLimits(chosen: Limits): void {
  inForce = chosen;
}
