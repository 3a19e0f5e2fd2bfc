import type { Readable } from 'node:stream';
import { type Instant, isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { deviceTime } from '../device-time.ts';
import type { Reading } from '../reading.ts';

/** How a file of comma-separated values is to be read. */
export interface CsvMapping {
  /** Absent: found out from the first rows. */
  readonly delimiter?: string;
  readonly decimal: '.' | ',';
  readonly encoding: 'utf8' | 'latin1';
  /** Rows before the row of names. */
  readonly skipRows: number;
  readonly time: { readonly column: string | number; readonly format: string; readonly zone?: string };
  /** Whose values: one device for the file, the one that a column names in each row, or one for each column. */
  readonly device: { readonly fixed: string } | { readonly column: string | number } | { readonly attribute: string };
  /** Name of a column → address of its readings. Absent: all columns under their own names. */
  readonly columns?: Readonly<Record<string, string>>;
  /** Columns that are text although they look like numbers. */
  readonly text: readonly string[];
  /** Cells that mean "no reading". */
  readonly missing: ReadonlySet<string>;
}

/** One device's readings out of one row, or why the row cannot be read. */
export type CsvRow =
  | { readonly line: number; readonly device: string; readonly at: Instant; readonly readings: readonly Reading[] }
  | { readonly line: number; readonly error: string };

const MISSING = ['', 'null', 'none', 'na', 'nan', '-'];
const MEMBERS = ['delimiter', 'decimal', 'encoding', 'skipRows', 'time', 'device', 'columns', 'text', 'missing'];

/** @throws Error that begins with the path of what cannot be used */
export function readCsvMapping(given: JsonValue | undefined, path = 'csv'): CsvMapping {
  if (!isObject(given)) throw new Error(`${path}: must be an object`);
  const unknown = Object.keys(given).find((name) => !MEMBERS.includes(name));
  if (unknown !== undefined) throw new Error(`${path}.${unknown}: is not known; there are ${MEMBERS.join(', ')}`);
  const {
    delimiter,
    decimal = '.',
    encoding = 'utf8',
    skipRows = 0,
    columns,
    text = [],
    missing,
  } = given as Readonly<Record<string, JsonValue>>;
  if (delimiter !== undefined && (typeof delimiter !== 'string' || delimiter.length !== 1))
    throw new Error(`${path}.delimiter: must be one character`);
  if (decimal !== '.' && decimal !== ',') throw new Error(`${path}.decimal: must be "." or ","`);
  if (encoding !== 'utf8' && encoding !== 'latin1') throw new Error(`${path}.encoding: must be utf8 or latin1`);
  if (!Number.isInteger(skipRows) || (skipRows as number) < 0 || (skipRows as number) > 1000)
    throw new Error(`${path}.skipRows: must be a whole number`);
  if (
    columns !== undefined &&
    (!isObject(columns) || !Object.values(columns).every((name) => typeof name === 'string' && name !== ''))
  )
    throw new Error(`${path}.columns: must be an object of names`);
  for (const [name, list] of Object.entries({ text, missing: missing ?? [] })) {
    if (!Array.isArray(list) || !list.every((item) => typeof item === 'string'))
      throw new Error(`${path}.${name}: must be a list of texts`);
  }
  return {
    ...(delimiter !== undefined && { delimiter }),
    decimal,
    encoding,
    skipRows: skipRows as number,
    time: readTime(given['time'] as JsonValue | undefined, `${path}.time`),
    device: readDevice(given['device'] as JsonValue | undefined, `${path}.device`),
    ...(columns !== undefined && { columns: columns as Readonly<Record<string, string>> }),
    text: text as readonly string[],
    missing: new Set(((missing as readonly string[] | undefined) ?? MISSING).map((token) => token.toLowerCase())),
  };
}

function readTime(time: JsonValue | undefined, path: string): CsvMapping['time'] {
  if (!isObject(time)) throw new Error(`${path}: must be an object with the column of the time`);
  const { column, format = 'iso', zone } = time as Readonly<Record<string, JsonValue>>;
  if (typeof format !== 'string' || (!['iso', 'epoch', 'epochMs'].includes(format) && !/YYYY/.test(format)))
    throw new Error(`${path}.format: must be iso, epoch, epochMs or a pattern such as DD.MM.YYYY HH:mm`);
  if (zone !== undefined && (typeof zone !== 'string' || !isZone(zone)))
    throw new Error(`${path}.zone: must be the name of a time zone, such as Europe/Bratislava`);
  return { column: columnName(column, `${path}.column`), format, ...(typeof zone === 'string' && { zone }) };
}

function readDevice(device: JsonValue | undefined, path: string): CsvMapping['device'] {
  if (typeof device === 'string' && device !== '') return { fixed: device };
  if (isObject(device) && device['column'] !== undefined)
    return { column: columnName(device['column'] as JsonValue, `${path}.column`) };
  if (isObject(device) && typeof device['attribute'] === 'string') return { attribute: device['attribute'] };
  throw new Error(
    `${path}: must be a device_id, {"column": …} if each row names its device, or {"attribute": …} if each column is a device`,
  );
}

function columnName(column: JsonValue | undefined, path: string): string | number {
  if ((typeof column === 'string' && column !== '') || (Number.isInteger(column) && (column as number) >= 0))
    return column as string | number;
  throw new Error(`${path}: must be the name of a column, or its number from 0`);
}

function isZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }) !== undefined;
  } catch {
    return false;
  }
}

/**
 * Reads rows as they come; a row that cannot be read is told with its line number and does not end the reading.
 * @throws Error if the file as a whole cannot be read: no row of names, no column of times
 */
export async function* csvRows(bytes: Readable, mapping: CsvMapping): AsyncGenerator<CsvRow> {
  const { parse } = await import('csv-parse');
  const { first, stream } = await beginning(bytes, mapping.skipRows);
  const parser = parse({
    delimiter: mapping.delimiter ?? sniffed(first.toString(mapping.encoding), mapping.skipRows),
    bom: true,
    encoding: mapping.encoding,
    relax_column_count: true,
    relax_quotes: true,
    skip_empty_lines: true,
    info: true,
    max_record_size: 1024 * 1024,
  });
  // Errors of the source are those of the parser; an unread rest of the source is not waited for.
  stream.on('error', (error) => parser.destroy(error));
  stream.pipe(parser);
  let names: readonly string[] | undefined;
  let skip = mapping.skipRows;
  let read: ((cells: readonly string[], line: number) => readonly CsvRow[]) | undefined;
  for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: { lines: number } }>) {
    if (skip > 0) skip--;
    else if (names === undefined) {
      names = record.map((name) => name.trim());
      read = rowReader(names, mapping);
    } else yield* (read as NonNullable<typeof read>)(record, info.lines);
  }
  if (names === undefined) throw new Error('the file has no row of names');
}

/** How far the row of names may be from the beginning of a file whose delimiter is to be found out. */
const SNIFFED_BYTES = 64 * 1024;
const NEWLINE = 10;

/** The bytes up to the row of names, and a stream of all. */
async function beginning(bytes: Readable, skipRows: number): Promise<{ first: Buffer; stream: Readable }> {
  const { Readable: Stream } = await import('node:stream');
  const chunks = bytes[Symbol.asyncIterator]() as AsyncIterableIterator<Buffer>;
  let first = Buffer.alloc(0);
  while (first.length < SNIFFED_BYTES && first.filter((byte) => byte === NEWLINE).length <= skipRows) {
    const { value, done } = await chunks.next();
    if (done) break;
    first = Buffer.concat([first, value]);
  }
  async function* all() {
    yield first;
    yield* chunks;
  }
  return { first, stream: Stream.from(all()) };
}

function sniffed(text: string, skipRows: number): string {
  const line = text.split(/\r?\n/)[skipRows] ?? '';
  const count = (delimiter: string) => line.split(delimiter).length;
  return [',', ';', '\t'].reduce((best, delimiter) => (count(delimiter) > count(best) ? delimiter : best));
}

function rowReader(
  names: readonly string[],
  mapping: CsvMapping,
): (cells: readonly string[], line: number) => readonly CsvRow[] {
  const position = (column: string | number, what: string): number => {
    const at = typeof column === 'number' ? column : names.indexOf(column);
    if (at < 0 || at >= names.length)
      throw new Error(`the file has no column "${column}" for ${what}; it has ${names.slice(0, 20).join(', ')}`);
    return at;
  };
  const timeAt = position(mapping.time.column, 'the time');
  const deviceAt = 'column' in mapping.device ? position(mapping.device.column, 'the device') : -1;
  const wanted = names.flatMap((name, at) => {
    if (at === timeAt || at === deviceAt || name === '') return [];
    const address = mapping.columns === undefined ? name : mapping.columns[name];
    return address === undefined ? [] : [{ at, address, isText: mapping.text.includes(name) }];
  });
  return (cells, line) => {
    const given = (cells[timeAt] ?? '').trim();
    const time = cellTime(given, mapping.time);
    if (time === undefined)
      return [
        {
          line,
          error: `"${given.slice(0, 40)}" is no time of the form ${mapping.time.format}${mapping.time.zone === undefined ? ' with a zone' : ''}`,
        },
      ];
    const readings = wanted.flatMap(({ at, address, isText }): Reading[] => {
      const cell = (cells[at] ?? '').trim();
      return mapping.missing.has(cell.toLowerCase())
        ? []
        : [{ address, value: isText ? cell : cellValue(cell, mapping.decimal) }];
    });
    if ('attribute' in mapping.device) {
      const { attribute } = mapping.device;
      return readings.map(({ address, value }) => ({
        line,
        device: address,
        at: time,
        readings: [{ address: attribute, value }],
      }));
    }
    const device = 'fixed' in mapping.device ? mapping.device.fixed : (cells[deviceAt] ?? '').trim();
    if (device === '') return [{ line, error: 'the row names no device' }];
    return readings.length === 0 ? [] : [{ line, device, at: time, readings }];
  };
}

/** 007 is a name, 7 a number. */
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/;

function cellValue(cell: string, decimal: '.' | ','): string | number | boolean {
  const plain = decimal === ',' ? cell.replace(',', '.') : cell;
  if (NUMBER.test(plain) && !(decimal === ',' && cell.includes('.'))) return Number(plain);
  if (cell === 'true' || cell === 'false') return cell === 'true';
  return cell;
}

const PARTS = ['YYYY', 'MM', 'DD', 'HH', 'mm', 'ss'] as const;

/** Reads a time in one of the forms of {@link CsvMapping}. */
export function cellTime(
  cell: string,
  { format, zone }: { readonly format: string; readonly zone?: string },
): Instant | undefined {
  if (cell === '') return undefined;
  if (format === 'iso') return deviceTime(cell, zone);
  if (format === 'epoch' || format === 'epochMs') {
    const number = Number(cell);
    const ms = format === 'epoch' ? number * 1000 : number;
    return Number.isFinite(ms) && Math.abs(ms) < 8.64e15 ? deviceTime(new Date(Math.round(ms)).toISOString()) : undefined;
  }
  const source = format
    .replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
    .replace(/YYYY|MM|DD|HH|mm|ss/g, (part) => `(?<${part}>\\d{1,${part.length}})`);
  const groups = new RegExp(`^${source}$`).exec(cell)?.groups;
  if (groups === undefined) return undefined;
  const [year, month, day, hour, minute, second] = PARTS.map((part) =>
    (groups[part] ?? (part === 'MM' || part === 'DD' ? '1' : '0')).padStart(2, '0'),
  );
  return deviceTime(`${year}-${month}-${day}T${hour}:${minute}:${second}`, zone);
}
