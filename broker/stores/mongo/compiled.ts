/** A filter of the database, before it is known of which collection. */
export type Part = Readonly<Record<string, unknown>>;

/** A part of a query, as two filters that enclose what it means. */
export interface Compiled {
  /** True of every match, perhaps of more. */
  readonly may: Part;
  /** True of matches alone, perhaps not of all. */
  readonly must: Part;
  /** Both are true of the same entities, of those whose facts say all (facts.ts). */
  readonly exact: boolean;
  /** It asks for facts. */
  readonly facts: boolean;
}

/** True of nothing. */
export const NONE: Part = { _id: { $in: [] } };

/** Means everything. */
export const ALL: Compiled = { may: {}, must: {}, exact: true, facts: false };

/** A filter that means exactly what is asked for. */
export const any = (filter: Part): Compiled => ({ may: filter, must: filter, exact: true, facts: false });

export function and(parts: readonly Compiled[]): Compiled {
  return {
    may: all(parts.map(({ may }) => may)),
    must: all(parts.map(({ must }) => must)),
    exact: parts.every(({ exact }) => exact),
    facts: parts.some(({ facts }) => facts),
  };
}

export function or(parts: readonly Compiled[]): Compiled {
  return {
    may: some(parts.map(({ may }) => may)),
    must: some(parts.map(({ must }) => must)),
    exact: parts.every(({ exact }) => exact),
    facts: parts.some(({ facts }) => facts),
  };
}

/** What surely matches surely does not match its negation. */
export function not({ may, must, exact, facts }: Compiled): Compiled {
  return { may: isAll(must) ? NONE : { $nor: [must] }, must: isAll(may) ? NONE : { $nor: [may] }, exact, facts };
}

const isAll = (filter: Part): boolean => Object.keys(filter).length === 0;

function all(filters: readonly Part[]): Part {
  const parts = filters.filter((filter) => !isAll(filter));
  if (parts.length === 0) return {};
  return parts.length === 1 ? (parts[0] as Part) : { $and: parts };
}

/** One of these; never an operator with a single branch, which some versions of MongoDB trip over. */
export function some(filters: readonly Part[]): Part {
  if (filters.length === 0) return NONE;
  if (filters.some(isAll)) return {};
  return filters.length === 1 ? (filters[0] as Part) : { $or: filters };
}
