import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** One kind of request, repeated. `[<n>]` in path and body becomes a number that grows, `[<k>]` the same number modulo 100. */
export interface Work {
  readonly method: 'GET' | 'POST' | 'PATCH';
  readonly path: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A file with one path in each line, sent one after the other instead of `path`. */
  readonly paths?: string;
}

export interface Load {
  readonly perSecond: number;
  readonly p99Ms: number;
  readonly failures: number;
}

const found = (command: string) => spawnSync('which', [command]).status === 0;
/** The server runs on the first core, the load on the second, where the machine lets us choose. */
export const pin = (core: 0 | 1): readonly string[] => (found('taskset') ? ['taskset', '-c', String(core)] : []);
export const GENERATOR = found('wrk') ? 'wrk' : 'autocannon';

/** Sends requests over 50 connections, as fast as they are answered. @param start where `[<n>]` begins: no two runs write the same */
export async function load(base: string, work: Work, seconds: number, start: number, connections = 50): Promise<Load> {
  return GENERATOR === 'wrk'
    ? wrk(base, work, seconds, start, connections)
    : autocannon(base, work, seconds, start, connections);
}

function run(command: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    child.once('error', reject);
    child.once('exit', (code) => (code === 0 ? resolve(text) : reject(new Error(`${command[0]} ended with ${code}`))));
  });
}

const folder = mkdtempSync(join(tmpdir(), 'mizar-bench-'));

async function wrk(base: string, work: Work, seconds: number, start: number, connections: number): Promise<Load> {
  const quote = (text: string) => `[==[${text}]==]`;
  // wrk adds Host only if it is given no headers at all.
  const headers = Object.entries({ Host: new URL(base).host, ...work.headers }).map(
    ([name, value]) => `[ ${quote(name)} ] = ${quote(value)}`,
  );
  // Constant requests are formatted once, so that the generator costs as little as it can.
  const constant = work.paths === undefined && !/\[<[nk]>\]/.test(work.path + (work.body ?? ''));
  const script = `
local headers = { ${headers.join(', ')} }
local n = ${start}
local function fill(parts)
  local out = {}
  for i, part in ipairs(parts) do
    if part == 'n' then out[i] = n elseif part == 'k' then out[i] = n % 100 else out[i] = part.text end
  end
  return table.concat(out)
end
local path = { ${parts(work.path, quote)} }
local body = { ${parts(work.body ?? '', quote)} }
local has_body = ${work.body === undefined ? 'false' : 'true'}
local lines = {}
${work.paths === undefined ? '' : `for line in io.lines(${quote(work.paths)}) do lines[#lines + 1] = line end`}
local fixed
init = function() if ${constant} then fixed = wrk.format('${work.method}', fill(path), headers, has_body and fill(body) or nil) end end
request = function()
  if fixed then return fixed end
  n = n + 1
  if #lines > 0 then return wrk.format('${work.method}', lines[n % #lines + 1], headers) end
  return wrk.format('${work.method}', fill(path), headers, has_body and fill(body) or nil)
end
`;
  const file = join(folder, 'work.lua');
  writeFileSync(file, script);
  const text = await run([...pin(1), 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '-s', file, base]);
  const number = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? 0);
  const p99 = /99%\s+([\d.]+)(us|ms|s)/.exec(text);
  const unit = { us: 0.001, ms: 1, s: 1000 }[(p99?.[2] ?? 'ms') as 'us' | 'ms' | 's'];
  const failures = number(/Non-2xx or 3xx responses: (\d+)/);
  return { perSecond: number(/Requests\/sec:\s+([\d.]+)/), p99Ms: Number(p99?.[1] ?? 0) * unit, failures };
}

function parts(template: string, quote: (text: string) => string): string {
  return template
    .split(/(\[<[nk]>\])/)
    .filter((part) => part !== '')
    .map((part) => (part === '[<n>]' ? "'n'" : part === '[<k>]' ? "'k'" : `{ text = ${quote(part)} }`))
    .join(', ');
}

async function autocannon(base: string, work: Work, seconds: number, start: number, connections: number): Promise<Load> {
  const program = join(import.meta.dirname, 'autocannon-load.ts');
  const text = await run([...pin(1), process.execPath, program, JSON.stringify({ base, work, seconds, start, connections })]);
  return JSON.parse(text) as Load;
}
