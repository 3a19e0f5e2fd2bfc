import { createHash } from 'node:crypto';
import { isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import type { Adapter, Surroundings } from '../adapter.ts';
import { mqttLink } from './link.ts';
import { type Profile, profileOf } from './profiles.ts';

/** How to reach somebody else's MQTT server, and what it says. */
export interface MqttSettings {
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  readonly clientId?: string;
  /** Name of a shared subscription: several adapters then take turns. */
  readonly share?: string;
  readonly profile: Profile;
}

/** @throws Error that begins with the path of what cannot be used */
export function readMqttSettings(given: JsonValue): MqttSettings {
  if (!isObject(given)) throw new Error('settings: must be an object');
  const { url, username, password, clientId, share } = given as Readonly<Record<string, JsonValue>>;
  if (typeof url !== 'string' || !/^(mqtts?|wss?):\/\/[^/@]/.test(url) || !URL.canParse(url))
    throw new Error('url: must be mqtt://host:port, mqtts://, ws:// or wss://');
  for (const [name, value] of Object.entries({ username, password, clientId, share })) {
    if (value !== undefined && typeof value !== 'string') throw new Error(`${name}: must be a text`);
  }
  if (typeof share === 'string' && !/^[^/+#]+$/.test(share)) throw new Error('share: must not contain / + #');
  return {
    url,
    ...(typeof username === 'string' && { username }),
    ...(typeof password === 'string' && { password }),
    ...(typeof clientId === 'string' && { clientId }),
    ...(typeof share === 'string' && { share }),
    profile: profileOf(given as Readonly<Record<string, JsonValue>>),
  };
}

/** Hears what devices publish on somebody else's MQTT server: a network server, a bridge, a city's own broker. */
export function mqttAdapter(settings: MqttSettings, { name, sink, now, log, mayContact }: Surroundings): Adapter {
  const { profile, share } = settings;
  const figures = { messages: 0, ignored: 0 };
  const link = mqttLink({
    ...settings,
    clientId: settings.clientId ?? `mizar-${createHash('sha256').update(`${name} ${settings.url}`).digest('hex').slice(0, 16)}`,
    subscriptions: profile.filters.map((filter) => (share === undefined ? filter : `$share/${share}/${filter}`)),
    qos: profile.qos,
    mayContact,
    log: (level, message, details) => log(level, message, { adapter: name, ...details }),
    async onMessage(topic, payload, { retained, repeated, messageId }) {
      const found = recognized(topic, payload, retained);
      if (found === undefined) {
        figures.ignored++;
        return;
      }
      figures.messages++;
      const key =
        messageId === undefined
          ? undefined
          : createHash('sha256').update(`${name}\n${messageId}\n${topic}\n`).update(payload).digest('base64url');
      await sink.take([{ ...found, ...written(payload), at: now() }], key === undefined ? undefined : { key, repeated });
    },
  });

  function recognized(topic: string, payload: Buffer, retained: boolean) {
    try {
      return profile.recognize(topic, payload, retained);
    } catch (error) {
      log('warn', `a publication cannot be read: ${(error as Error).message}`, { adapter: name, topic });
      return undefined;
    }
  }

  return {
    state: () => ({ connected: link.connected(), ...figures }),
    ...(profile.command !== undefined && {
      async command(device: string, command: string, value: JsonValue) {
        const { topic, payload } = (profile.command as NonNullable<Profile['command']>)(device, command, value);
        await link.send(topic, payload, { qos: profile.qos });
        return 'sent';
      },
    }),
    stop: () => link.close(),
  };
}

/** Text stays text; other bytes are base64. */
function written(payload: Buffer): { readonly payload: string; readonly encoding?: 'base64' } {
  const text = payload.toString('utf8');
  return Buffer.from(text).equals(payload) ? { payload: text } : { payload: payload.toString('base64'), encoding: 'base64' };
}
