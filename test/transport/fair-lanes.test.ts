import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fairLanes } from '../../broker/transport/mqtt/fair-lanes.ts';

const LIMITS = { limit: 1000, perLane: 8, perShare: 24, ofLoud: 12, rest: 2, rememberMs: 60_000, protectMs: 200 };

/** A queue on a clock that the test turns. */
function onClock() {
  const clock = { at: 0 };
  return { clock, lanes: fairLanes<string, string>({ ...LIMITS, now: () => clock.at }) };
}

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

  it('a tenant of many connections that flood gets one small part while another is quiet, and serves its connections in turn', () => {
    const { lanes, clock } = onClock();
    for (let n = 0; n < 50; n++) for (let device = 0; device < 30; device++) lanes.add(`d${device}`, 'crowd', `d${device}`);
    lanes.add('quiet', 'other', 'quiet');
    const batch = lanes.take();
    expect(batch).toHaveLength(13);
    expect(new Set(batch).size).toBe(13);
    lanes.done();
    clock.at += 10;
    lanes.add('quiet', 'other', 'quiet');
    // Those that were not served stand in front now.
    expect(lanes.take().slice(0, 6)).toEqual(['quiet', 'd12', 'd13', 'd14', 'd15', 'd16']);
  });

  it('who floods rests twice as long as its part of a batch took; who is quiet is served meanwhile, and does not wait for that', () => {
    const { lanes, clock } = onClock();
    for (let n = 0; n < 100; n++) lanes.add('flood', 'a', 'flood');
    lanes.add('quiet', 'b', 'quiet');
    expect(lanes.take()).toHaveLength(9);
    clock.at += 3;
    lanes.done();
    expect(lanes.take()).toEqual([]);
    expect(lanes.restMs).toBe(6);
    lanes.done();
    clock.at += 2;
    lanes.add('quiet', 'b', 'quiet');
    expect(lanes.restMs).toBe(0);
    expect(lanes.take()).toEqual(['quiet']);
    lanes.done();
    expect(lanes.restMs).toBe(4);
    clock.at += 4;
    expect(lanes.restMs).toBe(0);
    expect(lanes.take()).toEqual(Array(8).fill('flood'));
  });

  it('a connection that floods its own tenant rests, and the other connections of the tenant do not', () => {
    const { lanes, clock } = onClock();
    for (let n = 0; n < 100; n++) lanes.add('flood', 'a', 'flood');
    lanes.add('quiet', 'a', 'quiet');
    for (let n = 0; n < 20; n++) lanes.add('busy', 'a', 'busy');
    expect(lanes.take().filter((item) => item === 'flood')).toHaveLength(8);
    clock.at += 1;
    lanes.done();
    for (let n = 0; n < 20; n++) lanes.add('late', 'a', 'late');
    expect(lanes.take()).toEqual(Array(8).fill('late'));
  });

  it('holds nobody back while all are alike: a crowd of connections with many on their way, with nobody quiet among them', () => {
    const { lanes } = onClock();
    for (let n = 0; n < 20; n++) for (let device = 0; device < 50; device++) lanes.add(`d${device}`, 'crowd', `d${device}`);
    expect(lanes.take()).toHaveLength(400);
    lanes.done();
    expect(lanes.restMs).toBe(0);
    expect(lanes.take()).toHaveLength(400);
  });

  it('whoever is alone is not held back', () => {
    const lanes = fairLanes<string, number>(LIMITS);
    for (let n = 0; n < 3000; n++) lanes.add('bridge', 'tenant', n);
    expect(lanes.take()).toHaveLength(1000);
    expect(lanes.size).toBe(2000);
  });

  it('loses nothing, doubles nothing, and keeps the order of every connection', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5), fc.boolean(), fc.nat(2)), { maxLength: 400 }), (steps) => {
        let at = 0;
        const lanes = fairLanes<number, readonly [number, number]>({ ...LIMITS, limit: 20, now: () => (at += 0.5) });
        const taken: (readonly [number, number])[] = [];
        let count = 0;
        for (const [lane, take, share] of steps) {
          // Some speak for several tenants.
          lanes.add(lane, `share${lane < 3 ? lane : share}`, [lane, count++]);
          if (!take) continue;
          taken.push(...lanes.take());
          lanes.done();
        }
        while (lanes.size > 0) {
          taken.push(...lanes.take());
          lanes.done();
        }
        expect(taken.map(([, n]) => n).sort((a, b) => a - b)).toEqual(steps.map((_, n) => n));
        for (let lane = 0; lane <= 5; lane++) {
          const own = taken.filter(([of]) => of === lane).map(([, n]) => n);
          expect(own).toEqual([...own].sort((a, b) => a - b));
        }
      }),
    );
  });
});
