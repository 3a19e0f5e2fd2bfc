import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import type { TenantId } from '../../domain/iri.ts';
import type { DocumentStore } from '../../ports/document-store.ts';

/** 192 random bits; 32 characters that need no escaping in topics and URLs. */
const TOKEN_BYTES = 24;
const SEAL = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** How keys and tokens are kept: as keyed hashes, and sealed where they must be said again, as API keys in topics towards devices. */
export interface Secrets {
  hash(secret: string): string;
  newToken(): string;
  /** Readable for this broker only: the key to it is not in listings, exports or copies of single documents. */
  seal(secret: string): string;
  /** @returns undefined if it was not sealed here */
  unseal(sealed: string | undefined): string | undefined;
}

export async function deviceSecrets(documents: DocumentStore): Promise<Secrets> {
  const pepper = await pepperOf(documents);
  const sealing = Buffer.from(hkdfSync('sha256', pepper, '', 'mizar device keys', 32));
  return {
    hash: (secret) => createHmac('sha256', pepper).update(secret).digest('hex'),
    newToken: () => randomBytes(TOKEN_BYTES).toString('base64url'),
    seal(secret) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(SEAL, sealing, nonce);
      const body = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64url');
    },
    unseal(sealed) {
      if (sealed === undefined) return undefined;
      try {
        const bytes = Buffer.from(sealed, 'base64url');
        const cipher = createDecipheriv(SEAL, sealing, bytes.subarray(0, NONCE_BYTES));
        cipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
        return Buffer.concat([cipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), cipher.final()]).toString('utf8');
      } catch {
        return undefined;
      }
    },
  };
}

/** Compares digests without telling by the time it takes how much of them is equal. */
export function sameDigest(a: string | undefined, b: string): boolean {
  return a !== undefined && a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

/** The secret that API keys and tokens are hashed with: made at the first start, so that a copied list of hashes alone tells nothing. */
async function pepperOf(documents: DocumentStore): Promise<Buffer> {
  const tenant = '' as TenantId;
  const stored = await documents.get('setting', tenant, 'device-key-pepper');
  if (typeof stored?.body['value'] === 'string') return Buffer.from(stored.body['value'], 'base64url');
  const value = randomBytes(32).toString('base64url');
  const put = await documents.put('setting', tenant, 'device-key-pepper', { value }, 0);
  return put === undefined ? pepperOf(documents) : Buffer.from(value, 'base64url');
}
