import type { Iri, TenantId } from './iri.ts';
import type { JsonValue } from './json.ts';
import type { Instant } from './time.ts';

// Names with underscores are those of the FIWARE IoT Agent provisioning API, in which devices and groups are written down.

/** One attribute of a device: what it is called there and what becomes of it. */
export interface DeviceAttribute {
  /** Name in the device's messages; absent: `name`. */
  readonly object_id?: string;
  readonly name: string;
  /** Kind of NGSI-LD attribute, or type of the value: "Number", "Relationship", "geo:json" … */
  readonly type?: string;
  /** JEXL, over the values of one measure and what is known of the device. */
  readonly expression?: string;
  /** A result equal to this is not sent; absent: null. */
  readonly skipValue?: JsonValue;
  readonly metadata?: Readonly<Record<string, JsonValue>>;
  /** Write to another entity; may be an expression. */
  readonly entity_name?: string;
  readonly entity_type?: string;
  /** How to read a position that comes as text "a,b". Absent: such text is refused, because devices do not agree. */
  readonly geoOrder?: 'lon,lat' | 'lat,lon';
  readonly datasetId?: string;
}

/** A static Relationship to another entity that shall have some of the device's measures, too. */
export interface DeviceLink {
  /** Names of the attributes. */
  readonly attributes: readonly string[];
  /** Relationship back to the device, on each of them. */
  readonly name?: string;
  /** Of the other entity; absent: "Thing". */
  readonly type?: string;
}

/** One entry of `lazy`: an attribute that a device tells only when it is asked. */
export interface LazyAttribute {
  /** As the device calls it. */
  readonly name: string;
  /** The attribute of the entity. */
  readonly attribute: Iri;
}

export interface StaticAttribute {
  readonly name: string;
  readonly type?: string;
  readonly value: JsonValue;
  readonly link?: DeviceLink;
  readonly metadata?: Readonly<Record<string, JsonValue>>;
}

/** One entry of `commands`: what can be asked of a device, and how it is written to it. */
export interface CommandEntry {
  readonly name: string;
  readonly type?: string;
  /** JEXL over the value (under the command's name), static values and what is known of the device; its result is sent in place of the value. */
  readonly expression?: string;
  /** "binaryfromstring", "binaryfromhex", "binaryfromjson", "text", "json": the bare value in that form; absent: the format of the protocol. */
  readonly payloadType?: string;
  readonly contentType?: string;
  /** HTTP headers beside those of the service. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly mqtt?: { readonly qos?: number | string; readonly retain?: boolean | string };
}

/** What groups and devices may both say; the device wins, attribute lists are merged. */
export interface Provisioning {
  readonly entity_type?: string;
  readonly attributes?: readonly DeviceAttribute[];
  readonly static_attributes?: readonly StaticAttribute[];
  readonly lazy?: readonly DeviceAttribute[];
  readonly commands?: readonly CommandEntry[];
  readonly explicitAttrs?: JsonValue;
  readonly entityNameExp?: string;
  /** false: measures without a time get none. */
  readonly timestamp?: boolean;
  readonly payloadType?: string;
  readonly transport?: string;
  readonly endpoint?: string;
  /** IANA zone of times that the device sends without one. */
  readonly timezone?: string;
  /** @context that gives the short names their IRIs. Absent: the core context alone. */
  readonly jsonLdContext?: JsonValue;
  /** Declarative payload codecs by port, for networks that deliver bytes: see adapters/formats/codec.ts. */
  readonly codec?: JsonValue;
  /** Name of the transformation that messages pass before they are read. */
  readonly transformation?: string;
}

/** A service group: what devices with one API key have in common. */
export interface ServiceGroup extends Provisioning {
  readonly resource: string;
  /** Keyed hash of the API key; the key itself is not kept. */
  readonly keyHash: string;
  /** The API key, readable for this broker only: it stands in topics towards devices. */
  readonly sealedKey?: string;
  /** Absent: true. An unknown device with a valid key is provisioned from the group. */
  readonly autoprovision?: boolean;
  readonly defaultEntityNameConjunction?: string;
  readonly cbHost?: string;
}

export interface Device extends Provisioning {
  readonly device_id: string;
  readonly entity_name?: string;
  readonly protocol?: string;
  /** Keyed hash of the API key, if the device has its own. */
  readonly keyHash?: string;
  readonly sealedKey?: string;
  /** Keyed hash of the device's token. */
  readonly tokenHash?: string;
  /** From then on the token does not hold. */
  readonly tokenExpiresAt?: Instant;
  /** Nobody has claimed the device yet: nothing of what it says is stored. */
  readonly onboarding?: {
    readonly session: string;
    readonly createdAt: Instant;
    /** When it is deleted, if it is not claimed. */
    readonly expiresAt: Instant;
    /** When it was heard first. */
    readonly handshakeAt?: Instant;
  };
}

/** A device and all that is needed to understand it. Another object after every change: what is derived may be cached by it. */
export interface KnownDevice {
  readonly tenant: TenantId;
  readonly servicePath: string;
  /** Identifies the device over all tenants; names no secret. */
  readonly identity: string;
  readonly device: Device;
  readonly group: ServiceGroup | undefined;
  /** Short name to IRI, by the device's @context. */
  expand(term: string): Iri;
}

/** Who opened a connection. */
export type DeviceSession =
  /** Showed nothing: every message must carry a valid key or token in its topic. */
  | { readonly kind: 'anonymous' }
  /** Showed its token. */
  | { readonly kind: 'device'; readonly identity: string }
  /** Showed the API key of service groups, as network servers do that speak for many devices. */
  | { readonly kind: 'group'; readonly keyHash: string };

/** One publication as the MQTT transport hands it over. */
export interface MqttMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly session: DeviceSession;
}

/** One measure as it comes over HTTP. */
export interface MeasureMessage {
  readonly format: 'json' | 'ultralight' | 'smart-citizen' | 'things-stack' | 'chirpstack' | 'sigfox';
  /** API key or, for the Smart Citizen twin, the device's token. */
  readonly key: string;
  readonly deviceId: string | undefined;
  /** `t` of the query. */
  readonly time?: string;
  /** Only one group of UltraLight measures is possible (GET). */
  readonly single?: boolean;
  /** The device also asks for its commands (`getCmd=1`); without a body it only asks. */
  readonly getCommands?: boolean;
  /** The body holds results of commands. */
  readonly results?: boolean;
  /** One attribute instead of a message. */
  readonly attribute?: string;
  readonly body: Uint8Array;
}

/** What an adapter of this broker, or an adapter process, heard of one device. */
export interface AdapterMeasure {
  readonly tenant: TenantId;
  /** Service path of the adapter, to which its devices belong. */
  readonly path: string;
  /** Keyed hash of the API key of the group that its devices belong to; absent: they are provisioned one by one. */
  readonly keyHash?: string;
  readonly device: string;
  readonly format: string;
  readonly payload: Uint8Array;
  /** When the adapter heard it. */
  readonly at: Instant;
  /** The payload is the value of this attribute alone. */
  readonly attribute?: string;
}

/** What became of one message. */
export type DeviceOutcome =
  | {
      readonly accepted: true;
      readonly identity: string;
      readonly warnings?: readonly string[];
      /** The commands that the device asked for, in its format. */
      readonly commands?: string;
      /** What the device asked for, to be published to it. */
      readonly reply?: { readonly topic: string; readonly payload: string };
    }
  | {
      readonly accepted: false;
      /** In the words of the IoT agents: DEVICE_NOT_FOUND, PARSE_ERROR, BAD_TIMESTAMP … */
      readonly code: string;
      /** A sentence without secrets. */
      readonly reason: string;
      /** Known device, if it got that far. */
      readonly identity?: string;
      /** Where the device may hear of it. */
      readonly errorTopic?: string;
    };

/** A device that the settings of an adapter describe well enough to provision it. */
export type DescribedDevice = Pick<
  Device,
  | 'device_id'
  | 'entity_name'
  | 'entity_type'
  | 'attributes'
  | 'commands'
  | 'static_attributes'
  | 'entityNameExp'
  | 'explicitAttrs'
  | 'timestamp'
  | 'jsonLdContext'
>;
