import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

/** Which room may import which. broker/mizar.js starts broker/main.ts; that and broker/wiring.ts tie the rooms together: they import anything, and nothing imports them. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'broker/domain': [],
  'broker/ports': ['broker/domain'],
  'broker/operations': ['broker/domain', 'broker/ports'],
  'broker/api': ['broker/domain', 'broker/operations'],
  'broker/transport': ['broker/domain', 'broker/api'],
  'broker/stores': ['broker/domain', 'broker/ports'],
  'broker/egress': ['broker/domain', 'broker/ports', 'contexts'],
  adapters: ['broker/ports/ingest.ts'],
  federation: ['broker/domain', 'broker/ports/ingest.ts', 'broker/ports/change-feed.ts', 'broker/ports/context-source.ts'],
  models: [],
  contexts: [],
};

/** A library stays in its room. */
const LIBRARY_ROOMS: Readonly<Record<string, readonly string[]>> = {
  fastify: ['broker/api', 'broker/transport'],
  aedes: ['broker/transport'],
  mongodb: ['broker/stores'],
  // The outbox of an adapter process is a database of its own.
  'node:sqlite': ['broker/stores', 'adapters'],
  nats: ['federation'],
};

/** Programs: not part of the broker, they may use all of it. */
const PROGRAMS = [
  'broker/main.ts',
  'broker/start.ts',
  'broker/wiring.ts',
  'broker/adapter-side.ts',
  'broker/device-side.ts',
  'broker/processing-side.ts',
  'broker/outside-devices.ts',
  'broker/upkeep.ts',
  'broker/figures.ts',
  'broker/config.ts',
  'broker/setting.ts',
  'broker/foundations.ts',
  'broker/sta-mqtt.ts',
  'broker/open-store.ts',
  'broker/processes/',
  'broker/transfer/',
];
const isProgram = (file: string) =>
  PROGRAMS.some((program) => file === program || (program.endsWith('/') && file.startsWith(program)));

const sources = ['broker', 'adapters', 'federation', 'models', 'contexts'].flatMap((top) => typescriptUnder(join(ROOT, top)));

function typescriptUnder(folder: string): string[] {
  let entries: import('node:fs').Dirent[];
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return typescriptUnder(path);
    return entry.name.endsWith('.ts') ? [relative(ROOT, path)] : [];
  });
}

function importsOf(file: string): { own: string[]; libraries: string[] } {
  const text = readFileSync(join(ROOT, file), 'utf8');
  const own: string[] = [];
  const libraries: string[] = [];
  for (const [, from] of text.matchAll(/(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s*'([^']+)'|import\('([^']+)'\)/g))
    add(from);
  for (const [, from] of text.matchAll(/import\('([^']+)'\)/g)) add(from);
  for (const [, from] of text.matchAll(/(?:^|\n)import '([^']+)'/g)) add(from);
  return { own, libraries };
  function add(from: string | undefined): void {
    if (from === undefined) return;
    if (from.startsWith('.')) own.push(relative(ROOT, join(ROOT, dirname(file), from)));
    else libraries.push(from);
  }
}

const roomOf = (file: string) => Object.keys(MAY_IMPORT).find((room) => file === room || file.startsWith(`${room}/`));

describe('the map of the house', () => {
  it('finds the sources at all', () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(sources.flatMap((file) => importsOf(file).own).length).toBeGreaterThan(20);
  });

  it('every file lies in a room', () => {
    const homeless = sources.filter((file) => roomOf(file) === undefined && !isProgram(file));
    expect(homeless).toEqual([]);
  });

  it('imports point at the middle: no room imports another one that the map does not allow', () => {
    const wrong = sources.flatMap((file) => {
      const room = roomOf(file);
      if (room === undefined) return [];
      const allowed = [room, ...(MAY_IMPORT[room] ?? [])];
      return importsOf(file)
        .own.filter((target) => !allowed.some((place) => target === place || target.startsWith(`${place}/`)))
        .map((target) => `${file} imports ${target}`);
    });
    expect(wrong).toEqual([]);
  });

  it('nothing imports the wiring', () => {
    const wrong = sources.filter((file) => !isProgram(file) && importsOf(file).own.some((target) => isProgram(target)));
    expect(wrong).toEqual([]);
  });

  it('a library stays in its room', () => {
    const wrong = sources.flatMap((file) =>
      importsOf(file)
        .libraries.filter((library) => {
          const rooms = LIBRARY_ROOMS[library];
          return rooms !== undefined && !isProgram(file) && !rooms.includes(roomOf(file) ?? '');
        })
        .map((library) => `${file} imports ${library}`),
    );
    expect(wrong).toEqual([]);
  });

  it('the domain has no clock, no randomness, no I/O and no promises', () => {
    const wrong = sources
      .filter((file) => file.startsWith('broker/domain/'))
      .flatMap((file) => {
        const text = readFileSync(join(ROOT, file), 'utf8');
        const found = [
          'Date.now(',
          'new Date()',
          'Math.random(',
          'Promise<',
          'await ',
          "'node:fs",
          "'node:net",
          'process.',
        ].filter((word) => text.includes(word));
        return found.map((word) => `${file} uses ${word}`);
      });
    expect(wrong).toEqual([]);
  });

  // An adapter process is another program, with settings of its own.
  it('process.env is read in one place', () => {
    const wrong = sources.filter(
      (file) =>
        file !== 'broker/config.ts' &&
        file !== 'adapters/main.ts' &&
        readFileSync(join(ROOT, file), 'utf8').includes('process.env'),
    );
    expect(wrong).toEqual([]);
  });

  it('no file grows beyond 450 lines', () => {
    const long = sources.filter((file) => readFileSync(join(ROOT, file), 'utf8').split('\n').length > 450);
    expect(long).toEqual([]);
  });
});
