import type { Caller } from '../../domain/access.ts';
import { badRequest, DomainError } from '../../domain/errors.ts';
import { DEFAULT_TENANT, isTenantName, type TenantId } from '../../domain/iri.ts';
import type { Model } from '../../domain/sta/model.ts';
import { decoded } from '../../domain/sta/options.ts';
import { parseResourcePath } from '../../domain/sta/resource-path.ts';
import type { StaOperations, Told, Watch, Watcher } from '../../operations/sta/operations.ts';
import { parseJsonBody } from '../http/json-body.ts';
import { handle, optionsOf } from './handle.ts';
import { entityJson } from './render.ts';
import type { StaTarget } from './target.ts';
import { STA_TOPIC } from './topic-names.ts';

/** A service root that topics are of. */
export interface TopicRoot {
  readonly model: Model;
  /** Path without tenant, as links have it: "/sta/v1.1". */
  readonly prefix: string;
}

export interface StaTopicSettings {
  /** Of topics that begin with "v1.1", and of those that begin with "staplus/v1.1". */
  readonly sensing: TopicRoot;
  readonly staplus: TopicRoot;
  /** "http://host:1026" */
  readonly origin: () => string;
  readonly jsonDepth: number;
  /** Hears of publications that were refused: nobody answers a publisher. */
  readonly onRefused: (topic: string, reason: string) => void;
}

/** SensorThings over MQTT (18-088, 14): topics are paths behind the host, from the version on. */
export interface StaTopics {
  owns(topic: string): boolean;
  /** Whether somebody may listen there: the path must be one, and say nothing but $select. */
  maySubscribe(topic: string): boolean;
  subscribed(topic: string): void;
  unsubscribed(topic: string): void;
  /** Creates an entity. Resolves when it is stored, or was refused. @throws DomainError Unavailable */
  publish(topic: string, payload: string): Promise<void>;
  readonly figures: { readonly created: number; readonly refused: number };
}

export function staTopics(
  operations: StaOperations,
  watching: Pick<Watcher, 'add' | 'remove'>,
  settings: StaTopicSettings,
): StaTopics {
  /** How many listen to a topic. */
  const listening = new Map<string, number>();
  const figures = { created: 0, refused: 0 };

  function targetOf(topic: string): StaTarget {
    const [, tenant, plus, rest] = STA_TOPIC.exec(topic) ?? [];
    if (rest === undefined || (tenant !== undefined && !isTenantName(tenant)))
      throw badRequest(`"${topic.slice(0, 200)}" is no SensorThings topic`);
    const at = rest.indexOf('?');
    const caller: Caller = { tenant: (tenant ?? DEFAULT_TENANT) as TenantId, principal: { kind: 'anonymous' } };
    const { model, prefix } = plus === undefined ? settings.sensing : settings.staplus;
    return {
      model,
      url: `${settings.origin()}${tenant === undefined ? '' : `/${tenant}`}${prefix}`,
      caller,
      path: at < 0 ? rest : rest.slice(0, at),
      query: at < 0 ? '' : rest.slice(at + 1),
    };
  }

  function watchOf(topic: string): Watch {
    const target = targetOf(topic);
    if (/(^|\/)[#+](\/|$)/.test(target.path)) throw badRequest('SensorThings topics have no wildcards');
    const path = parseResourcePath(target.path, target.model);
    const options = optionsOf({ query: target.query.split('&').map(decoded).join('&'), model: target.model }, path);
    const wrong = (options.written ?? []).find(([name]) => name.toLowerCase() !== '$select');
    if (wrong !== undefined) throw badRequest(`A topic can carry $select, and not ${wrong[0]}`);
    if (path.end.kind === 'ref' || (path.end.kind === 'property' && (path.end.raw || path.end.inside.length > 0))) {
      throw badRequest('A topic ends at a collection, an entity or a property');
    }
    return { caller: target.caller, root: target, path, options };
  }

  return {
    figures,
    owns: (topic) => STA_TOPIC.test(topic),
    maySubscribe(topic) {
      try {
        watchOf(topic);
        return true;
      } catch (error) {
        if (error instanceof DomainError) return false;
        throw error;
      }
    },
    subscribed(topic) {
      const count = listening.get(topic) ?? 0;
      listening.set(topic, count + 1);
      if (count === 0) watching.add(topic, watchOf(topic));
    },
    unsubscribed(topic) {
      const count = listening.get(topic) ?? 0;
      if (count > 1) listening.set(topic, count - 1);
      else if (listening.delete(topic)) watching.remove(topic);
    },
    async publish(topic, payload) {
      try {
        const body = parseJsonBody(payload, settings.jsonDepth);
        await handle(operations, { method: 'POST', target: targetOf(topic), body });
        figures.created++;
      } catch (error) {
        if (!(error instanceof DomainError) || error.type === 'Unavailable') throw error;
        figures.refused++;
        settings.onRefused(topic, error.message);
      }
    },
  };
}

/** What those who listen get. */
export function messageOf(told: Told): string {
  if (told.kind === 'entity') return JSON.stringify(entityJson(told.answer));
  return JSON.stringify({ [told.name]: told.item.property(told.name) ?? null });
}
