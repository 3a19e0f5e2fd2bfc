import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { DeviceMessage } from '../../adapters/adapter.ts';
import { messagesOf, weatherAdapter } from '../../adapters/weather/adapter.ts';
import { metNorway } from '../../adapters/weather/met-norway.ts';
import { openMeteo } from '../../adapters/weather/open-meteo.ts';
import { readWeatherSettings } from '../../adapters/weather/settings.ts';
import type { JsonValue } from '../../broker/domain/json.ts';
import type { Instant } from '../../broker/domain/time.ts';
import { dataModels } from '../../models/catalogue.ts';
import { modelValidator } from '../../models/validate.ts';
import { inMemoryBroker } from '../support/broker.ts';
import { until } from '../support/devices.ts';

const NOW = Date.parse('2026-03-01T12:10:00Z') / 1000;
const H12 = Date.parse('2026-03-01T12:00:00Z') / 1000;
const SITE = { id: 'harbour', name: 'Harbour', latitude: 45.32711, longitude: 14.44222 };

/** As the forecast API of Open-Meteo answers what the adapter asks for. */
const OPEN_METEO: JsonValue = {
  latitude: 45.32,
  longitude: 14.44,
  elevation: 8,
  current_units: { time: 'unixtime', temperature_2m: '°C', wind_speed_10m: 'm/s' },
  current: {
    time: H12,
    interval: 900,
    temperature_2m: 11.2,
    apparent_temperature: 9.4,
    dew_point_2m: 6,
    relative_humidity_2m: 70,
    surface_pressure: 1012.3,
    pressure_msl: 1013.1,
    wind_speed_10m: 4.1,
    wind_direction_10m: 225,
    snow_depth: 0,
    visibility: 24140,
    weather_code: 2,
    precipitation: 0.2,
    wind_gusts_10m: 8.3,
    shortwave_radiation: null,
  },
  hourly: {
    time: [H12, H12 + 3600, H12 + 7200],
    temperature_2m: [11.2, 11.9, 12.1],
    relative_humidity_2m: [70, 66, null],
    precipitation: [9, 0.4, 1.1],
    precipitation_probability: [90, 35, 60],
    wind_gusts_10m: [9, 7, 6],
    uv_index: [2.5, 2.1, 1.4],
    weather_code: [61, 3, 95],
  },
};

/** As Locationforecast 2.0 of MET Norway answers. */
const MET: JsonValue = {
  type: 'Feature',
  geometry: { type: 'Point', coordinates: [14.4422, 45.3271, 8] },
  properties: {
    meta: { updated_at: '2026-03-01T11:31:09Z', units: { air_temperature: 'celsius', wind_speed: 'm/s' } },
    timeseries: [
      {
        time: '2026-03-01T12:00:00Z',
        data: {
          instant: {
            details: {
              air_temperature: 11.2,
              air_pressure_at_sea_level: 1013.1,
              relative_humidity: 70,
              wind_speed: 4.1,
              wind_from_direction: 225,
            },
          },
          next_1_hours: {
            summary: { symbol_code: 'lightrainshowers_day' },
            details: { precipitation_amount: 0.4, probability_of_precipitation: 35 },
          },
          next_6_hours: { summary: { symbol_code: 'rain' }, details: { precipitation_amount: 3 } },
        },
      },
      {
        time: '2026-03-01T13:00:00Z',
        data: {
          instant: { details: { air_temperature: 10.5 } },
          next_6_hours: { summary: { symbol_code: 'heavysnowandthunder' }, details: { precipitation_amount: 3 } },
        },
      },
      { time: '2099-03-10T12:00:00Z', data: { instant: { details: { air_temperature: 7 } } } },
    ],
  },
};

describe('what weather providers say', () => {
  it('Open-Meteo: per cent become parts, metres of snow centimetres, and what falls during an hour is taken from its end', () => {
    expect(openMeteo.read(OPEN_METEO, NOW)).toEqual({
      current: {
        at: H12,
        values: {
          temperature: 11.2,
          feelsLikeTemperature: 9.4,
          dewPoint: 6,
          relativeHumidity: 0.7,
          atmosphericPressure: 1012.3,
          seaLevelPressure: 1013.1,
          windSpeed: 4.1,
          windDirection: 225,
          gustSpeed: 8.3,
          precipitation: 0.2,
          snowHeight: 0,
          visibility: 24140,
          weatherType: 'partlyCloudy',
        },
      },
      forecast: [
        {
          from: H12,
          to: H12 + 3600,
          values: {
            temperature: 11.2,
            relativeHumidity: 0.7,
            precipitation: 0.4,
            precipitationProbability: 0.35,
            gustSpeed: 7,
            uVIndexMax: 2.5,
            weatherType: 'lightRain',
          },
        },
        {
          from: H12 + 3600,
          to: H12 + 7200,
          values: {
            temperature: 11.9,
            relativeHumidity: 0.66,
            precipitation: 1.1,
            precipitationProbability: 0.6,
            gustSpeed: 6,
            uVIndexMax: 2.1,
            weatherType: 'overcast',
          },
        },
      ],
    });
    expect(() => openMeteo.read({ error: true, reason: 'Latitude must be in range' }, NOW)).toThrow(
      'Latitude must be in range',
    );
    expect(() => openMeteo.read([], NOW)).toThrow('no object');
  });

  it('MET Norway: the last moment that has come is the present, an hour is preferred to six, and what has no period is no forecast', () => {
    expect(metNorway.read(MET, NOW)).toEqual({
      current: {
        at: H12,
        values: { temperature: 11.2, relativeHumidity: 0.7, seaLevelPressure: 1013.1, windSpeed: 4.1, windDirection: 225 },
      },
      forecast: [
        {
          from: H12,
          to: H12 + 3600,
          values: {
            temperature: 11.2,
            relativeHumidity: 0.7,
            seaLevelPressure: 1013.1,
            windSpeed: 4.1,
            windDirection: 225,
            precipitation: 0.4,
            precipitationProbability: 0.35,
            weatherType: 'lightRainShower',
          },
        },
        { from: H12 + 3600, to: H12 + 7 * 3600, values: { temperature: 10.5, precipitation: 3, weatherType: 'thunder' } },
      ],
      issuedAt: Date.parse('2026-03-01T11:31:09Z') / 1000,
    });
    expect(metNorway.query(SITE, 24)).toEqual({ lat: '45.3271', lon: '14.4422' });
    expect(() => metNorway.read({ properties: {} }, NOW)).toThrow('timeseries');
  });

  it('of a forecast only what lies ahead, as far as was asked for, reaches the broker', () => {
    const forecast = Array.from({ length: 60 }, (_, n) => ({
      from: H12 + (n - 5) * 3600,
      to: H12 + (n - 4) * 3600,
      values: { temperature: n },
    }));
    const messages = messagesOf(SITE, { forecast }, 48, '2026-03-01T12:10:00Z' as Instant);
    expect(messages).toHaveLength(49);
    const slots = messages.map(({ payload }) => /"harbour-(d\dh\d\d)"/.exec(payload)?.[1]);
    expect(new Set(slots).size).toBe(49);
    expect(messagesOf(SITE, { forecast }, 0, '2026-03-01T12:10:00Z' as Instant)).toEqual([]);
  });
});

describe('weather settings', () => {
  it.each([
    [{ provider: 'crystal-ball' }, 'provider: must be one of open-meteo, met-norway'],
    [{ provider: 'met-norway' }, 'headers: met-norway does not answer without user-agent'],
    [{ everyS: 1 }, 'everyS'],
    [{ hours: 49 }, 'hours'],
    [{ sites: [] }, 'sites'],
    [{ sites: [SITE, SITE] }, 'harbour is there twice'],
    [{ sites: [{ ...SITE, latitude: 91 }] }, 'sites[0].latitude'],
    [{ sites: [{ ...SITE, id: 'a b' }] }, 'sites[0].id'],
    [{ url: 'file:///etc/passwd' }, 'url'],
  ])('%j is refused: %s', (wrong, reason) => {
    expect(() => readWeatherSettings({ provider: 'open-meteo', sites: [SITE], ...wrong } as JsonValue)).toThrow(reason);
  });
});

async function service(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as { port: number }).port}/v1/forecast`;
}

describe('a weather provider as an adapter', () => {
  it('a site that fails costs the others nothing; what has not changed is not taken again', async () => {
    const asked: URL[] = [];
    const url = await service((request, response) => {
      const target = new URL(request.url ?? '', 'http://x');
      asked.push(target);
      if (target.searchParams.get('latitude') === '1') response.writeHead(500).end();
      else if (request.headers['if-none-match'] === '"1"') response.writeHead(304).end();
      else response.writeHead(200, { etag: '"1"' }).end(JSON.stringify(OPEN_METEO));
    });
    const messages: DeviceMessage[] = [];
    const settings = readWeatherSettings({
      provider: 'open-meteo',
      url,
      hours: 2,
      sites: [{ ...SITE, id: 'broken', latitude: 1 }, SITE],
    });
    const adapter = weatherAdapter(
      { ...settings, everyMs: 10 },
      {
        name: 'test',
        sink: { take: async (taken) => void messages.push(...taken) },
        now: () => '2026-03-01T12:10:00Z' as Instant,
        log: () => {},
        mayContact: async () => {},
      },
    );
    await until(() => asked.length >= 6, 'three rounds');
    await until(() => adapter.state().lastError !== undefined, 'the end of a round');
    const state = adapter.state();
    await adapter.stop();
    expect(messages.map(({ device, at }) => [device, at])).toEqual([
      ['weather-harbour', '2026-03-01T12:00:00Z'],
      ['weather-harbour-forecast', '2026-03-01T12:10:00Z'],
      ['weather-harbour-forecast', '2026-03-01T12:10:00Z'],
    ]);
    expect(asked[1]?.searchParams.get('forecast_hours')).toBe('3');
    expect(asked[1]?.searchParams.get('wind_speed_unit')).toBe('ms');
    expect(state).toMatchObject({ observed: 1, forecasts: 2, lastError: 'broken: the answer is 500' });
  });

  it.each([
    ['open-meteo', () => JSON.stringify(OPEN_METEO).replaceAll(/\b17\d{8}\b/g, (at) => String(Number(at) + shift()))],
    [
      'met-norway',
      () =>
        JSON.stringify(MET).replaceAll(/2026-03-01T1([123])/g, (_, hour) =>
          new Date((H12 + shift() + (Number(hour) - 2) * 3600) * 1000).toISOString().slice(0, 13),
        ),
    ],
  ])(
    '%s becomes entities that the models accept, with units and place, and writes the same ones over with the next answer',
    async (provider, answer) => {
      let rounds = 0;
      const url = await service((request, response) => {
        rounds++;
        expect(provider === 'open-meteo' || request.headers['user-agent'] === 'city.example weather@city.example').toBe(true);
        response.end(answer());
      });
      const broker = await inMemoryBroker();
      onTestFinished(() => broker[Symbol.asyncDispose]());
      await broker.broker.listen();
      const place = { 'fiware-service': 'city', 'fiware-servicepath': '/' };
      const headers = { 'user-agent': 'city.example weather@city.example' };
      const adapter = { kind: 'weather', settings: { provider, url, hours: 24, headers, sites: [SITE] } };
      const put = (more: object = {}) => broker.request('PUT', '/iot/adapters/weather', { ...adapter, ...more }, place);
      expect((await put()).statusCode).toBe(201);
      const context = 'https://raw.githubusercontent.com/smart-data-models/dataModel.Weather/master/context.jsonld';
      const read = async (type: string): Promise<Record<string, unknown>[]> =>
        (
          await broker.request('GET', `/ngsi-ld/v1/entities?type=${type}&format=simplified`, undefined, {
            'ngsild-tenant': 'city',
            link: `<${context}>; rel="http://www.w3.org/ns/json-ld#context"`,
          })
        ).json();
      let forecasts: Record<string, unknown>[] = [];
      for (let turn = 0; forecasts.length < 2; turn++) {
        if (turn > 1000) throw new Error('waited in vain for two forecasts');
        await new Promise((wake) => setTimeout(wake, 10));
        forecasts = await read('WeatherForecast');
      }
      const [observed] = await read('WeatherObserved');
      expect(observed).toMatchObject({
        id: 'urn:ngsi-ld:WeatherObserved:harbour',
        name: 'Harbour',
        temperature: 11.2,
        relativeHumidity: 0.7,
        windSpeed: 4.1,
      });
      expect(observed?.['location']).toEqual({ type: 'Point', coordinates: [14.44222, 45.32711] });
      const models = await dataModels();
      for (const entity of [observed, ...forecasts]) {
        const { '@context': _, ...simplified } = entity as Record<string, unknown>;
        const validate = await modelValidator(
          models.get(`https://smartdatamodels.org/dataModel.Weather/${String(entity?.['type'])}`)!.schema,
        );
        expect(validate(simplified)).toEqual([]);
      }
      const things = (
        await broker.request('GET', '/sta/v1.1/Things?$expand=Datastreams($select=name,unitOfMeasurement)', undefined, {
          'ngsild-tenant': 'city',
        })
      ).json().value as {
        Datastreams: { name: string; unitOfMeasurement: { symbol: string } }[];
      }[];
      expect(
        things.flatMap(({ Datastreams }) => Datastreams).find(({ name }) => name.endsWith(' windSpeed'))?.unitOfMeasurement
          .symbol,
      ).toBe('m/s');
      // Written down anew, it asks again: the same hours, the same entities.
      const before = rounds;
      await put({ settings: { ...adapter.settings, everyS: 600 } });
      await until(() => rounds > before, 'another round');
      expect((await read('WeatherForecast')).map(({ id }) => id)).toEqual(forecasts.map(({ id }) => id));
    },
  );
});

/** From the hour of the examples to the one that is now. */
const shift = (): number => Math.floor(Date.now() / 3_600_000) * 3600 - H12;
