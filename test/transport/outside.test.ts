import mqtt from 'mqtt';
import pino from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { MqttMessage } from '../../broker/domain/device.ts';
import { outsideMqtt } from '../../broker/transport/mqtt/outside.ts';
import { until } from '../support/devices.ts';
import { hasMosquitto, startMosquitto } from '../support/mosquitto.ts';

describe.skipIf(!hasMosquitto('messages through an MQTT broker outside'))(
  'messages through an MQTT broker outside (needs mosquitto)',
  () => {
    async function outside(store: (batch: readonly MqttMessage[]) => Promise<void>) {
      const mosquitto = await startMosquitto(['max_queued_messages 0']);
      const url = `mqtt://127.0.0.1:${mosquitto.port}`;
      const open = () =>
        outsideMqtt({
          logger: pino({ level: 'silent' }),
          url,
          connections: 2,
          clientId: 'test',
          async onMessages(batch) {
            await store(batch);
            return batch.map(() => ({ accepted: true as const, identity: 'x' }));
          },
          onHeard: () => {},
        });
      const ours = await open();
      await until(() => ours.connected, 'the connection');
      const device = await mqtt.connectAsync(url, { reconnectPeriod: 0 });
      onTestFinished(async () => {
        device.end(true);
        await ours.close(100);
        await mosquitto.stop();
      });
      return { ours, device };
    }
    const texts = (batch: readonly MqttMessage[]) => batch.map(({ payload }) => Buffer.from(payload).toString());

    it('are acknowledged there when they are stored here: what could not be stored comes again', async () => {
      let failing = false;
      const stored: string[] = [];
      let refused = 0;
      const { device } = await outside(async (batch) => {
        if (failing) {
          refused++;
          throw new Error('the store is gone');
        }
        stored.push(...texts(batch));
      });
      // Until the subscriptions are there nobody keeps anything.
      for (let turn = 0; turn < 500 && !stored.includes('first'); turn++) {
        await device.publishAsync('/json/k/d/attrs', 'first', { qos: 1 });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      failing = true;
      await device.publishAsync('/json/k/d/attrs', 'second', { qos: 1 });
      await until(() => refused > 0, 'the failure');
      expect(stored).not.toContain('second');
      failing = false;
      await until(() => stored.includes('second'), 'the second message');
      expect(stored.filter((text) => text === 'second')).toHaveLength(1);
    });

    it('each is taken once, whichever connection it comes by, and not those of other topics', async () => {
      const stored: string[] = [];
      const { device } = await outside(async (batch) => void stored.push(...texts(batch)));
      for (let turn = 0; turn < 500 && !stored.includes('first'); turn++) {
        await device.publishAsync('/json/k/d/attrs', 'first', { qos: 1 });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      await device.publishAsync('/json/k/d/cmd', 'a command', { qos: 1 });
      for (let n = 0; n < 100; n++) await device.publishAsync(`json/k/d${n % 7}/attrs`, `m${n}`, { qos: 1 });
      await until(() => stored.filter((text) => text.startsWith('m')).length >= 100, 'all messages');
      expect(new Set(stored.filter((text) => text.startsWith('m'))).size).toBe(100);
      expect(stored.filter((text) => text.startsWith('m'))).toHaveLength(100);
      expect(stored).not.toContain('a command');
    });
  },
);
