import type { Readable } from 'node:stream';
import { type AdapterMeasure, isObject, type JsonValue } from '../broker/ports/ingest.ts';
import { csvRows, readCsvMapping } from './formats/csv.ts';

/**
 * Reads a file of history by the mapping in an adapter's settings: those of kind "csv", or what others have under `csv`.
 * @throws Error if the settings say nothing about such files, or the file cannot be read as a whole
 */
export async function* importedRows(
  { kind, settings }: { readonly kind: string; readonly settings: JsonValue },
  bytes: Readable,
): AsyncGenerator<
  | { readonly line: number; readonly error: string }
  | { readonly line: number; readonly measure: Pick<AdapterMeasure, 'device' | 'format' | 'payload' | 'at'> }
> {
  const own = kind === 'csv' ? settings : isObject(settings) ? (settings['csv'] as JsonValue | undefined) : undefined;
  if (own === undefined) throw new Error('the adapter says nothing about CSV files');
  for await (const row of csvRows(bytes, readCsvMapping(own))) {
    if ('error' in row) yield row;
    else {
      const payload = Buffer.from(JSON.stringify({ readings: row.readings }));
      yield { line: row.line, measure: { device: row.device, format: 'readings', payload, at: row.at } };
    }
  }
}
