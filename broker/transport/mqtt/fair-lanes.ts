/** What waits of one connection, oldest first. */
interface Lane<T> {
  readonly share: string;
  items: T[];
  /** Items before this one are taken. */
  next: number;
}

export interface FairLanesOptions {
  /** Most items in one take. */
  readonly limit: number;
  /** Most of one connection, as soon as there are others. */
  readonly perLane: number;
  /** Most of one share, as soon as there are others. */
  readonly perShare: number;
  /** Others are those that had items in this time. */
  readonly rememberMs: number;
}

export interface FairLanes<K, T> {
  readonly size: number;
  /** @param share whose part of the work it is: a tenant, a group of devices */
  add(lane: K, share: string, item: T): void;
  /** The next items: in turn from every share, and within a share in turn from every lane; of one lane in their order. */
  take(): T[];
}

/**
 * A queue in which nobody is held up by how much others have to say: who sends a thousand messages waits for a thousand, who sends one waits for the
 * batch that is under way and for a bounded part of those that flood.
 */
export function fairLanes<K, T>({ limit, perLane, perShare, rememberMs }: FairLanesOptions): FairLanes<K, T> {
  const lanes = new Map<K, Lane<T>>();
  /** Lanes that have items, those that waited longest first. */
  const shares = new Map<string, Map<K, Lane<T>>>();
  let size = 0;
  const ofShares = several<string>(rememberMs);
  const ofLanes = several<K>(rememberMs);

  return {
    get size() {
      return size;
    },
    add(key, share, item) {
      ofShares.seen(share);
      ofLanes.seen(key);
      size++;
      const lane = lanes.get(key);
      if (lane !== undefined) {
        lane.items.push(item);
        return;
      }
      const fresh: Lane<T> = { share, items: [item], next: 0 };
      lanes.set(key, fresh);
      const own = shares.get(share);
      if (own === undefined) shares.set(share, new Map([[key, fresh]]));
      else own.set(key, fresh);
    },
    take() {
      const taken: T[] = [];
      const most = ofShares.now() ? perShare : limit;
      const each = ofLanes.now() ? perLane : limit;
      for (const [share, own] of [...shares]) {
        if (taken.length >= limit) break;
        takeFrom(own, Math.min(most, limit - taken.length), each, taken);
        shares.delete(share);
        // What is left waits behind the others.
        if (own.size > 0) shares.set(share, own);
      }
      size -= taken.length;
      return taken;
    },
  };

  function takeFrom(own: Map<K, Lane<T>>, most: number, each: number, taken: T[]): void {
    const end = taken.length + most;
    const ofLane = new Map<K, number>();
    for (let turn = [...own]; turn.length > 0 && taken.length < end; ) {
      const again: [K, Lane<T>][] = [];
      for (const [key, lane] of turn) {
        if (taken.length >= end) break;
        taken.push(lane.items[lane.next++] as T);
        own.delete(key);
        if (lane.next === lane.items.length) {
          lanes.delete(key);
          continue;
        }
        own.set(key, lane);
        const count = (ofLane.get(key) ?? 0) + 1;
        ofLane.set(key, count);
        if (count < each) again.push([key, lane]);
        // Taken items would be kept for as long as a lane never runs empty.
        if (lane.next > 1000) {
          lane.items = lane.items.slice(lane.next);
          lane.next = 0;
        }
      }
      turn = again;
    }
  }
}

/** Whether more than one was seen lately. */
function several<V>(rememberMs: number) {
  let last: V | undefined;
  let any = false;
  let until = 0;
  return {
    seen(value: V): void {
      if (any && value === last) return;
      if (any) until = Date.now() + rememberMs;
      any = true;
      last = value;
    },
    now: (): boolean => Date.now() < until,
  };
}
