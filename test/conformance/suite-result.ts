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

/** Cases that we do not follow, because a clause says otherwise. */
export interface NotFollowed {
  /** How their names begin: a whole file "051_04", or one of its cases "5744_03_02". */
  readonly cases: readonly string[];
  /** One or more clauses, with commas between. */
  readonly clause: string;
  readonly weDo: string;
  readonly because: string;
}

/** Whether a case is one of those. */
export const isAmong = ({ cases }: Pick<NotFollowed, 'cases'>, name: string): boolean =>
  cases.some((one) => name.startsWith(one) && !/^\d/.test(name.slice(one.length)));
