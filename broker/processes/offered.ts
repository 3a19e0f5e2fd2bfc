import type { JsonValue } from '../domain/json.ts';
import type { Context } from '../domain/jsonld/context.ts';
import type { MergeOptions } from '../domain/patch.ts';
import type { BatchOperations } from '../operations/batch.ts';
import type { DistributedEntityOperations } from '../operations/distributed/entities.ts';
import type { DistributedHistoryProvision } from '../operations/distributed/history-writes.ts';
import type { DocumentStore } from '../ports/document-store.ts';
import type { ReaderReport } from '../stores/sqlite/sqlite-reader.ts';

type Merge = Parameters<DistributedEntityOperations['mergeEntity']>;

/** Entity operations whose parameters are data: a @context is what it was made from. */
export type EntitiesByData = Omit<DistributedEntityOperations, 'mergeEntity'> & {
  mergeEntity(
    ...parameters: [
      caller: Merge[0],
      target: Merge[1],
      fragment: Merge[2],
      options: Omit<MergeOptions, 'context'>,
      source: JsonValue | undefined,
    ]
  ): ReturnType<DistributedEntityOperations['mergeEntity']>;
};

/** For the primary: finds the @context again. */
export function byData(
  entities: DistributedEntityOperations,
  resolveContext: (source: JsonValue) => Context | Promise<Context>,
): EntitiesByData {
  return {
    ...entities,
    async mergeEntity(caller, target, fragment, options, source) {
      const context = source === undefined ? {} : { context: await resolveContext(source) };
      return entities.mergeEntity(caller, target, fragment, { ...options, ...context });
    },
  };
}

/** For a server: sends along what the @context was made from. */
export function fromData(entities: EntitiesByData): DistributedEntityOperations {
  const merging: Pick<DistributedEntityOperations, 'mergeEntity'> = {
    mergeEntity: (caller, target, fragment, { context, ...options }) =>
      entities.mergeEntity(caller, target, fragment, options, context?.source),
  };
  // Not spread: methods of operations elsewhere come to be when they are asked for.
  return new Proxy(entities as unknown as DistributedEntityOperations, {
    get: (target, name) => (name === 'mergeEntity' ? merging.mergeEntity : Reflect.get(target, name)),
  });
}

/** What the primary carries out for server processes. Parameters and results are data; what has closures in it stays where it is. */
export interface OfferedToServers {
  readonly entities: EntitiesByData;
  readonly batch: BatchOperations;
  readonly temporal: DistributedHistoryProvision;
  readonly documents: Pick<DocumentStore, 'put' | 'delete'>;
  readonly store: { heard(report: ReaderReport): Promise<void> };
}
