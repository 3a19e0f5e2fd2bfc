import type { FastifyPluginAsync } from 'fastify';
import { SENSING, STAPLUS } from '../../domain/sta/model.ts';
import { type SensorThingsParts, sensorThings } from '../../operations/sta/sensor-things.ts';
import { staRoutes } from './routes.ts';
import { RULES } from './rules.ts';
import { REQUIREMENTS, staplusConformance } from './service-root.ts';
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
  readonly staOwnership: boolean;
}

/** Where the service roots are, without a tenant in front (ADR-0006). */
const ROOTS = {
  sensing: { model: SENSING, prefix: '/sta/v1.1' },
  staplus: { model: STAPLUS, prefix: '/staplus/v1.1' },
} as const;
const MQTT_CLASSES = ['create-observations-via-mqtt/observations-creation', 'receive-updates-via-mqtt/receive-updates'];

/** Puts the window together. */
export function sensorThingsWindow(
  parts: Omit<SensorThingsParts, 'maxPage' | 'ownership'>,
  { staPageLimit, jsonDepth, publicUrl, staOwnership }: SensorThingsSettings,
  warn: (reason: string, details: object) => void,
): SensorThingsWindow {
  const { operations, watch } = sensorThings({ ...parts, maxPage: staPageLimit, ownership: staOwnership });
  let publisher: Publisher | undefined;
  let origin = publicUrl.replace(/\/$/, '');
  const watching = watch(
    async (topic, told) => publisher?.publish(topic, messageOf(told), 1),
    (error) => warn('SensorThings over MQTT', { err: error }),
  );
  const topics = staTopics(operations, watching, {
    ...ROOTS,
    jsonDepth,
    origin: () => origin,
    onRefused: (topic, reason) => warn('a publication to SensorThings was refused', { topic, reason }),
  });
  const mqttClasses = () =>
    publisher === undefined
      ? {}
      : Object.fromEntries(MQTT_CLASSES.map((name) => [REQUIREMENTS + name, { endpoints: [publisher?.url] }]));
  const common = { publicUrl, jsonDepth };
  const rules = staOwnership ? { rules: RULES } : {};
  return {
    topics,
    async routes(app) {
      app.register(staRoutes(operations, { ...ROOTS.sensing, ...common, conformance: mqttClasses }));
      app.register(
        staRoutes(operations, {
          ...ROOTS.staplus,
          ...common,
          ...rules,
          conformance: (url) => ({ ...mqttClasses(), ...staplusConformance(staOwnership ? `${url}/$rules` : undefined) }),
        }),
      );
    },
    connect(to, at) {
      publisher = to;
      origin ||= at;
    },
    idle: () => watching.idle(),
    stop: () => watching.stop(),
  };
}
