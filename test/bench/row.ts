/** One figure of a benchmark. `ratio` is made so that `ratio >= goal` is good. */
export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly ratio: number;
  readonly goal: number;
  readonly p99Ms?: number;
  readonly note?: string;
}

export const median = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;

/** The value behind `--name` on the command line. */
export function option(name: string): string | undefined {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
}

/** As a table for people; with --json as JSON. */
export function printRows(rows: readonly Row[]): void {
  if (process.argv.includes('--json')) {
    console.log(JSON.stringify(rows, null, 1));
    return;
  }
  for (const row of rows) console.log(rowText(row));
}

export function rowText({ name, value, unit, ratio, goal, p99Ms, note }: Row): string {
  const shown = value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(2);
  const p99 = p99Ms === undefined ? '' : `p99 ${p99Ms.toFixed(2)} ms`;
  const judged =
    goal === 0 ? `ratio ${ratio.toFixed(2)}` : `ratio ${ratio.toFixed(2)} (goal ${goal})${ratio >= goal ? '' : ' !'}`;
  return `${name.padEnd(40)} ${shown.padStart(10)} ${unit.padEnd(16)} ${p99.padEnd(14)} ${judged}  ${note ?? ''}`;
}
