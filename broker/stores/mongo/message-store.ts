import type { TenantId } from '../../domain/iri.ts';
import { fromStoredText, type JsonObject, storedText } from '../../domain/json.ts';
import type { ParkedDelivery } from '../../ports/delivery-store.ts';
import type { MessageStore, StoredMessage } from '../../ports/message-store.ts';
import type { Collections, MessageDocument } from './collections.ts';
import { waitingByEndpoint } from './delivery-store.ts';

export class MongoMessageStore implements MessageStore {
  readonly #messages: Collections['messages'];

  constructor({ messages }: Collections) {
    this.#messages = messages;
  }

  async add(messages: readonly StoredMessage[]): Promise<void> {
    if (messages.length === 0) return;
    await this.#messages.insertMany(
      messages.map(({ position, tenant, subscription, endpoint, attempts, reason, dead, body }) => ({
        _id: position,
        t: tenant,
        s: subscription,
        e: endpoint,
        a: attempts,
        r: reason,
        dead,
        b: storedText(body),
      })),
    );
  }

  async park(messages: readonly ParkedDelivery[]): Promise<void> {
    if (messages.length === 0) return;
    await this.#messages.bulkWrite(
      messages.map(({ position, attempts: a, reason: r, dead }) => ({
        updateOne: { filter: { _id: position }, update: { $set: { a, r, dead } } },
      })),
    );
  }

  endpoints(): Promise<readonly { readonly endpoint: string; readonly waiting: number }[]> {
    return waitingByEndpoint(this.#messages);
  }

  async waiting(endpoint: string, limit: number): Promise<readonly StoredMessage[]> {
    const found = this.#messages.find({ dead: false, e: endpoint }).sort({ _id: 1 }).limit(limit);
    return (await found.toArray()).map(restored);
  }

  async dead(limit: number): Promise<readonly StoredMessage[]> {
    return (await this.#messages.find({ dead: true }).sort({ _id: 1 }).limit(limit).toArray()).map(restored);
  }

  async remove(messages: readonly { readonly position: number }[]): Promise<void> {
    if (messages.length > 0) await this.#messages.deleteMany({ _id: { $in: messages.map(({ position }) => position) } });
  }

  async removeQueue(tenant: TenantId, endpoint: string): Promise<void> {
    await this.#messages.deleteMany({ e: endpoint, t: tenant });
  }

  async last(): Promise<number> {
    return (await this.#messages.find().sort({ _id: -1 }).limit(1).next())?._id ?? 0;
  }
}

const restored = ({ _id, t, s, e, a, r, dead, b }: MessageDocument): StoredMessage => ({
  position: _id,
  tenant: t,
  subscription: s,
  endpoint: e,
  attempts: a,
  reason: r,
  dead,
  body: fromStoredText(b) as JsonObject,
});
