import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { inMemoryBroker } from '../support/broker.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/processing.md'), 'utf8');
/** A request, the status that the text behind it names, and what the answer must have. */
const EXAMPLE = /```http\n(\w+) (.+)\n(?:\n([\s\S]*?))?```\n\nAnswers (\d+)(?::\n\n```json\n([\s\S]*?)```)?/g;
const PLACE = { 'fiware-service': 'city', 'fiware-servicepath': '/' };

it('every example of docs/processing.md is answered as it says', { timeout: 60_000 }, async () => {
  const broker = await inMemoryBroker();
  onTestFinished(() => broker[Symbol.asyncDispose]());
  const examples = [...page.matchAll(EXAMPLE)];
  expect(examples).toHaveLength([...page.matchAll(/```http/g)].length);
  expect(examples.length).toBeGreaterThan(5);
  for (const [, method, url, body, status, expected] of examples) {
    const given = body === undefined ? undefined : JSON.parse(body);
    const answer = await broker.request(method as 'GET', url as string, given, PLACE);
    expect([url, answer.statusCode, answer.statusCode < 300 ? '' : answer.body]).toEqual([url, Number(status), '']);
    if (expected !== undefined) expect(answer.json()).toMatchObject(JSON.parse(expected));
  }
});
