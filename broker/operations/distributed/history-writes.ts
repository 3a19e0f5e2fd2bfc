import type { Caller } from '../../domain/access.ts';
import type { EntityFragment } from '../../domain/entity.ts';
import type { Iri } from '../../domain/iri.ts';
import type { TypeSelection } from '../../domain/query/query.ts';
import type { HistoryOperations } from '../history.ts';
import type { Sources } from './sources.ts';
import { distributeWrite, type PartialWrite } from './writes.ts';

type Writes =
  | 'addTemporalAttributes'
  | 'deleteTemporalAttribute'
  | 'modifyTemporalInstance'
  | 'deleteTemporalInstance'
  | 'deleteTemporal';

/** Provision of evolutions that may be spread over several brokers (5.6.11 to 5.6.16). What is returned says which parts were not done; undefined: all was. */
export type DistributedHistoryProvision = {
  [K in Writes]: (...parameters: Parameters<HistoryOperations[K]>) => Promise<PartialWrite | undefined>;
} & {
  createOrUpdateTemporal(
    ...parameters: Parameters<HistoryOperations['createOrUpdateTemporal']>
  ): Promise<'created' | 'updated' | PartialWrite>;
};

/**
 * The writes of history.ts, carried out here and at the context sources that they concern. Registrations match whether they say something about time or not:
 * a proxied one keeps this broker from holding history of what it covers just as it keeps it from holding its state (4.3.6.3).
 */
export function distributedHistoryProvision(local: HistoryOperations, sources: Sources): DistributedHistoryProvision {
  const only = <F extends EntityFragment>(fragment: F, names: readonly Iri[] | undefined): F => {
    if (names === undefined) return fragment;
    const kept = Object.entries(fragment.attributes).filter(([name]) => names.includes(name as Iri));
    return { ...fragment, attributes: Object.fromEntries(kept) };
  };
  const namesOf = ({ attributes }: EntityFragment) => Object.keys(attributes) as Iri[];
  const anyOf = (types: readonly Iri[]): TypeSelection => ({ kind: 'any', of: types.map((type) => ({ kind: 'type', type })) });

  async function write(
    caller: Caller,
    operation: string,
    scope: { readonly id: Iri; readonly types?: TypeSelection; readonly attributes: readonly Iri[] | undefined },
    here: (rest: readonly Iri[] | undefined) => Promise<void>,
    onStatus?: (status: number) => void,
  ): Promise<PartialWrite | undefined> {
    if (caller.onward === undefined) {
      await here(scope.attributes);
      return undefined;
    }
    const localWrite = async (rest: readonly Iri[] | undefined) => {
      await here(rest);
      return undefined;
    };
    return distributeWrite(sources, caller, operation, scope, localWrite, {
      temporal: true,
      ...(onStatus ? { onStatus } : {}),
    });
  }

  return {
    async createOrUpdateTemporal(caller, fragment) {
      let outcome: 'created' | 'updated' = 'updated';
      const scope = { id: fragment.id, types: anyOf(fragment.types), attributes: namesOf(fragment) };
      const partial = await write(
        caller,
        'upsertTemporal',
        scope,
        async (rest) => {
          if ((await local.createOrUpdateTemporal(caller, only(fragment, rest))) === 'created') outcome = 'created';
        },
        (status) => {
          if (status === 201) outcome = 'created';
        },
      );
      return partial ?? outcome;
    },
    addTemporalAttributes: (caller, id, fragment) =>
      write(caller, 'appendAttrsTemporal', { id, attributes: namesOf(fragment) }, (rest) =>
        local.addTemporalAttributes(caller, id, only(fragment, rest)),
      ),
    deleteTemporalAttribute: (caller, id, name, which) =>
      write(caller, 'deleteAttrsTemporal', { id, attributes: [name] }, () =>
        local.deleteTemporalAttribute(caller, id, name, which),
      ),
    modifyTemporalInstance: (caller, id, name, instanceId, instance) =>
      write(caller, 'updateAttrInstanceTemporal', { id, attributes: [name] }, () =>
        local.modifyTemporalInstance(caller, id, name, instanceId, instance),
      ),
    deleteTemporalInstance: (caller, id, name, instanceId) =>
      write(caller, 'deleteAttrInstanceTemporal', { id, attributes: [name] }, () =>
        local.deleteTemporalInstance(caller, id, name, instanceId),
      ),
    deleteTemporal: (caller, id) =>
      write(caller, 'deleteTemporal', { id, attributes: undefined }, () => local.deleteTemporal(caller, id)),
  };
}
