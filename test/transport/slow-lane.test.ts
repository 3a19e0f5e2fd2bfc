import { expect, it } from 'vitest';
import type { DeviceOutcome, MqttMessage } from '../../broker/domain/device.ts';
import { queueWithSlowLane } from '../../broker/transport/mqtt/slow-lane.ts';
import { until } from '../support/devices.ts';

const message = (topic: string): MqttMessage => ({ topic, payload: Buffer.from(''), session: { kind: 'anonymous' } });

it('messages that code of an operator holds up keep waiting those of their device and connection, and nobody else', async () => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const stored: string[] = [];
  const acknowledged: string[] = [];
  const queue = queueWithSlowLane<object>({
    limit: 100,
    isSlow: ({ topic }) => topic.startsWith('slow'),
    async store(batch): Promise<readonly DeviceOutcome[]> {
      if (batch.some(({ topic }) => topic.startsWith('slow'))) await held;
      stored.push(...batch.map(({ topic }) => topic));
      return batch.map(({ topic }) => ({ accepted: true, identity: topic }));
    },
    onOutcome: () => {},
    onUnavailable: () => {},
  });
  const [gateway, device] = [{}, {}];
  const add = (topic: string, client: object) => queue.add(message(topic), client, () => acknowledged.push(topic));
  add('slow/1', gateway);
  add('quick/of-gateway', gateway);
  for (let n = 0; n < 5; n++) add(`quick/${n}`, device);
  await until(() => acknowledged.length === 5, 'those of the other connection');
  expect(acknowledged).toEqual(['quick/0', 'quick/1', 'quick/2', 'quick/3', 'quick/4']);
  expect(queue.figures()).toMatchObject({ messages_total: 7, accepted_total: 5, waiting: 2 });
  release();
  await queue.settled(5000);
  expect(acknowledged.slice(5)).toEqual(['slow/1', 'quick/of-gateway']);
  expect(stored.slice(5)).toEqual(['slow/1', 'quick/of-gateway']);
  // From now on the gateway is as quick as others.
  add('quick/again', gateway);
  await queue.settled(5000);
  expect(acknowledged.at(-1)).toBe('quick/again');
});
