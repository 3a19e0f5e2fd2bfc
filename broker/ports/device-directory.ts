import type { DeviceSession, KnownDevice } from '../domain/device.ts';
import type { TenantId } from '../domain/iri.ts';

/** Why nobody was found. */
export type Unknown = 'unknown-key' | 'unknown-device';

/** Who may speak, found in memory, because every message asks. */
export interface DeviceDirectory {
  /** Grows with every change of a device or group: what was found before may have changed. */
  readonly version: number;
  /**
   * The device that a topic or query names by API key and id.
   * @param resource what the group serves ("/iot/json", "/iot/d", "/iot/tts"), to choose between groups that share a key
   * @returns a promise only if the device is being provisioned from its group at this moment
   */
  byKey(key: string, deviceId: string, resource: string): KnownDevice | Unknown | Promise<KnownDevice | Unknown>;
  /** The device of that id that is provisioned in this service path; of several, the one without a key of its own. */
  byPlace(tenant: TenantId, path: string, deviceId: string): KnownDevice | undefined;
  byToken(token: string): KnownDevice | undefined;
  /** The device that a session may speak for: itself, or one of its group. */
  bySession(session: DeviceSession, deviceId: string, resource: string): KnownDevice | Unknown | Promise<KnownDevice | Unknown>;
}
