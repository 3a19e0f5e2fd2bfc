import { type AccessFunction, type Caller, demand } from '../domain/access.ts';
import { alreadyExists, badRequest, DomainError, notFound } from '../domain/errors.ts';
import type { Iri, TenantId } from '../domain/iri.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';
import type { Context } from '../domain/jsonld/context.ts';
import type { EntityQuery } from '../domain/query/query.ts';
import { conflict, hasExpired, isProxied, type Registration, type RegistrationInfo } from '../domain/registration.ts';
import { type RegistrationDocument, readRegistration } from '../domain/registration-document.ts';
import { patchMembers } from '../domain/subscription-document.ts';
import { toMicros } from '../domain/time.ts';
import type { Clock } from '../ports/clock.ts';
import type { DocumentStore } from '../ports/document-store.ts';
import type { EntityStore } from '../ports/entity-store.ts';
import type { RegistrationChange, RegistrationInForce, RegistrationsInForce } from './registry/registrations-in-force.ts';
import { type RegistrationSelection, selectedInformation } from './registry/selection.ts';

export type { RegistrationInForce, RegistrationSelection };

/** A registration, and the part of its information that was asked for. */
export interface SelectedRegistration {
  readonly entry: RegistrationInForce;
  readonly information: readonly RegistrationInfo[];
}

/** 5.9.2 to 5.9.4, 5.10. Names in bodies are short, and are expanded with the context given. */
export interface RegistrationOperations {
  /** 5.9.2. @returns the id, given or made. @throws AlreadyExists, BadRequestData, Conflict */
  registerContextSource(caller: Caller, body: JsonObject, context: Context): Promise<Iri>;
  /** 5.9.3. @throws ResourceNotFound, BadRequestData, Conflict */
  updateRegistration(caller: Caller, id: Iri, fragment: JsonObject, context: Context): Promise<void>;
  /** 5.9.4. @throws ResourceNotFound */
  deleteRegistration(caller: Caller, id: Iri): Promise<void>;
  /** 5.10.1. @throws ResourceNotFound */
  retrieveRegistration(caller: Caller, id: Iri): Promise<RegistrationInForce>;
  /** 5.10.2: in ascending id. */
  queryRegistrations(caller: Caller, selection: RegistrationSelection): Promise<readonly SelectedRegistration[]>;
  /** Deletes those whose time is over (5.9.2.4). */
  sweepExpired(): Promise<void>;
}

export function registrationOperations(dependencies: {
  readonly documents: DocumentStore;
  readonly entities: EntityStore;
  readonly registrations: RegistrationsInForce;
  readonly resolveContext: (source: JsonValue) => Promise<Context> | Context;
  readonly clock: Clock;
  readonly access: AccessFunction;
  /** A new id for a registration that was given none. */
  readonly newId: () => Iri;
  /** Hears of every change, after it was stored and before it is acknowledged. */
  readonly onChange?: (change: RegistrationChange) => Promise<void>;
}): RegistrationOperations {
  const { documents, entities, registrations, resolveContext, clock, access, newId, onChange } = dependencies;
  /** Changes of registrations happen one after the other, so that two of them cannot both find no conflict. */
  let last: Promise<unknown> = Promise.resolve();
  function alone<T>(task: () => Promise<T>): Promise<T> {
    const done = last.then(task, task);
    last = done.catch(() => {});
    return done;
  }

  function existing(tenant: TenantId, id: Iri): RegistrationInForce {
    const found = registrations.get(tenant, id);
    if (found === undefined || hasExpired(found.registration, clock.micros()))
      throw notFound(`There is no context source registration ${id}`);
    return found;
  }

  function refusePast({ expiresAt }: Registration): void {
    if (expiresAt !== undefined && toMicros(expiresAt) <= clock.micros())
      throw badRequest(`expiresAt ${expiresAt} lies in the past`);
  }

  function refuseConflict(tenant: TenantId, registration: Registration): void {
    if (!isProxied(registration)) return;
    for (const other of registrations.of(tenant)) {
      if (other.id === registration.id || hasExpired(other.registration, clock.micros())) continue;
      if (conflict(registration, other.registration)) {
        throw new DomainError(
          'Conflict',
          `The ${other.registration.mode} registration ${other.id} is about the same attributes of the same entity (4.3.6.3)`,
        );
      }
    }
  }

  /**
   * Puts it into force, and takes it back if it contradicts what is stored here. In this order: a write that does not know of the registration
   * yet is older than the look into the store, and a later one knows.
   */
  async function store(tenant: TenantId, document: RegistrationDocument, before?: RegistrationInForce): Promise<void> {
    const { registration } = document;
    const takeBack = () => (before ? registrations.put(tenant, before.document) : registrations.remove(tenant, document.id));
    const after = registrations.put(tenant, document);
    try {
      if (isProxied(registration)) await refuseHeld(tenant, registration);
      await documents.put('registration', tenant, document.id, document as unknown as JsonObject);
    } catch (error) {
      takeBack();
      throw error;
    }
    await onChange?.({ tenant, after, ...(before ? { before } : {}) });
  }

  async function refuseHeld(tenant: TenantId, registration: Registration): Promise<void> {
    // Writes that were decided before are in the store when this one, which does nothing, is through.
    await entities.commit([{ tenant, id: registration.id, decide: () => undefined }]);
    for (const query of heldBy(registration)) {
      const held = (await entities.query(tenant, query, { limit: 1 })).entities[0];
      if (held) {
        throw new DomainError(
          'Conflict',
          `This broker itself has ${query.anyAttribute ? 'registered attributes of ' : ''}${held.id}, which a proxied registration excludes (4.3.6.3)`,
        );
      }
    }
  }

  return {
    async registerContextSource(caller, body, context) {
      demand(access, caller, { operation: 'registerContextSource', effect: 'write' });
      const id = (body['id'] as Iri | undefined) ?? newId();
      const read = readRegistration(body, context, id);
      refusePast(read.registration);
      const { tenant } = caller;
      await alone(async () => {
        const known = registrations.get(tenant, id);
        if (known && !hasExpired(known.registration, clock.micros()))
          throw alreadyExists(`Context source registration ${id} already exists`);
        refuseConflict(tenant, read.registration);
        const at = clock.now();
        await store(tenant, { id, ...read, context: context.source, createdAt: at, modifiedAt: at });
      });
      return id;
    },

    async updateRegistration(caller, id, fragment, context) {
      demand(access, caller, { operation: 'updateRegistration', effect: 'write', ids: [id] });
      const { tenant } = caller;
      if (fragment['type'] !== undefined && fragment['type'] !== 'ContextSourceRegistration')
        throw badRequest('The type of a context source registration cannot be changed');
      if (fragment['id'] !== undefined && fragment['id'] !== id)
        throw badRequest(`The body is about ${JSON.stringify(fragment['id'])}, but the path names ${id}`);
      await alone(async () => {
        const before = existing(tenant, id);
        const { document } = before;
        const members = patchMembers(document.members, fragment);
        // Names that the fragment does not touch were written under the stored @context.
        const reading = fragment['information'] === undefined ? await resolveContext(document.context) : context;
        const read = readRegistration({ ...members, type: 'ContextSourceRegistration' }, reading, id);
        if (fragment['expiresAt'] !== undefined) refusePast(read.registration);
        refuseConflict(tenant, read.registration);
        await store(
          tenant,
          { id, ...read, context: reading.source, createdAt: document.createdAt, modifiedAt: clock.now() },
          before,
        );
      });
    },

    async deleteRegistration(caller, id) {
      demand(access, caller, { operation: 'deleteRegistration', effect: 'write', ids: [id] });
      await alone(async () => {
        existing(caller.tenant, id);
        await remove(caller.tenant, id);
      });
    },

    async retrieveRegistration(caller, id) {
      demand(access, caller, { operation: 'retrieveRegistration', effect: 'read', ids: [id] });
      return existing(caller.tenant, id);
    },

    async queryRegistrations(caller, selection) {
      demand(access, caller, { operation: 'queryRegistrations', effect: 'read' });
      const now = clock.micros();
      return registrations.of(caller.tenant).flatMap((entry) => {
        if (hasExpired(entry.registration, now)) return [];
        const information = selectedInformation(entry, selection);
        return information.length === 0 ? [] : [{ entry, information }];
      });
    },

    async sweepExpired() {
      for (const { tenant, id } of registrations.expired(clock.micros())) {
        await alone(async () => {
          const entry = registrations.get(tenant, id);
          if (entry && hasExpired(entry.registration, clock.micros())) await remove(tenant, id);
        });
      }
    },
  };

  async function remove(tenant: TenantId, id: Iri): Promise<void> {
    await documents.delete('registration', tenant, id);
    const before = registrations.remove(tenant, id);
    await documents.delete('registration-state', tenant, id);
    if (before) await onChange?.({ tenant, before });
  }
}

/** The entities that this broker must not have for the registration to be accepted (5.9.2.4). */
function heldBy({ information }: Registration): readonly EntityQuery[] {
  return information.flatMap(({ entities, attributes }): readonly EntityQuery[] => {
    const any: EntityQuery = attributes ? { anyAttribute: attributes } : {};
    if (!entities) return [any];
    return entities.map(({ id, idPattern, types }) => ({
      ...any,
      ...(id === undefined ? {} : { ids: [id] }),
      ...(idPattern === undefined ? {} : { idPattern }),
      // Entities of several registered types have all of them.
      ...(types ? { types: { kind: 'all' as const, of: types.map((type) => ({ kind: 'type' as const, type })) } } : {}),
    }));
  });
}
