/** The last result of the official NGSI-LD test suite. */
export interface SuiteResult {
  /** Commit of the suite. */
  readonly commit: string;
  readonly date: string;
  readonly cases: readonly {
    readonly folder: string;
    readonly file: string;
    readonly name: string;
    readonly passed: boolean;
    /** Part of ETSI's own base; others were added by the author of another broker. */
    readonly base: boolean;
    readonly clauses: readonly string[];
  }[];
}

/** A case that we do not follow. */
export interface NotFollowed {
  /** Number of the file and, if only one case of it, the case: "051_04", "5744_03_02". */
  readonly case: string;
  readonly clause: string;
  readonly weDo: string;
  readonly because: string;
}
