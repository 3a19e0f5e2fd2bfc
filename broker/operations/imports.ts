import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type AccessFunction, demand } from '../domain/access.ts';
import { type AdapterRecord, adapterId } from '../domain/adapter.ts';
import type { AdapterMeasure, DeviceOutcome } from '../domain/device.ts';
import { ProvisioningError, syntax } from '../domain/device-document.ts';
import { DomainError } from '../domain/errors.ts';
import type { TenantId } from '../domain/iri.ts';
import type { JsonObject } from '../domain/json.ts';
import type { DocumentStore } from '../ports/document-store.ts';
import type { Place } from './devices.ts';

/** A measure out of one row, or why the row has none. */
export type ImportedRow =
  | { readonly line: number; readonly measure: Omit<AdapterMeasure, 'tenant' | 'path' | 'keyHash'> }
  | { readonly line: number; readonly error: string };

export interface ImportOptions {
  readonly documents: DocumentStore;
  readonly access: AccessFunction;
  /** Where files wait until they are read; a restart goes on with them. */
  readonly folder: string;
  readonly limitBytes: number;
  readonly adapterOf: (tenant: TenantId, id: string) => AdapterRecord | undefined;
  /** @throws Error if the adapter says nothing about files, or the file cannot be read as a whole */
  readonly rows: (adapter: AdapterRecord, bytes: Readable) => AsyncIterable<ImportedRow>;
  /** @throws DomainError Unavailable */
  readonly store: (batch: readonly AdapterMeasure[]) => Promise<readonly DeviceOutcome[]>;
  readonly now: () => string;
  readonly onError: (error: unknown) => void;
}

/** An import as it is shown: counts of rows, and what was wrong with the first of those that were refused. */
export interface ImportJob {
  readonly id: string;
  readonly mapping: string;
  readonly status: 'Pending' | 'Processing' | 'Finished' | 'Failed' | 'Aborted';
  readonly createdAt: string;
  readonly endedAt?: string;
  readonly bytes: number;
  readonly bytesRead: number;
  /** Rows stored; those that were there already count as stored. */
  readonly stored: number;
  readonly refused: number;
  /** The last row that is stored or refused: where an import that was ended has come to. */
  readonly lastLine: number;
  readonly errors: readonly { readonly line: number; readonly reason: string }[];
  /** Why the file as a whole could not be read. */
  readonly reason?: string;
}

export interface ImportOperations {
  /** Takes the file, and reads it afterwards. @throws ProvisioningError if there is no such mapping; DomainError if the file is too large */
  create(place: Place, mapping: string, bytes: Readable): Promise<ImportJob>;
  list(place: Place): readonly ImportJob[];
  get(place: Place, id: string): ImportJob;
  /** Ends it if it is not ended: what is stored stays. Forgets it if it is. */
  delete(place: Place, id: string): Promise<void>;
  /** Goes on with what a restart has interrupted. */
  load(): Promise<void>;
  stop(): Promise<void>;
}

interface Known {
  readonly tenant: TenantId;
  readonly path: string;
  job: ImportJob;
}

const BATCH = 500;
const MOST_ERRORS = 100;
const MOST_JOBS = 200;
const SAVED_EVERY_MS = 2000;
const RETRY_MS = 500;

export function importOperations(options: ImportOptions): ImportOperations {
  const { documents, access, folder, adapterOf, rows, store, now, onError } = options;
  const jobs = new Map<string, Known>();
  const waiting: string[] = [];
  let working: Promise<void> | undefined;
  let stopped = false;
  const file = (id: string): string => join(folder, `${id}.csv`);

  async function save({ tenant, path, job }: Known): Promise<void> {
    await documents.put('import', tenant, job.id, { ...job, subservice: path } as unknown as JsonObject);
  }

  function found({ caller, path }: Place, id: string): Known {
    const known = jobs.get(id);
    if (known === undefined || known.tenant !== caller.tenant || (path !== '/*' && known.path !== path))
      throw new ProvisioningError('IMPORT_NOT_FOUND', `There is no import ${id}`);
    return known;
  }

  /** One file at a time: an import must not take the broker's whole attention. */
  function work(): void {
    working ??= (async () => {
      for (let id = waiting.shift(); id !== undefined && !stopped; id = waiting.shift()) {
        const known = jobs.get(id);
        if (known !== undefined && known.job.status === 'Pending') await run(known);
      }
    })()
      .catch(onError)
      .finally(() => {
        working = undefined;
      });
  }

  async function run(known: Known): Promise<void> {
    const { tenant, path } = known;
    known.job = { ...known.job, status: 'Processing', stored: 0, refused: 0, lastLine: 0, bytesRead: 0, errors: [] };
    let saved = Date.now();
    let read = 0;
    let batch: { readonly line: number; readonly measure: AdapterMeasure }[] = [];
    const refuse = (line: number, reason: string) => {
      const { errors, refused } = known.job;
      known.job = {
        ...known.job,
        refused: refused + 1,
        ...(errors.length < MOST_ERRORS && { errors: [...errors, { line, reason }] }),
      };
    };
    const flush = async () => {
      const outcomes = await patiently(batch.map(({ measure }) => measure));
      outcomes.forEach((outcome, at) => {
        if (outcome.accepted) known.job = { ...known.job, stored: known.job.stored + 1 };
        else refuse((batch[at] as { line: number }).line, `${outcome.code}: ${outcome.reason}`);
      });
      known.job = { ...known.job, bytesRead: read, lastLine: batch.at(-1)?.line ?? known.job.lastLine };
      batch = [];
      if (Date.now() - saved > SAVED_EVERY_MS) {
        saved = Date.now();
        await save(known);
      }
    };
    try {
      const adapter = adapterOf(tenant, adapterId({ path, name: known.job.mapping }));
      if (adapter === undefined) throw new Error(`the mapping "${known.job.mapping}" is gone`);
      const bytes = createReadStream(file(known.job.id));
      bytes.on('data', (chunk) => {
        read += chunk.length;
      });
      bytes.pause();
      for await (const row of rows(adapter, bytes)) {
        if (stopped || known.job.status === 'Aborted') break;
        if ('error' in row) refuse(row.line, row.error);
        else
          batch.push({
            line: row.line,
            measure: { ...row.measure, tenant, path, ...(adapter.keyHash !== undefined && { keyHash: adapter.keyHash }) },
          });
        if (batch.length >= BATCH) await flush();
      }
      // A stop leaves the file, and the next start begins it again: what is there already is no news.
      if (stopped) return;
      await flush();
      if (known.job.status === 'Processing')
        known.job = { ...known.job, status: 'Finished', bytesRead: known.job.bytes, endedAt: now() };
    } catch (error) {
      if (stopped) return;
      known.job = { ...known.job, status: 'Failed', reason: (error as Error).message, endedAt: now() };
    }
    await save(known);
    await rm(file(known.job.id), { force: true });
  }

  async function patiently(batch: readonly AdapterMeasure[]): Promise<readonly DeviceOutcome[]> {
    for (;;) {
      try {
        return batch.length === 0 ? [] : await store(batch);
      } catch (error) {
        if (stopped || !(error instanceof DomainError) || error.type !== 'Unavailable') throw error;
        await new Promise((wake) => setTimeout(wake, RETRY_MS));
      }
    }
  }

  return {
    async create(place, mapping, bytes) {
      demand(access, place.caller, { operation: 'createImport', effect: 'administer' });
      const { tenant } = place.caller;
      const adapter = adapterOf(tenant, adapterId({ path: place.path, name: mapping }));
      if (adapter === undefined)
        throw syntax(`mapping: there is no adapter "${mapping}" in this service path that says how the file is read`);
      if ([...jobs.values()].filter((one) => one.tenant === tenant && one.job.endedAt === undefined).length >= MOST_JOBS)
        throw new DomainError('TooManyRequests', `${MOST_JOBS} imports are waiting already`);
      const id = randomUUID();
      await mkdir(folder, { recursive: true });
      try {
        await pipeline(bytes, limit(options.limitBytes), createWriteStream(file(id), { flush: true }));
      } catch (error) {
        await rm(file(id), { force: true });
        throw error;
      }
      const { size } = await stat(file(id));
      const job: ImportJob = {
        id,
        mapping,
        status: 'Pending',
        createdAt: now(),
        bytes: size,
        bytesRead: 0,
        stored: 0,
        refused: 0,
        lastLine: 0,
        errors: [],
      };
      const known = { tenant, path: place.path, job };
      await save(known);
      jobs.set(id, known);
      waiting.push(id);
      work();
      return job;
    },
    list(place) {
      demand(access, place.caller, { operation: 'listImports', effect: 'read' });
      return [...jobs.values()]
        .filter(({ tenant, path }) => tenant === place.caller.tenant && (place.path === '/*' || place.path === path))
        .map(({ job }) => job);
    },
    get(place, id) {
      demand(access, place.caller, { operation: 'getImport', effect: 'read' });
      return found(place, id).job;
    },
    async delete(place, id) {
      demand(access, place.caller, { operation: 'deleteImport', effect: 'administer' });
      const known = found(place, id);
      if (known.job.endedAt === undefined) {
        known.job = { ...known.job, status: 'Aborted', endedAt: now() };
        await save(known);
        return;
      }
      jobs.delete(id);
      await documents.delete('import', known.tenant, id);
      await rm(file(id), { force: true });
    },
    async load() {
      for (const { tenant, body } of await documents.list('import', undefined)) {
        const { subservice, ...job } = body as unknown as ImportJob & { readonly subservice: string };
        const known: Known = { tenant, path: subservice, job };
        jobs.set(job.id, known);
        if (job.endedAt !== undefined) continue;
        known.job = { ...job, status: 'Pending' };
        waiting.push(job.id);
      }
      work();
    },
    async stop() {
      stopped = true;
      await working;
    },
  };
}

function limit(most: number): Transform {
  let size = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size > most) done(new DomainError('BadRequestData', `A file may have ${most} bytes`));
      else done(null, chunk);
    },
  });
}
