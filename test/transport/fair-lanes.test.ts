import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fairLanes } from '../../broker/transport/mqtt/fair-lanes.ts';

const LIMITS = { limit: 1000, perLane: 8, perShare: 24, rememberMs: 60_000 };

describe('a queue that is fair', () => {
  it('one message is in the next batch, however many others wait, and those get no more than their part', () => {
    const lanes = fairLanes<string, string>(LIMITS);
    for (let n = 0; n < 10_000; n++) lanes.add('flood', 'tenant-a', `flood ${n}`);
    lanes.add('quiet', 'tenant-b', 'quiet');
    lanes.add('neighbour', 'tenant-a', 'neighbour');
    const batch = lanes.take();
    expect(batch).toContain('quiet');
    expect(batch).toContain('neighbour');
    expect(batch.filter((item) => item.startsWith('flood'))).toHaveLength(8);
  });

  it('a tenant of many connections gets one part, and serves its connections in turn', () => {
    const lanes = fairLanes<string, string>(LIMITS);
    for (let n = 0; n < 50; n++) for (let device = 0; device < 30; device++) lanes.add(`d${device}`, 'crowd', `d${device}`);
    lanes.add('quiet', 'other', 'quiet');
    const batch = lanes.take();
    expect(batch).toHaveLength(25);
    expect(new Set(batch).size).toBe(25);
    // Those that were not served stand in front now.
    expect(lanes.take().slice(0, 6)).toEqual(['d24', 'd25', 'd26', 'd27', 'd28', 'd29']);
  });

  it('whoever is alone is not held back', () => {
    const lanes = fairLanes<string, number>(LIMITS);
    for (let n = 0; n < 3000; n++) lanes.add('bridge', 'tenant', n);
    expect(lanes.take()).toHaveLength(1000);
    expect(lanes.size).toBe(2000);
  });

  it('loses nothing, doubles nothing, and keeps the order of every connection', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5), fc.boolean()), { maxLength: 400 }), (steps) => {
        const lanes = fairLanes<number, readonly [number, number]>({ ...LIMITS, limit: 20 });
        const taken: (readonly [number, number])[] = [];
        let count = 0;
        for (const [lane, take] of steps) {
          lanes.add(lane, `share${lane % 2}`, [lane, count++]);
          if (take) taken.push(...lanes.take());
        }
        while (lanes.size > 0) taken.push(...lanes.take());
        expect(taken.map(([, n]) => n).sort((a, b) => a - b)).toEqual(steps.map((_, n) => n));
        for (let lane = 0; lane <= 5; lane++) {
          const own = taken.filter(([of]) => of === lane).map(([, n]) => n);
          expect(own).toEqual([...own].sort((a, b) => a - b));
        }
      }),
    );
  });
});
