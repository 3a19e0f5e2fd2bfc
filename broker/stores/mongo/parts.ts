import type { Clock } from '../../ports/clock.ts';
import type { AnsweredPages } from '../answered-pages.ts';
import type { MongoChangeFeed } from './change-feed.ts';
import type { Collections } from './collections.ts';
import type { Due } from './due.ts';
import type { InstanceIds } from './history-documents.ts';
import type { Numbers } from './numbers.ts';
import type { Reader } from './reader.ts';
import type { RowCache } from './row-cache.ts';
import type { Rows } from './rows.ts';
import type { Shapes } from './shapes.ts';
import type { Tenants } from './tenants.ts';
import type { Writer } from './writer.ts';

/** Parts of the store that writes and reads share. */
export interface Parts {
  readonly collections: Collections;
  readonly reader: Reader;
  readonly writer: Writer;
  readonly clock: Clock;
  readonly cache: RowCache;
  readonly rows: Rows;
  readonly feed: MongoChangeFeed;
  readonly pages: AnsweredPages;
  readonly ids: InstanceIds;
  readonly shapes: Shapes;
  readonly tenants: Tenants;
  readonly numbers: { readonly positions: Numbers; readonly entities: Numbers; readonly instances: Numbers };
  /** When the next entity, and the next instance of history, expires. */
  readonly due: { readonly entities: Due; readonly instances: Due };
}
