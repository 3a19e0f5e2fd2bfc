/** A change, a matching subscription, and its notification at one fast listener: how many a second, writing the changes included. */
import { bareWrites } from './bare-mongo.ts';
import { fill, freshTime, here, output, post, type Rows, withBroker } from './harness.ts';
import { ON_MONGODB } from './kept.ts';
import { listening } from './listening.ts';
import { median } from './row.ts';

export const notifications: Rows = async function* (bench) {
  const name = 'notification delivered';
  if (!bench.wanted(name)) return;
  const listener = await listening();
  const delays: number[] = [];
  try {
    let written = Number.POSITIVE_INFINITY;
    const perSecond = await withBroker(async (broker, { url }) => {
      await fill(broker);
      await post(`${broker.url}/ngsi-ld/v1/subscriptions`, {
        type: 'Subscription',
        entities: [{ type: 'BenchEntity' }],
        notification: { endpoint: { uri: listener.url } },
      });
      const results: number[] = [];
      const rounds = bench.quick ? 20 : 100;
      // The first run warms up and does not count.
      for (let run = 0; run <= bench.runs; run++) {
        await listener.forget();
        const began = Date.now();
        // One batch of 100 updates after the other: the broker is never idle, and the writes are not what it waits for.
        for (let round = 0; round < rounds; round++) {
          const updates = Array.from({ length: 100 }, (_, k) => ({
            id: `urn:ngsi-ld:BenchEntity:${k}`,
            type: 'BenchEntity',
            speed: { type: 'Property', value: freshTime() },
          }));
          await post(`${broker.url}/ngsi-ld/v1/entityOperations/update`, updates);
        }
        const { lastMs, disordered, p99Ms } = await listener.until(rounds * 100, 30);
        if (disordered > 0) throw new Error(`${disordered} notifications came out of order`);
        delays.push(p99Ms);
        if (run > 0) results.push((rounds * 100 * 1000) / (lastMs - began));
      }
      if (url !== undefined) written = await bareWrites(url, 100, true);
      return median(results);
    });
    const { sample } = await listener.heard();
    const count = bench.quick ? 5000 : 20_000;
    const send = { url: listener.url, body: sample, count };
    const sent = Number(await output([here('bare-server.ts'), 'send', JSON.stringify(send)], 0));
    // Writing and sending are done at the same time: the slower of both is the limit.
    const floor = Math.min(sent, written);
    yield {
      name,
      value: perSecond,
      unit: 'notifications/s',
      ratio: perSecond / floor,
      goal: 0.5,
      p99Ms: median(delays),
      note: `with writing the changes; bare undici POSTs of the same ${sample.length} bytes: ${Math.round(sent)}/s${ON_MONGODB ? `; the driver writes ${Math.round(written)} changes/s, 100 at a time` : ''}`,
    };
  } finally {
    listener.stop();
  }
};
