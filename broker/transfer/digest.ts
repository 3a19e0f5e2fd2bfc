import { createHash } from 'node:crypto';
import { canonicalText, type TransferredDocument, type TransferredEntity } from '../domain/transfer.ts';

/** The same for the same content, whichever store it lies in. */
export const digestOf = (item: TransferredEntity | TransferredDocument): string =>
  createHash('sha256').update(canonicalText(item)).digest('base64url');

/** One digest for many, in whatever order they come. */
export class DigestOfAll {
  readonly #sum = Buffer.alloc(32);
  #count = 0;

  add(digest: string): void {
    this.#count++;
    const bytes = Buffer.from(digest, 'base64url');
    for (let at = 0; at < 32; at++) this.#sum[at] = (this.#sum[at] as number) ^ (bytes[at] as number);
  }

  get text(): string {
    return `${this.#count}:${this.#sum.toString('base64url')}`;
  }
}
