/** So many connections of a share are a flood within it; more are a crowd. */
const FEW = 3;

/** What waits of one connection, oldest first. */
interface Lane<T> {
  /** Whose part its items are: a connection that speaks for several counts as the one that it spoke for first, because its items stay in order. */
  share: string;
  items: T[];
  /** Items before this one are taken. */
  next: number;
  /** How many of the last take are its own: they are not acknowledged yet. */
  underWay: number;
  /** Its items get nothing before this time, as long as others are to be kept from it. */
  restsUntil: number;
}

/** What waits of one tenant or group, those that waited longest first. A lane is in one of the two maps as long as it has items. */
interface Share<K, T> {
  readonly quiet: Map<K, Lane<T>>;
  readonly loud: Map<K, Lane<T>>;
  restsUntil: number;
}

export interface FairLanesOptions {
  /** Most items in one take. */
  readonly limit: number;
  /** Most of one connection in one take, as soon as there are others. A connection is loud if more of it than this is not acknowledged. */
  readonly perLane: number;
  /** Most of one share in one take, as soon as there are others. */
  readonly perShare: number;
  /** Most of all that is loud in one take, while another share is quiet. */
  readonly ofLoud: number;
  /** How long who is loud rests while others are quiet, as a multiple of the time that the batch with its items took. */
  readonly rest: number;
  /** Others are those that had items in this time. */
  readonly rememberMs: number;
  /** So long after an item of somebody quiet the loud are held back. */
  readonly protectMs: number;
  /** Milliseconds, of a clock that only goes forward. */
  readonly now?: () => number;
}

export interface FairLanes<K, T> {
  readonly size: number;
  /** @param share whose part of the work it is: a tenant, a group of devices */
  add(lane: K, share: string, item: T): void;
  /** The next items: in turn from every share, and within a share in turn from every lane; of one lane in their order. Empty if all that waits rests. */
  take(): T[];
  /** The items of the last take are acknowledged. */
  done(): void;
  /** Milliseconds until something may be taken; 0: now. */
  readonly restMs: number;
}

/**
 * A queue in which nobody is held up by how much others have to say (ADR-0016). Quiet is who waits for the acknowledgement of one item before the next; loud, who has
 * many not acknowledged. As long as somebody is quiet, each loud connection gets a small part of a batch and then rests, and so does the whole share of
 * loud connections if another share is quiet: so there is time, and the disk, for those who come next. While nobody is quiet, nobody is held back: the loud
 * share what there is.
 */
export function fairLanes<K, T>(options: FairLanesOptions): FairLanes<K, T> {
  const { limit, perLane, perShare, ofLoud, rest, rememberMs, protectMs, now = () => performance.now() } = options;
  const shares = new Map<string, Share<K, T>>();
  const lanes = new Map<K, Lane<T>>();
  const ofShares = several<string>(rememberMs, now);
  const ofLanes = several<K>(rememberMs, now);
  let size = 0;
  /** Items of lanes that are not loud. */
  let ofQuiet = 0;
  let began = 0;
  let taking: (readonly [K, Lane<T>])[] = [];
  let held: Share<K, T> | undefined;
  let holding = false;
  /** Who was quiet last, and another share that was before. */
  let lastQuiet: { readonly share: Share<K, T>; readonly at: number } | undefined;
  let otherQuiet = lastQuiet;

  return {
    get size() {
      return size;
    },
    add(key, name, item) {
      ofShares.seen(name);
      ofLanes.seen(key);
      const lane = laneOf(key);
      if (lane.items.length === lane.next) lane.share = name;
      const share = shareOf(lane.share);
      lane.items.push(item);
      size++;
      if (share.loud.has(key)) return;
      const waiting = lane.items.length - lane.next;
      if (waiting + lane.underWay <= perLane) {
        share.quiet.set(key, lane);
        ofQuiet++;
        return;
      }
      ofQuiet -= waiting - 1;
      share.quiet.delete(key);
      share.loud.set(key, lane);
    },
    take() {
      began = now();
      const taken: T[] = [];
      held = undefined;
      holding = false;
      const alone = !ofShares.now();
      if (ofQuiet > 0) takeQuiet(taken, alone ? limit : perShare);
      if (size - taken.length > ofQuiet) takeLoud(taken, alone ? limit : perShare);
      size -= taken.length;
      return taken;
    },
    done() {
      const end = now();
      const until = end + rest * (end - began);
      if (held !== undefined) held.restsUntil = until;
      for (const [key, lane] of taking) {
        lane.underWay = 0;
        if (holding) lane.restsUntil = until;
        if (lane.items.length === lane.next && lane.restsUntil <= end) lanes.delete(key);
      }
      taking = [];
      if (lanes.size > 4 * (size + 1000))
        for (const [key, lane] of lanes) if (lane.items.length === lane.next) lanes.delete(key);
    },
    get restMs() {
      if (size === 0 || ofQuiet > 0) return 0;
      const at = now();
      let least = Number.POSITIVE_INFINITY;
      for (const share of shares.values()) {
        for (const lane of share.loud.values()) least = Math.min(least, restOf(share, lane, at));
      }
      return least - at;
    },
  };

  function shareOf(name: string): Share<K, T> {
    const share = shares.get(name) ?? { quiet: new Map(), loud: new Map(), restsUntil: 0 };
    shares.set(name, share);
    return share;
  }

  function laneOf(key: K): Lane<T> {
    const lane = lanes.get(key) ?? { share: '', items: [], next: 0, underWay: 0, restsUntil: 0 };
    lanes.set(key, lane);
    return lane;
  }

  /** When this lane may be served, not before now. */
  function restOf(share: Share<K, T>, lane: Lane<T>, at: number): number {
    const elsewhere = quietElsewhere(share, at);
    if (elsewhere) return Math.max(at, share.restsUntil, lane.restsUntil);
    return floodsOwn(share, at) ? Math.max(at, lane.restsUntil) : at;
  }

  /** A few connections are loud beside quiet ones of their own share. If many are, that is how the share works, and it is worked off in large batches. */
  function floodsOwn(share: Share<K, T>, at: number): boolean {
    if (share.loud.size > FEW) return false;
    return [lastQuiet, otherQuiet].some((quiet) => quiet?.share === share && at - quiet.at < protectMs);
  }

  function quietElsewhere(share: Share<K, T>, at: number): boolean {
    return [lastQuiet, otherQuiet].some((quiet) => quiet !== undefined && quiet.share !== share && at - quiet.at < protectMs);
  }

  function takeQuiet(taken: T[], most: number): void {
    for (const [name, share] of [...shares]) {
      if (taken.length >= limit) break;
      if (share.quiet.size === 0) continue;
      for (const { items, next, underWay } of share.quiet.values()) {
        if (items.length - next + underWay > 1) continue;
        if (lastQuiet !== undefined && lastQuiet.share !== share) otherQuiet = lastQuiet;
        lastQuiet = { share, at: began };
        break;
      }
      ofQuiet -= takeFrom([...share.quiet], share.quiet, Math.min(most, limit - taken.length), perLane, taken);
      // What is left waits behind the others.
      shares.delete(name);
      shares.set(name, share);
    }
  }

  function takeLoud(taken: T[], most: number): void {
    const each = ofLanes.now() ? perLane : limit;
    for (const [name, share] of [...shares]) {
      if (taken.length >= limit) break;
      if (share.loud.size === 0) {
        // Forgotten with its rest over, so that names do not gather.
        if (share.quiet.size === 0 && share.restsUntil <= began && share !== lastQuiet?.share) shares.delete(name);
        continue;
      }
      const elsewhere = quietElsewhere(share, began);
      const protects = elsewhere || floodsOwn(share, began);
      const ready = protects ? [...share.loud].filter(([, lane]) => restOf(share, lane, began) <= began) : [...share.loud];
      if (ready.length === 0) continue;
      const part = elsewhere ? ofLoud : most;
      takeFrom(ready, share.loud, Math.min(part, limit - taken.length), each, taken);
      shares.delete(name);
      shares.set(name, share);
      if (!protects) continue;
      holding = true;
      if (elsewhere) held = share;
      return;
    }
  }

  /** @returns how many it took */
  function takeFrom(ready: [K, Lane<T>][], own: Map<K, Lane<T>>, most: number, each: number, taken: T[]): number {
    const before = taken.length;
    const end = before + most;
    for (let turn = ready; turn.length > 0 && taken.length < end; ) {
      const again: [K, Lane<T>][] = [];
      for (const one of turn) {
        if (taken.length >= end) break;
        const [key, lane] = one;
        if (lane.underWay++ === 0) taking.push(one);
        taken.push(lane.items[lane.next++] as T);
        own.delete(key);
        if (lane.next === lane.items.length) {
          lane.items = [];
          lane.next = 0;
          continue;
        }
        own.set(key, lane);
        if (lane.underWay < each) again.push(one);
        // Taken items would be kept for as long as a lane never runs empty.
        if (lane.next > 1000) {
          lane.items = lane.items.slice(lane.next);
          lane.next = 0;
        }
      }
      turn = again;
    }
    return taken.length - before;
  }
}

/** Whether more than one was seen lately. */
function several<V>(rememberMs: number, now: () => number) {
  let last: V | undefined;
  let any = false;
  let until = Number.NEGATIVE_INFINITY;
  return {
    seen(value: V): void {
      if (any && value === last) return;
      if (any) until = now() + rememberMs;
      any = true;
      last = value;
    },
    now: (): boolean => now() < until,
  };
}
