import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { OPERATIONS } from '../../broker/api/http/clauses.ts';
import type { NotFollowed, SuiteResult } from '../conformance/suite-result.ts';
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
  return [
    '# Conformance to ETSI GS CIM 009 V1.9.1',
    '',
    'Written by `npm run docs` (see test/conformance/README.md). A clause beats a test, and a test beats an opinion.',
    '',
    ...(suite ? suiteSection(suite) : ['The official suite has not been run yet.']),
    '',
    '## Cases we do not follow',
    '',
    '| case | clause | what we do | why |',
    '|---|---|---|---|',
    ...notFollowed.map((one) => `| ${one.case} | ${one.clause} | ${one.weDo} | ${one.because} |`),
    '',
    '## Clause by clause',
    '',
    'Own tests: how many of our test files name the clause. Suite: cases tagged with the clause that pass, of all.',
    '',
    '| clause | operation | routes | own tests | suite |',
    '|---|---|---|---|---|',
    ...clauses.map((clause) => {
      const cases = suite?.cases.filter((one) => one.clauses.includes(clause)) ?? [];
      const result = cases.length === 0 ? '' : `${cases.filter((one) => one.passed).length} of ${cases.length}`;
      return `| ${clause} | ${OPERATIONS[clause]?.name ?? ''} | ${(routes.get(clause) ?? []).join('<br>')} | ${tests.get(clause)?.size ?? ''} | ${result} |`;
    }),
    '',
  ].join('\n');
}

function suiteSection({ commit, date, cases }: SuiteResult): string[] {
  const folders = [...new Set(cases.map((one) => one.folder))].sort();
  const row = (name: string, of: SuiteResult['cases']) => {
    const share = (part: SuiteResult['cases']) => `${part.filter((one) => one.passed).length} of ${part.length}`;
    return `| ${name} | ${share(of.filter((one) => one.base))} | ${share(of.filter((one) => !one.base))} | ${share(of)} |`;
  };
  const failed = cases.filter((one) => !one.passed);
  return [
    '## The official suite',
    '',
    `The maintained fork of ETSI's suite at commit ${commit}, run on ${date}. Base: files of ETSI's own; added: by the author of another broker.`,
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
    '### Cases that fail',
    '',
    ...(failed.length === 0 ? ['None.'] : failed.map((one) => `- ${one.name}${one.base ? ' (base)' : ''}`)),
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
    for (const [, clause] of readFileSync(path, 'utf8').matchAll(/\b([4-7]\.\d{1,2}(?:\.\d{1,2}){0,3})\b/g)) {
      found.set(clause!, (found.get(clause!) ?? new Set()).add(path));
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
