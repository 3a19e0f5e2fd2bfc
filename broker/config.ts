import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { flag, list, oneOf, type Setting, text, whole } from './setting.ts';

/**
 * Every setting of the broker: environment variable `MIZAR_*`, or the same name in lower camel case in `mizar.json` (the environment wins).
 * This is the only file that reads the environment. A test holds docs/configuration.md equal to this table.
 */
export const SETTINGS = {
  host: text('MIZAR_HOST', '127.0.0.1', 'Address to listen on, for HTTP and MQTT'),
  httpPort: whole('MIZAR_HTTP_PORT', 1026, [0, 65535], 'Port of the HTTP APIs; 0 takes a free one'),
  mqttPort: whole('MIZAR_MQTT_PORT', 1883, [0, 65535], 'Port of the embedded MQTT broker; 0 takes a free one'),
  mqtt: flag('MIZAR_MQTT', true, 'Whether the embedded MQTT broker runs'),
  open: flag('MIZAR_OPEN', false, 'Allow listening beyond this machine although nobody has to authenticate'),
  dataDir: text('MIZAR_DATA_DIR', './data', 'Folder of the embedded database, or ":memory:" to keep nothing'),
  store: text(
    'MIZAR_STORE',
    '',
    'Where entities, history and everything else are kept: empty for the embedded database in the data folder, or mongodb://host:port,…/database (docs/stores.md)',
  ),
  storeWaitMs: whole(
    'MIZAR_STORE_WAIT_MS',
    5_000,
    [100, 600_000],
    'How long a request waits for a MongoDB that is away (a failover, a restart) before it is answered 503',
    'ms',
  ),
  processes: whole(
    'MIZAR_PROCESSES',
    1,
    [1, 64],
    'Processes that share the HTTP port; beyond 1, all but the first read the database themselves and hand writes to the first (docs/operations.md)',
  ),
  brokerId: text(
    'MIZAR_BROKER_ID',
    '',
    'Name of this broker in stamps and federation; empty: made at the first start and kept in the data folder',
  ),
  publicUrl: text('MIZAR_PUBLIC_URL', '', 'Base URL under which others reach the HTTP APIs; empty: http://host:port'),
  logLevel: oneOf(
    'MIZAR_LOG_LEVEL',
    'info',
    ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    'Least severity that is logged',
  ),
  coreContext: oneOf(
    'MIZAR_CORE_CONTEXT',
    'v1.9',
    ['v1.3', 'v1.4', 'v1.5', 'v1.6', 'v1.7', 'v1.8', 'v1.9'],
    'Version of the core @context that answers name',
  ),
  cacheBytes: whole(
    'MIZAR_CACHE_BYTES',
    64 * 1024 * 1024,
    [0, 64 * 1024 ** 3],
    'Bound of the cache of rendered entities',
    'bytes',
  ),
  indexes: whole(
    'MIZAR_INDEXES',
    16,
    [0, 1000],
    'Most indexes of attribute values that one tenant gets because its queries ask for them; 0: none are made',
    'indexes',
  ),
  indexesPinned: list(
    'MIZAR_INDEXES_PINNED',
    [],
    'Attributes whose values are indexed from the first query on and for good: IRIs, perhaps behind a tenant and a space',
  ),
  indexesForbidden: list('MIZAR_INDEXES_FORBIDDEN', [], 'Attributes whose values are never indexed; written like those above'),
  bodyLimitBytes: whole('MIZAR_BODY_LIMIT_BYTES', 4 * 1024 * 1024, [1024, 1024 ** 3], 'Largest request body', 'bytes'),
  jsonDepth: whole('MIZAR_JSON_DEPTH', 64, [8, 1000], 'Deepest nesting of a JSON body', 'levels'),
  urlLimitChars: whole('MIZAR_URL_LIMIT_CHARS', 16_384, [256, 1_000_000], 'Longest path and query of a request', 'characters'),
  queryChars: whole(
    'MIZAR_QUERY_CHARS',
    16_384,
    [16, 1_000_000],
    'Longest q, scopeQ, type selection or projection',
    'characters',
  ),
  queryTerms: whole(
    'MIZAR_QUERY_TERMS',
    500,
    [1, 100_000],
    'Most conditions, types, scopes, names or values in one of them',
    'terms',
  ),
  queryDepth: whole(
    'MIZAR_QUERY_DEPTH',
    50,
    [1, 1000],
    'Deepest nesting of parentheses or linked entities in a query',
    'levels',
  ),
  queryOrders: whole('MIZAR_QUERY_ORDERS', 20, [1, 1000], 'Most attributes to order by', 'attributes'),
  patternChars: whole('MIZAR_PATTERN_CHARS', 1000, [1, 100_000], 'Longest regular expression', 'characters'),
  geometryPositions: whole('MIZAR_GEOMETRY_POSITIONS', 50_000, [4, 10_000_000], 'Most positions of one geometry', 'positions'),
  contextDepth: whole('MIZAR_CONTEXT_DEPTH', 8, [1, 100], 'Deepest nesting of @contexts that name @contexts', 'levels'),
  entityMaps: whole(
    'MIZAR_ENTITY_MAPS',
    100,
    [1, 100_000],
    'Most EntityMaps of one tenant; the one that ends first makes room',
    'maps',
  ),
  entityMapEntities: whole('MIZAR_ENTITY_MAP_ENTITIES', 100_000, [1, 10_000_000], 'Most entities in one EntityMap', 'entities'),
  snapshots: whole(
    'MIZAR_SNAPSHOTS',
    20,
    [1, 10_000],
    'Most Snapshots of one tenant; the one of least priority makes room',
    'snapshots',
  ),
  snapshotEntities: whole('MIZAR_SNAPSHOT_ENTITIES', 100_000, [1, 10_000_000], 'Most entities in one Snapshot', 'entities'),
  joinLevels: whole('MIZAR_JOIN_LEVELS', 10, [1, 100], 'Most levels of linked entities in one answer', 'levels'),
  joinedEntities: whole('MIZAR_JOINED_ENTITIES', 10_000, [1, 1_000_000], 'Most linked entities in one answer', 'entities'),
  batchLimit: whole('MIZAR_BATCH_LIMIT', 10_000, [1, 1_000_000], 'Most entities in one batch operation', 'entities'),
  pageLimit: whole('MIZAR_PAGE_LIMIT', 1000, [1, 100_000], 'Largest `limit` of a query', 'entities'),
  staPageLimit: whole(
    'MIZAR_STA_PAGE_LIMIT',
    10_000,
    [1, 1_000_000],
    'Most entities in one page of a SensorThings answer; a larger $top means this',
    'entities',
  ),
  staLookMs: whole('MIZAR_STA_LOOK_MS', 30_000, [100, 3_600_000], 'How long one SensorThings request may look', 'ms'),
  staOwnership: flag(
    'MIZAR_STA_OWNERSHIP',
    false,
    'Whether SensorThings lets only the Party to whom something belongs change it (STAplus); then nobody writes without having shown who they are',
  ),
  staMqttUrl: text(
    'MIZAR_STA_MQTT_URL',
    '',
    'An MQTT 5 broker for SensorThings topics beside the embedded one: mqtt[s]://[user[:password]@]host[:port]; empty: none',
  ),
  staMqttTopics: list(
    'MIZAR_STA_MQTT_TOPICS',
    ['all'],
    'What is published there: "all" for every topic without options, or topics as clients subscribe to them, such as v1.1/Observations?$select=result',
  ),
  temporalLimit: whole(
    'MIZAR_TEMPORAL_LIMIT',
    1000,
    [1, 1_000_000],
    'Most instances of one attribute in one temporal answer',
    'instances',
  ),
  waitingWrites: whole(
    'MIZAR_WAITING_WRITES',
    20_000,
    [1, 10_000_000],
    'Writes that may wait for the disk before new ones get 503',
    'writes',
  ),
  commitWrites: whole(
    'MIZAR_COMMIT_WRITES',
    2000,
    [1, 100_000],
    'Most writes that share one transaction and its fsync; 1: every write has its own',
    'writes',
  ),
  changeRetentionHours: whole(
    'MIZAR_CHANGE_RETENTION_HOURS',
    24,
    [0, 876_000],
    'How long the change log is kept after every reader has read it',
    'hours',
  ),
  contextTimeoutMs: whole(
    'MIZAR_CONTEXT_TIMEOUT_MS',
    5000,
    [100, 120_000],
    'How long fetching a remote @context may take',
    'ms',
  ),
  contextLimitBytes: whole(
    'MIZAR_CONTEXT_LIMIT_BYTES',
    1024 * 1024,
    [1024, 64 * 1024 * 1024],
    'Largest remote @context',
    'bytes',
  ),
  notificationTimeoutMs: whole(
    'MIZAR_NOTIFICATION_TIMEOUT_MS',
    10_000,
    [100, 600_000],
    'How long an endpoint may take to accept a notification',
    'ms',
  ),
  notificationRetryHours: whole(
    'MIZAR_NOTIFICATION_RETRY_HOURS',
    72,
    [0, 8760],
    'How long a failing delivery is retried before it goes to the dead-letter list; 0: it is tried once',
    'hours',
  ),
  waitingNotifications: whole(
    'MIZAR_WAITING_NOTIFICATIONS',
    10_000,
    [1, 10_000_000],
    'Most notifications received from other brokers that wait for one subscriber; more are left with them',
    'notifications',
  ),
  sourceTimeoutMs: whole(
    'MIZAR_SOURCE_TIMEOUT_MS',
    5000,
    [100, 600_000],
    'How long another context source may take to answer; a registration may ask for less',
    'ms',
  ),
  sourceReplyLimitBytes: whole(
    'MIZAR_SOURCE_REPLY_LIMIT_BYTES',
    16 * 1024 * 1024,
    [1024, 1024 ** 3],
    'Largest reply of another context source',
    'bytes',
  ),
  sourceCacheBytes: whole(
    'MIZAR_SOURCE_CACHE_BYTES',
    32 * 1024 * 1024,
    [0, 1024 ** 3],
    'Bound of the replies of context sources that are kept because their registration has a cacheDuration; 0: none is',
    'bytes',
  ),
  splitEntities: flag(
    'MIZAR_SPLIT_ENTITIES',
    false,
    'Whether single entities are taken to be spread over several brokers where a query or a subscription does not say (splitEntities)',
  ),
  copyCheckS: whole(
    'MIZAR_COPY_CHECK_S',
    3600,
    [0, 2_000_000],
    'How often it is looked whether context sources still have the copies of subscriptions; 0: never',
    's',
  ),
  sourceFanOut: whole(
    'MIZAR_SOURCE_FAN_OUT',
    100,
    [1, 10_000],
    'Most context sources that one read asks; others are warned of',
    'sources',
  ),
  sourceEntities: whole(
    'MIZAR_SOURCE_ENTITIES',
    10_000,
    [1, 1_000_000],
    'Most entities that one answer gathers from one context source',
    'entities',
  ),
  sourceInstances: whole(
    'MIZAR_SOURCE_INSTANCES',
    100_000,
    [1, 10_000_000],
    'Most instances of one attribute that are put together from several context sources to be aggregated, or for a Snapshot',
    'instances',
  ),
  egressPrivate: oneOf(
    'MIZAR_EGRESS_PRIVATE',
    'auto',
    ['auto', 'true', 'false'],
    'Whether notifications and @context fetches may go to private and loopback addresses; auto: only while the broker listens on loopback',
  ),
  egressAllow: list('MIZAR_EGRESS_ALLOW', [], 'Hosts that may always be contacted, also on private addresses'),
  mqttPacketLimitBytes: whole(
    'MIZAR_MQTT_PACKET_LIMIT_BYTES',
    256 * 1024,
    [1024, 64 * 1024 * 1024],
    'Largest MQTT packet',
    'bytes',
  ),
  mqttOutside: text(
    'MIZAR_MQTT_OUTSIDE',
    '',
    'MQTT 5 broker that devices connect to beside or instead of the embedded one: mqtt[s]://user:password@host:port; empty: none',
  ),
  mqttOutsideConnections: whole(
    'MIZAR_MQTT_OUTSIDE_CONNECTIONS',
    8,
    [1, 64],
    'Connections to the MQTT broker outside; each has one message under way until it is on disk',
    'connections',
  ),
  mqttOutsideControl: oneOf(
    'MIZAR_MQTT_OUTSIDE_CONTROL',
    'none',
    ['none', 'dynamic-security'],
    'Who says which devices the MQTT broker outside lets in; dynamic-security: this broker, through that plugin of Mosquitto, as its administrator',
  ),
  mqttConnections: whole('MIZAR_MQTT_CONNECTIONS', 20_000, [1, 1_000_000], 'Most MQTT connections at once', 'connections'),
  onboardingDays: whole(
    'MIZAR_ONBOARDING_DAYS',
    7,
    [1, 365],
    'A device that was begun to be onboarded and that nobody has claimed is deleted after this',
    'days',
  ),
  lazyWaitMs: whole('MIZAR_LAZY_WAIT_MS', 2000, [1, 60_000], 'How long a read waits for a lazy attribute of a device', 'ms'),
  commandExpiryS: whole(
    'MIZAR_COMMAND_EXPIRY_S',
    3600,
    [1, 31_536_000],
    'After this a command that its device has not answered ends as EXPIRED, unless it says another time (expiresAt)',
    's',
  ),
  coapPort: whole('MIZAR_COAP_PORT', 0, [0, 65535], 'UDP port for measures over CoAP, usually 5683; 0: CoAP is off'),
  importLimitBytes: whole(
    'MIZAR_IMPORT_LIMIT_BYTES',
    1024 ** 3,
    [1024, 1024 ** 4],
    'Largest file of history that is imported',
    'bytes',
  ),
  dropFolder: text(
    'MIZAR_DROP_FOLDER',
    '',
    'Folder below which file-drop adapters that run in the broker take files; empty: none are taken',
  ),
  drainTimeoutMs: whole('MIZAR_DRAIN_TIMEOUT_MS', 10_000, [0, 600_000], 'How long SIGTERM waits for work under way', 'ms'),
} as const;

type Value<S> = S extends Setting<infer T> ? T : never;
export type Config = { readonly [K in keyof typeof SETTINGS]: Value<(typeof SETTINGS)[K]> };

/** The configuration cannot be used; the message names the setting and what it must be. */
export class ConfigError extends Error {}

/**
 * Reads the configuration.
 * @param environment variable name to text
 * @param file        a JSON file of settings in lower camel case; undefined: `mizar.json` here, if there is one
 * @throws ConfigError for an unknown setting or a bad value
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>> = process.env, file?: string): Config {
  const known = new Map(Object.entries(SETTINGS).map(([name, setting]) => [setting.variable as string, name]));
  for (const variable of Object.keys(environment)) {
    if (variable.startsWith('MIZAR_') && !variable.startsWith('MIZAR_TEST_') && !known.has(variable)) {
      throw new ConfigError(`${variable} is not a setting. ${closest(variable, [...known.keys()])}`);
    }
  }
  const fromFile = readFile(file);
  const config: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(SETTINGS) as [string, Setting<unknown>][]) {
    const given = environment[setting.variable] ?? fromFile[name];
    if (given === undefined) {
      config[name] = setting.fallback;
      continue;
    }
    try {
      config[name] = setting.parse(Array.isArray(given) ? given.join(',') : String(given));
    } catch (error) {
      const source = environment[setting.variable] === undefined ? `"${name}" in mizar.json` : setting.variable;
      throw new ConfigError(`${source} ${(error as Error).message}, not "${String(given)}"`);
    }
  }
  return config as Config;
}

function readFile(file: string | undefined): Record<string, unknown> {
  const path = resolve(file ?? 'mizar.json');
  if (!existsSync(path)) {
    if (file !== undefined) throw new ConfigError(`There is no configuration file ${path}`);
    return {};
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ConfigError(`${path} is not JSON: ${(error as Error).message}`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new ConfigError(`${path} must hold a JSON object`);
  for (const name of Object.keys(parsed)) {
    if (!Object.hasOwn(SETTINGS, name))
      throw new ConfigError(`"${name}" in ${path} is not a setting. ${closest(name, Object.keys(SETTINGS))}`);
  }
  return parsed as Record<string, unknown>;
}

/** "Did you mean …?" for the known name with the smallest edit distance, if it is small. */
function closest(name: string, names: readonly string[]): string {
  const best = names.map((candidate) => [distance(name, candidate), candidate] as const).sort((a, b) => a[0] - b[0])[0];
  return best && best[0] <= 5 ? `Did you mean ${best[1]}?` : 'All settings are in docs/configuration.md.';
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}

/** Out of the box nobody has to authenticate, so only this machine may connect, unless the operator says otherwise (design: safe by default). */
export function refuseOpenWorld(config: Config): void {
  const local = ['127.0.0.1', 'localhost', '::1'].includes(config.host) || config.host.startsWith('127.');
  if (!local && !config.open) {
    throw new ConfigError(
      `MIZAR_HOST=${config.host} lets other machines in, but no authentication is configured: anybody could read and write everything. ` +
        'Set MIZAR_OPEN=true if something in front of the broker takes care of that.',
    );
  }
}

/** The table of docs/configuration.md, in Markdown. */
export function configurationTable(): string {
  const rows = Object.entries(SETTINGS).map(([name, setting]) => {
    const { variable, unit, fallback, about } = setting as Setting<unknown>;
    const shown = Array.isArray(fallback) ? fallback.join(',') : String(fallback);
    return `| \`${variable}\` | \`${name}\` | ${shown === '' ? '(empty)' : `\`${shown}\``} | ${unit ?? ''} | ${about} |`;
  });
  return ['| variable | in mizar.json | default | unit | effect |', '|---|---|---|---|---|', ...rows].join('\n');
}

/** Several processes share a file and a port, which not every installation has. */
export function refuseLonelyProcesses(config: Config, platform: string): void {
  if (config.processes === 1) return;
  if (config.store !== '') {
    throw new ConfigError(
      `MIZAR_PROCESSES=${config.processes} is not possible with MIZAR_STORE: processes share the embedded database`,
    );
  }
  if (config.dataDir === ':memory:') {
    throw new ConfigError(
      `MIZAR_PROCESSES=${config.processes} needs a data folder: a database in memory belongs to one process`,
    );
  }
  // Where Node can let several processes listen on one port, and the system spreads connections over them.
  if (!['linux', 'freebsd', 'dragonfly', 'sunos', 'aix'].includes(platform)) {
    throw new ConfigError(
      `MIZAR_PROCESSES=${config.processes} is not possible on ${platform}: several processes cannot share a port there`,
    );
  }
}

/** A store that this broker does not know. */
export function refuseUnknownStore({ store }: Config): void {
  if (store !== '' && !/^mongodb(\+srv)?:\/\/./.test(store)) {
    throw new ConfigError('MIZAR_STORE must be empty, or begin with mongodb:// or mongodb+srv://');
  }
}
