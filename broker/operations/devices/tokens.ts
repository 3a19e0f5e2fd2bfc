import type { Device, DeviceSession, KnownDevice, ServiceGroup } from '../../domain/device.ts';
import { syntax } from '../../domain/device-document.ts';
import type { TenantId } from '../../domain/iri.ts';
import { compareInstants, type Instant } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';
import { type DeviceGate, outsideName } from '../../ports/device-gate.ts';
import type { DeviceIndex } from './index.ts';
import { type Secrets, sameDigest } from './secrets.ts';

/** A secret that is shown this once. */
export interface IssuedToken {
  readonly device_id: string;
  readonly token: string;
  /** From then on it does not hold. */
  readonly expiresAt?: Instant;
  /** User name at an MQTT broker outside. */
  readonly mqttUsername?: string;
}

export interface DeviceTokensOptions {
  readonly secrets: Secrets;
  readonly index: DeviceIndex;
  readonly clock: Clock;
  /** Who lets devices in at a broker outside, if there is one. */
  readonly gate: DeviceGate | undefined;
  save(tenant: TenantId, path: string, device: Device, expectNew: boolean): Promise<KnownDevice>;
  revoked(session: DeviceSession): void;
}

/** Tokens of devices: made here, kept as hashes, and ended. */
export interface DeviceTokens {
  /** Stores the device with a new token; the one before stops to work, and sessions opened with it end. */
  issue(draft: KnownDevice, expectNew: boolean, expiresAt?: Instant): Promise<IssuedToken>;
  revoke(known: KnownDevice): Promise<void>;
  /** Who connects with these credentials. */
  authenticate(username: string | undefined, password: string): DeviceSession | undefined;
  byToken(token: string): KnownDevice | undefined;
  /** Takes back tokens whose time is over. @returns how many */
  sweep(): Promise<number>;
  /** The API key in topics of a device: its own, or its group's; undefined: it has none, or it is not known any more. */
  keyOf(device: Device, group: ServiceGroup | undefined): string | undefined;
}

export function deviceTokens({ secrets, index, clock, gate, save, revoked }: DeviceTokensOptions): DeviceTokens {
  const holds = ({ device: { tokenExpiresAt } }: KnownDevice): boolean =>
    tokenExpiresAt === undefined || compareInstants(tokenExpiresAt, clock.now()) > 0;
  const keyOf: DeviceTokens['keyOf'] = (device, group) => secrets.unseal(device.sealedKey ?? group?.sealedKey);

  function found(hash: string): KnownDevice | undefined {
    const known = index.byToken(hash);
    return known !== undefined && sameDigest(known.device.tokenHash, hash) && holds(known) ? known : undefined;
  }

  async function revoke({ device, tenant, servicePath, identity }: KnownDevice): Promise<void> {
    const { tokenHash, tokenExpiresAt: _, ...rest } = device;
    await save(tenant, servicePath, rest, false);
    revoked({ kind: 'device', identity });
    if (tokenHash !== undefined) await gate?.dismiss(identity);
  }

  return {
    async issue(draft, expectNew, expiresAt) {
      if (expiresAt !== undefined && compareInstants(expiresAt, clock.now()) <= 0)
        throw syntax(`The token would have expired already, at ${expiresAt}`);
      const token = secrets.newToken();
      const tokenHash = secrets.hash(token);
      const { tokenHash: before, tokenExpiresAt: _, ...rest } = draft.device;
      const device: Device = { ...rest, tokenHash, ...(expiresAt !== undefined && { tokenExpiresAt: expiresAt }) };
      const known = await save(draft.tenant, draft.servicePath, device, expectNew);
      if (before !== undefined) revoked({ kind: 'device', identity: known.identity });
      if (gate !== undefined) {
        const apikey = keyOf(device, known.group);
        try {
          await gate.admit({ known, token, tokenHash, apikey });
        } catch (error) {
          // Nobody has seen the token: without it the device is where it was, and can be given another.
          await save(draft.tenant, draft.servicePath, rest, false);
          throw error;
        }
      }
      return {
        device_id: device.device_id,
        token,
        ...(expiresAt !== undefined && { expiresAt }),
        ...(gate !== undefined && { mqttUsername: outsideName(known.identity) }),
      };
    },
    revoke,
    authenticate(username, password) {
      const given = secrets.hash(password);
      const known = found(given);
      if (known !== undefined) {
        const names = [undefined, '', known.device.device_id, outsideName(known.identity), password];
        return names.includes(username) ? { kind: 'device', identity: known.identity } : undefined;
      }
      return index.hasGroupKey(given) ? { kind: 'group', keyHash: given } : undefined;
    },
    byToken: (token) => found(secrets.hash(token)),
    async sweep() {
      const late = index.withExpiringTokens().filter((known) => !holds(known));
      for (const known of late) await revoke(known);
      return late.length;
    },
    keyOf,
  };
}
