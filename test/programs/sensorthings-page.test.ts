import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { inMemoryBroker } from '../support/broker.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/sensorthings.md'), 'utf8');
/** A request, the status that the text behind it names, and what the answer must have. */
const EXAMPLE = /```http\n(\w+) (.+)\n(?:\n([\s\S]*?))?```\n\nAnswers (\d+)(?::\n\n```json\n([\s\S]*?)```)?/g;

it('every example of docs/sensorthings.md is answered as it says', async () => {
  const broker = await inMemoryBroker();
  onTestFinished(() => broker[Symbol.asyncDispose]());
  const examples = [...page.matchAll(EXAMPLE)];
  expect(examples).toHaveLength([...page.matchAll(/```http/g)].length);
  expect(examples.length).toBeGreaterThan(10);
  for (const [, method, url, body, status, expected] of examples) {
    const answer = await broker.request(
      method as 'GET',
      encodeURI(url as string),
      body === undefined ? undefined : JSON.parse(body),
    );
    expect([url, answer.statusCode]).toEqual([url, Number(status)]);
    if (expected !== undefined) expect(answer.json()).toMatchObject(JSON.parse(expected));
  }
});
