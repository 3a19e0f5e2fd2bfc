/** Many subscriptions: a minute of steady writes with ten thousand of them, and what a change costs with a hundred thousand. */
import { readFileSync } from 'node:fs';
import { Agent } from 'undici';
import type { BrokerProcess } from '../support/broker-process.ts';
import { type Bench, fill, freshNumbers, freshTime, post, type Rows, withBroker } from './harness.ts';
import { ON_MONGODB } from './kept.ts';
import { type Listening, listening } from './listening.ts';
import { median, type Row } from './row.ts';
import { residentBytes } from './start.ts';

/** Of the entities 0 to 99 each has as many subscriptions of its own. */
const MATCHING = 10;
const WRITES_PER_SECOND = 500;

export const subscriptions: Rows = async function* (bench) {
  const steadily = bench.wanted('500 writes/s, 10 000 subscriptions');
  const cost = bench.wanted('cost of a change, 100 000 subscriptions');
  if (!steadily && !cost) return;
  const listener = await listening();
  try {
    if (steadily) yield* await minute(bench, listener);
    if (cost) yield await costOfAChange(bench, listener);
  } finally {
    listener.stop();
  }
};

/** @param matching subscriptions to single entities that change; the rest are to types that nobody writes, and to attributes that nobody changes */
async function subscribe(broker: BrokerProcess, uri: string, matching: readonly string[], others: number): Promise<void> {
  const notification = { endpoint: { uri } };
  const bodies = function* () {
    for (const id of matching) yield { entities: [{ id, type: 'BenchEntity' }], watchedAttributes: ['speed'], notification };
    for (let k = 0; k < others; k++) {
      yield k % 2 === 0
        ? { entities: [{ type: `Other${k % 1000}` }], notification }
        : {
            entities: [{ id: `urn:ngsi-ld:BenchEntity:none:${k}`, type: 'BenchEntity' }],
            watchedAttributes: ['name'],
            notification,
          };
    }
  };
  const iterator = bodies();
  await Promise.all(
    Array.from({ length: 50 }, async () => {
      for (const body of iterator) await post(`${broker.url}/ngsi-ld/v1/subscriptions`, { type: 'Subscription', ...body });
    }),
  );
}

/** 500 writes a second to 100 entities; 1 000 of the 10 000 subscriptions concern them, 10 each, so that 5 000 notifications a second go out. */
function minute(bench: Bench, listener: Listening): Promise<Row[]> {
  return withBroker(async (broker) => {
    const seconds = bench.quick ? 5 : ON_MONGODB ? 30 : 60;
    const ids = Array.from({ length: 100 }, (_, k) => `urn:ngsi-ld:BenchEntity:${k}`);
    await fill(broker);
    await subscribe(
      broker,
      listener.url,
      ids.flatMap((id) => Array<string>(MATCHING).fill(id)),
      10_000 - 100 * MATCHING,
    );
    await listener.forget();
    const agent = new Agent({ connections: 20 });
    const resident: number[] = [];
    let written = 0;
    const began = performance.now();
    const under = new Set<Promise<void>>();
    for (let tick = 0; tick < seconds * 50; tick++) {
      for (let k = 0; k < WRITES_PER_SECOND / 50; k++) {
        const write = update(agent, broker.url, ids[written % 100]!, freshTime()).finally(() => under.delete(write));
        under.add(write);
        written++;
      }
      if (tick % 50 === 0) {
        resident.push(residentBytes(broker.child.pid!));
        bench.progress(`${Math.round(tick / 50)} of ${seconds} s`);
      }
      const next = began + (tick + 1) * 20;
      const rest = next - performance.now();
      if (rest > 0) await new Promise((wake) => setTimeout(wake, rest));
    }
    await Promise.all(under);
    const took = (performance.now() - began) / 1000;
    const expected = written * MATCHING;
    // What is still to come after ten seconds counts as not delivered.
    const heard = await listener.until(expected, 10).catch(() => listener.heard());
    await agent.close();
    const good = Math.min(heard.received - heard.repeated, expected) - heard.disordered;
    const early = median(resident.slice(Math.floor(resident.length / 4), Math.floor(resident.length / 2)));
    const late = median(resident.slice(-Math.max(1, Math.floor(resident.length / 4))));
    return [
      {
        name: '500 writes/s, 10 000 subscriptions',
        value: (good / expected) * 100,
        unit: '% delivered',
        ratio: good / expected,
        goal: 1,
        p99Ms: heard.p99Ms,
        note: `${expected} notifications in ${took.toFixed(1)} s, ${heard.disordered} out of order, ${heard.repeated} twice; last one ${Math.max(0, heard.lastMs - (performance.timeOrigin + began) - took * 1000).toFixed(0)} ms after the last write`,
      },
      {
        name: '500 writes/s, 10 000 subscriptions, memory',
        value: late / 1e6,
        unit: 'MB resident',
        ratio: early / late,
        goal: 0.9,
        note: `${Math.round(early / 1e6)} MB in the second quarter of the time`,
      },
    ];
  });
}

async function update(agent: Agent, base: string, id: string, value: number): Promise<void> {
  const { statusCode, body } = await agent.request({
    origin: base,
    path: `/ngsi-ld/v1/entities/${id}/attrs/speed`,
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: `{"value":${value}}`,
  });
  const text = await body.text();
  if (statusCode !== 204) throw new Error(`a write was answered ${statusCode}: ${text}`);
}

/** The processor time that updates of one entity cost, each told to ten subscribers: with those ten, and with 99 990 others beside. */
async function costOfAChange(bench: Bench, listener: Listening): Promise<Row> {
  const many = bench.quick || ON_MONGODB ? 10_000 : 100_000;
  const alone = await microsOfAChange(bench, listener, 0);
  bench.progress(`making ${many} subscriptions`);
  const among = await microsOfAChange(bench, listener, many - MATCHING);
  return {
    name: `cost of a change, ${many / 1000} 000 subscriptions`,
    value: among,
    unit: 'µs of CPU',
    ratio: alone / among,
    goal: 1 / 1.5,
    note: `10 notifications included; ${alone.toFixed(0)} µs with 10 subscriptions alone`,
  };
}

function microsOfAChange(bench: Bench, listener: Listening, others: number): Promise<number> {
  return withBroker(async (broker) => {
    await fill(broker);
    await subscribe(broker, listener.url, Array<string>(MATCHING).fill('urn:ngsi-ld:BenchEntity:0'), others);
    const agent = new Agent({ connections: 20 });
    const results: number[] = [];
    const changes = bench.quick ? 500 : 1000;
    for (let run = 0; run <= bench.runs; run++) {
      await listener.forget();
      const from = freshNumbers();
      const before = processorMicros(broker.child.pid!);
      for (let n = 0; n < changes; n += 20) {
        await Promise.all(
          Array.from({ length: 20 }, (_, k) => update(agent, broker.url, 'urn:ngsi-ld:BenchEntity:0', from + n + k)),
        );
      }
      await listener.until(changes * MATCHING, 30);
      if (run > 0) results.push((processorMicros(broker.child.pid!) - before) / changes);
    }
    await agent.close();
    return median(results);
  });
}

/** What a process has used so far, in user and system mode. NaN where there is no /proc. */
function processorMicros(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
  } catch {
    return Number.NaN;
  }
}
