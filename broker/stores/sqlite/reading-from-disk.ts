/** Lets these methods answer when all that they have seen is on disk: nobody is told what a power cut could take back. */
export function readingFromDisk<T extends object>(
  commits: { readonly onDisk: Promise<void> | undefined },
  store: T,
  methods: readonly (keyof T & string)[],
): T {
  for (const name of methods) {
    const read = store[name] as (...parameters: unknown[]) => Promise<unknown>;
    const value = async (...parameters: unknown[]): Promise<unknown> => {
      const answer = await read.apply(store, parameters);
      if (commits.onDisk) await commits.onDisk;
      return answer;
    };
    Object.defineProperty(store, name, { value });
  }
  return store;
}
