import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BrokerProcess, freePorts, startBrokerProcess } from '../support/broker-process.ts';

const ROOT = join(import.meta.dirname, '../..');
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
const curl = spawnSync('curl', ['--version']).status === 0;
if (!curl && process.env['MIZAR_TEST_ALL_SERVERS']) throw new Error('curl is missing, and this run must leave nothing out');

/** The commands of the README, each with the comment above it. */
const commands = [...readme.matchAll(/```\n(# [\s\S]*?)```/g)]
  .flatMap(([, block]) => block!.split('\n\n'))
  .map((text) => ({ title: /^# (.*)/.exec(text)?.[1] ?? text, command: text.replace(/^#.*\n/gm, '') }))
  .filter(({ command }) => command.startsWith('curl'));

describe('the README tells the truth', () => {
  let broker: BrokerProcess;
  let demo = '';
  const dataDir = mkdtempSync(join(tmpdir(), 'mizar-readme-'));

  beforeAll(async () => {
    const [httpPort, mqttPort] = (await freePorts(2)) as [number, number];
    broker = await startBrokerProcess({ dataDir, httpPort, mqttPort });
    demo = await run(process.execPath, [
      join(ROOT, 'adapters/demo/main.ts'),
      '--url',
      broker.url,
      '--mqtt',
      broker.mqttUrl,
      '--rounds',
      '1',
    ]);
  }, 60_000);

  afterAll(async () => {
    await broker?.terminate();
    rmSync(dataDir, { recursive: true, force: true });
  });

  it('the demo plays about 20 devices and its listener hears notifications', () => {
    expect(demo).toMatch(/Provisioning 20 devices/);
    expect(Number(/The listener heard (\d+) notifications/.exec(demo)?.[1])).toBeGreaterThan(0);
  });

  it('has commands for air quality, parking, weather and an aggregate', () => {
    expect(commands.map(({ title }) => title)).toHaveLength(4);
  });

  it.skipIf(!curl).each(commands)('$title (needs curl)', async ({ command }) => {
    const answer = JSON.parse(await run('bash', ['-c', command.replaceAll('http://localhost:1026', broker.url)])) as unknown;
    if (Array.isArray(answer)) {
      expect(answer.length).toBeGreaterThan(0);
      for (const entity of answer)
        expect(entity).toMatchObject({ id: expect.any(String), type: expect.not.stringContaining('/') });
    } else {
      const { pm25 } = answer as { pm25: { avg: [number, string, string][] } };
      expect(pm25.avg.length).toBeGreaterThan(10);
      expect(pm25.avg.every(([value]) => Number.isFinite(value))).toBe(true);
    }
  });
});

describe('the API is documented as it is', () => {
  it('every route has a name and a heading, and every clause of a route is known', async () => {
    const { inMemoryBroker } = await import('../support/broker.ts');
    await using broker = await inMemoryBroker();
    const document = (await broker.request('GET', '/openapi.json')).json() as {
      openapi: string;
      paths: Record<string, Record<string, { summary?: string; tags?: string[] }>>;
    };
    expect(document.openapi).toMatch(/^3\.1/);
    const nameless = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods)
        .filter(([, operation]) => !operation.summary || !operation.tags?.length)
        .map(([method]) => `${method} ${path}`),
    );
    expect(nameless).toEqual([]);
  });
});

function run(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    let problems = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      problems += chunk.toString();
    });
    child.once('exit', (code) =>
      code === 0 ? resolve(text) : reject(new Error(`${command} ended with ${code}: ${problems}${text}`)),
    );
  });
}
