import { type AccessFunction, type Caller, demand } from '../../domain/access.ts';
import { notFound } from '../../domain/errors.ts';
import { fromMicros, type Instant } from '../../domain/time.ts';
import type { CopyRecord, CopyRecords } from './records.ts';

/** A copy as an operator sees it. */
export interface CopyView {
  readonly id: string;
  readonly subscription: string;
  readonly registration: string;
  /** Where it is. */
  readonly endpoint: string;
  /** There; to be made or changed; to be deleted. */
  readonly state: 'there' | 'outstanding' | 'ending';
  readonly attempts: number;
  readonly reason?: string;
  readonly failedAt?: Instant;
}

/** For operators: the copies of subscriptions at context sources, of the caller's tenant, and what stands in their way. */
export interface CopyOperations {
  subscriptionCopies(caller: Caller, subscription?: string): readonly CopyView[];
  /** Gives up deleting a copy whose source will never answer again. @throws ResourceNotFound if none with this id is to be deleted */
  forgetCopy(caller: Caller, id: string): Promise<void>;
}

export function copyOperations(records: CopyRecords, access: AccessFunction): CopyOperations {
  return {
    subscriptionCopies(caller, subscription) {
      demand(access, caller, { operation: 'subscriptionCopies', effect: 'administer' });
      return [...records.all()]
        .filter((one) => one.tenant === caller.tenant && (subscription ?? one.subscription) === one.subscription)
        .map(viewOf);
    },
    async forgetCopy(caller, id) {
      demand(access, caller, { operation: 'forgetCopy', effect: 'administer' });
      const record = records.get(id);
      if (record === undefined || record.tenant !== caller.tenant || record.wanted)
        throw notFound(`There is no copy ${id} that waits to be deleted`);
      await records.remove(record);
    },
  };
}

function viewOf({
  id,
  remoteId,
  subscription,
  registration,
  source,
  wanted,
  accepted,
  attempts,
  reason,
  failedAt,
}: CopyRecord): CopyView {
  return {
    id: remoteId ?? id,
    subscription,
    registration,
    endpoint: source.endpoint,
    state: wanted ? (accepted === undefined || reason !== undefined ? 'outstanding' : 'there') : 'ending',
    attempts,
    ...(reason === undefined ? {} : { reason }),
    ...(failedAt === undefined ? {} : { failedAt: fromMicros(failedAt) }),
  };
}
