/** From exec to the first answer, with a warm compile cache, and what an idle broker holds. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts, startBrokerProcess } from '../support/broker-process.ts';
import type { Rows } from './harness.ts';
import { pin } from './load.ts';
import { median } from './row.ts';

export const start: Rows = async function* ({ runs, wanted }) {
  if (!wanted('start to first answer')) return;
  const dataDir = mkdtempSync(join(tmpdir(), 'mizar-bench-'));
  const times: number[] = [];
  const resident: number[] = [];
  for (let run = 0; run < runs + 1; run++) {
    const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
    const began = performance.now();
    const broker = await startBrokerProcess({ dataDir, httpPort, mqttPort, prefix: pin(0) });
    // The first start fills the compile cache.
    if (run > 0) times.push(performance.now() - began);
    await new Promise((wake) => setTimeout(wake, 500));
    resident.push(residentBytes(broker.child.pid!) / 1e6);
    await broker.terminate();
  }
  rmSync(dataDir, { recursive: true, force: true });
  yield { name: 'start to first answer', value: median(times), unit: 'ms', ratio: 350 / median(times), goal: 1 };
  yield { name: 'idle, resident', value: median(resident), unit: 'MB', ratio: 110 / median(resident), goal: 1 };
};

/** From the outside: to ask the broker for its metrics would make it load what counts them. NaN where there is no /proc. */
export function residentBytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
  } catch {
    return Number.NaN;
  }
}
