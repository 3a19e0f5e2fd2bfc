import type { Position } from '../../domain/change.ts';
import type { TenantId } from '../../domain/iri.ts';
import type { DeliveryStore, ParkedDelivery } from '../../ports/delivery-store.ts';
import type { Collections, DeliveryDocument } from './collections.ts';

const keyOf = ({ subscription, position }: { readonly subscription: string; readonly position: Position }): string =>
  `${position} ${subscription}`;

export class MongoDeliveryStore implements DeliveryStore {
  readonly #deliveries: Collections['deliveries'];

  constructor({ deliveries }: Collections) {
    this.#deliveries = deliveries;
  }

  async park(deliveries: readonly ParkedDelivery[]): Promise<void> {
    if (deliveries.length === 0) return;
    await this.#deliveries.bulkWrite(
      deliveries.map((delivery) => {
        const { subscription: s, position: p, tenant: t, endpoint: e, attempts: a, reason: r, dead } = delivery;
        const update = { $set: { a, r, dead }, $setOnInsert: { s, p, t, e } };
        return { updateOne: { filter: { _id: keyOf(delivery) }, update, upsert: true } };
      }),
    );
  }

  endpoints(): Promise<readonly { readonly endpoint: string; readonly waiting: number }[]> {
    return waitingByEndpoint(this.#deliveries);
  }

  async waiting(endpoint: string, limit: number): Promise<readonly ParkedDelivery[]> {
    const found = this.#deliveries.find({ dead: false, e: endpoint }).sort({ p: 1, s: 1 }).limit(limit);
    return (await found.toArray()).map(restored);
  }

  async dead(limit: number): Promise<readonly ParkedDelivery[]> {
    return (await this.#deliveries.find({ dead: true }).sort({ p: 1, s: 1 }).limit(limit).toArray()).map(restored);
  }

  async remove(deliveries: readonly { readonly subscription: string; readonly position: Position }[]): Promise<void> {
    if (deliveries.length > 0) await this.#deliveries.deleteMany({ _id: { $in: deliveries.map(keyOf) } });
  }

  async removeSubscription(tenant: TenantId, subscription: string): Promise<void> {
    await this.#deliveries.deleteMany({ s: subscription, t: tenant });
  }

  async oldest(): Promise<Position | undefined> {
    return (await this.#deliveries.find().sort({ p: 1 }).limit(1).next())?.p;
  }
}

/** How many wait in each queue that are not dead. */
export async function waitingByEndpoint(
  queue: Collections['deliveries'] | Collections['messages'],
): Promise<readonly { readonly endpoint: string; readonly waiting: number }[]> {
  const groups = (queue as Collections['deliveries']).aggregate<{ _id: string; waiting: number }>([
    { $match: { dead: false } },
    { $group: { _id: '$e', waiting: { $sum: 1 } } },
    { $sort: { _id: 1 } },
  ]);
  return (await groups.toArray()).map(({ _id, waiting }) => ({ endpoint: _id, waiting }));
}

const restored = ({ s, p, t, e, a, r, dead }: DeliveryDocument): ParkedDelivery => ({
  tenant: t,
  subscription: s,
  position: p,
  endpoint: e,
  attempts: a,
  reason: r,
  dead,
});
