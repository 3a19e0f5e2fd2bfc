import type { JsonValue } from '../../broker/ports/ingest.ts';

/** A place whose weather is asked for. */
export interface Site {
  /** Names its entities: letters, digits, "-", "_" and ".". */
  readonly id: string;
  readonly name?: string;
  readonly latitude: number;
  readonly longitude: number;
  /** Metres above the sea. */
  readonly altitudeM?: number;
}

/** Attributes of the Smart Data Models WeatherObserved and WeatherForecast, in the units of these models. */
export type Values = Readonly<Record<string, number | string>>;

/** What is expected during a period. Times are seconds since 1970. */
export interface Expected {
  readonly from: number;
  readonly to: number;
  readonly values: Values;
}

/** What a provider answered for one site. */
export interface Weather {
  /** Absent: it tells nothing of the present. */
  readonly current?: { readonly at: number; readonly values: Values };
  /** In order of time, without gaps or overlaps being promised. */
  readonly forecast: readonly Expected[];
  /** When the forecast was made; absent: it does not say. Seconds since 1970. */
  readonly issuedAt?: number;
}

/** A source of weather: how it is asked, and what its answer means. Another one is another entry in providers.ts. */
export interface WeatherProvider {
  /** Where it is asked if the settings name no other place. */
  readonly url: string;
  /** Headers without which it does not answer. */
  readonly wants: readonly string[];
  /** The query for a site. @param hours of forecast; 0: none */
  query(site: Site, hours: number): Readonly<Record<string, string>>;
  /** @param now seconds since 1970 @throws Error if the answer is not of its form */
  read(answer: JsonValue, now: number): Weather;
}

/** A number of an answer; undefined if there is none: providers leave out or null what they do not know. */
export const numberIn = (given: unknown): number | undefined =>
  typeof given === 'number' && Number.isFinite(given) ? given : undefined;

/** Only what is there. Rounded to what a table of the provider can mean, not to what a division makes of it. */
export function present(values: Readonly<Record<string, number | string | undefined>>): Values {
  const found: Record<string, number | string> = {};
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) found[name] = typeof value === 'number' ? Number(value.toPrecision(6)) : value;
  }
  return found;
}

/** Per cent as a part of the whole. */
export const part = (percent: number | undefined): number | undefined => (percent === undefined ? undefined : percent / 100);
