import { DEFAULT_TENANT, type TenantId } from '../../domain/iri.ts';
import type { Everything, News, Watcher } from '../../operations/sta/operations.ts';
import { entityJson } from './render.ts';
import type { StaTopics, TopicRoot } from './topics.ts';

/** An MQTT broker of somebody else's, to which this one is a client (transport/mqtt/external-broker.ts). */
export interface ExternalPublisher {
  /** Resolves when it is on its way; while there is no connection it is lost. */
  publish(topic: string, payload: string): Promise<void>;
}

export interface ExternalTopicSettings {
  /** The root of which everything is published, and the one whose sets go without a prefix. */
  readonly staplus: TopicRoot;
  readonly sensing: TopicRoot;
  readonly origin: () => string;
  /** What is published: "all", or topics as clients would subscribe to them. */
  readonly topics: readonly string[];
}

/** Most topics beyond "all" that are published because somebody was seen to subscribe to them. */
const MOST_LEARNED = 1000;

/** What an external broker is told. It does not say who listens, but may be seen to log it. */
export interface ExternalTopics {
  /** Somebody subscribed to this. */
  learned(filter: string): void;
}

/**
 * SensorThings on an external MQTT broker (18-088, 14): everything is published under the topics that need no options, whoever listens; topics with $select
 * and longer paths are published if the configuration names them, or if somebody was seen to subscribe to them.
 */
export function externalTopics(
  topics: StaTopics,
  watching: Pick<Watcher, 'watchEverything'>,
  settings: ExternalTopicSettings,
  publisher: ExternalPublisher,
): ExternalTopics {
  const all = settings.topics.includes('all');
  const watched = new Set<string>();
  const learned = new Set<string>();
  const watch = (topic: string): boolean => {
    if (watched.has(topic)) return true;
    if (!topics.owns(topic) || !topics.maySubscribe(topic) || (all && isPublished(topic))) return false;
    watched.add(topic);
    topics.subscribed(topic);
    return true;
  };
  for (const topic of settings.topics) if (topic !== 'all') watch(topic);
  if (all) watching.watchEverything(everything(settings, publisher));
  return {
    learned(filter) {
      const before = watched.size;
      if (!watch(filter) || watched.size === before) return;
      learned.add(filter);
      if (learned.size <= MOST_LEARNED) return;
      const [oldest] = learned as unknown as [string];
      learned.delete(oldest);
      watched.delete(oldest);
      topics.unsubscribed(oldest);
    },
  };
}

/** One or two steps without options: what `everything` publishes. */
const isPublished = (topic: string): boolean => /v1\.1\/\w+(\(\d+\)(\/\w+)?)?$/.test(topic) && !LINK_TO_ONE.test(topic);
const LINK_TO_ONE =
  /\/(Thing|Sensor|ObservedProperty|Datastream|MultiDatastream|FeatureOfInterest|TaskingCapability|Actuator|Party|License|Subject|Object)$/;

function everything({ staplus, sensing, origin }: ExternalTopicSettings, publisher: ExternalPublisher): Everything {
  const before = (tenant: TenantId) => (tenant === DEFAULT_TENANT ? '' : `${tenant}/`);
  return {
    rootOf: (tenant) => ({
      model: staplus.model,
      url: `${origin()}${tenant === DEFAULT_TENANT ? '' : `/${tenant}`}${staplus.prefix}`,
    }),
    async tell(tenant, { answer, changed, parents }: News) {
      const { item } = answer;
      const plus = entityJson(answer);
      const roots = [{ prefix: `${before(tenant)}staplus/v1.1`, json: JSON.stringify(plus), model: staplus.model }];
      if (sensing.model.find(item.set) !== undefined) {
        roots.push({
          prefix: `${before(tenant)}v1.1`,
          json: JSON.stringify(withoutPlus(plus, item.set, staplus, sensing)),
          model: sensing.model,
        });
      }
      for (const { prefix, json, model } of roots) {
        const own = `${prefix}/${item.set}`;
        await publisher.publish(own, json);
        for (const { item: parent, link } of parents) {
          if (model.find(parent.set) && model.link(parent.set, link)) {
            await publisher.publish(`${prefix}/${parent.set}(${parent.id})/${link}`, json);
          }
        }
        if (changed !== undefined) await publisher.publish(`${own}(${item.id})`, json);
        for (const name of changed ?? []) {
          await publisher.publish(`${own}(${item.id})/${name}`, JSON.stringify({ [name]: item.property(name) ?? null }));
        }
      }
    },
  };
}

/** The same entity as the sensing root shows it. */
function withoutPlus(
  json: Record<string, unknown>,
  set: string,
  staplus: TopicRoot,
  sensing: TopicRoot,
): Record<string, unknown> {
  const links = new Set(sensing.model.find(set)?.links.map(({ name }) => `${name}@iot.navigationLink`));
  return Object.fromEntries(
    Object.entries(json)
      .filter(([name]) => !name.endsWith('@iot.navigationLink') || links.has(name))
      .map(([name, value]) => [
        name,
        name.startsWith('@iot.self') || name.endsWith('@iot.navigationLink')
          ? String(value).replace(staplus.prefix, sensing.prefix)
          : value,
      ]),
  );
}
