import type { FastifyInstance } from 'fastify';

/** In milliseconds: then what is held goes out although more requests are there. */
const HELD_MS = 2;

/**
 * Sends the answers to requests that were read in one turn of the event loop one right behind the other, at the end of the turn. Whoever waits for
 * several of them is woken once instead of for each, which is a third of what a small answer costs (docs/performance.md); a request that comes alone
 * is answered as soon as before. Only what is read: writes are answered together anyway, when their transaction is on disk.
 * @param heldMs how long an answer may be held while other requests of the turn are worked on
 */
export function answerTogether(app: FastifyInstance, heldMs = HELD_MS): void {
  let held: (() => void)[] = [];
  let since = 0;

  function send(): void {
    const answers = held;
    held = [];
    for (const go of answers) go();
  }

  app.addHook('onSend', ({ method }, _reply, _payload, done) => {
    if (method !== 'GET') {
      done();
      return;
    }
    if (held.length === 0) {
      since = performance.now();
      setImmediate(send);
    }
    held.push(done);
    if (performance.now() - since > heldMs) send();
  });
}
