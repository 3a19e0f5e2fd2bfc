/** Load from autocannon, in a process of its own: where wrk is not installed. Prints one line of JSON. */
import { readFileSync } from 'node:fs';
import autocannon from 'autocannon';
import type { Load, Work } from './load.ts';

const { base, work, seconds, start, connections } = JSON.parse(process.argv[2]!) as {
  base: string;
  work: Work;
  seconds: number;
  start: number;
  connections: number;
};
let n = start;
const fill = (template: string) => template.replaceAll('[<n>]', String(n)).replaceAll('[<k>]', String(n % 100));
const lines = work.paths === undefined ? [] : readFileSync(work.paths, 'utf8').trim().split('\n');
const result = await autocannon({
  url: base,
  connections,
  duration: seconds,
  requests: [
    {
      method: work.method,
      path: work.path,
      headers: { ...work.headers },
      setupRequest(request) {
        n++;
        return {
          ...request,
          path: lines.length > 0 ? lines[n % lines.length]! : fill(work.path),
          ...(work.body === undefined ? {} : { body: fill(work.body) }),
        };
      },
    },
  ],
});
const load: Load = { perSecond: result.requests.average, p99Ms: result.latency.p99, failures: result.non2xx + result.errors };
console.log(JSON.stringify(load));
