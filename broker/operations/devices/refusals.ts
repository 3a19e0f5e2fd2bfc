import type { TenantId } from '../../domain/iri.ts';
import type { Instant } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';

/** Something that a device said and that was not taken. */
export interface DeviceRefusal {
  readonly at: Instant;
  /** VALUE: one value of a message, the others of which were taken. Else why the whole message was refused, as docs/devices.md lists it. */
  readonly code: string;
  /** A sentence without secrets. */
  readonly reason: string;
}

/** A device that showed a valid key and is not provisioned, in a group that provisions none by itself. */
export interface UnknownDevice {
  readonly device_id: string;
  readonly firstHeard: Instant;
  readonly lastHeard: Instant;
  readonly messages: number;
}

/** What was refused lately, in memory: for the one who asks why a value is missing. */
export interface RefusalLog {
  note(identity: string, code: string, reason: string): void;
  /** Newest first. */
  of(identity: string): readonly DeviceRefusal[];
  forget(identity: string): void;
  noteUnknown(tenant: TenantId, path: string, deviceId: string): void;
  /** Last heard first. Path "/*": all of the tenant. */
  unknown(tenant: TenantId, path: string): readonly UnknownDevice[];
  /** By code, since the start. */
  counts(): Readonly<Record<string, number>>;
}

const MOST = { perDevice: 20, devices: 10_000, unknown: 1000 } as const;

export function refusalLog(clock: Pick<Clock, 'now'>): RefusalLog {
  const lists = new Map<string, DeviceRefusal[]>();
  const unknown = new Map<string, UnknownDevice & { readonly tenant: TenantId; readonly path: string }>();
  const counts: Record<string, number> = Object.create(null);

  return {
    note(identity, code, reason) {
      counts[code] = (counts[code] ?? 0) + 1;
      const list = lists.get(identity) ?? [];
      if (list.length === MOST.perDevice) list.shift();
      list.push({ at: clock.now(), code, reason });
      // Those that were refused longest ago are forgotten first.
      lists.delete(identity);
      lists.set(identity, list);
      if (lists.size > MOST.devices) lists.delete(lists.keys().next().value as string);
    },
    of: (identity) => [...(lists.get(identity) ?? [])].reverse(),
    forget: (identity) => void lists.delete(identity),
    noteUnknown(tenant, path, deviceId) {
      const key = `${tenant}\n${path}\n${deviceId}`;
      const now = clock.now();
      const before = unknown.get(key);
      unknown.delete(key);
      unknown.set(key, {
        tenant,
        path,
        device_id: deviceId,
        firstHeard: before?.firstHeard ?? now,
        lastHeard: now,
        messages: (before?.messages ?? 0) + 1,
      });
      if (unknown.size > MOST.unknown) unknown.delete(unknown.keys().next().value as string);
    },
    unknown: (tenant, path) =>
      [...unknown.values()]
        .filter((one) => one.tenant === tenant && (path === '/*' || one.path === path))
        .reverse()
        .map(({ tenant: _, path: __, ...one }) => one),
    counts: () => ({ ...counts }),
  };
}
