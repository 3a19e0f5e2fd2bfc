import { describe, expect, it } from 'vitest';
import type { Change } from '../../broker/domain/change.ts';
import { DEFAULT_TENANT, type Iri } from '../../broker/domain/iri.ts';
import type { Instant } from '../../broker/domain/time.ts';
import { Lane, type Subscriber } from '../../broker/operations/notify/lane.ts';
import { Watermark } from '../../broker/operations/notify/watermark.ts';
import type { DeliveryStore, ParkedDelivery } from '../../broker/ports/delivery-store.ts';
import type { DeliveryResult } from '../../broker/ports/notifier.ts';

const AT = '2026-03-01T07:00:00Z' as Instant;
const subscriber: Subscriber = { id: 'urn:s:1', tenant: DEFAULT_TENANT };

function change(position: number, id = `urn:e:${position % 5}`): Change {
  const stamp = { at: position, origin: 'test' };
  const entity = { id: id as Iri, types: [], attributes: {}, createdAt: AT, modifiedAt: AT, stamp };
  return { position, tenant: DEFAULT_TENANT, id: id as Iri, kind: 'updated', types: [], entity, attributes: [], at: AT, stamp };
}

/** The port, in memory. */
function memoryDeliveries(): DeliveryStore & { readonly rows: Map<string, ParkedDelivery> } {
  const rows = new Map<string, ParkedDelivery>();
  const key = (delivery: { subscription: string; position: number }) => `${delivery.subscription} ${delivery.position}`;
  const sorted = () => [...rows.values()].sort((a, b) => a.position - b.position);
  return {
    rows,
    park: async (deliveries) => deliveries.forEach((delivery) => void rows.set(key(delivery), delivery)),
    endpoints: async () => [],
    waiting: async (endpoint, limit) =>
      sorted()
        .filter((row) => row.endpoint === endpoint && !row.dead)
        .slice(0, limit),
    dead: async (limit) =>
      sorted()
        .filter((row) => row.dead)
        .slice(0, limit),
    remove: async (deliveries) => deliveries.forEach((delivery) => void rows.delete(key(delivery))),
    removeSubscription: async () => {},
    oldest: async () => sorted()[0]?.position,
  };
}

interface Trial {
  readonly lane: Lane<Subscriber>;
  readonly sent: number[];
  /** Positions whose changes were read again. */
  readonly recalled: number[];
  readonly done: Set<number>;
  readonly deliveries: ReturnType<typeof memoryDeliveries>;
  push(position: number): void;
  until(condition: () => boolean): Promise<void>;
}

function trial(
  answer: (position: number, attempt: number) => Promise<DeliveryResult> | DeliveryResult,
  options: {
    maxHeld?: number;
    gone?: (position: number) => boolean;
    maxWaiting?: number;
    maxAttempts?: number;
    backlog?: boolean;
    deliveries?: ReturnType<typeof memoryDeliveries>;
  } = {},
): Trial {
  const deliveries = options.deliveries ?? memoryDeliveries();
  const sent: number[] = [];
  const recalled: number[] = [];
  const done = new Set<number>();
  const attempts = new Map<number, number>();
  const lane = new Lane<Subscriber>(
    'http://endpoint/',
    {
      deliveries,
      async send(_subscriber, { position }) {
        const attempt = (attempts.get(position) ?? 0) + 1;
        attempts.set(position, attempt);
        const result = await answer(position, attempt);
        if (result.delivered) sent.push(position);
        return result;
      },
      recall: async (parked) => {
        recalled.push(...parked.map(({ position }) => position));
        return parked.map(({ position }) => (options.gone?.(position) ? undefined : { subscriber, change: change(position) }));
      },
      backOffMs: () => 1,
      maxAttempts: options.maxAttempts ?? 100,
      maxHeld: options.maxHeld ?? 1000,
      maxWaiting: () => options.maxWaiting ?? 1000,
      strands: 4,
      onError: (error) => {
        throw error;
      },
    },
    options.backlog ?? false,
  );
  return {
    lane,
    sent,
    recalled,
    done,
    deliveries,
    push: (position) => lane.push(subscriber, change(position), () => done.add(position)),
    async until(condition) {
      const end = Date.now() + 5000;
      while (!condition()) {
        if (Date.now() > end) throw new Error('it did not happen in time');
        await new Promise((wake) => setTimeout(wake, 1));
      }
    },
  };
}

/** Order per entity: positions of the same entity never go down. */
function inOrderPerEntity(positions: readonly number[]): boolean {
  const last = new Map<string, number>();
  return positions.every((position) => {
    const { id } = change(position);
    const before = last.get(id) ?? -1;
    last.set(id, position);
    return position > before;
  });
}

const OK: DeliveryResult = { delivered: true };
const numbers = (count: number) => Array.from({ length: count }, (_, at) => at + 1);

describe('a lane to one endpoint', () => {
  it('lets go of the changes of a long queue and reads them again, in order, without touching the disk', async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const { lane, sent, done, recalled, deliveries, push, until } = trial(() => gate.then(() => OK), { maxHeld: 20 });
    for (const position of numbers(900)) push(position);
    expect(lane.waiting).toBe(900);
    open();
    await until(() => sent.length === 900);
    expect(inOrderPerEntity(sent)).toBe(true);
    expect(new Set(sent)).toEqual(new Set(numbers(900)));
    expect(done.size).toBe(900);
    expect(recalled.length).toBe(880);
    expect(deliveries.rows.size).toBe(0);
  });

  it('a change that is gone when its turn comes is dealt with, and holds up nothing', async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const { sent, done, push, until } = trial(() => gate.then(() => OK), {
      maxHeld: 5,
      gone: (position) => position % 7 === 0,
    });
    for (const position of numbers(70)) push(position);
    open();
    await until(() => done.size === 70);
    expect(new Set(sent)).toEqual(new Set(numbers(70).filter((position) => position % 7 !== 0 || position <= 5)));
    expect(inOrderPerEntity(sent)).toBe(true);
  });

  it('delivers everything once, in order per entity, without touching the disk', async () => {
    const { lane, sent, done, deliveries, push, until } = trial(async (position) => {
      if (position % 3 === 0) await new Promise((wake) => setTimeout(wake, 1));
      return OK;
    });
    numbers(200).forEach(push);
    await until(() => done.size === 200);
    expect(sent).toHaveLength(200);
    expect(inOrderPerEntity(sent)).toBe(true);
    expect(deliveries.rows.size).toBe(0);
    expect(lane.idle).toBe(true);
  });

  it('while the endpoint fails everything is parked; when it answers again all goes out, in order per entity, and nothing stays behind', async () => {
    let up = false;
    const { lane, sent, done, deliveries, push, until } = trial(() => (up ? OK : { delivered: false, reason: 'refused' }));
    numbers(50).forEach(push);
    await until(() => done.size === 50);
    expect(sent).toEqual([]);
    expect(deliveries.rows.size).toBe(50);
    up = true;
    numbers(100).slice(50).forEach(push);
    await until(() => lane.idle && sent.length === 100);
    expect(inOrderPerEntity(sent)).toBe(true);
    expect(deliveries.rows.size).toBe(0);
  });

  it('an endpoint that fails now and then loses nothing and keeps the order', async () => {
    let calls = 0;
    const { lane, sent, push, until } = trial(async () => {
      calls++;
      await new Promise((wake) => setImmediate(wake));
      return calls % 7 === 0 ? { delivered: false, reason: 'busy' } : OK;
    });
    for (const position of numbers(300)) {
      push(position);
      if (position % 20 === 0) await new Promise((wake) => setTimeout(wake, 1));
    }
    await until(() => lane.idle && new Set(sent).size === 300);
    expect(inOrderPerEntity(sent)).toBe(true);
  });

  it('a slow endpoint fills the disk, not the memory', async () => {
    let release = () => {};
    const gate = new Promise<void>((open) => {
      release = open;
    });
    const { lane, sent, deliveries, push, until } = trial(() => gate.then(() => OK), { maxHeld: 5, maxWaiting: 10 });
    numbers(100).forEach(push);
    await until(() => deliveries.rows.size >= 86);
    expect(lane.waiting).toBeLessThanOrEqual(10);
    release();
    await until(() => lane.idle && sent.length === 100);
    expect(inOrderPerEntity(sent)).toBe(true);
  });

  it('after the last attempt a delivery is dead, and those behind it go on', async () => {
    const { lane, sent, deliveries, push, until } = trial(
      (position) => (position === 2 ? { delivered: false, reason: 'answered 400' } : OK),
      { maxAttempts: 3 },
    );
    numbers(4).forEach(push);
    await until(() => lane.idle && sent.length === 3);
    expect([...deliveries.rows.values()]).toMatchObject([{ position: 2, dead: true, attempts: 3, reason: 'answered 400' }]);
  });

  it('a dead delivery that an operator revives goes out when the lane is resumed', async () => {
    let up = false;
    const { lane, sent, deliveries, push, until } = trial(() => (up ? OK : { delivered: false, reason: 'answered 500' }), {
      maxAttempts: 1,
    });
    push(1);
    await until(() => lane.idle && deliveries.rows.size === 1);
    up = true;
    await deliveries.park([...deliveries.rows.values()].map((row) => ({ ...row, dead: false, attempts: 0 })));
    lane.resume();
    await until(() => lane.idle && sent.length === 1);
    expect(deliveries.rows.size).toBe(0);
  });

  it('deliveries that are given back while others are being drained go out too, and none twice', async () => {
    let open = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const deliveries = memoryDeliveries();
    const parked = (position: number): ParkedDelivery => ({
      tenant: DEFAULT_TENANT,
      subscription: subscriber.id,
      position,
      endpoint: 'http://endpoint/',
      attempts: 0,
      reason: '',
      dead: false,
    });
    await deliveries.park([parked(1), parked(2)]);
    let asked = 0;
    const { lane, sent, until } = trial(
      async () => {
        asked++;
        await gate;
        return OK;
      },
      { backlog: true, deliveries },
    );
    await until(() => asked > 0);
    await deliveries.park([parked(3)]);
    lane.resume();
    // Long enough for a second look at the disk, if there were one.
    await new Promise((wake) => setTimeout(wake, 20));
    open();
    await until(() => lane.idle && deliveries.rows.size === 0);
    expect([...sent].sort()).toEqual([1, 2, 3]);
  });

  it('what was parked before a restart goes out before what is new', async () => {
    const before = trial(() => ({ delivered: false, reason: 'down' }));
    [1, 6, 11].forEach(before.push);
    await before.until(() => before.done.size === 3);
    before.lane.close();
    const after = trial(() => OK, { backlog: true, deliveries: before.deliveries });
    after.push(16);
    await after.until(() => after.lane.idle && after.sent.length === 4);
    expect(after.sent).toEqual([1, 6, 11, 16]);
  });

  it('what nobody wants any more is dealt with at once, also what is being sent', async () => {
    let release = () => {};
    const gate = new Promise<void>((open) => {
      release = open;
    });
    const { lane, done, push } = trial(() => gate.then(() => OK));
    numbers(20).forEach(push);
    lane.discard();
    expect(done.size).toBe(20);
    release();
    await new Promise((wake) => setTimeout(wake, 5));
    expect(lane.waiting).toBe(0);
  });

  it('under constant load a backlog is caught up with, and nothing is left behind on a slow disk', async () => {
    let up = false;
    const deliveries = memoryDeliveries();
    const slow = {
      ...deliveries,
      park: async (rows: readonly ParkedDelivery[]) => {
        await new Promise((wake) => setTimeout(wake, 2));
        await deliveries.park(rows);
      },
    };
    const { lane, sent, push, until } = trial(() => (up ? OK : { delivered: false, reason: 'down' }), { deliveries: slow });
    let position = 0;
    const load = setInterval(() => {
      for (let n = 0; n < 5; n++) push(++position);
    }, 0);
    await until(() => deliveries.rows.size > 100);
    up = true;
    await until(() => sent.length > 100);
    clearInterval(load);
    await until(() => lane.idle && sent.length === position);
    expect(deliveries.rows.size).toBe(0);
    expect(inOrderPerEntity(sent)).toBe(true);
  });

  it('after close nothing more is reported as dealt with', async () => {
    let release = () => {};
    const gate = new Promise<void>((open) => {
      release = open;
    });
    const { lane, done, push } = trial(() => gate.then(() => OK));
    push(1);
    lane.close();
    release();
    await new Promise((wake) => setTimeout(wake, 5));
    expect(done.size).toBe(0);
  });
});

describe('the watermark', () => {
  it('passes a position only when it and all before it are dealt with', () => {
    const watermark = new Watermark(10);
    const first = watermark.begin(11, 2);
    const second = watermark.begin(12, 1);
    watermark.begin(13, 0);
    expect(watermark.passed).toBe(10);
    second();
    first();
    expect(watermark.passed).toBe(10);
    first();
    expect(watermark.passed).toBe(13);
  });

  it('keeps no memory of what has passed', () => {
    const watermark = new Watermark(0);
    for (let position = 1; position <= 100_000; position++) watermark.begin(position, 1)();
    expect(watermark.passed).toBe(100_000);
  });
});
