import type { FastifyPluginAsync } from 'fastify';
import type { Logger } from 'pino';
import { type MessageProcessing, messageProcessing } from '../adapters/processed.ts';
import { staticEntity } from '../adapters/things/entity.ts';
import { workerSandbox } from '../adapters/transformation/sandbox.ts';
import { transformationStage } from '../adapters/transformation/stage.ts';
import { readTransformation, tryTransformation } from '../adapters/transformation/transform.ts';
import type { Metrics } from './api/admin/metrics.ts';
import { processingRoutes } from './api/iot/processing.ts';
import { type AccessFunction, demand } from './domain/access.ts';
import type { KnownDevice } from './domain/device.ts';
import { ProvisioningError } from './domain/device-document.ts';
import type { TenantId } from './domain/iri.ts';
import type { JsonObject, JsonValue } from './domain/json.ts';
import type { Context } from './domain/jsonld/context.ts';
import { readHealthRule } from './domain/processing/health-rule.ts';
import { readRule } from './domain/processing/rule.ts';
import type { DeviceOperations } from './operations/devices.ts';
import { deviceHealth } from './operations/processing/health.ts';
import { missingValues } from './operations/processing/missing.ts';
import { processingPipeline } from './operations/processing/pipeline.ts';
import { type ProcessingRecords, processingRecords, programKey } from './operations/processing/records.ts';
import { type RuleCounts, ruleJudge } from './operations/processing/rules.ts';
import { modelValidation, readValidation } from './operations/processing/validation.ts';
import type { CompiledSensor } from './operations/processing/virtual/compiled.ts';
import { readSensor, virtualSensors } from './operations/processing/virtual/sensors.ts';
import type { ChangeFeed } from './ports/change-feed.ts';
import type { Clock } from './ports/clock.ts';
import type { DocumentStore } from './ports/document-store.ts';
import type { EntityStore } from './ports/entity-store.ts';
import type { Ingest } from './ports/ingest.ts';
import type { ModelCatalogue } from './ports/models.ts';
import type { SeriesStore } from './ports/series-store.ts';
import { sweepEvery } from './upkeep.ts';

export interface ProcessingSideOptions {
  readonly documents: DocumentStore;
  readonly series: SeriesStore;
  readonly feed: ChangeFeed;
  readonly entities: EntityStore;
  readonly clock: Clock;
  readonly access: AccessFunction;
  readonly resolveContext: (source: JsonValue | undefined) => Context | Promise<Context>;
  /** Where the broker writes what it has to say itself. */
  readonly ingest: Ingest;
  readonly logger: Logger;
  readonly figures: Metrics;
}

/** Processing of what devices say, tied together. */
export interface ProcessingSide {
  /** What the intake asks. */
  readonly messages: MessageProcessing;
  readonly routes: FastifyPluginAsync;
  /** Throws an Error if a device names something that is not there. */
  check(known: KnownDevice): void;
  /** Documents are read from the store, so that nothing that comes passes without them. */
  load(devices: Pick<DeviceOperations, 'registry' | 'refusals'>): Promise<void>;
  /** Begins to look for what does not come. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** How often it is looked for what does not come. */
const SWEEP_MS = 1000;
/** How often documents are looked at again that could not be used when the broker started. */
const RETRY_MS = 10_000;

export function processingSide(options: ProcessingSideOptions): ProcessingSide {
  const { documents, series, feed, entities, clock, access, ingest, logger, figures } = options;
  const sandbox = workerSandbox();
  const stage = transformationStage(sandbox);
  /** Models and what validates them are loaded with the first use. */
  const models: ModelCatalogue = {
    names: async () => (await import('../models/by-property.ts')).modelNames(),
    load: async (name) => (await import('../models/by-property.ts')).propertyModel(name),
  };
  let registry: Pick<DeviceOperations, 'registry' | 'refusals'> | undefined;
  const devices = (): readonly KnownDevice[] => registry?.registry.all() ?? [];
  const onError = (error: unknown): void => logger.error({ err: error }, 'processing');
  const sweeps: (() => void)[] = [];
  const onUnreadable = (name: string, error: unknown) =>
    logger.error({ err: error, name }, 'a processing document cannot be used');
  const onChange = (): void => {
    pipeline.changed();
    missing.changed();
    health.changed();
  };
  const common = { documents, access, onChange, onUnreadable };

  const transformations = processingRecords<JsonObject>({
    ...common,
    kind: 'transformation',
    noun: 'Transformation',
    notFound: 'TRANSFORMATION_NOT_FOUND',
    read: (_name, body) => {
      readTransformation(body);
      return body;
    },
    state: (record) => {
      const suspended = stage.suspended(programKey(record));
      return suspended === undefined ? undefined : { suspended };
    },
    mayDelete({ tenant, name }) {
      const user = devices().find((known) => known.tenant === tenant && transformationOf(known) === name);
      if (user !== undefined)
        throw new ProvisioningError('IN_USE', `The device ${user.device.device_id} or its group names this transformation`);
    },
  });
  const counts = tallies<RuleCounts>(() => ({ discarded: 0, replaced: 0, flagged: 0 }));
  const rules = processingRecords({
    ...common,
    kind: 'bad-data-rule',
    noun: 'Rule',
    notFound: 'RULE_NOT_FOUND',
    read: readRule,
    state: ({ tenant, name }) => ({ ...counts.of(tenant, name) }),
  });
  const validated = tallies(() => ({ flagged: 0, rejected: 0 }));
  const settings = processingRecords({
    ...common,
    kind: 'validation',
    noun: 'Validation',
    notFound: 'VALIDATION_NOT_FOUND',
    // An entity type, short or as an IRI.
    name: /^[^\s<>"{}|\\^`]{1,256}$/,
    read: (type, body) => readValidation(models, type, body),
    state: ({ tenant, name }) => ({ ...validated.of(tenant, name) }),
  });
  const pipeline = processingPipeline({
    transformations,
    rules,
    judge: ruleJudge(series, counts.of),
    validation: modelValidation(settings, validated.of),
  });
  const missing = missingValues({
    rules,
    devices,
    entityOf: staticEntity,
    entities,
    ingest,
    clock,
    counts: counts.of,
    onMissing: (identity, reason) => registry?.refusals.note(identity, 'MISSING', reason),
  });
  const alerts = tallies(() => ({ alerts: 0 }));
  const healthRules = processingRecords({
    ...common,
    kind: 'health-rule',
    noun: 'HealthRule',
    notFound: 'HEALTH_RULE_NOT_FOUND',
    read: readHealthRule,
    state: ({ tenant, name }) => ({ ...alerts.of(tenant, name) }),
  });
  const health = deviceHealth({
    rules: healthRules,
    devices,
    entityOf: (known) => staticEntity(known).id,
    entities,
    ingest,
    clock,
    onAlert: (tenant, name) => alerts.of(tenant, name).alerts++,
    onError,
  });
  const sensorRecords: ProcessingRecords<CompiledSensor> = processingRecords({
    ...common,
    kind: 'virtual-sensor',
    noun: 'VirtualSensor',
    notFound: 'VIRTUAL_SENSOR_NOT_FOUND',
    read: (name, body, tenant) =>
      readSensor(name, body, options.resolveContext, () => sensorRecords.of(tenant).map(({ read }) => read)),
    state: ({ tenant, name }) => ({ ...sensors.tally(tenant, name) }) as unknown as JsonObject,
    onChange: () => sensors.changed(),
  });
  const sensors = virtualSensors({ records: sensorRecords, feed, entities, ingest, clock, onError });
  const sum = <T>(all: Iterable<T>, pick: (one: T) => number): number => [...all].reduce((total, one) => total + pick(one), 0);
  figures.add(
    'processing',
    () => ({
      discarded_total: sum(counts.all(), ({ discarded }) => discarded),
      replaced_total: sum(counts.all(), ({ replaced }) => replaced),
      flagged_total: sum(counts.all(), ({ flagged }) => flagged) + sum(validated.all(), ({ flagged }) => flagged),
      rejected_total: sum(validated.all(), ({ rejected }) => rejected),
      alerts_total: sum(alerts.all(), (one) => one.alerts),
      virtual_results_total: sum(sensors.tallies(), ({ results }) => results),
      virtual_failures_total: sum(sensors.tallies(), ({ failures }) => failures),
    }),
    {
      discarded_total: 'Values that bad-data rules discarded',
      replaced_total: 'Values that bad-data rules replaced',
      flagged_total: 'Values that were stored as suspect, by rules or models',
      rejected_total: 'Values that did not suit the model of their type and were not stored',
      alerts_total: 'Alerts about devices that are silent or whose battery is low',
      virtual_results_total: 'Results of virtual sensors',
      virtual_failures_total: 'Times that a virtual sensor had nothing to say; its state has the reason',
    },
  );

  return {
    messages: messageProcessing(pipeline, stage, health),
    routes: processingRoutes({
      resources: [
        { path: 'transformations', what: 'a transformation', operations: transformations },
        { path: 'rules', what: 'a bad-data rule', operations: rules },
        { path: 'validations', what: 'the validation of an entity type', operations: settings },
        { path: 'health-rules', what: 'a rule about the health of devices', operations: healthRules },
        { path: 'virtual-sensors', what: 'a virtual sensor', operations: sensorRecords },
      ],
      async tryTransformation({ caller }, name, message) {
        demand(access, caller, { operation: 'tryTransformation', effect: 'administer' });
        const record = transformations.byName(caller.tenant, name);
        if (record === undefined)
          throw new ProvisioningError('TRANSFORMATION_NOT_FOUND', `There is no transformation "${name.slice(0, 128)}"`);
        return tryTransformation(record.read, programKey(record), message, sandbox);
      },
      models: models.names,
    }),
    check(known) {
      const name = transformationOf(known);
      if (name !== undefined && transformations.byName(known.tenant, name) === undefined)
        throw new Error(`transformation: there is no transformation "${name}"`);
    },
    async load(all) {
      registry = all;
      await transformations.load();
      await rules.load();
      await settings.load();
      await healthRules.load();
      await sensorRecords.load();
      pipeline.changed();
    },
    async start() {
      for (const { sweep } of [missing, health, sensors]) sweeps.push(sweepEvery(SWEEP_MS, sweep, onError));
      sweeps.push(sweepEvery(RETRY_MS, sensorRecords.retry, onError), sweepEvery(RETRY_MS, settings.retry, onError));
      await sensors.start();
    },
    async stop() {
      for (const stop of sweeps) stop();
      await sensors.stop();
      await sandbox.stop();
    },
  };
}

const transformationOf = ({ device, group }: KnownDevice): string | undefined => device.transformation ?? group?.transformation;

/** Counts by tenant and name, since the start. */
function tallies<T>(zero: () => T): { of(tenant: TenantId, name: string): T; all(): Iterable<T> } {
  const counts = new Map<string, T>();
  return {
    of(tenant, name) {
      const key = `${tenant}\n${name}`;
      const count = counts.get(key) ?? zero();
      counts.set(key, count);
      return count;
    },
    all: () => counts.values(),
  };
}
