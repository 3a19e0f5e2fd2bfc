import type { FastifyPluginAsync } from 'fastify';
import { SENSING, STAPLUS } from '../../domain/sta/model.ts';
import type { Watcher } from '../../operations/sta/operations.ts';
import { type SensorThingsParts, sensorThings } from '../../operations/sta/sensor-things.ts';
import { type ExternalPublisher, type ExternalTopics, externalTopics } from './external-topics.ts';
import { staRoutes } from './routes.ts';
import { RULES } from './rules.ts';
import { REQUIREMENTS, staplusConformance, taskingConformance } from './service-root.ts';
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
  /** From here on an external MQTT broker is told of everything, or of the topics that the configuration names. */
  connectExternal(publisher: ExternalPublisher & { readonly url: string }, origin: string): ExternalSide;
  /** Resolves when everything committed so far was published. */
  idle(): Promise<void>;
  stop(): void;
}

/** What comes from an external MQTT broker. */
export interface ExternalSide extends ExternalTopics {
  /** Topics on which clients publish to create. */
  readonly filters: readonly string[];
  /** Resolves when what was published is stored, or was refused. @throws DomainError Unavailable */
  publish(topic: string, payload: string): Promise<void>;
}

export interface SensorThingsSettings {
  readonly staPageLimit: number;
  readonly jsonDepth: number;
  /** URL under which others reach the broker; empty: what the client used. */
  readonly publicUrl: string;
  readonly staOwnership: boolean;
  /** What an external MQTT broker is told. */
  readonly staMqttTopics: readonly string[];
}

/** Where the service roots are, without a tenant in front (ADR-0006). */
const ROOTS = {
  sensing: { model: SENSING, prefix: '/sta/v1.1' },
  staplus: { model: STAPLUS, prefix: '/staplus/v1.1' },
} as const;
/** Topics of the default tenant and of others, with and without `staplus/`. */
const FILTERS = ['v1.1/#', '+/v1.1/#', '+/staplus/v1.1/#'];
const MQTT_CLASSES = ['create-observations-via-mqtt/observations-creation', 'receive-updates-via-mqtt/receive-updates'];

/** Puts the window together. */
export function sensorThingsWindow(
  parts: Omit<SensorThingsParts, 'maxPage' | 'ownership' | 'onError'>,
  { staPageLimit, jsonDepth, publicUrl, staOwnership, staMqttTopics }: SensorThingsSettings,
  warn: (reason: string, details: object) => void,
): SensorThingsWindow {
  const { operations, watch } = sensorThings({
    ...parts,
    maxPage: staPageLimit,
    ownership: staOwnership,
    onError: (error) => warn('SensorThings Tasking', { err: error }),
  });
  const endpoints: string[] = [];
  const watchers: Watcher[] = [];
  let origin = publicUrl.replace(/\/$/, '');
  /** The topics of one MQTT broker, which hears what is told. */
  const topicsFor = (tell: (topic: string, message: string) => Promise<void>) => {
    const watching = watch(
      (topic, told) => tell(topic, messageOf(told)),
      (error) => warn('SensorThings over MQTT', { err: error }),
    );
    watchers.push(watching);
    const topics = staTopics(operations, watching, {
      ...ROOTS,
      jsonDepth,
      origin: () => origin,
      onRefused: (topic, reason) => warn('a publication to SensorThings was refused', { topic, reason }),
    });
    return { watching, topics };
  };
  let publisher: Publisher | undefined;
  const { topics } = topicsFor(async (topic, message) => publisher?.publish(topic, message, 1));
  const mqttClasses = () =>
    endpoints.length === 0 ? {} : Object.fromEntries(MQTT_CLASSES.map((name) => [REQUIREMENTS + name, { endpoints }]));
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
          conformance: (url) => ({
            ...mqttClasses(),
            ...taskingConformance(endpoints.length === 0 ? undefined : { endpoints }),
            ...staplusConformance(staOwnership ? `${url}/$rules` : undefined),
          }),
        }),
      );
    },
    connect(to, at) {
      publisher = to;
      endpoints.push(to.url);
      origin ||= at;
    },
    connectExternal(to, at) {
      endpoints.push(to.url);
      origin ||= at;
      const external = topicsFor((topic, message) => to.publish(topic, message));
      const settings = { ...ROOTS, origin: () => origin, topics: staMqttTopics };
      const { learned } = externalTopics(external.topics, external.watching, settings, to);
      return {
        learned,
        filters: FILTERS,
        publish: async (topic, payload) => {
          if (external.topics.owns(topic)) await external.topics.publish(topic, payload);
        },
      };
    },
    async idle() {
      for (const watching of watchers) await watching.idle();
    },
    stop() {
      for (const watching of watchers) watching.stop();
    },
  };
}
