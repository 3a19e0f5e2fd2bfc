import type { Onward } from '../../domain/distribution.ts';
import type { Iri } from '../../domain/iri.ts';
import type { JsonObject, JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import { hasExpired, type Registration, type RegistrationInfo } from '../../domain/registration.ts';
import { isSnapshotTenant } from '../../domain/snapshot.ts';
import { copyOf } from '../../domain/subscription-copy.ts';
import type { SubscriptionDocument } from '../../domain/subscription-document.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Sources } from '../distributed/sources.ts';
import type { SubscriptionInForce } from '../notify/subscriptions-in-force.ts';
import { matchesOf } from '../registry/notify.ts';
import type { RegistrationInForce } from '../registry/registrations-in-force.ts';
import { selectedInformation } from '../registry/selection.ts';
import type { Asked } from './requests.ts';

/** What a copy is to be, and how its source is asked. Worked out whenever it is needed, and not kept. */
export interface Plan {
  readonly body: JsonObject;
  readonly context: Context;
  readonly asked: Asked;
}

/** A source that is concerned by a subscription, and by which elements of its registration. */
export interface Concerned {
  readonly source: RegistrationInForce;
  readonly information: readonly RegistrationInfo[];
}

/** Which copies a subscription is to have (5.8.1.4). */
export interface CopyPlanner {
  /** The sources that are to have one. @param only this registration, if it is one of them */
  sourcesOf(entry: SubscriptionInForce, only: Iri | undefined): readonly Concerned[];
  /**
   * @param headers of requests that made or changed the subscription
   * @returns undefined: nothing that happens at the source could concern it, or nobody could be told of it. @throws DomainError LdContextNotAvailable
   */
  planFor(entry: SubscriptionInForce, concerned: Concerned, headers: Onward['headers']): Promise<Plan | undefined>;
}

export function copyPlanner({
  sources,
  resolveContext,
  clock,
  splits,
  endpoint,
}: {
  readonly sources: Sources;
  readonly resolveContext: (source: JsonValue) => Promise<Context> | Context;
  readonly clock: Clock;
  readonly splits: (document: SubscriptionDocument) => boolean;
  readonly endpoint: () => string | undefined;
}): CopyPlanner {
  return {
    sourcesOf({ tenant, document, subscription, context }, only) {
      if (document.members['localOnly'] === true || isSnapshotTenant(tenant)) return [];
      const selection = {
        matches: matchesOf(document),
        anySpace: true as const,
        ...(subscription.where ? { where: subscription.where } : {}),
        ...(subscription.scopes ? { scopes: subscription.scopes } : {}),
        ...(document.filter ? { filter: document.filter } : {}),
      };
      const onward = { context, via: document.via ?? [], headers: {}, method: 'POST', path: 'subscriptions', query: {} };
      const caller = { tenant, principal: { kind: 'system' }, onward } as const;
      return sources.inForce(caller, ['createSubscription']).flatMap((source) => {
        const { registration } = source;
        if (only !== undefined && source.id !== only) return [];
        if (registration.mode === 'auxiliary' || hasExpired(registration, clock.micros())) return [];
        // What can be queried is part of what this broker notifies every interval (5.8.6: all that match in one notification).
        if (subscription.timeIntervalS !== undefined && canBeQueried(registration)) return [];
        const information = selectedInformation(source, selection);
        return information.length === 0 ? [] : [{ source, information }];
      });
    },

    async planFor({ document }, { source: { registration }, information }, headers) {
      const url = endpoint();
      if (url === undefined) return undefined;
      const wanted = registration.info.find(({ key }) => key === 'jsonldContext')?.value;
      const names = await resolveContext(document.contexts?.['q'] ?? document.context);
      const context = await resolveContext(wanted ?? document.context);
      const terms = { registration, information, context, names, endpoint: url, split: splits(document) };
      const body = copyOf(document, terms);
      return body && { body, context, asked: { via: document.via ?? [], headers: askedFor(registration, headers) } };
    },
  };
}

const canBeQueried = ({ operations }: Registration): boolean =>
  operations.includes('queryEntity') || operations.includes('queryBatch');

/** The values of a request that this source is to be told (4.3.6.5). */
export function askedFor({ info }: Registration, headers: Onward['headers']): Asked['headers'] {
  const names = info.filter(({ value }) => value === 'urn:ngsi-ld:request').map(({ key }) => key.toLowerCase());
  return Object.fromEntries(names.flatMap((name) => (headers[name] === undefined ? [] : [[name, String(headers[name])]])));
}
