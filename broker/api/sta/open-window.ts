import { SENSING, STAPLUS } from '../../domain/sta/model.ts';
import type { Watcher } from '../../operations/sta/operations.ts';
import { type SensorThingsParts, sensorThings } from '../../operations/sta/sensor-things.ts';
import { type ExternalPublisher, externalTopics } from './external-topics.ts';
import { RULES } from './rules.ts';
import { type StaService, staService } from './service.ts';
import { REQUIREMENTS, staplusConformance, taskingConformance } from './service-root.ts';
import { messageOf, type StaTopics, staTopics } from './topics.ts';
import { type ExternalSide, type Publisher, ROOT_PATHS, type SensorThingsSettings } from './window.ts';

/** Where the service roots are, without a tenant in front (ADR-0006). */
const ROOTS = {
  sensing: { model: SENSING, prefix: ROOT_PATHS.sensing },
  staplus: { model: STAPLUS, prefix: ROOT_PATHS.staplus },
} as const;
/** Topics of the default tenant and of others, with and without `staplus/`. */
const FILTERS = ['v1.1/#', '+/v1.1/#', '+/staplus/v1.1/#'];
const MQTT_CLASSES = ['create-observations-via-mqtt/observations-creation', 'receive-updates-via-mqtt/receive-updates'];

/** SensorThings with all that it is made of. */
export interface OpenWindow {
  readonly services: { readonly sensing: StaService; readonly staplus: StaService };
  readonly topics: StaTopics;
  connect(publisher: Publisher, origin: string): void;
  connectExternal(publisher: ExternalPublisher & { readonly url: string }, origin: string): ExternalSide;
  idle(): Promise<void>;
  stop(): void;
}

/** Puts the window together (window.ts says when). */
export function openWindow(
  parts: Omit<SensorThingsParts, 'maxPage' | 'ownership' | 'onError'>,
  { staPageLimit, staLookMs, jsonDepth, publicUrl, staOwnership, staMqttTopics }: SensorThingsSettings,
  warn: (reason: string, details: object) => void,
): OpenWindow {
  const { operations, watch } = sensorThings({
    ...parts,
    maxPage: staPageLimit,
    lookMs: staLookMs,
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
    services: {
      sensing: staService(operations, { ...ROOTS.sensing, ...common, conformance: mqttClasses }),
      staplus: staService(operations, {
        ...ROOTS.staplus,
        ...common,
        ...rules,
        conformance: (url) => ({
          ...mqttClasses(),
          ...taskingConformance(endpoints.length === 0 ? undefined : { endpoints }),
          ...staplusConformance(staOwnership ? `${url}/$rules` : undefined),
        }),
      }),
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
