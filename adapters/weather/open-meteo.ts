import { isObject, type JsonObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { type Expected, numberIn, part, present, type Values, type WeatherProvider } from './provider.ts';

const HOUR_S = 3600;
/** What the API calls them. Those of an hour that has passed by the time that stands beside them: a sum, a maximum, a probability. */
const AT_A_MOMENT = [
  'temperature_2m',
  'apparent_temperature',
  'dew_point_2m',
  'relative_humidity_2m',
  'surface_pressure',
  'pressure_msl',
  'wind_speed_10m',
  'wind_direction_10m',
  'snow_depth',
  'visibility',
  'weather_code',
];
const OF_THE_HOUR_BEFORE = ['precipitation', 'wind_gusts_10m', 'shortwave_radiation'];
const ONLY_FORECAST = ['precipitation_probability', 'uv_index'];

/** The forecast API of Open-Meteo (open-meteo.com): `current` and `hourly` are asked for by name, times as seconds since 1970, wind in m/s. */
export const openMeteo: WeatherProvider = {
  url: 'https://api.open-meteo.com/v1/forecast',
  wants: [],
  query: ({ latitude, longitude, altitudeM }, hours) => ({
    latitude: String(latitude),
    longitude: String(longitude),
    ...(altitudeM !== undefined && { elevation: String(altitudeM) }),
    current: [...AT_A_MOMENT, ...OF_THE_HOUR_BEFORE].join(),
    ...(hours > 0 && {
      hourly: [...AT_A_MOMENT, ...OF_THE_HOUR_BEFORE, ...ONLY_FORECAST].join(),
      // One more: what falls during an hour stands at its end.
      forecast_hours: String(hours + 1),
    }),
    wind_speed_unit: 'ms',
    timeformat: 'unixtime',
    timezone: 'GMT',
  }),
  read(answer) {
    if (!isObject(answer)) throw new Error('the answer is no object');
    if (answer['error'] === true) throw new Error(`the service says: ${String(answer['reason']).slice(0, 200)}`);
    const current = member(answer, 'current');
    const at = numberIn(current?.['time']);
    const hourly = member(answer, 'hourly');
    if (at === undefined && hourly === undefined) throw new Error('the answer has neither current nor hourly');
    return {
      ...(current !== undefined && at !== undefined && { current: { at, values: valuesOf((name) => current[name]) } }),
      forecast: hourly === undefined ? [] : hours(hourly),
    };
  },
};

const member = (object: JsonObject, name: string): JsonObject | undefined => {
  const value = object[name];
  return isObject(value) ? value : undefined;
};

function hours(hourly: JsonObject): readonly Expected[] {
  const column = (name: string): readonly JsonValue[] => (Array.isArray(hourly[name]) ? hourly[name] : []);
  return column('time').flatMap((time, index): Expected[] => {
    const from = numberIn(time);
    const next = numberIn(column('time')[index + 1]);
    if (from === undefined || next === undefined || next - from > HOUR_S) return [];
    const values = valuesOf((name) => {
      const later = OF_THE_HOUR_BEFORE.includes(name) || name === 'precipitation_probability';
      return column(name)[later ? index + 1 : index];
    });
    return [{ from, to: next, values }];
  });
}

function valuesOf(given: (name: string) => unknown): Values {
  const number = (name: string) => numberIn(given(name));
  const snowM = number('snow_depth');
  const code = number('weather_code');
  return present({
    temperature: number('temperature_2m'),
    feelsLikeTemperature: number('apparent_temperature'),
    dewPoint: number('dew_point_2m'),
    relativeHumidity: part(number('relative_humidity_2m')),
    atmosphericPressure: number('surface_pressure'),
    seaLevelPressure: number('pressure_msl'),
    windSpeed: number('wind_speed_10m'),
    windDirection: number('wind_direction_10m'),
    gustSpeed: number('wind_gusts_10m'),
    precipitation: number('precipitation'),
    precipitationProbability: part(number('precipitation_probability')),
    snowHeight: snowM === undefined ? undefined : snowM * 100,
    visibility: number('visibility'),
    solarRadiation: number('shortwave_radiation'),
    uVIndexMax: number('uv_index'),
    weatherType: code === undefined ? undefined : WMO_CODES[code],
  });
}

/** Present weather of WMO (table 4677, those that the API uses) in the words of the Smart Data Models. */
const WMO_CODES: Readonly<Record<number, string>> = {
  0: 'clear',
  1: 'slightlyCloudy',
  2: 'partlyCloudy',
  3: 'overcast',
  45: 'fog',
  48: 'fog',
  51: 'drizzle',
  53: 'drizzle',
  55: 'drizzle',
  56: 'sleet',
  57: 'sleet',
  61: 'lightRain',
  63: 'rain',
  65: 'heavyRain',
  66: 'sleet',
  67: 'sleet',
  71: 'lightSnow',
  73: 'snow',
  75: 'heavySnow',
  77: 'snow',
  80: 'lightRainShower',
  81: 'shower',
  82: 'heavyRainShower',
  85: 'lightSnowShower',
  86: 'heavySnowShower',
  95: 'thunder',
  96: 'thunderShower',
  99: 'thunderShower',
};
