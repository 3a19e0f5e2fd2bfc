import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { OPERATIONS } from '../../broker/api/http/clauses.ts';
import { isAmong, type NotFollowed, type SuiteResult } from '../conformance/suite-result.ts';
import { inMemoryBroker } from '../support/broker.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = <T>(file: string): T | undefined => {
  const path = join(ROOT, 'test/conformance', file);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as T) : undefined;
};

/** docs/conformance.md, made from the routes, our tests and the last run of the official suite. */
export async function conformancePage(): Promise<string> {
  const suite = read<SuiteResult>('suite-result.json');
  const notFollowed = read<NotFollowed[]>('not-followed.json') ?? [];
  const routes = await routesByClause();
  const tests = testsByClause();
  const clauses = [...new Set([...routes.keys(), ...tests.keys(), ...(suite?.cases.flatMap((one) => one.clauses) ?? [])])].sort(
    byNumber,
  );
  const titles = read<Record<string, string>>('clause-titles.json') ?? {};
  return [
    '# Conformance to ETSI GS CIM 009 V1.9.1',
    '',
    'Written by `npm run docs` (see test/conformance/README.md). A clause beats a test, and a test beats an opinion.',
    '',
    ...(suite ? suiteSection(suite, notFollowed) : ['The official suite has not been run yet.']),
    '',
    '## Cases we do not follow',
    '',
    'Each contradicts the sentence that is quoted.',
    '',
    '| case | clause | what we do | why |',
    '|---|---|---|---|',
    ...notFollowed.map((one) => `| ${one.cases.join(', ')} | ${one.clause} | ${one.weDo} | ${one.because} |`),
    '',
    ...sensorThingsSection(),
    '## Clause by clause',
    '',
    'Own tests: the files of our own tests that name the clause. Suite: cases tagged with the clause that pass, of all; in parentheses how many are among those that we do not follow.',
    '',
    '| clause | title | routes | own tests | suite |',
    '|---|---|---|---|---|',
    ...clauses.map((clause) => {
      const cases = suite?.cases.filter((one) => one.clauses.includes(clause)) ?? [];
      const title = OPERATIONS[clause]?.name ?? titles[clause] ?? '';
      return `| ${clause} | ${title} | ${(routes.get(clause) ?? []).join('<br>')} | ${testLinks(tests.get(clause))} | ${share(cases, notFollowed)} |`;
    }),
    '',
  ].join('\n');
}

/** The suite of the OGC, run against /sta/v1.1 (test/conformance/sensorthings-result.json). */
function sensorThingsSection(): string[] {
  const result = read<SensorThingsResult>('sensorthings-result.json');
  if (result === undefined) return [];
  return [
    '## OGC SensorThings 1.1 (18-088)',
    '',
    `${result.suite}, run on ${result.date}. ${result.note}`,
    '',
    '| conformance class | methods that pass | of |',
    '|---|---|---|',
    ...result.classes.map(({ name, passed, of }) => `| ${name} | ${passed} | ${of} |`),
    '',
  ];
}

interface SensorThingsResult {
  readonly suite: string;
  readonly date: string;
  readonly note: string;
  readonly classes: readonly { readonly name: string; readonly passed: number; readonly of: number }[];
}

/** "12 of 14 (2)": passed, all, and not followed. */
function share(cases: SuiteResult['cases'], notFollowed: readonly NotFollowed[]): string {
  if (cases.length === 0) return '';
  const failed = cases.filter((one) => !one.passed);
  const justified = failed.filter(({ name }) => notFollowed.some((one) => isAmong(one, name))).length;
  return `${cases.length - failed.length} of ${cases.length}${justified > 0 ? ` (${justified})` : ''}`;
}

/** Links to three of them, the most particular first: those that name the fewest clauses would be, but the shortest name is a good guess. */
function testLinks(files: ReadonlySet<string> | undefined): string {
  const all = [...(files ?? [])].sort((x, y) => x.length - y.length || (x < y ? -1 : 1));
  const links = all.slice(0, SHOWN).map((file) => `[${basename(file).replace(/\.(test|contract)\.ts$/, '')}](../test/${file})`);
  return `${links.join(', ')}${all.length > SHOWN ? ` and ${all.length - SHOWN} more` : ''}`;
}
const SHOWN = 3;

function suiteSection({ commit, date, cases }: SuiteResult, notFollowed: readonly NotFollowed[]): string[] {
  const folders = [...new Set(cases.map((one) => one.folder))].sort();
  const row = (name: string, of: SuiteResult['cases']) => {
    const part = (some: SuiteResult['cases']) => share(some, notFollowed) || '–';
    return `| ${name} | ${part(of.filter((one) => one.base))} | ${part(of.filter((one) => !one.base))} | ${part(of)} |`;
  };
  const open = cases.filter(({ passed, name }) => !passed && !notFollowed.some((one) => isAmong(one, name)));
  return [
    '## The official suite',
    '',
    `The maintained fork of ETSI's suite at commit ${commit}, run on ${date}. Base: files of ETSI's own; added: by the author of another broker.`,
    'Passed, of all; in parentheses how many of the others contradict a clause, and are not followed.',
    '',
    '| folder | base | added | together |',
    '|---|---|---|---|',
    ...folders.map((folder) =>
      row(
        folder,
        cases.filter((one) => one.folder === folder),
      ),
    ),
    row('**all that was run**', cases),
    '',
    '### Cases that fail and should not',
    '',
    ...(open.length === 0 ? ['None.'] : open.map((one) => `- ${one.name}${one.base ? ' (base)' : ''}`)),
  ];
}

async function routesByClause(): Promise<Map<string, string[]>> {
  await using broker = await inMemoryBroker();
  const document = (await broker.request('GET', '/openapi.json')).json() as {
    paths: Record<string, Record<string, { description?: string }>>;
  };
  const found = new Map<string, string[]>();
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, { description }] of Object.entries(methods)) {
      for (const [, clause] of (description ?? '').matchAll(/Clause (\d+(?:\.\d+)+)/g)) {
        found.set(clause!, [...(found.get(clause!) ?? []), `${method.toUpperCase()} ${path.replace('/ngsi-ld/v1', '')}`]);
      }
    }
  }
  return found;
}

function testsByClause(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const entry of readdirSync(join(ROOT, 'test'), { recursive: true, withFileTypes: true })) {
    if (!/\.(test|contract)\.ts$/.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    const file = relative(join(ROOT, 'test'), path);
    const add = (clause: string) => found.set(clause, (found.get(clause) ?? new Set()).add(file));
    const text = readFileSync(path, 'utf8');
    for (const [, clause] of text.matchAll(/\b([4-7]\.\d{1,2}(?:\.\d{1,2}){0,3})\b/g)) add(clause!);
    // "5.6.11 to 5.6.16" names what is between as well.
    for (const [, parent, first, last] of text.matchAll(/\b([4-7](?:\.\d{1,2}){1,2})\.(\d{1,2}) to \1\.(\d{1,2})\b/g)) {
      for (let at = Number(first); at <= Number(last); at++) add(`${parent}.${at}`);
    }
  }
  // Numbers such as coordinates look like clauses of two parts; those that no route or title knows are left out.
  for (const clause of [...found.keys()])
    if (clause.split('.').length === 2 && Number(clause.split('.')[1]) > 25) found.delete(clause);
  return found;
}

function byNumber(a: string, b: string): number {
  const left = a.split('.').map(Number);
  const right = b.split('.').map(Number);
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    if ((left[at] ?? -1) !== (right[at] ?? -1)) return (left[at] ?? -1) - (right[at] ?? -1);
  }
  return 0;
}
