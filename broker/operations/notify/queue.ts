/** First in, first out. Taking from the front costs next to nothing however long the queue is, which is not so for an array. */
export class Queue<T> {
  #items: T[] = [];
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
    this.#start++;
    // What was taken is cut off in large pieces.
    if (this.#start > 1024 && this.#start * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#start);
      this.#start = 0;
    }
    return item;
  }

  /** Empties the queue. @returns what was in it, in order */
  takeAll(): readonly T[] {
    const items = this.#items.slice(this.#start);
    this.#items = [];
    this.#start = 0;
    return items;
  }
}
