import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isAmong, type NotFollowed, type SuiteResult } from '../conformance/suite-result.ts';
import { conformancePage } from './conformance-page.ts';

const FOLDER = join(import.meta.dirname, '../conformance');
const read = <T>(file: string) => JSON.parse(readFileSync(join(FOLDER, file), 'utf8')) as T;

describe('cases of the official suite that are not followed', () => {
  const notFollowed = read<NotFollowed[]>('not-followed.json');
  const suite = read<SuiteResult>('suite-result.json');
  const titles = read<Record<string, string>>('clause-titles.json');

  it.each(notFollowed)('$cases: name clauses that there are, and cases that fail', ({ cases, clause, because }) => {
    for (const one of clause.split(', ')) expect(titles).toHaveProperty([one]);
    // Whoever claims that a clause says otherwise quotes it.
    expect(because).toMatch(/".{20,}"|no negation/);
    for (const one of cases) {
      const meant = suite.cases.filter(({ name }) => isAmong({ cases: [one] }, name));
      expect(meant.length, one).toBeGreaterThan(0);
      expect(meant.filter(({ passed }) => passed).map(({ name }) => name)).toEqual([]);
    }
  });

  it('a name does not stand for longer numbers', () => {
    expect(isAmong({ cases: ['020_1'] }, '020_13_01 Retrieve')).toBe(false);
    expect(isAmong({ cases: ['020_13'] }, '020_13_01 Retrieve')).toBe(true);
    expect(isAmong({ cases: ['020_13_0'] }, '020_13_01 Retrieve')).toBe(false);
  });
});

describe('the page about conformance (docs/conformance.md)', () => {
  it('has a test of our own for every route of the specification', async () => {
    const rows = (await conformancePage()).split('\n').filter((line) => /^\| [4-7]\./.test(line));
    const columns = rows.map((row) => row.split('|').map((cell) => cell.trim()));
    const untested = columns.flatMap(([, clause, , routes, tests]) => (routes !== '' && tests === '' ? [clause] : []));
    expect(columns.filter(([, , , routes]) => routes !== '').length).toBeGreaterThan(60);
    expect(untested).toEqual([]);
  });
});
