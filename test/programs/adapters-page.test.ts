import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { emptyTables, serveTcp } from '../../adapters/simulator/modbus-slave.ts';
import { inMemoryBroker } from '../support/broker.ts';

const ROOT = join(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'docs/adapters.md'), 'utf8');
/** A request, the status that the text behind it names, and what the answer must have. */
const EXAMPLE = /```http\n(\w+) (.+)\n(?:\n([\s\S]*?))?```\n\nAnswers (\d+)(?::\n\n```json\n([\s\S]*?)```)?/g;
const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };

it('every example of docs/adapters.md is answered as it says', { timeout: 60_000 }, async () => {
  const broker = await inMemoryBroker();
  onTestFinished(() => broker[Symbol.asyncDispose]());
  const examples = [...page.matchAll(EXAMPLE)];
  expect(examples).toHaveLength([...page.matchAll(/```http/g)].length);
  expect(examples.length).toBeGreaterThan(6);
  for (const [, method, url, body, status, expected] of examples) {
    const answer = await broker.request(
      method as 'GET',
      url as string,
      body === undefined ? undefined : JSON.parse(body),
      PLACE,
    );
    expect([url, answer.statusCode, answer.statusCode < 300 ? '' : answer.body]).toEqual([url, Number(status), '']);
    if (expected !== undefined) expect(answer.json()).toMatchObject(JSON.parse(expected));
  }
  const started = await broker.request('POST', '/iot/adapter-processes', { name: 'plant' }, PLACE);
  expect(started.json()).toMatchObject({ name: 'plant', token: expect.any(String) });
  const csv = 'when,station,temperature\n2026-03-01T10:00:00Z,s1,4.5\n';
  const imported = await broker.request('POST', '/iot/imports?mapping=archive', csv, { ...PLACE, 'content-type': 'text/csv' });
  expect(imported.statusCode).toBe(202);
});

it('the probe prints one variable in all four orders', { timeout: 60_000 }, async () => {
  const tables = emptyTables();
  tables.holding.set(40, 0xb333).set(41, 0x4367);
  const slave = await serveTcp({ units: new Map([[1, tables]]) });
  onTestFinished(() => slave.close());
  const ask = (...options: string[]) =>
    promisify(execFile)(process.execPath, [
      join(ROOT, 'adapters/modbus/probe.ts'),
      '--ip',
      '127.0.0.1',
      '--port',
      String(slave.port),
      ...options,
    ]);
  const { stdout } = await ask('--type', 'holding', '--address', '40', '--datatype', '32float');
  expect(stdout).toContain('registers B333 4367: ABCD -4.1');
  expect(stdout).toContain('CDAB 231.7');
  await expect(ask('--type', 'holding', '--address', '7', '--datatype', '32float')).rejects.toThrow(
    'exception 2: address not there',
  );
});
