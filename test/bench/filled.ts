/** Data folders that take long to fill: done before anything is measured, one folder on each core at a time. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { here, output } from './harness.ts';

/** A program of this folder, which is started with the folder to be filled and these arguments. */
export interface Filling {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
}

export interface Filled {
  /** The folder that was filled under a name. @throws Error if there is none */
  folder(name: string): string;
  remove(): void;
}

/** @param fillings what takes longest first @throws Error if a program fails */
export async function fillAll(fillings: readonly Filling[], progress: (text: string) => void): Promise<Filled> {
  const work = mkdtempSync(join(tmpdir(), 'mizar-bench-'));
  const remove = () => rmSync(work, { recursive: true, force: true });
  const waiting = [...fillings];
  const underway = new Set<string>();
  const fillOn = async (core: 0 | 1): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      underway.add(next.name);
      progress(`filling: ${[...underway].join(', ')}`);
      const folder = join(work, next.name);
      mkdirSync(folder);
      const told = await output([here(next.program), folder, ...next.args], core);
      if (told === '') throw new Error(`${next.program} did not fill "${next.name}"`);
      underway.delete(next.name);
    }
  };
  try {
    await Promise.all([fillOn(0), fillOn(1)]);
  } catch (error) {
    remove();
    throw error;
  }
  return {
    folder(name) {
      if (!fillings.some((filling) => filling.name === name)) throw new Error(`No folder was filled as "${name}"`);
      return join(work, name);
    },
    remove,
  };
}
