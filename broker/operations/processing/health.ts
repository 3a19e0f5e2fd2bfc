import { type AttributeInstance, instanceValue } from '../../domain/attribute.ts';
import type { KnownDevice } from '../../domain/device.ts';
import type { Entity } from '../../domain/entity.ts';
import type { Iri, TenantId } from '../../domain/iri.ts';
import type { JsonValue } from '../../domain/json.ts';
import type { HealthRule } from '../../domain/processing/health-rule.ts';
import { selects } from '../../domain/processing/select.ts';
import { fromMicros, type Instant, type Micros, toMicros } from '../../domain/time.ts';
import type { Clock } from '../../ports/clock.ts';
import type { EntityStore } from '../../ports/entity-store.ts';
import type { Ingest } from '../../ports/ingest.ts';
import type { DeviceHealth } from '../../ports/processing.ts';
import type { ProcessingRecord, ProcessingRecords } from './records.ts';
import { QUALITY } from './rules.ts';
import { type Watch, watchKeeper } from './watch.ts';

export interface HealthOptions {
  readonly rules: ProcessingRecords<HealthRule>;
  readonly devices: () => readonly KnownDevice[];
  /** The entity of a device. Throws as long as its names are not known. */
  readonly entityOf: (known: KnownDevice) => Iri;
  readonly entities: EntityStore;
  /** Where alerts are written. */
  readonly ingest: Ingest;
  readonly clock: Clock;
  /** An alert was issued. */
  readonly onAlert: (tenant: TenantId, rule: string) => void;
  readonly onError: (error: unknown) => void;
}

/** Looks after devices: those that are silent, and those whose battery is low, become Alert entities. */
export interface HealthKeeper extends DeviceHealth {
  /** Looks for devices that are silent. */
  sweep(): Promise<void>;
  /** Rules have changed. */
  changed(): void;
}

/** Names of an alert, in the @context of the device. */
const NAMES = [
  'Alert',
  'category',
  'subCategory',
  'severity',
  'status',
  'alertSource',
  'refDevice',
  'dateIssued',
  'validTo',
  'description',
  'quality',
] as const;
type Names = Readonly<Record<(typeof NAMES)[number], Iri>>;

/** Devices whose last word is remembered; of others what is stored is enough. */
const MOST_HEARD = 100_000;

export function deviceHealth({
  rules,
  devices,
  entityOf,
  entities,
  ingest,
  clock,
  onAlert,
  onError,
}: HealthOptions): HealthKeeper {
  const keeper = watchKeeper(clock.micros);
  const heardAt = new Map<string, Micros>();
  let batteries = new WeakMap<KnownDevice, readonly { readonly rule: HealthRule; readonly attribute: Iri }[]>();
  /** Whether the battery was low when it was last heard of, by rule and device. */
  const low = new Map<string, boolean>();

  async function lastHeard(known: KnownDevice): Promise<Micros | undefined> {
    const inMemory = heardAt.get(known.identity);
    if (inMemory !== undefined) return inMemory;
    const entity = await entityFor(known);
    return entity && lastStored(entity, known.expand('quality'));
  }

  async function entityFor(known: KnownDevice): Promise<Entity | undefined> {
    let id: Iri;
    try {
      id = entityOf(known);
    } catch {
      // Its @context is being loaded.
      return undefined;
    }
    return (await entities.get(known.tenant, id))?.entity;
  }

  async function raise(rule: HealthRule, known: KnownDevice, subCategory: string, description: string): Promise<void> {
    const names = namesOf(known);
    const id = alertId(rule, entityOf(known));
    const now = clock.micros();
    const before = (await entities.get(known.tenant, id))?.entity;
    const issued = valueOfText(before, names.dateIssued);
    if (issued !== undefined && now - toMicros(issued as Instant) < rule.quietSeconds * 1e6) return;
    const observedAt = clock.now();
    const property = (value: JsonValue): readonly AttributeInstance[] => [{ type: 'Property', value, observedAt }];
    const device = entityOf(known);
    await write(known.tenant, id, names.Alert, {
      [names.category]: property(rule.category),
      [names.subCategory]: property(subCategory),
      [names.severity]: property(rule.severity),
      [names.status]: property('open'),
      [names.alertSource]: property(device),
      [names.refDevice]: [{ type: 'Relationship', object: device, observedAt }],
      [names.dateIssued]: property(observedAt),
      [names.description]: property(description),
    });
    onAlert(known.tenant, rule.name);
  }

  /** The alert, if there is one that is open, is over. */
  async function close(rule: HealthRule, known: KnownDevice): Promise<void> {
    const names = namesOf(known);
    const id = alertId(rule, entityOf(known));
    const before = (await entities.get(known.tenant, id))?.entity;
    if (valueOfText(before, names.status) !== 'open') return;
    const observedAt = clock.now();
    await write(known.tenant, id, names.Alert, {
      [names.status]: [{ type: 'Property', value: 'closed', observedAt }],
      [names.validTo]: [{ type: 'Property', value: observedAt, observedAt }],
    });
  }

  async function write(
    tenant: TenantId,
    id: Iri,
    type: Iri,
    attributes: Record<Iri, readonly AttributeInstance[]>,
  ): Promise<void> {
    const caller = { tenant, principal: { kind: 'system' } } as const;
    const { refused } = await ingest.accept([{ caller, id, types: [type], attributes }]);
    if (refused[0] !== undefined) throw new Error(`The alert ${id} was refused: ${refused[0].reason}`);
  }

  function watchOf({ tenant, name, version, read }: ProcessingRecord<HealthRule>): readonly [Watch, readonly KnownDevice[]][] {
    if (!read.enabled || read.when.kind !== 'silent') return [];
    const { seconds } = read.when;
    const mine = devices().filter(
      (known) => known.tenant === tenant && known.device.onboarding === undefined && selects(read.select, known),
    );
    const watch: Watch = {
      key: `${tenant}\n${name}\n${version}`,
      seconds,
      lastSeen: lastHeard,
      overdue: (known, since) =>
        raise(
          read,
          known,
          'silent',
          `The device ${known.device.device_id} has not been heard since ${fromMicros(Math.floor(since / 1000) * 1000)}`,
        ),
      back: (known) => close(read, known),
    };
    return [[watch, mine]];
  }

  function batteryRules(known: KnownDevice): readonly { readonly rule: HealthRule; readonly attribute: Iri }[] {
    let own = batteries.get(known);
    if (own === undefined) {
      own = rules
        .of(known.tenant)
        .flatMap(({ read }) =>
          read.enabled && read.when.kind === 'lowBattery' && selects(read.select, known)
            ? [{ rule: read, attribute: known.expand(read.when.attribute) }]
            : [],
        );
      batteries.set(known, own);
    }
    return own;
  }

  async function batteryAt(rule: HealthRule, known: KnownDevice, level: number): Promise<void> {
    if (rule.when.kind !== 'lowBattery') return;
    const isLow = level < rule.when.below && (rule.when.above === undefined || level > rule.when.above);
    const key = `${rule.name}\n${known.identity}`;
    // While it is well nothing has to be looked up, but after a start it is not known whether an alert is open.
    if (!isLow && low.get(key) === false) return;
    if (isLow) await raise(rule, known, 'lowBattery', `The battery of the device ${known.device.device_id} is low: ${level}`);
    else await close(rule, known);
    if (low.size >= MOST_HEARD) low.clear();
    low.set(key, isLow);
  }

  return {
    get active() {
      return rules.any;
    },
    heard(identity) {
      if (heardAt.size >= MOST_HEARD && !heardAt.has(identity)) heardAt.clear();
      heardAt.set(identity, clock.micros());
    },
    async stored(said) {
      for (const { known, fragment } of said) {
        for (const { rule, attribute } of batteryRules(known)) {
          const instance = fragment.attributes[attribute]?.at(-1);
          const level = instance === undefined ? undefined : instanceValue(instance);
          if (typeof level === 'number') await batteryAt(rule, known, level).catch(onError);
        }
      }
    },
    async sweep() {
      const watched: (readonly [Watch, readonly KnownDevice[]])[] = [];
      for (const tenant of rules.tenants()) for (const record of rules.of(tenant)) watched.push(...watchOf(record));
      if (watched.length > 0) await keeper.sweep(watched);
    },
    changed() {
      batteries = new WeakMap();
      low.clear();
      keeper.clear();
    },
  };
}

const NAMES_OF = new WeakMap<KnownDevice, Names>();

function namesOf(known: KnownDevice): Names {
  let names = NAMES_OF.get(known);
  if (names === undefined) {
    names = Object.fromEntries(NAMES.map((name) => [name, known.expand(name)])) as Names;
    NAMES_OF.set(known, names);
  }
  return names;
}

const URN = 'urn:ngsi-ld:';

/** One alert for a rule and the entity of a device: its history says when it was open. */
function alertId(rule: HealthRule, entity: Iri): Iri {
  const name = entity.startsWith(URN) ? entity.slice(URN.length) : encodeURIComponent(entity);
  return `${URN}Alert:${rule.name}:${name}` as Iri;
}

function valueOfText(entity: Entity | undefined, name: Iri): string | undefined {
  const instance = entity?.attributes[name]?.[0];
  const value = instance === undefined ? undefined : instanceValue(instance);
  return typeof value === 'string' ? value : undefined;
}

/** When something that the device said was stored last; undefined: never. */
export function lastStored(entity: Entity, quality: Iri): Micros | undefined {
  let last: Micros | undefined;
  for (const instances of Object.values(entity.attributes)) {
    for (const instance of instances) {
      const at = instance.modifiedAt ?? instance.observedAt;
      if (at === undefined || isOurs(instance, quality)) continue;
      const micros = toMicros(at);
      if (last === undefined || micros > last) last = micros;
    }
  }
  return last;
}

/** Whether the broker itself has written it, because nothing came. */
export function isOurs(instance: AttributeInstance, quality: Iri): boolean {
  const mark = instance.attributes?.[quality]?.[0];
  const value = mark === undefined ? undefined : instanceValue(mark);
  return value === QUALITY.missing || value === QUALITY.replaced;
}
