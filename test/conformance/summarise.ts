/** Writes suite-result.json from a run of the official suite; see README.md beside this file. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { SuiteResult } from './suite-result.ts';

const { values } = parseArgs({
  options: {
    suite: { type: 'string' },
    results: { type: 'string', multiple: true },
    commit: { type: 'string' },
    base: { type: 'string' },
    date: { type: 'string' },
  },
});
if (!values.suite || !values.results || !values.commit || !values.base) {
  console.error(
    'Usage: summarise.ts --suite DIR --results results.tsv [--results …] --commit ID --base FILES.txt [--date YYYY-MM-DD]',
  );
  process.exit(1);
}
const { suite } = values;
const base = new Set(readFileSync(values.base, 'utf8').split('\n'));

/** The clauses that a file's tags name: `5_8_6` is 5.8.6. Cases of one file have their own tags or the file's. */
function clausesOf(file: string): (name: string) => string[] {
  const text = readFileSync(join(suite, file), 'utf8');
  const tags = (part: string) =>
    [...part.matchAll(/(?:^|\s)(\d+(?:_\d+)+)(?=\s|$)/gm)].map(([, tag]) => tag!.replaceAll('_', '.'));
  const forced = tags(/(?:Test Tags|Force Tags|Default Tags)(.*(?:\n\s*\.\.\..*)*)/.exec(text)?.[1] ?? '');
  const cases = text.split(/\*\*\* Test Cases \*\*\*.*\n/)[1]?.split(/\n\*\*\*/)[0] ?? '';
  const blocks = new Map<string, string>();
  let current = '';
  for (const line of cases.split('\n')) {
    if (/^\S/.test(line) && !line.startsWith('#')) current = line.split(/\s{2,}|\t/)[0]!.trim();
    else blocks.set(current, `${blocks.get(current) ?? ''}\n${line}`);
  }
  return (name) => {
    const block = blocks.get(name) ?? '';
    const own = [...block.matchAll(/\[Tags\](.*(?:\n\s*\.\.\..*)*)/g)].flatMap(([, list]) => tags(list!));
    return [...new Set([...forced, ...own])];
  };
}

// Several results: a case that was run again counts as it went the last time.
const latest = new Map<string, SuiteResult['cases'][number]>();
for (const line of values.results.flatMap((path) => readFileSync(path, 'utf8').split('\n'))) {
  if (line === '') continue;
  const [folder, file, name, status] = line.split('\t') as [string, string, string, string];
  latest.set(`${file} ${name}`, {
    folder,
    file,
    name,
    passed: status === 'PASS',
    base: base.has(file),
    clauses: clausesOf(file)(name),
  });
}
const cases: SuiteResult['cases'] = [...latest.values()].sort((a, b) => (a.file + a.name < b.file + b.name ? -1 : 1));
const result: SuiteResult = { commit: values.commit, date: values.date ?? new Date().toISOString().slice(0, 10), cases };
// One case a line: a later run shows as a small change.
const lines = cases.map((one) => `  ${JSON.stringify(one)}`).join(',\n');
writeFileSync(
  join(import.meta.dirname, 'suite-result.json'),
  `{\n"commit": ${JSON.stringify(result.commit)},\n"date": "${result.date}",\n"cases": [\n${lines}\n]\n}\n`,
);
console.log(`${cases.filter((one) => one.passed).length} of ${cases.length} passed`);
