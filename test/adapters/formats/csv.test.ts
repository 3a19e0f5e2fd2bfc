import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { type CsvRow, cellTime, csvRows, readCsvMapping } from '../../../adapters/formats/csv.ts';
import { jsonItems, readJsonMapping } from '../../../adapters/formats/json-items.ts';
import type { JsonValue } from '../../../broker/domain/json.ts';

async function rows(text: string | Buffer, mapping: object, chunkBytes = 7): Promise<readonly CsvRow[]> {
  const bytes = Buffer.from(text);
  const chunks = Array.from({ length: Math.ceil(bytes.length / chunkBytes) }, (_, at) =>
    bytes.subarray(at * chunkBytes, (at + 1) * chunkBytes),
  );
  const found: CsvRow[] = [];
  for await (const row of csvRows(Readable.from(chunks), readCsvMapping(mapping as JsonValue))) found.push(row);
  return found;
}
const plain = (row: CsvRow) =>
  'error' in row
    ? row
    : {
        line: row.line,
        device: row.device,
        at: row.at,
        ...Object.fromEntries(row.readings.map(({ address, value }) => [address, value])),
      };

describe('files of comma-separated values', () => {
  it('a row is a measure: numbers are numbers, missing values are none, names stay text', async () => {
    const text =
      'when,id,temp,label,ok,batch\n2026-03-01T10:00:00Z,s1,21.5,"a, ""b""",true,007\n2026-03-01T10:01:00Z,s2,NA,-,false,1e3\n';
    expect((await rows(text, { time: { column: 'when' }, device: { column: 'id' } }, 1000)).map(plain)).toEqual([
      { line: 2, device: 's1', at: '2026-03-01T10:00:00Z', temp: 21.5, label: 'a, "b"', ok: true, batch: '007' },
      { line: 3, device: 's2', at: '2026-03-01T10:01:00Z', ok: false, batch: 1000 },
    ]);
  });

  it('delimiter is found out, the comma may be decimal, and chunks may end anywhere', async () => {
    const text = '\uFEFFZeit;Wert;Ort\n01.03.2026 11:00;21,5;"Wien;Mitte"\n01.03.2026 11:05;1.000;x\n';
    const mapping = { decimal: ',', time: { column: 'Zeit', format: 'DD.MM.YYYY HH:mm', zone: 'Europe/Vienna' }, device: 'm7' };
    expect((await rows(text, mapping)).map(plain)).toEqual([
      { line: 2, device: 'm7', at: '2026-03-01T10:00:00Z', Wert: 21.5, Ort: 'Wien;Mitte' },
      // A point where the comma is decimal would be a thousand or a mistake, so it stays what it is.
      { line: 3, device: 'm7', at: '2026-03-01T10:05:00Z', Wert: '1.000', Ort: 'x' },
    ]);
  });

  it('Latin-1, tabs, columns by number, names for columns, and text that looks like a number', async () => {
    const text = Buffer.from('junk\nt\tGrün\tcode\n1772355600\t5\t12\n', 'latin1');
    const mapping = {
      skipRows: 1,
      encoding: 'latin1',
      time: { column: 0, format: 'epoch' },
      device: 'x',
      columns: { Grün: 'green', code: 'code' },
      text: ['code'],
    };
    expect((await rows(text, mapping)).map(plain)).toEqual([
      { line: 3, device: 'x', at: '2026-03-01T09:00:00Z', green: 5, code: '12' },
    ]);
  });

  it('each column may be a device', async () => {
    const text = 'time,hall,yard\n2026-03-01T10:00:00Z,20,4\n2026-03-01T11:00:00Z,none,5\n';
    expect((await rows(text, { time: { column: 'time' }, device: { attribute: 'temperature' } })).map(plain)).toEqual([
      { line: 2, device: 'hall', at: '2026-03-01T10:00:00Z', temperature: 20 },
      { line: 2, device: 'yard', at: '2026-03-01T10:00:00Z', temperature: 4 },
      { line: 3, device: 'yard', at: '2026-03-01T11:00:00Z', temperature: 5 },
    ]);
  });

  it('the SD card of a Smart Citizen Kit: four rows of names, of which the last has the numbers of the catalogue', async () => {
    const text =
      'TIME,TEMP,HUM,PM_25\nISO 8601,C,%,ug/m3\nTime,Temperature,Humidity,PM 2.5\n,55,56,87\n2026-03-01T07:00:00Z,18.4,61,none\n';
    expect((await rows(text, { skipRows: 3, time: { column: 0 }, device: 'kit-7' })).map(plain)).toEqual([
      { line: 5, device: 'kit-7', at: '2026-03-01T07:00:00Z', 55: 18.4, 56: 61 },
    ]);
  });

  it('a row that cannot be read is told with its line and costs nothing else', async () => {
    const text = 'when,id,v\nyesterday,a,1\n2026-03-01T10:00:00Z,,2\n2026-03-01T10:00:00,a,3\n2026-03-01T10:00:00Z,a,4\n';
    expect((await rows(text, { time: { column: 'when' }, device: { column: 'id' } })).map(plain)).toEqual([
      { line: 2, error: '"yesterday" is no time of the form iso with a zone' },
      { line: 3, error: 'the row names no device' },
      { line: 4, error: '"2026-03-01T10:00:00" is no time of the form iso with a zone' },
      { line: 5, device: 'a', at: '2026-03-01T10:00:00Z', v: 4 },
    ]);
  });

  it('a file without the columns that the mapping names cannot be read at all', async () => {
    await expect(rows('a,b\n1,2\n', { time: { column: 'when' }, device: 'x' })).rejects.toThrow(
      'no column "when" for the time; it has a, b',
    );
    await expect(rows('', { time: { column: 'when' }, device: 'x' })).rejects.toThrow('no row of names');
  });

  it.each([
    [{}, 'csv.time: must be an object'],
    [{ time: { column: 't' } }, 'csv.device: must be a device_id'],
    [{ time: { column: 't', format: 'x' }, device: 'd' }, 'csv.time.format'],
    [{ time: { column: 't', zone: 'Mars/Base' }, device: 'd' }, 'csv.time.zone'],
    [{ time: { column: 't' }, device: 'd', delimiter: ',,' }, 'csv.delimiter'],
    [{ time: { column: 't' }, device: 'd', colums: {} }, 'csv.colums: is not known'],
  ])('mapping %j is refused: %s', (mapping, reason) => expect(() => readCsvMapping(mapping as JsonValue)).toThrow(reason));

  it.each([
    ['2026-03-01 10:00:00', { format: 'iso', zone: 'UTC' }, '2026-03-01T10:00:00Z'],
    ['1772355600123', { format: 'epochMs' }, '2026-03-01T09:00:00.123Z'],
    ['3/1/2026 9:05', { format: 'MM/DD/YYYY HH:mm', zone: 'UTC' }, '2026-03-01T09:05:00Z'],
    ['31.02.2026', { format: 'DD.MM.YYYY', zone: 'UTC' }, undefined],
    ['', { format: 'iso' }, undefined],
  ])('time %s by %j is %s', (cell, time, expected) => expect(cellTime(cell, time)).toBe(expected));
});

describe('JSON of somebody else', () => {
  const document = {
    data: {
      stations: [
        { sid: 7, at: 1772355600, v: { t: 4.5, 'a/b': 1, n: null } },
        { sid: '', v: {} },
        { sid: 8, at: 'x', v: { t: 1 } },
        5,
      ],
    },
  };
  const mapping = readJsonMapping({
    list: '/data/stations',
    device: { pointer: '/sid' },
    time: { pointer: '/at', format: 'epoch' },
    values: '/v',
  });

  it('items are found by pointers, and one that cannot be read does not cost the others', () => {
    expect(jsonItems(document as unknown as JsonValue, mapping)).toEqual([
      {
        index: 0,
        device: '7',
        at: '2026-03-01T09:00:00Z',
        readings: [
          { address: 't', value: 4.5 },
          { address: 'a/b', value: 1 },
        ],
      },
      { index: 1, error: 'the item names no device' },
      { index: 2, error: 'the item has no time of the form epoch' },
      { index: 3, error: 'the item has no object of values' },
    ]);
  });
  it('a document may be one item, and its device may be fixed', () => {
    expect(jsonItems({ t: 1 }, readJsonMapping({ device: 'x' }))).toEqual([
      { index: 0, device: 'x', at: undefined, readings: [{ address: 't', value: 1 }] },
    ]);
    expect(() => jsonItems({ t: 1 }, readJsonMapping({ list: '/a', device: 'x' }))).toThrow('nothing at "/a"');
    expect(() => readJsonMapping({ list: 'a', device: 'x' })).toThrow('json.list: must be a JSON pointer');
    expect(() => readJsonMapping({})).toThrow('json.device');
  });
});
