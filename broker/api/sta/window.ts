import type { FastifyPluginAsync } from 'fastify';
import { SENSING } from '../../domain/sta/model.ts';
import { type SensorThingsParts, sensorThings } from '../../operations/sta/sensor-things.ts';
import { staRoutes } from './routes.ts';
import { REQUIREMENTS } from './service-root.ts';
import { messageOf, type StaTopics, staTopics } from './topics.ts';

/** Who has the MQTT connections. */
export interface Publisher {
  /** Where clients connect, as a URL. */
  readonly url: string;
  publish(topic: string, payload: string, qos: 0 | 1): Promise<void>;
}

/** SensorThings over HTTP and MQTT. */
export interface SensorThingsWindow {
  readonly routes: FastifyPluginAsync;
  readonly topics: StaTopics;
  /** From here on MQTT works. */
  connect(publisher: Publisher, origin: string): void;
  /** Resolves when everything committed so far was published. */
  idle(): Promise<void>;
  stop(): void;
}

export interface SensorThingsSettings {
  readonly staPageLimit: number;
  readonly jsonDepth: number;
  /** URL under which others reach the broker; empty: what the client used. */
  readonly publicUrl: string;
}

/** Where the service root is, without a tenant in front (ADR-0006). */
const PREFIX = '/sta/v1.1';
const MQTT_CLASSES = ['create-observations-via-mqtt/observations-creation', 'receive-updates-via-mqtt/receive-updates'];

/** Puts the window together. */
export function sensorThingsWindow(
  parts: Omit<SensorThingsParts, 'maxPage'>,
  { staPageLimit, jsonDepth, publicUrl }: SensorThingsSettings,
  warn: (reason: string, details: object) => void,
): SensorThingsWindow {
  const { operations, watch } = sensorThings({ ...parts, maxPage: staPageLimit });
  let publisher: Publisher | undefined;
  let origin = publicUrl.replace(/\/$/, '');
  const watching = watch(
    async (topic, told) => publisher?.publish(topic, messageOf(told), 1),
    (error) => warn('SensorThings over MQTT', { err: error }),
  );
  const topics = staTopics(operations, watching, {
    model: SENSING,
    prefix: PREFIX,
    jsonDepth,
    origin: () => origin,
    onRefused: (topic, reason) => warn('a publication to SensorThings was refused', { topic, reason }),
  });
  return {
    topics,
    routes: staRoutes(operations, {
      model: SENSING,
      prefix: PREFIX,
      publicUrl,
      jsonDepth,
      conformance: () =>
        publisher === undefined
          ? {}
          : Object.fromEntries(MQTT_CLASSES.map((name) => [REQUIREMENTS + name, { endpoints: [publisher?.url] }])),
    }),
    connect(to, at) {
      publisher = to;
      origin ||= at;
    },
    idle: () => watching.idle(),
    stop: () => watching.stop(),
  };
}
