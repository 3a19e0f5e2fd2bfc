import { randomUUID } from 'node:crypto';
import type { AccessFunction } from '../../domain/access.ts';
import type { ChangeFeed } from '../../ports/change-feed.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DocumentStore } from '../../ports/document-store.ts';
import type { EntityStore } from '../../ports/entity-store.ts';
import type { HistoryStore } from '../../ports/history-store.ts';
import type { SeriesStore } from '../../ports/series-store.ts';
import { STA_LIMITS } from './dependencies.ts';
import { ExtentCache } from './extents.ts';
import { type StaOperations, staOperations } from './operations.ts';
import { seriesNames } from './series-names.ts';
import { endUngivenTasks, followCommands, type Tasking } from './tasks.ts';
import { type Told, type Watcher, watcher } from './watch.ts';

/** SensorThings over the stores. */
export interface SensorThings {
  readonly operations: StaOperations;
  /** @param tell hears what happens to what is watched, in order */
  watch(tell: (key: string, told: Told) => Promise<void>, onError: (error: unknown) => void): Watcher;
}

export interface SensorThingsParts {
  readonly entities: EntityStore;
  readonly history: HistoryStore;
  readonly series: SeriesStore;
  readonly documents: DocumentStore;
  readonly feed: ChangeFeed;
  readonly clock: Clock;
  readonly access: AccessFunction;
  /** Makes the last part of the ids of new entities. */
  readonly newId?: () => string;
  /** Entities in one page, at most. */
  readonly maxPage: number;
  /** How long one request may look for what matches, in milliseconds. */
  readonly lookMs?: number;
  /** Whether what belongs to a Party is changed by that Party alone (22-022r1, business logic). */
  readonly ownership: boolean;
  /** Commands to devices, for Tasking. */
  readonly tasking?: Tasking;
  readonly onError?: (error: unknown) => void;
}

/** Puts SensorThings together. */
export function sensorThings(parts: SensorThingsParts): SensorThings {
  const { entities, history, series, documents, clock, access, newId = randomUUID, maxPage, ownership, tasking } = parts;
  const lookMs = parts.lookMs ?? STA_LIMITS.lookMs;
  const dependencies = {
    entities,
    history,
    series,
    clock,
    access,
    newId,
    ownership,
    ...(tasking && { tasking }),
    names: seriesNames(documents),
    extents: new ExtentCache(series),
    limits: { ...STA_LIMITS, lookMs, maxPage, page: Math.min(STA_LIMITS.page, maxPage) },
  };
  if (tasking !== undefined) {
    followCommands(dependencies, tasking);
    endUngivenTasks(dependencies, tasking).catch(parts.onError ?? (() => undefined));
  }
  return {
    operations: staOperations(dependencies),
    watch: (tell, onError) => watcher(dependencies, parts.feed, tell, onError),
  };
}
