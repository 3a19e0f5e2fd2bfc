import type { Change, Position } from '../../domain/change.ts';
import type { DeliveryStore, ParkedDelivery } from '../../ports/delivery-store.ts';
import type { DeliveryResult } from '../../ports/notifier.ts';
import { Queue } from './queue.ts';

/** What a lane carries: a change, or a message that is about none (messages.ts). */
export interface Sendable {
  /** What has the same id is sent in order. */
  readonly id: string;
  readonly position: Position;
  readonly tenant: Change['tenant'];
}

/** One change on its way to one subscriber. */
interface Delivery<S extends Subscriber, C extends Sendable> {
  readonly subscriber: S;
  readonly position: Position;
  /** Let go while many wait: the change log has it. */
  change: C | undefined;
  /** To be called once, when it is delivered, parked, or no longer wanted. */
  readonly done: () => void;
}

export interface Subscriber {
  readonly id: string;
  readonly tenant: Change['tenant'];
}

export interface Recalled<S extends Subscriber, C extends Sendable = Change> {
  readonly subscriber: S;
  readonly change: C;
}

/** A delivery by name: which change, for whom. */
export type DeliveryName = Pick<ParkedDelivery, 'tenant' | 'subscription' | 'position'>;

/** Parked deliveries that are sent before the next ones are looked up. */
const DRAINED_AT_ONCE = 500;
/** Changes of one strand that are read back from the change log at once. */
const RECALLED_AT_ONCE = 100;

/** What a lane needs from its surroundings. */
export interface LaneDependencies<S extends Subscriber, C extends Sendable = Change> {
  readonly deliveries: Pick<DeliveryStore, 'park' | 'waiting' | 'remove'>;
  /** Renders and sends one notification. Never throws. */
  send(subscriber: S, change: C): Promise<DeliveryResult>;
  /** The subscribers and changes of deliveries, in their order; undefined where the subscription or the change is gone. */
  recall(deliveries: readonly DeliveryName[]): Promise<readonly (Recalled<S, C> | undefined)[]>;
  /** Milliseconds to wait before attempt number `attempts` + 1 to this endpoint. */
  backOffMs(attempts: number, subscriber: S): number;
  /** Attempts after which a delivery goes to the dead-letter list. */
  readonly maxAttempts: number;
  /** Waiting deliveries that keep their change in memory; those beyond read it again when it is their turn. */
  readonly maxHeld: number;
  /** Deliveries that may wait in memory; those beyond are parked. Fewer, when all lanes together are crowded. */
  maxWaiting(): number;
  /** Requests under way to one endpoint. */
  readonly strands: number;
  onError(error: unknown): void;
}

/**
 * The deliveries of one subscription to its endpoint. While it answers, they go from memory straight out, over several strands that each carry the entities of
 * one share of all ids: so the order per entity is kept. When it fails, everything that waits is parked on disk, and after a back-off the
 * parked deliveries go out, oldest first, until none is left and the lane is live again. One endpoint's trouble stays in its lane.
 */
export class Lane<S extends Subscriber, C extends Sendable = Change> {
  readonly endpoint: string;
  readonly #with: LaneDependencies<S, C>;
  readonly #strands: readonly Queue<Delivery<S, C>>[];
  /** Strands that are sending; undefined: at rest. */
  readonly #running: (Promise<void> | undefined)[];
  #waiting = 0;
  /** Live: deliveries go out from memory. Otherwise they are parked behind those that are parked already. */
  #live: boolean;
  #failures = 0;
  #parking: Promise<void> = Promise.resolve();
  /** Deliveries are on their way to the disk. */
  #flushing = false;
  #toPark: { readonly delivery: Delivery<S, C>; readonly attempts: number; readonly reason: string }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #draining = false;
  /** Deliveries were given back while others were being drained. */
  #drainAgain = false;
  #closed = false;

  /** @param backlog parked deliveries are waiting from before a restart */
  constructor(endpoint: string, dependencies: LaneDependencies<S, C>, backlog: boolean) {
    this.endpoint = endpoint;
    this.#with = dependencies;
    this.#strands = Array.from({ length: dependencies.strands }, () => new Queue<Delivery<S, C>>());
    this.#running = this.#strands.map(() => undefined);
    this.#live = !backlog;
    if (backlog) this.#retryIn(0);
  }

  get waiting(): number {
    return this.#waiting;
  }

  get idle(): boolean {
    return this.#live && this.#waiting === 0 && this.#toPark.length === 0;
  }

  /** @param done called once, when the change is delivered to the subscriber, parked, or no longer wanted */
  push(subscriber: S, change: C, done: () => void): void {
    const held = this.#waiting < this.#with.maxHeld;
    const delivery: Delivery<S, C> = { subscriber, position: change.position, change: held ? change : undefined, done };
    if (!this.#live || this.#waiting >= this.#with.maxWaiting()) {
      // Once one delivery is parked the later ones must queue up behind it, or they would overtake it.
      this.#stopLive(0);
      this.#park(delivery, 0, 'waits behind earlier deliveries');
      return;
    }
    const strand = strandOf(change.id, this.#strands.length);
    this.#strands[strand]!.push(delivery);
    this.#waiting++;
    this.#running[strand] ??= this.#run(strand);
  }

  /** Deliveries were parked from outside: send them, before what comes next. */
  resume(): void {
    this.#live = false;
    this.#retryIn(0);
  }

  /** Stops sending. What is under way or waiting is not `done`, and will be read again from the change log. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Nobody wants these deliveries any more: all of them are dealt with. */
  discard(): void {
    this.close();
    for (const strand of this.#strands) for (const delivery of strand.takeAll()) delivery.done();
    for (const { delivery } of this.#toPark.splice(0)) delivery.done();
    this.#waiting = 0;
  }

  /** Resolves when everything that had to be parked is on disk. */
  async settled(): Promise<void> {
    do await this.#parking;
    while (this.#toPark.length > 0 && !this.#closed);
  }

  async #run(strand: number): Promise<void> {
    const queue = this.#strands[strand]!;
    while (queue.length > 0 && this.#live && !this.#closed) {
      const delivery = queue.at(0)!;
      if (delivery.change === undefined) {
        await this.#recall(queue);
        continue;
      }
      const result = await this.#with.send(delivery.subscriber, delivery.change);
      if (this.#closed) break;
      queue.shift();
      this.#waiting--;
      if (result.delivered) {
        delivery.done();
      } else {
        this.#park(delivery, 1, result.reason);
        this.#stopLive(this.#with.backOffMs(1, delivery.subscriber));
      }
    }
    this.#running[strand] = undefined;
    // A strand that was sending while another one failed hands over what it still holds.
    if (!this.#live && !this.#closed) this.#parkStrand(strand);
  }

  /** Reads the changes again of the deliveries that are next; one whose change is gone is dealt with. */
  async #recall(queue: Queue<Delivery<S, C>>): Promise<void> {
    const next: Delivery<S, C>[] = [];
    for (let place = 0; next.length < RECALLED_AT_ONCE; place++) {
      const delivery = queue.at(place);
      if (delivery === undefined || delivery.change !== undefined) break;
      next.push(delivery);
    }
    try {
      const found = await this.#with.recall(next.map((delivery) => nameOf(delivery)));
      if (this.#closed) return;
      next.forEach((delivery, at) => {
        delivery.change = found[at]?.change;
      });
      // Only the first one is looked at: the others have their turn.
      if (next[0] !== undefined && next[0].change === undefined && queue.at(0) === next[0]) {
        queue.shift();
        this.#waiting--;
        next[0].done();
      }
    } catch (error) {
      this.#with.onError(error);
      await new Promise((wake) => setTimeout(wake, 1000));
    }
  }

  /** From now on deliveries are parked; after `retryMs` the parked ones are tried. */
  #stopLive(retryMs: number): void {
    if (!this.#live) return;
    this.#live = false;
    this.#failures = retryMs > 0 ? 1 : 0;
    this.#strands.forEach((_, strand) => {
      if (!this.#running[strand]) this.#parkStrand(strand);
    });
    this.#retryIn(retryMs);
  }

  #parkStrand(strand: number): void {
    const queue = this.#strands[strand]!;
    for (const delivery of queue.takeAll()) {
      this.#waiting--;
      this.#park(delivery, 0, 'waits behind earlier deliveries');
    }
  }

  #park(delivery: Delivery<S, C>, attempts: number, reason: string): void {
    this.#toPark.push({ delivery, attempts, reason });
    if (this.#toPark.length === 1) this.#parking = this.#parking.then(() => this.#flushParked());
  }

  async #flushParked(): Promise<void> {
    const batch = this.#toPark;
    this.#toPark = [];
    this.#flushing = true;
    try {
      await this.#with.deliveries.park(
        batch.map(({ delivery, attempts, reason }) => this.#parked(nameOf(delivery), attempts, reason)),
      );
      for (const { delivery } of batch) delivery.done();
      this.#flushing = false;
    } catch (error) {
      this.#flushing = false;
      this.#with.onError(error);
      // Not done, so the cursor stays before them; try again once the disk may be back.
      this.#toPark = [...batch, ...this.#toPark];
      if (this.#closed) return;
      await new Promise((wake) => setTimeout(wake, 1000));
      this.#parking = this.#parking.then(() => this.#flushParked());
    }
  }

  #parked({ tenant, subscription, position }: DeliveryName, attempts: number, reason: string): ParkedDelivery {
    return {
      tenant,
      subscription,
      position,
      endpoint: this.endpoint,
      attempts,
      reason,
      dead: attempts >= this.#with.maxAttempts,
    };
  }

  #retryIn(ms: number): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#drainAlone(), ms);
  }

  /** Two at once would send the same deliveries. */
  async #drainAlone(): Promise<void> {
    this.#drainAgain = this.#draining;
    if (this.#draining) return;
    this.#draining = true;
    try {
      await this.#drain();
    } catch (error) {
      this.#with.onError(error);
      this.#retryIn(1000);
    }
    this.#draining = false;
    if (this.#drainAgain) this.#retryIn(0);
  }

  /** Sends parked deliveries, in order per entity, until one fails (then waits again) or none is left (then the lane is live). */
  async #drain(): Promise<void> {
    // What was under way when the lane stopped being live must end first, or later changes would overtake it.
    await Promise.all(this.#running);
    for (;;) {
      if (this.#closed) return;
      // What is parked so far, and no more: under constant load there is always something about to be. It is newer than what is on disk.
      await this.#parking;
      const parked = await this.#with.deliveries.waiting(this.endpoint, DRAINED_AT_ONCE);
      if (parked.length === 0) {
        if (this.#toPark.length > 0 || this.#flushing) continue;
        // Nothing is parked, and nothing wants to be or is about to be: no await lies between here and going live.
        this.#live = true;
        this.#failures = 0;
        return;
      }
      const found = await this.#with.recall(parked);
      if (!(await this.#drainBatch(parked, found))) return;
    }
  }

  /** @returns false if one failed; the lane then tries again later. */
  async #drainBatch(parked: readonly ParkedDelivery[], found: readonly (Recalled<S, C> | undefined)[]): Promise<boolean> {
    const strands: number[][] = this.#strands.map(() => []);
    const dealtWith: ParkedDelivery[] = [];
    found.forEach((recalled, at) => {
      if (recalled) strands[strandOf(recalled.change.id, strands.length)]!.push(at);
      // The subscription or the change is gone: nobody wants it any more.
      else dealtWith.push(parked[at]!);
    });
    const failed: ParkedDelivery[] = [];
    let retryFor: S | undefined;
    await Promise.all(
      strands.map(async (strand) => {
        for (const at of strand) {
          if (retryFor || this.#closed) return;
          const { subscriber, change } = found[at]!;
          const result = await this.#with.send(subscriber, change);
          const item = parked[at]!;
          if (result.delivered) dealtWith.push(item);
          else {
            failed.push(this.#parked(item, item.attempts + 1, result.reason));
            retryFor = subscriber;
          }
        }
      }),
    );
    // Also when closing: what was delivered need not be sent again by the next start.
    if (dealtWith.length > 0) await this.#with.deliveries.remove(dealtWith);
    if (retryFor === undefined) {
      this.#failures = 0;
      return !this.#closed;
    }
    await this.#with.deliveries.park(failed);
    this.#failures++;
    this.#retryIn(this.#with.backOffMs(this.#failures, retryFor));
    return false;
  }
}

const nameOf = <S extends Subscriber>({
  subscriber,
  position,
}: Pick<Delivery<S, Sendable>, 'subscriber' | 'position'>): DeliveryName => ({
  tenant: subscriber.tenant,
  subscription: subscriber.id,
  position,
});

/** The same entity always takes the same strand. */
function strandOf(id: string, strands: number): number {
  let hash = 0;
  for (let at = 0; at < id.length; at++) hash = (Math.imul(hash, 31) + id.charCodeAt(at)) | 0;
  return (hash >>> 0) % strands;
}
