import type { Caller } from '../domain/access.ts';
import type { AttributeInstance, Attributes } from '../domain/attribute.ts';
import type { Geometry } from '../domain/geometry.ts';
import type { Iri, TenantId } from '../domain/iri.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { Instant } from '../domain/time.ts';

// Adapters see the broker through this file alone, so it hands out the value types that fragments are made of, and how to read them.
export type { Command, CommandedEntity } from '../domain/command.ts';
export type {
  AdapterMeasure,
  CommandEntry,
  DescribedDevice,
  Device,
  DeviceAttribute,
  DeviceOutcome,
  DeviceSession,
  KnownDevice,
  LazyAttribute,
  MeasureMessage,
  MqttMessage,
  ServiceGroup,
  StaticAttribute,
} from '../domain/device.ts';
export { isIri } from '../domain/iri.ts';
export { isObject } from '../domain/json.ts';
export { fromMicros, parseInstant, toMicros } from '../domain/time.ts';
export type { Carried, CommandCarrier, CommandDesk, HttpPush, Pushed, PushRequest } from './commands.ts';
export type { DeviceDirectory } from './device-directory.ts';
export type { DeviceHealth, Judged, Processing, Said, TransformationRecord } from './processing.ts';
export type { AttributeInstance, Attributes, Caller, Geometry, Instant, Iri, JsonObject, JsonValue, TenantId };

/** A part of an entity that a device measured or a peer replicated. Names are IRIs. */
export interface Fragment {
  /** Tenant and principal in whose name this is written. */
  readonly caller: Caller;
  readonly id: Iri;
  /** Types to give the entity if it does not exist yet, or lacks them. */
  readonly types: readonly Iri[];
  readonly attributes: Attributes;
  /** Those of the attributes that are provisioned, or follow from others: the device itself did not say them. */
  readonly beside?: ReadonlySet<Iri>;
}

export interface Refusal {
  /** Index in the batch. */
  readonly index: number;
  /** What is wrong, as a sentence. */
  readonly reason: string;
}

/**
 * The one door for what adapters measure and peers replicate. An attribute instance goes to history always, and becomes the current value
 * unless the current one has a later observedAt. Delivering a batch twice changes nothing the second time: equal observedAt and equal
 * value is a duplicate.
 */
export interface Ingest {
  /** Resolves once all that was accepted is durable. What is refused is returned, not thrown. @throws DomainError Unavailable if the store is gone or overloaded */
  accept(batch: readonly Fragment[]): Promise<{ readonly accepted: number; readonly refused: readonly Refusal[] }>;
}
