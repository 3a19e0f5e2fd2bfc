/** Lets these methods answer when all that they have seen is on disk: nobody is told what a power cut could take back. */
export function readingFromDisk<T extends object>(
  commits: { readonly onDisk: Promise<void> | undefined },
  store: T,
  methods: readonly (keyof T & string)[],
): T {
  for (const name of methods) {
    const read = store[name] as (...parameters: unknown[]) => Promise<unknown>;
    const whenOnDisk = (answer: unknown): unknown => commits.onDisk?.then(() => answer) ?? answer;
    const value = (...parameters: unknown[]): Promise<unknown> => read.apply(store, parameters).then(whenOnDisk);
    Object.defineProperty(store, name, { value });
  }
  return store;
}
