import { Readable } from 'node:stream';
import { isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { type Adapter, type DeviceMessage, readingsMessage, type Surroundings } from '../adapter.ts';
import { type CsvMapping, csvRows, readCsvMapping } from '../formats/csv.ts';
import { type JsonMapping, jsonItems, readJsonMapping } from '../formats/json-items.ts';
import { exactJson } from '../reading.ts';
import { repeated } from '../repeated.ts';
import { conditionalAsk } from './ask.ts';

/** Somebody's web service that is asked on a schedule. */
export interface PollSettings {
  readonly url: string;
  readonly everyMs: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly read: { readonly json: JsonMapping } | { readonly csv: CsvMapping };
}

/** @throws Error that begins with the path of what cannot be used */
export function readPollSettings(given: JsonValue): PollSettings {
  if (!isObject(given)) throw new Error('settings: must be an object');
  const {
    url,
    everyS = 300,
    headers = {},
    timeoutMs = 10_000,
    maxBytes = 10 * 1024 * 1024,
    json,
    csv,
  } = given as Readonly<Record<string, JsonValue>>;
  if (typeof url !== 'string' || !/^https?:\/\//.test(url) || !URL.canParse(url))
    throw new Error('url: must be an http or https URL');
  if (typeof everyS !== 'number' || everyS < 1 || everyS > 31_536_000) throw new Error('everyS: must be seconds, from 1');
  if (!isObject(headers) || !Object.values(headers).every((value) => typeof value === 'string'))
    throw new Error('headers: must be an object of texts');
  if (!Number.isInteger(timeoutMs) || (timeoutMs as number) < 100)
    throw new Error('timeoutMs: must be a whole number from 100');
  if (!Number.isInteger(maxBytes) || (maxBytes as number) < 1) throw new Error('maxBytes: must be a whole number');
  if ((json === undefined) === (csv === undefined))
    throw new Error('json, csv: one of the two must say how the answer is read');
  return {
    url,
    everyMs: everyS * 1000,
    headers: headers as Readonly<Record<string, string>>,
    timeoutMs: timeoutMs as number,
    maxBytes: maxBytes as number,
    read: json !== undefined ? { json: readJsonMapping(json) } : { csv: readCsvMapping(csv) },
  };
}

/** Asks a web service every so often; what has not changed since (ETag, Last-Modified) is not read again. */
export function httpPollAdapter(settings: PollSettings, { name, sink, now, log, mayContact }: Surroundings): Adapter {
  const conditional = conditionalAsk(mayContact);
  const headers = { accept: 'json' in settings.read ? 'application/json' : 'text/csv', ...settings.headers };
  const figures = { readings: 0, unchanged: 0, refusedItems: 0, lastRefusals: [] as string[] };

  async function ask(signal: AbortSignal): Promise<void> {
    const answer = await conditional({ ...settings, headers }, signal);
    if (answer === undefined) {
      figures.unchanged++;
      return;
    }
    const messages = await messagesOf(answer.body);
    // All of one answer is handed in before the answer counts as read.
    for (let at = 0; at < messages.length; at += 500) await sink.take(messages.slice(at, at + 500));
    figures.readings += messages.length;
    answer.taken();
  }

  async function messagesOf(body: Buffer): Promise<readonly DeviceMessage[]> {
    const refused: string[] = [];
    const messages: DeviceMessage[] = [];
    const received = now();
    if ('json' in settings.read) {
      for (const item of jsonItems(exactJson(body.toString('utf8')), settings.read.json)) {
        if ('error' in item) refused.push(`item ${item.index}: ${item.error}`);
        else if (item.readings.length > 0) messages.push(readingsMessage(item.device, item.at ?? received, item.readings));
      }
    } else {
      for await (const row of csvRows(Readable.from([body]), settings.read.csv)) {
        if ('error' in row) refused.push(`line ${row.line}: ${row.error}`);
        else messages.push(readingsMessage(row.device, row.at, row.readings));
      }
    }
    figures.refusedItems += refused.length;
    if (refused.length > 0) figures.lastRefusals = refused.slice(0, 20);
    return messages;
  }

  const polling = repeated(settings.everyMs, ask, (error) =>
    log('warn', `the service fails, and is asked more seldom: ${error.message}`, { adapter: name }),
  );
  return {
    state: () => ({ ...polling.figures(), ...figures }),
    stop: () => polling.stop(),
  };
}
