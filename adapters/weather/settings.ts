import { isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { metNorway } from './met-norway.ts';
import { openMeteo } from './open-meteo.ts';
import type { Site, WeatherProvider } from './provider.ts';

/** Those that can be named in settings. */
export const PROVIDERS: Readonly<Record<string, WeatherProvider>> = { 'open-meteo': openMeteo, 'met-norway': metNorway };

/** Where weather comes from, for which places, and how often. */
export interface WeatherSettings {
  readonly provider: WeatherProvider;
  readonly url: string;
  readonly everyMs: number;
  /** Of forecast; 0: none. */
  readonly hours: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly sites: readonly Site[];
}

const MOST_SITES = 100;

/** @throws Error that begins with the path of what cannot be used */
export function readWeatherSettings(given: JsonValue): WeatherSettings {
  if (!isObject(given)) throw new Error('settings: must be an object');
  const {
    provider: named,
    url,
    everyS = 900,
    hours = 24,
    headers = {},
    timeoutMs = 10_000,
    sites,
  } = given as Readonly<Record<string, JsonValue>>;
  const provider = typeof named === 'string' && Object.hasOwn(PROVIDERS, named) ? PROVIDERS[named] : undefined;
  if (provider === undefined) throw new Error(`provider: must be one of ${Object.keys(PROVIDERS).join(', ')}`);
  if (url !== undefined && (typeof url !== 'string' || !/^https?:\/\//.test(url) || !URL.canParse(url)))
    throw new Error('url: must be an http or https URL');
  if (typeof everyS !== 'number' || everyS < 60 || everyS > 31_536_000) throw new Error('everyS: must be seconds, from 60');
  if (!Number.isInteger(hours) || (hours as number) < 0 || (hours as number) > 48) throw new Error('hours: must be 0 to 48');
  if (!isObject(headers) || !Object.values(headers).every((value) => typeof value === 'string'))
    throw new Error('headers: must be an object of texts');
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  const missing = provider.wants.find((name) => !names.includes(name));
  if (missing !== undefined) throw new Error(`headers: ${String(named)} does not answer without ${missing}`);
  if (!Number.isInteger(timeoutMs) || (timeoutMs as number) < 100)
    throw new Error('timeoutMs: must be a whole number from 100');
  if (!Array.isArray(sites) || sites.length === 0 || sites.length > MOST_SITES)
    throw new Error(`sites: must be a list of 1 to ${MOST_SITES}`);
  const read = sites.map((site: JsonValue, at) => readSite(site, `sites[${at}]`));
  const twice = read.find(({ id }, at) => read.findIndex((one) => one.id === id) !== at);
  if (twice !== undefined) throw new Error(`sites: ${twice.id} is there twice`);
  return {
    provider,
    url: (url as string | undefined) ?? provider.url,
    everyMs: everyS * 1000,
    hours: hours as number,
    headers: headers as Readonly<Record<string, string>>,
    timeoutMs: timeoutMs as number,
    sites: read,
  };
}

function readSite(given: JsonValue, path: string): Site {
  if (!isObject(given)) throw new Error(`${path}: must be an object`);
  const { id, name, latitude, longitude, altitudeM } = given as Readonly<Record<string, JsonValue>>;
  if (typeof id !== 'string' || !/^[\w.-]{1,100}$/.test(id))
    throw new Error(`${path}.id: must be letters, digits, "-", "_" and "."`);
  if (name !== undefined && typeof name !== 'string') throw new Error(`${path}.name: must be a text`);
  if (typeof latitude !== 'number' || Math.abs(latitude) > 90) throw new Error(`${path}.latitude: must be -90 to 90`);
  if (typeof longitude !== 'number' || Math.abs(longitude) > 180) throw new Error(`${path}.longitude: must be -180 to 180`);
  if (altitudeM !== undefined && typeof altitudeM !== 'number') throw new Error(`${path}.altitudeM: must be metres`);
  return {
    id,
    latitude,
    longitude,
    ...(typeof name === 'string' && { name }),
    ...(typeof altitudeM === 'number' && { altitudeM }),
  };
}
