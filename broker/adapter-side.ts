import type { Logger } from 'pino';
import type { AdapterMessage } from '../adapters/host.ts';
import { adapterHost } from '../adapters/host.ts';
import { importedRows } from '../adapters/imported.ts';
import type { Intake } from '../adapters/intake.ts';
import { checkAdapter } from '../adapters/kinds.ts';
import { adapterRoutes } from './api/iot/adapters.ts';
import { importRoutes } from './api/iot/imports.ts';
import type { AccessFunction } from './domain/access.ts';
import { type AdapterRecord, adapterId } from './domain/adapter.ts';
import type { AdapterMeasure, DeviceOutcome, KnownDevice } from './domain/device.ts';
import { DomainError } from './domain/errors.ts';
import type { TenantId } from './domain/iri.ts';
import type { JsonObject } from './domain/json.ts';
import { type Instant, parseInstant } from './domain/time.ts';
import type { EgressGuard } from './egress/guard.ts';
import { type AdapterProcesses, adapterProcesses, type DeliveredMessage } from './operations/adapters/processes.ts';
import { ADAPTER_TRANSPORT, type AdapterRecords, adapterRecords } from './operations/adapters/records.ts';
import type { DeviceOperations } from './operations/devices.ts';
import { importOperations } from './operations/imports.ts';
import type { Clock } from './ports/clock.ts';
import type { CommandCarrier, CommandDesk } from './ports/commands.ts';
import type { DocumentStore } from './ports/document-store.ts';

export interface AdapterSideOptions {
  readonly documents: DocumentStore;
  readonly access: AccessFunction;
  readonly clock: Clock;
  readonly devices: DeviceOperations;
  readonly commands: CommandDesk;
  readonly intake: Pick<Intake, 'adapters'>;
  readonly guard: EgressGuard;
  readonly logger: Logger;
  /** Where files of imports wait, and how large one may be. */
  readonly importFolder: string;
  readonly importLimitBytes: number;
  /** Folder below which file-drop adapters of this broker take files; undefined: none are taken. */
  readonly dropFolder?: string;
}

/** Adapters of the broker itself, and what adapter processes ask and deliver, tied together. */
export interface AdapterSide {
  readonly routes: ReturnType<typeof adapterRoutes>;
  readonly importRoutes: ReturnType<typeof importRoutes>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** A store that is not there now is asked again. */
const RETRY_MS = 500;
/** A command for a process that does not ask at the moment is tried again after this. */
const COMMAND_RETRY_MS = 2000;

export async function adapterSide(options: AdapterSideOptions): Promise<AdapterSide> {
  const { documents, access, clock, devices, commands, intake, guard, logger } = options;
  let stopped = false;
  /** Tells the adapters of the broker apart, over all tenants. */
  const hostId = (record: Pick<AdapterRecord, 'tenant' | 'path' | 'name'>): string => `${record.tenant}${adapterId(record)}`;

  const host = adapterHost({
    now: clock.now,
    log: (level, message, details) => logger[level](details ?? {}, message),
    mayContact: (target) => guard.check(target),
    ...(options.dropFolder !== undefined && { dropFolder: options.dropFolder }),
    async take(messages) {
      const batch = messages.flatMap((message) => measureOf(byHostId(message.adapter), message) ?? []);
      for (;;) {
        try {
          const outcomes = await stored(batch);
          for (const reason of outcomes)
            if (reason !== undefined) logger.warn({ adapter: messages[0]?.adapter, reason }, 'message of a device refused');
          return;
        } catch (error) {
          if (stopped || !(error instanceof DomainError) || error.type !== 'Unavailable') throw error;
          await new Promise((wake) => setTimeout(wake, RETRY_MS));
        }
      }
    },
  });

  const records: AdapterRecords = adapterRecords({
    documents,
    access,
    devices,
    check: checkAdapter,
    onChange(tenant) {
      void runHere();
      processes.changed(tenant);
    },
  });
  const processes: AdapterProcesses = adapterProcesses({
    documents,
    access,
    now: clock.now,
    adaptersOf: (identity) => records.runningIn(identity),
    async store(tenant, messages) {
      const measures = messages.map((message) => deliveredMeasure(tenant, message));
      const known = measures.filter((measure): measure is AdapterMeasure => typeof measure !== 'string');
      const outcomes = await stored(known);
      let at = 0;
      return measures.map((measure) => (typeof measure === 'string' ? measure : outcomes[at++]));
    },
    async onResult({ tenant }, id, result) {
      const separator = id.lastIndexOf('\n');
      const identity = id.slice(0, separator);
      // A process speaks for the devices of its tenant only.
      if (!identity.startsWith(`${tenant}/`)) return;
      await commands.answered(identity, id.slice(separator + 1), result);
    },
  });

  /** @returns why each was refused; undefined: stored @throws DomainError Unavailable */
  async function stored(measures: readonly AdapterMeasure[]): Promise<readonly (string | undefined)[]> {
    const outcomes: readonly DeviceOutcome[] = await intake.adapters(measures);
    return outcomes.map((outcome) => {
      if (outcome.accepted) return undefined;
      // What its names mean will be known again; what is refused now would be lost.
      if (outcome.code === 'CONTEXT_NOT_AVAILABLE') throw new DomainError('Unavailable', outcome.reason);
      return `${outcome.code}: ${outcome.reason}`;
    });
  }

  function deliveredMeasure(tenant: TenantId, { adapter, message }: DeliveredMessage): AdapterMeasure | string {
    const record = records.byId(tenant, adapter);
    if (record === undefined) return `there is no adapter ${adapter.slice(0, 128)} any more`;
    return measureOf(record, message) ?? 'the message is not one of an adapter: device, format, payload, at';
  }

  const byHostId = (id: string): AdapterRecord | undefined =>
    records.runningIn(undefined).find((record) => hostId(record) === id);

  function runHere(): Promise<void> {
    const documentsHere = records
      .runningIn(undefined)
      .map((record) => ({ id: hostId(record), kind: record.kind, settings: record.settings, version: record.version }));
    return host.run(documentsHere).catch((error: unknown) => logger.error({ err: error }, 'adapters'));
  }

  const carrier: CommandCarrier = {
    name: ADAPTER_TRANSPORT,
    carries: ({ device }) => device.transport === ADAPTER_TRANSPORT,
    async carry(command, known) {
      const record = adapterOf(known);
      if (record === undefined)
        return { kind: 'done', ok: false, info: `there is no adapter "${known.device.endpoint ?? ''}"` };
      if (record.enabled === false) return { kind: 'done', ok: false, info: 'the adapter is switched off' };
      const { device_id: device } = known.device;
      if (record.process === undefined) {
        return host.command(hostId(record), device, command.name, command.value).then(
          (info) => ({ kind: 'done', ok: true, info }),
          (error: Error) => ({ kind: 'done', ok: false, info: error.message }),
        );
      }
      const given = {
        id: `${known.identity}\n${command.name}`,
        adapter: adapterId(record),
        device,
        name: command.name,
        value: command.value,
      };
      const handed = processes.hand({ tenant: record.tenant, name: record.process }, given);
      return handed ? { kind: 'delivered' } : { kind: 'waiting', retryMs: COMMAND_RETRY_MS };
    },
  };
  commands.register(carrier);

  function adapterOf({ tenant, servicePath, device }: KnownDevice): AdapterRecord | undefined {
    return records.byId(tenant, adapterId({ path: servicePath, name: device.endpoint ?? '' }));
  }

  const imports = importOperations({
    documents,
    access,
    folder: options.importFolder,
    limitBytes: options.importLimitBytes,
    adapterOf: records.byId,
    rows: importedRows,
    store: intake.adapters,
    now: clock.now,
    onError: (error) => logger.error({ err: error }, 'imports'),
  });

  await records.load();
  await processes.load();
  return {
    importRoutes: importRoutes(imports),
    routes: adapterRoutes({
      records,
      processes,
      stateOf(tenant, process, id) {
        if (process === undefined) return host.states()[`${tenant}${id}`];
        return processes.stateOf({ tenant: tenant as TenantId, name: process }, id);
      },
    }),
    async start() {
      await runHere();
      await imports.load();
    },
    async stop() {
      stopped = true;
      processes.stop();
      await imports.stop();
      await host.stop();
    },
  };
}

/** @returns undefined if the message is none of an adapter */
function measureOf(record: AdapterRecord | undefined, message: AdapterMessage | JsonObject): AdapterMeasure | undefined {
  const { device, format, payload, encoding, at, attribute } = message as Partial<AdapterMessage>;
  if (record === undefined || typeof device !== 'string' || typeof format !== 'string' || typeof payload !== 'string')
    return undefined;
  const heardAt = typeof at === 'string' ? parseInstant(at) : undefined;
  if (heardAt === undefined) return undefined;
  return {
    tenant: record.tenant,
    path: record.path,
    ...(record.keyHash !== undefined && { keyHash: record.keyHash }),
    device,
    format,
    payload: Buffer.from(payload, encoding === 'base64' ? 'base64' : 'utf8'),
    at: heardAt as Instant,
    ...(typeof attribute === 'string' && { attribute }),
  };
}
