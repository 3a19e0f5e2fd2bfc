import { createReadStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, matchesGlob, relative, resolve } from 'node:path';
import { isObject, type JsonValue } from '../../broker/ports/ingest.ts';
import { type Adapter, type DeviceMessage, readingsMessage, type Surroundings } from '../adapter.ts';
import { type CsvMapping, csvRows, readCsvMapping } from '../formats/csv.ts';
import { type JsonMapping, jsonItems, readJsonMapping } from '../formats/json-items.ts';
import { exactJson } from '../reading.ts';
import { repeated } from '../repeated.ts';

/** A folder that others put files into. */
export interface DropSettings {
  /** Below the folder that the operator of the machine has set aside for it. */
  readonly folder: string;
  readonly pattern: string;
  readonly everyMs: number;
  readonly after: 'move' | 'delete';
  readonly read: { readonly json: JsonMapping } | { readonly csv: CsvMapping };
}

/** @throws Error that begins with the path of what cannot be used */
export function readDropSettings(given: JsonValue): DropSettings {
  if (!isObject(given)) throw new Error('settings: must be an object');
  const { folder = '.', pattern, everyS = 10, after = 'move', json, csv } = given as Readonly<Record<string, JsonValue>>;
  if (typeof folder !== 'string' || relative('/x', resolve('/x', folder)).startsWith('..'))
    throw new Error('folder: must be a folder below the drop folder');
  if (pattern !== undefined && (typeof pattern !== 'string' || pattern.includes('/')))
    throw new Error('pattern: must be a pattern of file names, such as *.csv');
  if (typeof everyS !== 'number' || everyS < 0.1) throw new Error('everyS: must be seconds, from 0.1');
  if (after !== 'move' && after !== 'delete') throw new Error('after: must be move or delete');
  if ((json === undefined) === (csv === undefined))
    throw new Error('json, csv: one of the two must say how the files are read');
  return {
    folder,
    pattern: pattern ?? (json !== undefined ? '*.json' : '*.csv'),
    everyMs: everyS * 1000,
    after,
    read: json !== undefined ? { json: readJsonMapping(json) } : { csv: readCsvMapping(csv) },
  };
}

class NotTaken extends Error {}

/** A JSON file is read as a whole. */
const JSON_LIMIT_BYTES = 64 * 1024 * 1024;
const MOST_REFUSALS = 1000;

/**
 * Takes files out of a folder, the oldest first, when they have not changed between two looks. A file that was taken is moved to `done` (or deleted); what of it could
 * not be read is beside it as `<file>.refused.json`. One that cannot be read at all is moved to `failed`. A stop in between means that the file is taken again
 * from its beginning, which changes nothing: its times and values are the same.
 */
export function fileDropAdapter(settings: DropSettings, { name, sink, now, log, dropFolder }: Surroundings): Adapter {
  if (dropFolder === undefined)
    throw new Error('no drop folder is set here: MIZAR_DROP_FOLDER, or MIZAR_ADAPTER_DROP_FOLDER of an adapter process');
  const folder = join(dropFolder, settings.folder);
  const figures = { files: 0, failedFiles: 0, readings: 0, refused: 0, lastFile: '' };
  let before = new Map<string, string>();

  async function look(signal: AbortSignal): Promise<void> {
    const seen = new Map<string, string>();
    const ready: { readonly file: string; readonly modified: number }[] = [];
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (
        !entry.isFile() ||
        entry.name.startsWith('.') ||
        !matchesGlob(entry.name, settings.pattern) ||
        entry.name.endsWith('.refused.json')
      )
        continue;
      const { size, mtimeMs } = await stat(join(folder, entry.name));
      const state = `${size} ${mtimeMs}`;
      seen.set(entry.name, state);
      if (before.get(entry.name) === state) ready.push({ file: entry.name, modified: mtimeMs });
    }
    before = seen;
    for (const { file } of ready.sort((a, b) => a.modified - b.modified || a.file.localeCompare(b.file))) {
      if (signal.aborted) return;
      await take(file);
      before.delete(file);
    }
  }

  async function take(file: string): Promise<void> {
    const refused: { readonly at: string; readonly reason: string }[] = [];
    let count = 0;
    let batch: DeviceMessage[] = [];
    const handIn = async () => {
      if (batch.length > 0) {
        await sink.take(batch).catch((error: Error) => {
          throw new NotTaken(error.message);
        });
      }
      count += batch.length;
      batch = [];
    };
    try {
      for await (const item of items(join(folder, file))) {
        if ('reason' in item) {
          figures.refused++;
          if (refused.length < MOST_REFUSALS) refused.push(item);
        } else batch.push(item);
        if (batch.length >= 500) await handIn();
      }
      await handIn();
    } catch (error) {
      // The file is not at fault, and is taken again.
      if (error instanceof NotTaken) throw error;
      figures.failedFiles++;
      log('warn', `a file cannot be read: ${(error as Error).message}`, { adapter: name, file });
      await put(file, 'failed', [{ at: 'file', reason: (error as Error).message }, ...refused]);
      return;
    }
    figures.files++;
    figures.readings += count;
    figures.lastFile = file;
    log('info', 'file taken', { adapter: name, file, readings: count, refused: refused.length });
    if (settings.after === 'delete' && refused.length === 0) await rm(join(folder, file));
    else await put(file, 'done', refused);
  }

  async function* items(path: string): AsyncGenerator<DeviceMessage | { readonly at: string; readonly reason: string }> {
    if ('csv' in settings.read) {
      for await (const row of csvRows(createReadStream(path), settings.read.csv)) {
        yield 'error' in row
          ? { at: `line ${row.line}`, reason: row.error }
          : readingsMessage(row.device, row.at, row.readings);
      }
      return;
    }
    const { size, mtimeMs } = await stat(path);
    if (size > JSON_LIMIT_BYTES) throw new Error(`the file is larger than ${JSON_LIMIT_BYTES} bytes`);
    // Without times of its own it is of when it was written, which is the same however often it is read.
    const written = new Date(Math.min(mtimeMs, Date.parse(now()))).toISOString() as DeviceMessage['at'];
    for (const item of jsonItems(exactJson(await readFile(path, 'utf8')), settings.read.json)) {
      if ('error' in item) yield { at: `item ${item.index}`, reason: item.error };
      else if (item.readings.length > 0) yield readingsMessage(item.device, item.at ?? written, item.readings);
    }
  }

  async function put(file: string, where: 'done' | 'failed', refused: readonly unknown[]): Promise<void> {
    await mkdir(join(folder, where), { recursive: true });
    // Two files of one name on different days are two files.
    const target = join(folder, where, `${now().replace(/[:.]/g, '')}-${file}`);
    if (refused.length > 0) await writeFile(`${target}.refused.json`, JSON.stringify(refused, undefined, 2));
    await rename(join(folder, file), target);
  }

  const looking = repeated(settings.everyMs, look, (error) =>
    log('warn', `the folder cannot be read: ${error.message}`, { adapter: name }),
  );
  return {
    state: () => ({ ...looking.figures(), ...figures }),
    stop: () => looking.stop(),
  };
}
