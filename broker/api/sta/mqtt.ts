import { SENSING } from '../../domain/sta/model.ts';
import type { SensorThings } from '../../operations/sta/sensor-things.ts';
import { REQUIREMENTS } from './service-root.ts';
import { messageOf, type StaTopics, staTopics } from './topics.ts';

type Feed = Parameters<SensorThings['watch']>[0];

/** SensorThings over MQTT, between whoever has the connections and the change feed. */
export interface SensorThingsMqtt {
  readonly topics: StaTopics;
  /** Conformance classes with their settings, for the service root. */
  conformance(): Readonly<Record<string, unknown>>;
  /** Resolves when everything committed so far was published. */
  idle(): Promise<void>;
  stop(): void;
}

/** @param publish to whoever listens to a topic */
export function sensorThingsMqtt(
  { operations, watch }: SensorThings,
  feed: Feed,
  settings: {
    /** URL of the broker without a path, as links have it. */
    readonly origin: () => string;
    /** Where clients connect; undefined: nowhere. */
    readonly endpoint: () => string | undefined;
    readonly jsonDepth: number;
    readonly publish: (topic: string, payload: string) => Promise<void>;
    readonly onRefused: (topic: string, reason: string) => void;
    readonly onError: (error: unknown) => void;
  },
): SensorThingsMqtt {
  const watching = watch(feed, (topic, told) => settings.publish(topic, messageOf(told)), settings.onError);
  const topics = staTopics(operations, watching, { ...settings, model: SENSING, prefix: '/sta/v1.1' });
  return {
    topics,
    conformance() {
      const endpoint = settings.endpoint();
      if (endpoint === undefined) return {};
      const classes = ['create-observations-via-mqtt/observations-creation', 'receive-updates-via-mqtt/receive-updates'];
      return Object.fromEntries(classes.map((name) => [REQUIREMENTS + name, { endpoints: [endpoint] }]));
    },
    idle: () => watching.idle(),
    stop: () => watching.stop(),
  };
}
