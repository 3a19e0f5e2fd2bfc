/**
 * First in, first out. Taking from the front costs next to nothing however long the queue is, which is not so for an array. What was taken is let go at
 * once: of thousands of queues each would otherwise keep the last thousand items that went through it.
 */
export class Queue<T> {
  #items: (T | undefined)[] = [];
  #start = 0;

  get length(): number {
    return this.#items.length - this.#start;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** The item at this place from the front, which stays. */
  at(place: number): T | undefined {
    return this.#items[this.#start + place];
  }

  shift(): T | undefined {
    const item = this.#items[this.#start];
    if (item === undefined) return undefined;
    this.#items[this.#start] = undefined;
    this.#start++;
    if (this.#start === this.#items.length) {
      this.#items = [];
      this.#start = 0;
    } else if (this.#start > 1024 && this.#start * 2 > this.#items.length) {
      // The places of what was taken are cut off in large pieces.
      this.#items = this.#items.slice(this.#start);
      this.#start = 0;
    }
    return item;
  }

  /** Empties the queue. @returns what was in it, in order */
  takeAll(): readonly T[] {
    const items = this.#items.slice(this.#start) as T[];
    this.#items = [];
    this.#start = 0;
    return items;
  }
}
