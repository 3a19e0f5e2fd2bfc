import type { DescribedDevice } from '../../broker/ports/ingest.ts';
import { fromMicros, type Instant, type JsonValue, toMicros } from '../../broker/ports/ingest.ts';
import { type Adapter, type DeviceMessage, readingsMessage, type Surroundings } from '../adapter.ts';
import { type Asked, conditionalAsk } from '../http/ask.ts';
import { parseJson } from '../reading.ts';
import { repeated } from '../repeated.ts';
import type { Expected, Site, Weather } from './provider.ts';
import type { WeatherSettings } from './settings.ts';

const CONTEXT = 'https://raw.githubusercontent.com/smart-data-models/dataModel.Weather/master/context.jsonld';
const MOST_BYTES = 5 * 1024 * 1024;

/** UN/CEFACT codes of what providers tell; texts have none. */
const UNITS: Readonly<Record<string, string | undefined>> = {
  temperature: 'CEL',
  feelsLikeTemperature: 'CEL',
  dewPoint: 'CEL',
  relativeHumidity: 'C62',
  atmosphericPressure: 'A97',
  seaLevelPressure: 'A97',
  windSpeed: 'MTS',
  windDirection: 'DD',
  gustSpeed: 'MTS',
  precipitation: 'MMT',
  precipitationProbability: 'C62',
  snowHeight: 'CMT',
  visibility: 'MTR',
  solarRadiation: 'D54',
  uVIndexMax: 'C62',
  weatherType: undefined,
};

const observedId = ({ id }: Site): string => `weather-${id}`;
const forecastId = ({ id }: Site): string => `weather-${id}-forecast`;

/**
 * The devices of the sites: one that observes, with an entity of its own, and one that foresees, whose entities are the hours ahead. A provider's present becomes
 * WeatherObserved, each period WeatherForecast, of the Smart Data Models.
 */
export function weatherDevices({ sites, hours }: WeatherSettings): readonly DescribedDevice[] {
  const times = (...names: string[]) => names.map((name) => ({ name, type: 'DateTime' }));
  const attributes = Object.entries(UNITS).map(([name, unitCode]) => ({
    name,
    ...(unitCode !== undefined && { metadata: { unitCode: { type: 'Text', value: unitCode } } }),
  }));
  return sites.flatMap((site): readonly DescribedDevice[] => {
    const common = {
      explicitAttrs: true,
      jsonLdContext: CONTEXT,
      static_attributes: [
        { name: 'location', type: 'geo:json', value: { type: 'Point', coordinates: [site.longitude, site.latitude] } },
        ...(site.name === undefined ? [] : [{ name: 'name', type: 'Text', value: site.name }]),
      ],
    };
    const observed: DescribedDevice = {
      device_id: observedId(site),
      entity_name: site.id,
      entity_type: 'WeatherObserved',
      attributes: [...attributes, ...times('dateObserved')],
      ...common,
    };
    if (hours === 0) return [observed];
    const foreseen: DescribedDevice = {
      device_id: forecastId(site),
      entity_type: 'WeatherForecast',
      entityNameExp: 'forecastOf',
      // What is foreseen was not observed at any time: it says itself when it holds.
      timestamp: false,
      attributes: [...attributes, ...times('dateIssued', 'validFrom', 'validTo'), { name: 'validity', type: 'Text' }],
      ...common,
    };
    return [observed, foreseen];
  });
}

/** Asks a provider for the weather of its sites, one after the other, every so often. */
export function weatherAdapter(settings: WeatherSettings, { name, sink, now, log, mayContact }: Surroundings): Adapter {
  const { provider, sites, hours } = settings;
  const asks = new Map(sites.map((site) => [site, conditionalAsk(mayContact)]));
  const figures = { observed: 0, forecasts: 0, unchanged: 0 };

  function asked(site: Site): Asked {
    const url = new URL(settings.url);
    for (const [key, value] of Object.entries(provider.query(site, hours))) url.searchParams.set(key, value);
    return {
      url: url.href,
      headers: { accept: 'application/json', ...settings.headers },
      timeoutMs: settings.timeoutMs,
      maxBytes: MOST_BYTES,
    };
  }

  async function askOne(site: Site, signal: AbortSignal): Promise<void> {
    const answer = await asks.get(site)?.(asked(site), signal);
    if (answer === undefined) {
      figures.unchanged++;
      return;
    }
    const received = now();
    const weather = provider.read(parseJson(answer.body.toString('utf8')), toMicros(received) / 1e6);
    const messages = messagesOf(site, weather, hours, received);
    await sink.take(messages);
    figures.observed += weather.current === undefined ? 0 : 1;
    figures.forecasts += messages.length - (weather.current === undefined ? 0 : 1);
    answer.taken();
  }

  async function ask(signal: AbortSignal): Promise<void> {
    const failed: string[] = [];
    for (const site of sites) {
      // One place that fails costs the others nothing.
      await askOne(site, signal).catch((error: Error) => failed.push(`${site.id}: ${error.message}`));
      if (signal.aborted) return;
    }
    if (failed.length > 0) throw new Error(failed.slice(0, 3).join('; '));
  }

  const polling = repeated(settings.everyMs, ask, (error) =>
    log('warn', `the provider fails, and is asked more seldom: ${error.message}`, { adapter: name }),
  );
  return {
    state: () => ({ ...polling.figures(), ...figures }),
    stop: () => polling.stop(),
  };
}

/** What a provider said, as its devices would say it. */
export function messagesOf(
  site: Site,
  { current, forecast, issuedAt }: Weather,
  hours: number,
  now: Instant,
): readonly DeviceMessage[] {
  const nowS = toMicros(now) / 1e6;
  const messages: DeviceMessage[] = [];
  if (current !== undefined) {
    const at = instantOf(current.at);
    messages.push(readingsMessage(observedId(site), at, readings({ ...current.values, dateObserved: at })));
  }
  const ahead = forecast.filter(({ from, to }) => to > nowS && from < nowS + hours * 3600);
  for (const one of hours === 0 ? [] : ahead) {
    const { from, to, values } = one;
    const span = { validFrom: instantOf(from), validTo: instantOf(to), validity: `${instantOf(from)}/${instantOf(to)}` };
    const dateIssued = issuedAt === undefined ? now : instantOf(issuedAt);
    messages.push(
      readingsMessage(
        forecastId(site),
        now,
        readings({ ...values, ...span, dateIssued, forecastOf: `${site.id}-${slotOf(one)}` }),
      ),
    );
  }
  return messages;
}

/** The name of the hour among the next three days: its entity is written over when the hour has passed, so that their number stays what it is. */
function slotOf({ from }: Expected): string {
  const hour = Math.floor(from / 3600);
  return `d${(Math.floor(hour / 24) % 3) + 1}h${String(hour % 24).padStart(2, '0')}`;
}

const instantOf = (seconds: number): Instant => fromMicros(Math.round(seconds * 1e6));

const readings = (values: Readonly<Record<string, JsonValue>>) =>
  Object.entries(values).map(([address, value]) => ({ address, value }));
