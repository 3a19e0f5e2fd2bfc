import type { ChangeFeed } from '../../broker/ports/change-feed.ts';
import type { DeliveryStore } from '../../broker/ports/delivery-store.ts';
import type { DocumentStore } from '../../broker/ports/document-store.ts';
import type { EntityStore } from '../../broker/ports/entity-store.ts';
import type { HistoryStore } from '../../broker/ports/history-store.ts';
import type { MessageStore } from '../../broker/ports/message-store.ts';
import type { SeriesStore } from '../../broker/ports/series-store.ts';
import type { TestClock } from '../support/writes.ts';

/** The store ports, empty and new, on a clock that the test moves. */
export interface Stores extends AsyncDisposable {
  readonly entities: EntityStore;
  readonly history: HistoryStore;
  readonly series: SeriesStore;
  readonly feed: ChangeFeed;
  readonly documents: DocumentStore;
  readonly deliveries: DeliveryStore;
  readonly messages: MessageStore;
  readonly clock: TestClock;
}

export type OpenStores = (settings?: {
  readonly maxWaitingWrites?: number;
  readonly recentChanges?: number;
}) => Promise<Stores>;
