import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { GENERATOR } from './load.ts';
import type { Row } from './row.ts';

/** A run whose figures docs/performance.md shows. */
export interface SavedRun {
  readonly date: string;
  readonly machine: string;
  readonly node: string;
  readonly generator: string;
  readonly rows: readonly Row[];
}

/** Keeps the figures for docs/performance.md; `npm run docs` writes the page. */
export function saveRun(rows: readonly Row[]): void {
  const run: SavedRun = {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} cores, ${cpus()[0]?.model ?? 'unknown'}`,
    node: process.version,
    generator: GENERATOR,
    rows,
  };
  writeFileSync(join(import.meta.dirname, 'last-run.json'), `${JSON.stringify(run, null, 1)}\n`);
}
