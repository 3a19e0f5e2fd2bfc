import type { Micros } from '../domain/time.ts';
import type { ChangeFeed } from '../ports/change-feed.ts';
import type { DeliveryStore } from '../ports/delivery-store.ts';
import type { DocumentStore } from '../ports/document-store.ts';
import type { EntityStore } from '../ports/entity-store.ts';
import type { HistoryStore } from '../ports/history-store.ts';
import type { MessageStore } from '../ports/message-store.ts';
import type { SeriesStore } from '../ports/series-store.ts';

/** The store ports on one database, whatever it is. */
export interface Store {
  readonly entities: EntityStore;
  readonly history: HistoryStore;
  readonly series: SeriesStore;
  readonly feed: ChangeFeed;
  readonly documents: DocumentStore;
  readonly deliveries: DeliveryStore;
  readonly messages: MessageStore;
  /** The largest stamp time that was ever committed; the clock has seen it already. */
  highestStamp(): Micros;
  /** Writes that wait to be written. */
  waitingWrites(): number;
  /** True while it can be read and written. */
  ready(): boolean;
  /** Writes what is waiting and closes it. Later calls are refused. */
  close(): Promise<void>;
}
