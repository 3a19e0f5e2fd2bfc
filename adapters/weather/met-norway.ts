import type { Instant } from '../../broker/ports/ingest.ts';
import { isObject, type JsonObject, type JsonValue, toMicros } from '../../broker/ports/ingest.ts';
import { type Expected, numberIn, part, present, type Values, type WeatherProvider } from './provider.ts';

const HOUR_S = 3600;

/**
 * Locationforecast 2.0 of MET Norway (api.met.no), the complete format: a list of moments, each with what is true then (`instant`) and what is expected in the hours that
 * follow (`next_1_hours`, `next_6_hours`). It wants to know who asks (User-Agent), and positions with at most four decimals.
 */
export const metNorway: WeatherProvider = {
  url: 'https://api.met.no/weatherapi/locationforecast/2.0/complete',
  wants: ['user-agent'],
  query: ({ latitude, longitude, altitudeM }) => ({
    lat: rounded(latitude),
    lon: rounded(longitude),
    ...(altitudeM !== undefined && { altitude: String(Math.round(altitudeM)) }),
  }),
  read(answer, now) {
    const properties = isObject(answer) ? answer['properties'] : undefined;
    const series = isObject(properties) ? properties['timeseries'] : undefined;
    if (!isObject(properties) || !Array.isArray(series)) throw new Error('the answer has no properties.timeseries');
    const moments = series.flatMap((one: JsonValue): Moment[] => {
      const at = isObject(one) ? secondsOf(one['time']) : undefined;
      const data = isObject(one) ? one['data'] : undefined;
      return at === undefined || !isObject(data) ? [] : [{ at, data }];
    });
    const issuedAt = secondsOf(isObject(properties['meta']) ? properties['meta']['updated_at'] : undefined);
    const present = moments.findLast(({ at }) => at <= now);
    return {
      // The service knows no observations: the present is what its model says of the last moment that has come.
      ...(present !== undefined && { current: { at: present.at, values: valuesOf(present.data, {}) } }),
      forecast: moments.flatMap(expectedOf),
      ...(issuedAt !== undefined && { issuedAt }),
    };
  },
};

interface Moment {
  readonly at: number;
  readonly data: JsonObject;
}

/** Up to two days ahead there is a period of an hour, then of six. */
function expectedOf({ at, data }: Moment): readonly Expected[] {
  for (const [name, hours] of [
    ['next_1_hours', 1],
    ['next_6_hours', 6],
  ] as const) {
    const period = data[name];
    if (isObject(period)) return [{ from: at, to: at + hours * HOUR_S, values: valuesOf(data, period) }];
  }
  return [];
}

function valuesOf(data: JsonObject, period: JsonObject): Values {
  const instant = isObject(data['instant']) ? data['instant']['details'] : undefined;
  const { details, summary } = period;
  const number = (name: string) => numberIn(isObject(instant) ? instant[name] : undefined);
  const ahead = (name: string) => numberIn(isObject(details) ? details[name] : undefined);
  const symbol = isObject(summary) ? summary['symbol_code'] : undefined;
  return present({
    temperature: number('air_temperature'),
    dewPoint: number('dew_point_temperature'),
    relativeHumidity: part(number('relative_humidity')),
    seaLevelPressure: number('air_pressure_at_sea_level'),
    windSpeed: number('wind_speed'),
    windDirection: number('wind_from_direction'),
    gustSpeed: number('wind_speed_of_gust'),
    uVIndexMax: number('ultraviolet_index_clear_sky'),
    precipitation: ahead('precipitation_amount'),
    precipitationProbability: part(ahead('probability_of_precipitation')),
    weatherType: typeof symbol === 'string' ? weatherType(symbol) : undefined,
  });
}

const rounded = (degrees: number): string => String(Math.round(degrees * 10_000) / 10_000);

function secondsOf(time: JsonValue | undefined): number | undefined {
  if (typeof time !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z$/.test(time)) return undefined;
  return toMicros(time as Instant) / 1e6;
}

/** `lightrainshowers_day` in the words of the Smart Data Models. */
function weatherType(symbol: string): string | undefined {
  const [word = '', light] = symbol.split('_');
  if (word === 'clearsky') return light === 'night' ? 'clearNight' : 'sunnyDay';
  if (word.includes('thunder')) return word.includes('showers') ? 'thunderShower' : 'thunder';
  const known: Readonly<Record<string, string>> = {
    fair: 'slightlyCloudy',
    partlycloudy: 'partlyCloudy',
    cloudy: 'cloudy',
    fog: 'fog',
  };
  if (known[word] !== undefined) return known[word];
  const [, strength = '', what = '', showers] = /^(light|heavy)?(rain|sleet|snow)(showers)?$/.exec(word) ?? [];
  if (what === '') return undefined;
  const name = strength === '' ? what : `${strength}${what.charAt(0).toUpperCase()}${what.slice(1)}`;
  return showers === undefined ? name : `${name}Shower`;
}
