import fastify from 'fastify';
import { expect, test } from 'vitest';
import { answerTogether } from '../../broker/transport/answer-together.ts';

/** Handles five requests of one turn. @returns what happened, in order */
async function fiveAtOnce(method: 'GET' | 'POST', heldMs: number, busyMs = 0): Promise<string[]> {
  const app = fastify();
  const events: string[] = [];
  answerTogether(app, heldMs);
  app.addHook('onSend', (request, _reply, _payload, done) => {
    events.push(`sent ${request.query && (request.query as { n: string }).n}`);
    done();
  });
  app.route({
    method,
    url: '/',
    handler: (request, reply) => {
      const { n } = request.query as { n: string };
      events.push(`handled ${n}`);
      for (const until = performance.now() + busyMs; performance.now() < until; );
      void reply.send(n);
    },
  });
  await app.ready();
  const answers = await Promise.all([1, 2, 3, 4, 5].map((n) => app.inject({ method, url: `/?n=${n}` })));
  expect(answers.map(({ body }) => body)).toEqual(['1', '2', '3', '4', '5']);
  await app.close();
  return events;
}

test('answers to what was asked in one turn go out together behind the last of them', async () => {
  const events = await fiveAtOnce('GET', 60_000);
  expect(events.slice(0, 5).map((event) => event.split(' ')[0])).toEqual(Array(5).fill('handled'));
  expect(events.slice(5)).toEqual(['sent 1', 'sent 2', 'sent 3', 'sent 4', 'sent 5']);
});

test('no answer is held while others take long', async () => {
  const events = await fiveAtOnce('GET', 2, 10);
  expect(events.indexOf('sent 1')).toBeLessThan(events.indexOf('handled 3'));
});

test('answers to writes are not held', async () => {
  const events = await fiveAtOnce('POST', 60_000);
  expect(events.indexOf('sent 1')).toBeLessThan(events.indexOf('handled 5'));
});
