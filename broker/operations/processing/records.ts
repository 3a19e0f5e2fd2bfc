import { type AccessFunction, type Caller, demand } from '../../domain/access.ts';
import { type ProvisioningCode, ProvisioningError, syntax } from '../../domain/device-document.ts';
import type { TenantId } from '../../domain/iri.ts';
import { isObject, type JsonObject, type JsonValue } from '../../domain/json.ts';
import { SHOWN_MEMBERS } from '../../domain/processing/read.ts';
import type { DocumentKind, DocumentStore, StoredDocument } from '../../ports/document-store.ts';

/** A document that an operator wrote, as it is used. */
export interface ProcessingRecord<T> {
  readonly tenant: TenantId;
  readonly name: string;
  /** Grows with every change of this document. */
  readonly version: number;
  /** Never the same again in this process, also if the document is deleted and comes back: what is derived from it may be kept under it. */
  readonly revision: number;
  /** As it was written. */
  readonly body: JsonObject;
  /** What was read from it. */
  readonly read: T;
}

export interface RecordOptions<T> {
  readonly documents: DocumentStore;
  readonly access: AccessFunction;
  readonly kind: DocumentKind;
  /** Names the operations: "Rule" makes putRule, getRule … */
  readonly noun: string;
  readonly notFound: ProvisioningCode;
  /** What names look like. */
  readonly name?: RegExp;
  /** @throws Error that says what of the document cannot be used, and where */
  readonly read: (name: string, body: JsonObject, tenant: TenantId) => T | Promise<T>;
  /** What listings show beside the document. */
  readonly state?: (record: ProcessingRecord<T>) => JsonObject | undefined;
  /** @throws ProvisioningError if it must stay */
  readonly mayDelete?: (record: ProcessingRecord<T>) => void;
  /** What was read has changed, and is on disk. */
  readonly onChange: (record: ProcessingRecord<T>, deleted: boolean) => void | Promise<void>;
  /** A stored document that cannot be read any more. */
  readonly onUnreadable?: (name: string, error: unknown) => void;
}

/** Documents of one kind, by tenant and name: in memory, and on disk when a change is answered. */
export interface ProcessingRecords<T> {
  load(): Promise<void>;
  /** Reads again what could not be read: what it needed may be there now. */
  retry(): Promise<void>;
  /** Creates or replaces. @returns true if it is new @throws ProvisioningError WRONG_SYNTAX naming the place */
  put(caller: Caller, name: string, body: JsonValue | undefined): Promise<boolean>;
  list(caller: Caller): readonly JsonObject[];
  get(caller: Caller, name: string): JsonObject;
  delete(caller: Caller, name: string): Promise<void>;
  /** In order of names. */
  of(tenant: TenantId): readonly ProcessingRecord<T>[];
  byName(tenant: TenantId, name: string): ProcessingRecord<T> | undefined;
  tenants(): Iterable<TenantId>;
  /** False: no tenant has one. */
  readonly any: boolean;
}

const NAME = /^[A-Za-z0-9_-]{1,64}$/;
/** Every value that is stored passes the documents of its tenant. */
const MOST = 1000;

let revisions = 0;

export function processingRecords<T>(options: RecordOptions<T>): ProcessingRecords<T> {
  const { documents, access, kind, noun, notFound, read, state, mayDelete, onChange, onUnreadable } = options;
  const pattern = options.name ?? NAME;
  const tenants = new Map<TenantId, Map<string, ProcessingRecord<T>>>();
  const sorted = new Map<TenantId, readonly ProcessingRecord<T>[]>();
  /** Stored, and of no use at the moment: its @context cannot be had. */
  const unread = new Map<string, StoredDocument>();

  function keep(record: ProcessingRecord<T>): void {
    const own = tenants.get(record.tenant) ?? new Map<string, ProcessingRecord<T>>();
    tenants.set(record.tenant, own.set(record.name, record));
    sorted.delete(record.tenant);
  }

  async function take({ tenant, id: name, version, body }: StoredDocument): Promise<ProcessingRecord<T>> {
    const record = { tenant, name, version, revision: ++revisions, body, read: await read(name, body, tenant) };
    keep(record);
    return record;
  }

  function found({ tenant }: Caller, name: string): ProcessingRecord<T> {
    const record = tenants.get(tenant)?.get(name);
    if (record === undefined) throw new ProvisioningError(notFound, `There is no ${spoken(noun)} "${name.slice(0, 128)}"`);
    return record;
  }

  function of(tenant: TenantId): readonly ProcessingRecord<T>[] {
    let list = sorted.get(tenant);
    if (list === undefined) {
      list = [...(tenants.get(tenant)?.values() ?? [])].sort((a, b) => (a.name < b.name ? -1 : 1));
      sorted.set(tenant, list);
    }
    return list;
  }

  const shown = (record: ProcessingRecord<T>): JsonObject => {
    const now = state?.(record);
    return { name: record.name, ...record.body, version: record.version, ...(now !== undefined && { state: now }) };
  };

  return {
    async load() {
      for (const document of await documents.list(kind, undefined)) {
        try {
          await take(document);
        } catch (error) {
          unread.set(`${document.tenant}\n${document.id}`, document);
          onUnreadable?.(document.id, error);
        }
      }
    },
    async retry() {
      for (const [key, document] of unread) {
        try {
          const record = await take(document);
          unread.delete(key);
          await onChange(record, false);
        } catch {
          // As before; it was said once.
        }
      }
    },
    async put(caller, name, given) {
      demand(access, caller, { operation: `put${noun}`, effect: 'administer' });
      const { tenant } = caller;
      if (!pattern.test(name)) throw syntax(`The name of a ${spoken(noun)} must be 1 to 64 letters, digits, "_" or "-"`);
      if (!isObject(given)) throw syntax('The document: must be a JSON object');
      const body = Object.fromEntries(
        Object.entries(given).filter(([member]) => !(SHOWN_MEMBERS as readonly string[]).includes(member)),
      ) as JsonObject;
      const before = tenants.get(tenant)?.get(name);
      if (before === undefined && of(tenant).length >= MOST)
        throw syntax(`A tenant can have ${MOST} documents of this kind, and has them`);
      let made: T;
      try {
        made = await read(name, body, tenant);
      } catch (error) {
        throw error instanceof ProvisioningError ? error : syntax((error as Error).message);
      }
      const version = await documents.put(kind, tenant, name, body);
      const record = { tenant, name, version: version ?? 1, revision: ++revisions, body, read: made };
      unread.delete(`${tenant}\n${name}`);
      keep(record);
      await onChange(record, false);
      return before === undefined;
    },
    list(caller) {
      demand(access, caller, { operation: `list${noun}s`, effect: 'read' });
      return of(caller.tenant).map(shown);
    },
    get(caller, name) {
      demand(access, caller, { operation: `get${noun}`, effect: 'read' });
      return shown(found(caller, name));
    },
    async delete(caller, name) {
      demand(access, caller, { operation: `delete${noun}`, effect: 'administer' });
      const lost = `${caller.tenant}\n${name}`;
      if (unread.delete(lost)) return void (await documents.delete(kind, caller.tenant, name));
      const record = found(caller, name);
      mayDelete?.(record);
      await documents.delete(kind, record.tenant, name);
      const own = tenants.get(record.tenant);
      own?.delete(name);
      if (own?.size === 0) tenants.delete(record.tenant);
      sorted.delete(record.tenant);
      await onChange(record, true);
    },
    of,
    byName: (tenant, name) => tenants.get(tenant)?.get(name),
    tenants: () => tenants.keys(),
    get any() {
      return tenants.size > 0;
    },
  };
}

/** "VirtualSensor" as people say it. */
const spoken = (noun: string): string => noun.replace(/(?<=.)([A-Z])/g, ' $1').toLowerCase();

/** What is compiled from a document is kept under this. */
export const programKey = ({
  tenant,
  name,
  revision,
}: Pick<ProcessingRecord<unknown>, 'tenant' | 'name' | 'revision'>): string => `${tenant}\n${name}\n${revision}`;
