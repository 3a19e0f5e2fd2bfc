import type { JsonValue } from '../../broker/ports/ingest.ts';

/**
 * What readings of a device mean, as data: which entity, which attribute, which unit. A mapping document is JSON throughout, so that it can be
 * stored, changed and looked at; compile.ts makes of it what apply.ts needs.
 */
export interface MappingDocument {
  /** The entities that the device writes to. The first is the device's own: attributes that name no target go there. */
  readonly targets: readonly Target[];
  readonly attributes: readonly MappedAttribute[];
  /**
   * What becomes of readings that no attribute takes: true, they become attributes under their own name; false, they are dropped; a list, only
   * those with these names (or `object_id`s) are kept; a text, the JEXL expression that gives the answer.
   */
  readonly unmapped: boolean | readonly string[] | string;
  /** false: readings without a time stay without observedAt, instead of getting the time of reception. */
  readonly receiveTime?: boolean;
  /** What expressions may use beside the readings: static values, id, type, service … */
  readonly constants: Readonly<Record<string, JsonValue>>;
}

export interface Target {
  /** An IRI, or a name that becomes `urn:ngsi-ld:<type>:<name>`. */
  readonly id: string;
  /** JEXL; its result wins over `id`. */
  readonly idExpression?: string;
  /** Term or IRI. */
  readonly type: string;
  /** Attributes that are the same with every measure. */
  readonly statics?: readonly StaticValue[];
  /** A DateTime property that Smart Data Models ask for beside observedAt, such as dateObserved: term or IRI. */
  readonly timeAttributes?: readonly string[];
}

/** How a value becomes an attribute instance. */
export interface ValueRule {
  /** Term or IRI. */
  readonly name: string;
  /** "Number", "Relationship", "geo:json" …, the types of IoT agents; absent or unknown: a Property as it is. */
  readonly type?: string;
  readonly unitCode?: string;
  readonly datasetId?: string;
  /** Sub-attributes by term or IRI: `{type, value}` or the value alone. `unitCode` and `TimeInstant` are taken as what they mean. */
  readonly metadata?: Readonly<Record<string, JsonValue>>;
  readonly geoOrder?: 'lon,lat' | 'lat,lon';
}

export interface StaticValue extends ValueRule {
  readonly value: JsonValue;
}

export interface MappedAttribute extends ValueRule {
  /** Which reading it takes. Absent with an expression that uses several. */
  readonly address?: string;
  readonly expression?: string;
  /** A result equal to this is no reading. Absent: null. */
  readonly skipValue?: JsonValue;
  /** Raw values that mean "no reading", as −1 does for a battery that is not there. */
  readonly invalid?: readonly JsonValue[];
  readonly factor?: number;
  readonly offset?: number;
  /** Index of the target; absent: 0. */
  readonly target?: number;
}
