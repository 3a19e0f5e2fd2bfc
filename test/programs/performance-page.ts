import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SavedRun } from '../bench/save.ts';

const FILE = join(import.meta.dirname, '../bench/last-run.json');

/** docs/performance.md: how each row of `npm run bench` is measured, and the figures of the last run that was kept. */
export function performancePage(): string {
  const { date, machine, node, generator, rows } = JSON.parse(readFileSync(FILE, 'utf8')) as SavedRun;
  const lines = rows.map(({ name, value, unit, ratio, goal, p99Ms, note }) => {
    const shown = value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(2);
    const judged = goal === 0 ? '' : `${Number(goal.toFixed(2))}${ratio >= goal ? '' : ' – **missed**'}`;
    return `| ${name} | ${shown} ${unit} | ${p99Ms === undefined ? '' : `${p99Ms.toFixed(1)} ms`} | ${ratio.toFixed(2)} | ${judged} | ${note ?? ''} |`;
  });
  return `${readFileSync(join(import.meta.dirname, 'performance-intro.md'), 'utf8').trim()}

## The last figures

${date}, ${machine}, Node ${node}, load from ${generator}. The ratio is to the limit named in the last column, measured in the same run; it is made so that more is
better, and that reaching the goal is good. Absolute figures do not travel to other machines; ratios do, more or less.

| work | value | p99 | ratio | goal | against |
|---|---|---|---|---|---|
${lines.join('\n')}
`;
}
