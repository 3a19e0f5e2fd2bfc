import type { Change, Position } from '../../../domain/change.ts';
import { syntax } from '../../../domain/device-document.ts';
import type { Iri, TenantId } from '../../../domain/iri.ts';
import type { JsonObject, JsonValue } from '../../../domain/json.ts';
import type { Context } from '../../../domain/jsonld/context.ts';
import { NoResult } from '../../../domain/processing/formula.ts';
import { readVirtualSensor } from '../../../domain/processing/virtual-sensor.ts';
import { type Instant, type Micros, toMicros } from '../../../domain/time.ts';
import type { ChangeFeed } from '../../../ports/change-feed.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { EntityStore } from '../../../ports/entity-store.ts';
import type { Fragment, Ingest } from '../../../ports/ingest.ts';
import type { ProcessingRecord, ProcessingRecords } from '../records.ts';
import { type CompiledSensor, compileSensor, cycleThrough, defaultInstance, placeKey } from './compiled.ts';
import { type InputWindow, inputWindow } from './window.ts';

export interface VirtualSensorOptions {
  readonly records: ProcessingRecords<CompiledSensor>;
  readonly feed: ChangeFeed;
  readonly entities: EntityStore;
  /** Where results are written. */
  readonly ingest: Ingest;
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
}

/** What became of a virtual sensor since the start. */
export interface SensorTally {
  results: number;
  failures: number;
  lastResultAt?: Instant;
  lastFailure?: { readonly at: Instant; readonly reason: string };
}

/** Entities that are calculated from others: when these change, or every now and then. */
export interface VirtualSensors {
  start(): Promise<void>;
  /** Documents have changed. Resolves when changes from now on are observed. */
  changed(): Promise<void>;
  /** Calculates those whose time has come. */
  sweep(): Promise<void>;
  tally(tenant: TenantId, name: string): SensorTally;
  tallies(): Iterable<SensorTally>;
  /** Resolves when what was begun is done. */
  stop(): Promise<void>;
}

const READER = 'virtual-sensors';
const PAGE = 500;
const RETRY_MS = 500;
/** How often the place in the change log is moved while nobody needs it, so that the log can be trimmed. */
const IDLE_MICROS = 60e6;

/** What a sensor says, on its way to the store. */
interface Result {
  readonly record: ProcessingRecord<CompiledSensor>;
  readonly at: Instant;
  readonly fragment: Fragment;
}

/** A sensor that observes, and what it has heard. */
interface Observer {
  readonly record: ProcessingRecord<CompiledSensor>;
  readonly window: InputWindow;
}

/** Reads a document. @throws ProvisioningError WRONG_SYNTAX naming the place; if the sensor would feed itself */
export async function readSensor(
  name: string,
  body: JsonObject,
  resolveContext: (source: JsonValue | undefined) => Context | Promise<Context>,
  others: () => readonly CompiledSensor[],
): Promise<CompiledSensor> {
  const sensor = readVirtualSensor(name, body);
  const compiled = compileSensor(sensor, await resolveContext(sensor.jsonLdContext));
  const cycle = cycleThrough(
    compiled,
    others().filter((other) => other.sensor.name !== name),
  );
  if (cycle !== undefined) throw syntax(`template: the sensor would feed itself: ${[...cycle, name].join(' → ')}`);
  return compiled;
}

export function virtualSensors({ records, feed, entities, ingest, clock, onError }: VirtualSensorOptions): VirtualSensors {
  /** By tenant and entity. */
  let observers = new Map<string, Observer[]>();
  const tallies = new Map<string, SensorTally>();
  const due = new Map<string, Micros>();
  let position: Position | undefined;
  let hasCursor = false;
  let idleSince: Micros = 0;
  let reading: Promise<void> | undefined;
  let again = false;
  let stopped = false;
  let unsubscribe = (): void => {};

  const keyOf = ({ tenant, name, version }: ProcessingRecord<unknown>): string => `${tenant}\n${name}\n${version}`;

  function tally(tenant: TenantId, name: string): SensorTally {
    const key = `${tenant}\n${name}`;
    const found = tallies.get(key) ?? { results: 0, failures: 0 };
    tallies.set(key, found);
    return found;
  }

  function failed({ tenant, name }: ProcessingRecord<unknown>, reason: string): void {
    const count = tally(tenant, name);
    count.failures++;
    count.lastFailure = { at: clock.now(), reason };
  }

  /** What a sensor says now; undefined: nothing, and why is known. */
  function evaluated(
    record: ProcessingRecord<CompiledSensor>,
    at: Instant,
    instanceOf: Parameters<CompiledSensor['evaluate']>[1],
  ): Result | undefined {
    const { tenant, read } = record;
    try {
      const attributes = read.evaluate(at, instanceOf);
      const caller = { tenant, principal: { kind: 'system' } } as const;
      return { record, at, fragment: { caller, id: read.sensor.id, types: read.types, attributes } };
    } catch (error) {
      if (!(error instanceof NoResult)) throw error;
      failed(record, error.message);
      return undefined;
    }
  }

  function rebuild(): void {
    const before = new Map([...observers.values()].flat().map((observer) => [keyOf(observer.record), observer]));
    observers = new Map();
    due.forEach((_, key) => {
      const [tenant, name, version] = key.split('\n');
      if (records.byName(tenant as TenantId, name as string)?.version !== Number(version)) due.delete(key);
    });
    for (const tenant of records.tenants()) {
      for (const record of records.of(tenant)) {
        const { sensor, inputs } = record.read;
        if (sensor.poll || !sensor.enabled) continue;
        // What was heard stays, whatever happens to other documents.
        const observer = before.get(keyOf(record)) ?? { record, window: inputWindow(inputs, sensor.windowSeconds) };
        for (const entity of new Set(inputs.map((input) => input.entity))) {
          const key = `${tenant}\n${entity}`;
          observers.set(key, [...(observers.get(key) ?? []), observer]);
        }
      }
    }
  }

  function observe(change: Change): Result[] {
    const concerned = observers.get(`${change.tenant}\n${change.id}`);
    if (concerned === undefined) return [];
    const at = toMicros(change.at);
    const results: Result[] = [];
    for (const { record, window } of concerned) {
      const inputs = new Set(record.read.inputs.map(placeKey));
      let isUpdate = false;
      for (const { name, datasetId, kind, after } of change.attributes) {
        const place = { entity: change.id, attribute: name };
        if (datasetId !== undefined || !inputs.has(placeKey(place))) continue;
        if (kind === 'deleted' || after === undefined) window.deleted(place);
        else {
          window.updated(place, after, at);
          isUpdate = true;
        }
      }
      if (!isUpdate || !window.complete(at)) continue;
      const result = evaluated(record, window.newest(), window.instanceOf);
      if (result === undefined) continue;
      window.use();
      results.push(result);
    }
    return results;
  }

  async function store(results: readonly Result[]): Promise<void> {
    if (results.length === 0) return;
    const { refused } = await ingest.accept(results.map(({ fragment }) => fragment));
    const reasons = new Map(refused.map(({ index, reason }) => [index, reason]));
    results.forEach(({ record, at }, index) => {
      const reason = reasons.get(index);
      if (reason !== undefined) {
        failed(record, reason);
        return;
      }
      const count = tally(record.tenant, record.name);
      count.results++;
      count.lastResultAt = at;
    });
  }

  /** Stores until it is stored: what was calculated is not calculated again. */
  async function storeSurely(results: readonly Result[]): Promise<void> {
    while (!stopped) {
      try {
        return await store(results);
      } catch (error) {
        onError(error);
        await new Promise((wake) => setTimeout(wake, RETRY_MS).unref());
      }
    }
  }

  async function readOn(): Promise<void> {
    while (!stopped && position !== undefined && observers.size > 0) {
      const changes = await feed.read(position, PAGE);
      if (changes.length === 0) return;
      await storeSurely(changes.flatMap(observe));
      if (stopped) return;
      position = (changes.at(-1) as Change).position;
      hasCursor = true;
      await feed.moveCursor(READER, position);
    }
  }

  function wake(): void {
    if (stopped || observers.size === 0) return;
    again = true;
    reading ??= (async () => {
      while (again) {
        again = false;
        await readOn();
      }
    })()
      .catch(onError)
      .finally(() => {
        reading = undefined;
      });
  }

  async function changed(): Promise<void> {
    rebuild();
    if (observers.size === 0) position = undefined;
    // Observed from now on: what happened while nobody asked is nobody's business.
    else position ??= await feed.head();
    wake();
  }

  async function poll(record: ProcessingRecord<CompiledSensor>): Promise<void> {
    const { tenant, read } = record;
    const ids = [...new Set(read.inputs.map(({ entity }) => entity))];
    const found = new Map<Iri, Awaited<ReturnType<EntityStore['get']>>>();
    for (const id of ids) found.set(id, await entities.get(tenant, id));
    const result = evaluated(record, clock.now(), (place) => defaultInstance(found.get(place.entity)?.entity, place));
    await store(result === undefined ? [] : [result]);
  }

  return {
    async start() {
      const cursor = await feed.cursor(READER);
      hasCursor = cursor !== undefined;
      unsubscribe = feed.onCommit(wake);
      rebuild();
      if (observers.size > 0) position = cursor ?? (await feed.head());
      wake();
    },
    changed,
    async sweep() {
      const now = clock.micros();
      for (const tenant of records.tenants()) {
        for (const record of records.of(tenant)) {
          const { sensor } = record.read;
          if (!sensor.poll || !sensor.enabled) continue;
          const key = keyOf(record);
          if (now < (due.get(key) ?? 0)) continue;
          due.set(key, now + sensor.windowSeconds * 1e6);
          await poll(record).catch(onError);
        }
      }
      // A place that nobody needs must not keep the change log.
      if (hasCursor && observers.size === 0 && now - idleSince > IDLE_MICROS) {
        idleSince = now;
        await feed.moveCursor(READER, await feed.head());
      }
    },
    tally,
    tallies: () => tallies.values(),
    async stop() {
      stopped = true;
      unsubscribe();
      await reading;
    },
  };
}
