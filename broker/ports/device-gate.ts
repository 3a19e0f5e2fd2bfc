import type { KnownDevice, ServiceGroup } from '../domain/device.ts';
import type { TenantId } from '../domain/iri.ts';

/** User name of a device at a broker outside: its identity in the registry, because device ids alone repeat between tenants. */
export const outsideName = (identity: string): string => identity.replace('#', identity.includes('/#') ? '' : '/');

/** A device with the secrets that only the moment of their making knows. */
export interface Admission {
  readonly known: KnownDevice;
  /** Its token, in clear. */
  readonly token: string;
  /** Keyed hash of the token. */
  readonly tokenHash: string;
  /** The API key that stands in its topics, if it has one. */
  readonly apikey: string | undefined;
}

/** An API key under which many devices of a group speak, as network servers and gateways do. */
export interface GroupAdmission {
  readonly tenant: TenantId;
  readonly group: ServiceGroup;
  readonly apikey: string;
}

/** Who lets devices in where this broker does not do it itself: an MQTT broker outside. */
export interface DeviceGate {
  /** From now on the device may connect with this token, and with no older one. @throws DomainError Unavailable: then it may not */
  admit(admission: Admission): Promise<void>;
  /** The device may no longer connect, and its sessions end. What cannot be done now is done as soon as it can. */
  dismiss(identity: string): Promise<void>;
  admitGroup(admission: GroupAdmission): Promise<void>;
  dismissGroup(keyHash: string): Promise<void>;
}
