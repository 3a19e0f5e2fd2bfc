/** What the resource of a service group serves, by format: the same paths as over HTTP. */
export const RESOURCES = {
  json: '/iot/json',
  ultralight: '/iot/d',
  'things-stack': '/iot/tts',
  chirpstack: '/iot/chirpstack',
  sigfox: '/iot/sigfox',
  /** The old topic form does not say: any group of the key. */
  any: '',
} as const;

/** A topic, taken apart. Whether its key or token holds is for others to find out. */
export type TopicAddress =
  | {
      /** FIWARE: [/][json|ul/]<key>/<device>/attrs[/<name>] */
      readonly form: 'fiware';
      readonly format: 'json' | 'ultralight' | 'any';
      readonly key: string;
      readonly deviceId: string;
      readonly kind: string;
      readonly attribute?: string;
      readonly errorTopic: string;
    }
  | {
      /** Smart Citizen: [prefix/]device/sck/<token>/{readings,readings/raw,info,hello} */
      readonly form: 'kit';
      readonly token: string;
      readonly part: 'readings' | 'raw' | 'info' | 'hello';
      readonly errorTopic: string;
    }
  /** Smart Citizen factory tests: they name no device. */
  | { readonly form: 'inventory' }
  | {
      /** The Things Stack: v3/<application>[@<tenant>]/devices/<device>/up; ChirpStack: application/<application>/device/<dev eui>/event/<event> */
      readonly form: 'things-stack' | 'chirpstack';
      readonly deviceId: string;
      readonly event: string;
      readonly errorTopic: string;
    };

const KIT_PARTS: Readonly<Record<string, 'readings' | 'raw' | 'info' | 'hello'>> = {
  readings: 'readings',
  'readings/raw': 'raw',
  info: 'info',
  hello: 'hello',
};
const FIWARE_KINDS = ['attrs', 'cmdexe', 'configuration'];

/** Takes a topic apart that a device publishes to. @returns undefined if it is none */
export function parseTopic(topic: string): TopicAddress | undefined {
  const slash = topic.startsWith('/') ? '/' : '';
  const levels = topic.slice(slash.length).split('/');
  if (levels.length > 12 || levels.some((level) => level === '')) return undefined;

  const kit = levels.findIndex(
    (level, at) => level === 'device' && (levels[at + 1] === 'sck' || levels[at + 1] === 'inventory'),
  );
  if (kit >= 0 && kit <= 8) {
    const rest = levels.slice(kit + 1);
    if (rest.join('/') === 'inventory' || rest.join('/') === 'sck/inventory') return { form: 'inventory' };
    const [, token, ...part] = rest;
    const known = KIT_PARTS[part.join('/')];
    if (token === undefined || known === undefined) return undefined;
    const errorTopic = `${slash}${levels.slice(0, kit + 3).join('/')}/errors`;
    return { form: 'kit', token, part: known, errorTopic };
  }
  if (levels[0] === 'v3' && levels[2] === 'devices' && levels.length >= 5) {
    const errorTopic = `${slash}${levels.slice(0, 4).join('/')}/errors`;
    return { form: 'things-stack', deviceId: levels[3] as string, event: levels.slice(4).join('/'), errorTopic };
  }
  if (levels[0] === 'application' && levels[2] === 'device' && levels[4] === 'event' && levels.length === 6) {
    const errorTopic = `${slash}${levels.slice(0, 4).join('/')}/errors`;
    return { form: 'chirpstack', deviceId: (levels[3] as string).toLowerCase(), event: levels[5] as string, errorTopic };
  }
  const prefixed = levels[0] === 'json' || levels[0] === 'ul';
  const [key, deviceId, kind, ...rest] = prefixed ? levels.slice(1) : levels;
  if (key === undefined || deviceId === undefined || kind === undefined || !FIWARE_KINDS.includes(kind)) return undefined;
  if (kind === 'attrs' && rest.length > 1) return undefined;
  return {
    form: 'fiware',
    format: prefixed ? (levels[0] === 'json' ? 'json' : 'ultralight') : 'any',
    key,
    deviceId,
    kind: kind === 'configuration' ? [kind, ...rest].join('/') : kind,
    ...(kind === 'attrs' && rest[0] !== undefined && { attribute: rest[0] }),
    errorTopic: `${slash}${key}/${deviceId}/errors`,
  };
}

/**
 * Takes a topic filter apart that a device may ask for: what is sent to it (`cmd`, `configuration/values`) and the errors of its messages.
 * Wildcards only behind its own name. @returns undefined for all others
 */
export function parseFilter(filter: string): TopicAddress | undefined {
  const slash = filter.startsWith('/') ? '/' : '';
  const levels = filter.slice(slash.length).split('/');
  const named = (count: number) => levels.slice(0, count).every((level) => level !== '' && !/[+#]/.test(level));
  const kit = levels.indexOf('sck');
  if (kit > 0 && levels[kit - 1] === 'device') {
    if (!named(kit + 2) || !OWN_KIT.includes(levels.slice(kit + 2).join('/'))) return undefined;
    return { form: 'kit', token: levels[kit + 1] as string, part: 'hello', errorTopic: '' };
  }
  if (levels[0] === 'v3' && levels[2] === 'devices') {
    if (!named(4) || !OWN_UPLINK.includes(levels.slice(4).join('/'))) return undefined;
    return { form: 'things-stack', deviceId: levels[3] as string, event: 'errors', errorTopic: '' };
  }
  const prefixed = levels[0] === 'json' || levels[0] === 'ul';
  const own = prefixed ? 3 : 2;
  if (!named(own) || !OWN_FIWARE.includes(levels.slice(own).join('/'))) return undefined;
  const format = prefixed ? (levels[0] === 'json' ? 'json' : 'ultralight') : 'any';
  return {
    form: 'fiware',
    format,
    key: levels[own - 2] as string,
    deviceId: levels[own - 1] as string,
    kind: 'cmd',
    errorTopic: '',
  };
}

/** The topic on which whoever subscribes to this filter expects commands; undefined if they do not match it. */
export function commandTopic(filter: string): string | undefined {
  const levels = filter.split('/');
  const last = levels.pop();
  return last === 'cmd' || last === '#' || last === '+' ? [...levels, 'cmd'].join('/') : undefined;
}

const OWN_FIWARE = ['cmd', 'errors', 'configuration/values', '#', '+'];
const OWN_KIT = ['errors', '#'];
const OWN_UPLINK = ['errors', 'down/push', 'down/replace'];
