/** Those who want to hear that there is something new. */
export class Listeners {
  readonly #listeners = new Set<() => void>();
  #scheduled = false;

  /** @returns ends it */
  add(wake: () => void): () => void {
    this.#listeners.add(wake);
    return () => this.#listeners.delete(wake);
  }

  /** Tells them after the writers have been answered, once for all that comes until then. */
  wake(): void {
    if (this.#scheduled || this.#listeners.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      for (const wake of this.#listeners) wake();
    });
  }
}
