import type { TenantId } from '../../domain/iri.ts';
import type { AttributeIndexes, IndexedPath } from './attribute-indexes.ts';
import type { Dictionary } from './dictionary.ts';
import type { GroupCommit } from './group-commit.ts';
import type { IndexDemand } from './index-demand.ts';
import { pathText } from './index-rules.ts';

/** One index of attribute values, for operators. */
export interface IndexReport {
  readonly tenant: TenantId;
  /** The IRI of the attribute; see index-rules.ts. */
  readonly path: string;
  readonly state: 'building' | 'ready' | 'dropping';
  /** About how many values it holds. */
  readonly rows: number;
  /** Since the broker started: queries that it answered, entities that these did not have to look at, rows that writes changed in it. */
  readonly uses: number;
  readonly entitiesSaved: number;
  readonly rowsChanged: number;
  readonly lastUsed: number;
}

/** What an operator sees of the indexes, and tests drive. */
export interface IndexDirectory {
  list(): readonly IndexReport[];
  /** Makes an index as if it had been asked for. @returns when it is complete */
  ensure(tenant: TenantId, path: IndexedPath): Promise<void>;
  /** What is done once a minute. */
  upkeep(): void;
}

export function indexDirectory(
  indexes: AttributeIndexes,
  demand: IndexDemand,
  dictionary: Dictionary,
  commits: GroupCommit,
): IndexDirectory {
  return {
    list: () =>
      indexes.list().map(({ tenant, path, state, sample, uses, saved, changes, lastUsed }) => ({
        tenant: dictionary.tenantName(tenant),
        path: pathText(path),
        state,
        rows: sample.rows,
        uses,
        entitiesSaved: Math.round(saved),
        rowsChanged: changes,
        lastUsed,
      })),
    async ensure(tenant, path) {
      await demand.ensure(await commits.submit(() => dictionary.tenant(tenant)), path);
    },
    upkeep: () => demand.upkeep(),
  };
}
