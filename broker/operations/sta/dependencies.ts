import type { AccessFunction } from '../../domain/access.ts';
import type { Clock } from '../../ports/clock.ts';
import type { EntityStore } from '../../ports/entity-store.ts';
import type { HistoryStore } from '../../ports/history-store.ts';
import type { SeriesStore } from '../../ports/series-store.ts';
import type { ExtentCache } from './extents.ts';
import type { SeriesNames } from './series-names.ts';
import type { Tasking } from './tasks.ts';

/** What one answer may cost. */
export interface StaLimits {
  /** Entities of a collection if $top is absent, and at most. */
  readonly page: number;
  readonly maxPage: number;
  /** Entities that one answer expands, in all. */
  readonly expanded: number;
  /** Matches that may be put in an order which no index has. */
  readonly sorted: number;
  /** Entities that one DELETE takes along, Observations not counted. */
  readonly cascade: number;
  /** How long one request may look for what matches, in milliseconds. */
  readonly lookMs: number;
}

export const STA_LIMITS: StaLimits = {
  page: 100,
  maxPage: 10_000,
  expanded: 100_000,
  sorted: 100_000,
  cascade: 100_000,
  lookMs: 30_000,
};

export interface StaDependencies {
  readonly entities: EntityStore;
  readonly history: HistoryStore;
  readonly series: SeriesStore;
  readonly names: SeriesNames;
  readonly extents: ExtentCache;
  readonly clock: Clock;
  readonly access: AccessFunction;
  readonly newId: () => string;
  readonly limits: StaLimits;
  /** Whether what belongs to a Party is changed by that Party alone (ownership.ts). */
  readonly ownership: boolean;
  /** Commands to devices; absent: Tasks are kept, and that is all. */
  readonly tasking?: Tasking;
}
