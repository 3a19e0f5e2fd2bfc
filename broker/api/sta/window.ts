import type { FastifyPluginAsync } from 'fastify';
import { isOfTask } from '../../domain/sta/task-id.ts';
import type { SensorThingsParts } from '../../operations/sta/sensor-things.ts';
import type { Tasking } from '../../operations/sta/tasks.ts';
import type { ExternalPublisher, ExternalTopics } from './external-topics.ts';
import type { OpenWindow } from './open-window.ts';
import { staRoutes } from './routes.ts';
import { STA_TOPIC } from './topic-names.ts';
import type { StaTopics } from './topics.ts';

/** Who has the MQTT connections. */
export interface Publisher {
  /** Where clients connect, as a URL. */
  readonly url: string;
  publish(topic: string, payload: string, qos: 0 | 1): Promise<void>;
}

/** Topics whose answers need all of SensorThings: only what {@link open} has resolved for may be asked, but for `owns` and `publish`. */
export interface LazyTopics extends StaTopics {
  open(): Promise<void>;
}

/** SensorThings over HTTP and MQTT. */
export interface SensorThingsWindow {
  readonly routes: FastifyPluginAsync;
  readonly topics: LazyTopics;
  /** From here on MQTT works. */
  connect(publisher: Publisher, origin: string): void;
  /** From here on an external MQTT broker is told of everything, or of the topics that the configuration names. */
  connectExternal(publisher: ExternalPublisher & { readonly url: string }, origin: string): Promise<ExternalSide>;
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
  readonly staLookMs: number;
  readonly jsonDepth: number;
  /** URL under which others reach the broker; empty: what the client used. */
  readonly publicUrl: string;
  readonly staOwnership: boolean;
  /** What an external MQTT broker is told. */
  readonly staMqttTopics: readonly string[];
}

/** Where the service roots are, without a tenant in front (ADR-0006). */
export const ROOT_PATHS = { sensing: '/sta/v1.1', staplus: '/staplus/v1.1' } as const;

/**
 * The window, which opens with the first request or topic that concerns it: most brokers are never asked for SensorThings, and to load it takes a
 * tenth of a start.
 */
export function sensorThingsWindow(
  parts: Omit<SensorThingsParts, 'maxPage' | 'ownership' | 'onError'>,
  settings: SensorThingsSettings,
  warn: (reason: string, details: object) => void,
): SensorThingsWindow {
  let opening: Promise<OpenWindow> | undefined;
  let opened: OpenWindow | undefined;
  let stopped = false;
  let connected: readonly [Publisher, string] | undefined;
  const tasking = parts.tasking && heardFromTheStart(parts.tasking);

  function open(): Promise<OpenWindow> {
    opening ??= import('./open-window.ts').then(({ openWindow }) => {
      opened = openWindow({ ...parts, ...(tasking && { tasking }) }, settings, warn);
      if (connected !== undefined) opened.connect(...connected);
      if (stopped) opened.stop();
      return opened;
    });
    return opening;
  }

  /** Commands of Tasks go on while nobody asks for SensorThings, after a restart for example: the first that says something opens the window. */
  function heardFromTheStart({ onState, ...rest }: Tasking): Tasking {
    const listeners: Parameters<Tasking['onState']>[0][] = [];
    onState(async (command) => {
      if (!isOfTask(command)) return;
      await open();
      for (const hear of listeners) await hear(command);
    });
    return { ...rest, onState: (hear) => void listeners.push(hear) };
  }

  function now(): StaTopics {
    if (opened === undefined) throw new Error('SensorThings topics are asked before they are open');
    return opened.topics;
  }

  return {
    topics: {
      async open() {
        await open();
      },
      owns: (topic) => STA_TOPIC.test(topic),
      maySubscribe: (topic) => now().maySubscribe(topic),
      subscribed: (topic) => now().subscribed(topic),
      unsubscribed: (topic) => now().unsubscribed(topic),
      publish: async (topic, payload) => (await open()).topics.publish(topic, payload),
      get figures() {
        return opened?.topics.figures ?? { created: 0, refused: 0 };
      },
    },
    async routes(app) {
      const { jsonDepth, staOwnership } = settings;
      app.register(
        staRoutes(async () => (await open()).services.sensing, { prefix: ROOT_PATHS.sensing, jsonDepth, rules: false }),
      );
      app.register(
        staRoutes(async () => (await open()).services.staplus, { prefix: ROOT_PATHS.staplus, jsonDepth, rules: staOwnership }),
      );
    },
    connect(publisher, origin) {
      connected = [publisher, origin];
      opened?.connect(publisher, origin);
    },
    connectExternal: async (publisher, origin) => (await open()).connectExternal(publisher, origin),
    idle: async () => opened?.idle(),
    stop() {
      stopped = true;
      opened?.stop();
    },
  };
}
