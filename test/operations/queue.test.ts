import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { Queue } from '../../broker/operations/notify/queue.ts';

test('a queue gives back in order what was put in, however long it is', () => {
  const queue = new Queue<number>();
  const taken: (number | undefined)[] = [];
  for (let n = 0; n < 5000; n++) {
    queue.push(2 * n);
    queue.push(2 * n + 1);
    taken.push(queue.shift());
  }
  expect(taken).toEqual(Array.from({ length: 5000 }, (_, n) => n));
  expect(queue.length).toBe(5000);
  expect(queue.at(0)).toBe(5000);
  expect(queue.at(4999)).toBe(9999);
  expect(queue.takeAll()).toEqual(Array.from({ length: 5000 }, (_, n) => 5000 + n));
  expect(queue.shift()).toBeUndefined();
});

test('what was taken is let go, although something is left in the queue', async () => {
  setFlagsFromString('--expose_gc');
  const collect = runInNewContext('gc') as () => void;
  const queue = new Queue<object>();
  const taken = putAndTake(queue);
  // A WeakRef holds its object until the turn in which it was made is over.
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  expect(taken.deref()).toBeUndefined();
  expect(queue.length).toBe(1);
});

/** Of its own, so that nothing on the stack holds the object. */
function putAndTake(queue: Queue<object>): WeakRef<object> {
  queue.push({ first: true });
  queue.push({ first: false });
  return new WeakRef(queue.shift() as object);
}
