import { randomBytes, randomUUID } from 'node:crypto';
import { type AccessFunction, demand } from '../../domain/access.ts';
import type { Device, KnownDevice, MqttMessage } from '../../domain/device.ts';
import { ProvisioningError, readDevice } from '../../domain/device-document.ts';
import type { JsonObject, JsonValue } from '../../domain/json.ts';
import { compareInstants, fromMicros, type Instant, toMicros } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DeviceOperations, Place } from '../devices.ts';
import type { IssuedToken } from './tokens.ts';

/** How far the onboarding of a device has come: waiting for it, heard of it, claimed by somebody. */
export interface OnboardingState {
  readonly session: string;
  readonly device_id: string;
  readonly state: 'waiting' | 'handshake' | 'claimed' | 'ended';
  /** When the device was heard first. */
  readonly handshakeAt?: Instant;
  /** An unclaimed device is deleted then. */
  readonly expiresAt?: Instant;
}

/**
 * Onboarding in two steps: first a device comes to be that nobody owns, with a session and a token; it shows that it works by being heard with that token;
 * then somebody who may administer devices claims it. Until then nothing of what it says is stored, and after some days it is deleted.
 */
export interface OnboardingOperations {
  /** @param body members of a device, all optional; without `device_id` one is made */
  begin(
    place: Place,
    body: JsonValue | undefined,
  ): Promise<IssuedToken & { readonly session: string; readonly expiresAt: Instant }>;
  /** @throws ProvisioningError DEVICE_NOT_FOUND if there is no such session (any more) */
  state(session: string): OnboardingState;
  /** Calls back with the state now and whenever it changes. @returns stop */
  watch(session: string, listener: (state: OnboardingState) => void): () => void;
  /** The device becomes an ordinary one. @param body further members; they win over those of the beginning */
  claim(place: Place, session: string, body: JsonValue | undefined): Promise<JsonObject>;
  cancel(place: Place, session: string): Promise<void>;
  /** A device that is not claimed was heard. @param message what it said, if that shall be taken when it is claimed */
  heard(identity: string, message?: MqttMessage): void;
  /** Deletes what nobody has claimed in time. @returns how many */
  sweep(): Promise<number>;
}

export interface OnboardingOptions {
  readonly devices: DeviceOperations;
  readonly clock: Clock;
  readonly access: AccessFunction;
  readonly days: number;
  /** What a device said before it was claimed, and is still of use: who made it. */
  replay(message: MqttMessage): Promise<unknown>;
  readonly onError: (error: unknown) => void;
}

/** What was said before the claim is of use for so long. */
const REPLAY_MICROS = 3_600_000_000;
const DAY_MICROS = 86_400_000_000;

export function onboardingOperations(options: OnboardingOptions): OnboardingOperations {
  const { devices, clock, access, days, replay, onError } = options;
  const { registry } = devices;
  const listeners = new Map<string, Set<(state: OnboardingState) => void>>();
  const said = new Map<string, { readonly message: MqttMessage; readonly at: number }>();
  const identities = new Map<string, string>();
  for (const { device, identity } of registry.all()) {
    if (device.onboarding !== undefined) identities.set(device.onboarding.session, identity);
  }
  devices.onDeleted((identity) => {
    for (const [session, own] of identities) if (own === identity) end(session, 'ended');
  });

  function found(
    session: string,
  ): KnownDevice & { readonly device: { readonly onboarding: NonNullable<Device['onboarding']> } } {
    const identity = identities.get(session);
    const known = identity === undefined ? undefined : registry.byIdentity(identity);
    if (known?.device.onboarding === undefined)
      throw new ProvisioningError('DEVICE_NOT_FOUND', 'There is no such onboarding session');
    return known as ReturnType<typeof found>;
  }

  function stateOf({ device }: ReturnType<typeof found>): OnboardingState {
    const { session, expiresAt, handshakeAt } = device.onboarding;
    return {
      session,
      device_id: device.device_id,
      state: handshakeAt === undefined ? 'waiting' : 'handshake',
      ...(handshakeAt !== undefined && { handshakeAt }),
      expiresAt,
    };
  }

  function tell(state: OnboardingState): void {
    for (const listener of listeners.get(state.session) ?? []) listener(state);
  }

  function end(session: string, state: 'claimed' | 'ended'): void {
    const identity = identities.get(session);
    identities.delete(session);
    if (identity !== undefined) said.delete(identity);
    const id = (identity && registry.byIdentity(identity)?.device.device_id) ?? '';
    tell({ session, device_id: id, state });
    listeners.delete(session);
  }

  return {
    async begin(place, body) {
      demand(access, place.caller, { operation: 'beginOnboarding', effect: 'write' });
      const given = typeof body === 'object' && body !== null && !Array.isArray(body) ? (body as JsonObject) : {};
      const { device } = readDevice({ device_id: `kit-${randomBytes(6).toString('hex')}`, ...given });
      const session = randomUUID();
      const now = clock.now();
      const expiresAt = fromMicros(toMicros(now) + days * DAY_MICROS);
      const issued = await registry.create(place, { ...device, onboarding: { session, createdAt: now, expiresAt } } as Device);
      identities.set(session, issued.identity);
      return { ...issued.token, session, expiresAt };
    },
    state: (session) => stateOf(found(session)),
    watch(session, listener) {
      listener(stateOf(found(session)));
      const own = listeners.get(session) ?? new Set();
      listeners.set(session, own.add(listener));
      return () => void own.delete(listener);
    },
    async claim(place, session, body) {
      demand(access, place.caller, { operation: 'claimDevice', effect: 'administer' });
      const known = found(session);
      if (known.tenant !== place.caller.tenant || known.servicePath !== place.path)
        throw new ProvisioningError('DEVICE_NOT_FOUND', 'There is no such onboarding session in this service');
      const { device } = readDevice(body ?? {}, true);
      const { onboarding: _, ...rest } = known.device;
      await registry.save(known, { ...rest, ...device } as Device);
      const waiting = said.get(known.identity);
      end(session, 'claimed');
      if (waiting !== undefined && clock.micros() - waiting.at < REPLAY_MICROS) await replay(waiting.message).catch(onError);
      return devices.getDevice(place, known.device.device_id);
    },
    async cancel(place, session) {
      demand(access, place.caller, { operation: 'cancelOnboarding', effect: 'write' });
      await registry.remove(found(session));
    },
    heard(identity, message) {
      const known = registry.byIdentity(identity);
      const onboarding = known?.device.onboarding;
      if (known === undefined || onboarding === undefined) return;
      if (message !== undefined) said.set(identity, { message, at: clock.micros() });
      if (onboarding.handshakeAt !== undefined) return;
      const device: Device = { ...known.device, onboarding: { ...onboarding, handshakeAt: clock.now() } };
      registry
        .save(known, device)
        .then(() => tell(stateOf(found(onboarding.session))))
        .catch(onError);
    },
    async sweep() {
      let deleted = 0;
      for (const session of [...identities.keys()]) {
        const known = found(session);
        if (compareInstants(known.device.onboarding.expiresAt, clock.now()) > 0) continue;
        await registry.remove(known);
        deleted++;
      }
      return deleted;
    },
  };
}
