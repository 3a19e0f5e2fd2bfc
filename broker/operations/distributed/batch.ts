import type { Caller } from '../../domain/access.ts';
import { splitWrite } from '../../domain/distribution.ts';
import type { EntityFragment } from '../../domain/entity.ts';
import { DomainError } from '../../domain/errors.ts';
import { type Iri, isIri } from '../../domain/iri.ts';
import { isObject, type JsonValue } from '../../domain/json.ts';
import type { Context } from '../../domain/jsonld/context.ts';
import type { Registration } from '../../domain/registration.ts';
import type { SourceReply } from '../../ports/context-source.ts';
import type { BatchItem, BatchOperations, BatchResult } from '../batch.ts';
import type { RegistrationInForce } from '../registry/registrations-in-force.ts';
import { problemOf, type Question, type Sources, sourceError } from './sources.ts';
import { loop, partOf } from './writes.ts';

/** What is asked about one entity, by a source that has no such batch operation. */
type Step = (path: string, body: JsonValue) => Question;

interface BatchKind {
  readonly operation: string;
  /** One after the other, as long as the source answers that the entity exists already; none: the source cannot do this. */
  steps(operations: readonly string[]): readonly Step[];
}

const step =
  (method: string, suffix = '', query: Question['query'] = []): Step =>
  (path, body) => ({ method, path: `${path}${suffix}`, query, ...(method === 'DELETE' ? {} : { body }) });
const create: Step = (_path, body) => ({ method: 'POST', path: 'entities', query: [], body });
const kind = (operation: string, ...alternatives: readonly (readonly [string, Step])[]): BatchKind => ({
  operation,
  steps: (operations) => alternatives.flatMap(([name, one]) => (operations.includes(name) ? [one] : [])),
});

const CREATE = kind('createBatch', ['createEntity', create]);
const UPSERT_REPLACE = kind('upsertBatch', ['createEntity', create], ['replaceEntity', step('PUT')]);
const UPSERT_UPDATE = kind('upsertBatch', ['createEntity', create], ['updateEntity', step('PATCH', '/attrs')]);
const UPDATE = kind('updateBatch', ['updateEntity', step('PATCH', '/attrs')]);
const APPEND = kind('updateBatch', ['appendAttrs', step('POST', '/attrs', [['options', 'noOverwrite']])]);
const MERGE = kind('mergeBatch', ['mergeEntity', step('PATCH')]);
const DELETE = kind('deleteBatch', ['deleteEntity', step('DELETE')]);

interface Part {
  readonly index: number;
  readonly body: JsonValue;
  /** Of the element, which can bring its own. */
  readonly context: Context;
}

/**
 * The operations of batch.ts, carried out here and at the context sources that they concern: each source gets one batch with what it covers of each entity.
 * An entity is successful if all of its parts are.
 */
export function distributedBatch(local: BatchOperations, sources: Sources): BatchOperations {
  async function distribute<T>(
    caller: Caller,
    { operation, steps }: BatchKind,
    items: readonly BatchItem<T>[],
    scopeOf: (content: T) => { id: Iri; types?: readonly Iri[] | undefined; attributes?: readonly Iri[] },
    reduce: (content: T, names: readonly Iri[]) => T,
    here: (items: readonly BatchItem<T>[]) => Promise<BatchResult>,
  ): Promise<BatchResult> {
    const { onward } = caller;
    const known = onward ? sources.inForce(caller).filter(({ registration }) => registration.mode !== 'auxiliary') : [];
    if (onward === undefined || known.length === 0 || !Array.isArray(onward.body)) return here(items);
    const bodies = onward.body as readonly JsonValue[];
    const offers = ({ operations }: Registration) => operations.includes(operation) || steps(operations).length > 0;
    const bySource = new Map<RegistrationInForce, Part[]>();
    const rest: BatchItem<T>[] = [];
    const errors: { entityId: string; error: DomainError; registrationId?: Iri }[] = [];
    for (const [index, item] of items.entries()) {
      if ('error' in item) {
        rest.push(item);
        continue;
      }
      const { id, types, attributes } = scopeOf(item.content);
      const split = splitWrite(known, offers, {
        id,
        attributes,
        ...(types ? { types: { kind: 'any', of: types.map((type) => ({ kind: 'type', type })) } } : {}),
      });
      for (const { source, refused, attributes: names } of split.shares) {
        if (refused) {
          errors.push({
            entityId: id,
            registrationId: source.id,
            error: new DomainError(
              'Conflict',
              `Registration ${source.id} covers this, but its source does not offer ${operation}`,
            ),
          });
          continue;
        }
        const raw = bodies[index] ?? null;
        const context = await sources.contextOf(caller, raw);
        const body = names && isObject(raw) ? partOf(raw, new Set(names), context.expand) : raw;
        const parts = bySource.get(source) ?? [];
        bySource.set(source, parts);
        parts.push({ index, body, context });
      }
      if (split.local === 'none') continue;
      const all = split.local === undefined || split.local.length === attributes?.length;
      rest.push(all ? item : { id: item.id, content: reduce(item.content, split.local ?? []) });
    }
    if (bySource.size > 0 && sources.isLoop(caller)) throw loop(sources, caller);
    const query = Object.entries(onward.query).filter(([name]) => name !== 'local');
    const created = new Set<Iri>();

    /** For a source without this batch operation (5.6.7.4, 5.6.8.4 …): each entity for itself. */
    const askForEach = async (source: RegistrationInForce, parts: readonly Part[]) => {
      for (const { index, body, context } of parts) {
        const id = items[index]?.id ?? '';
        const path = `entities/${encodeURIComponent(id).replaceAll('%3A', ':')}`;
        let reply: SourceReply | undefined;
        for (const step of steps(source.registration.operations)) {
          reply = await sources.ask(caller, source, { ...step(path, body), context });
          // What exists already is replaced or updated by the next step.
          if (reply.kind !== 'answered' || reply.status !== 409) break;
        }
        if (reply?.kind === 'answered' && reply.status < 300) {
          if (reply.status === 201 && isIri(id)) created.add(id);
        } else if (reply) errors.push({ entityId: id, error: sourceError(reply, source), registrationId: source.id });
      }
    };

    const ask = async ([source, parts]: [RegistrationInForce, Part[]]) => {
      if (!source.registration.operations.includes(operation)) return askForEach(source, parts);
      const reply = await sources.ask(caller, source, {
        method: onward.method,
        path: onward.path,
        query,
        body: parts.map(({ body }) => body),
      });
      const failed = (entityId: string, error: DomainError) => void errors.push({ entityId, error, registrationId: source.id });
      if (reply.kind === 'answered' && reply.status === 207 && isObject(reply.body)) {
        for (const one of (reply.body['errors'] as readonly JsonValue[] | undefined) ?? []) {
          if (isObject(one)) failed(String(one['entityId']), problemOf(one['error'], source));
        }
      } else if (reply.kind !== 'answered' || reply.status >= 300) {
        for (const { index } of parts) failed(items[index]?.id ?? '', sourceError(reply, source));
      } else if (reply.status === 201 && Array.isArray(reply.body)) {
        for (const id of reply.body) if (isIri(id)) created.add(id);
      }
    };
    const [result] = await Promise.all([
      rest.length > 0 ? here(rest) : { success: [], created: [], errors: [] },
      ...[...bySource].map(ask),
    ]);
    const proxied = new Set(known.filter(({ registration }) => registration.mode !== 'inclusive'));
    const elsewhere = new Set(
      [...bySource].flatMap(([source, parts]) => (proxied.has(source) ? parts.map(({ index }) => items[index]?.id) : [])),
    );
    // What a proxied registration holds elsewhere need not be here as well.
    const ours = result.errors.filter(({ entityId, error }) => error.type !== 'ResourceNotFound' || !elsewhere.has(entityId));
    const all = [...ours, ...errors];
    const failedIds = new Set(all.map(({ entityId }) => entityId));
    const success = items.flatMap((item) => ('content' in item && !failedIds.has(item.id) ? [item.id as Iri] : []));
    return { success, created: [...new Set([...result.created, ...created])].filter((id) => !failedIds.has(id)), errors: all };
  }

  const ofFragment = (fragment: EntityFragment & { id: Iri }) => ({
    id: fragment.id,
    types: fragment.types,
    attributes: Object.keys(fragment.attributes) as Iri[],
  });
  const reduceFragment = <F extends EntityFragment>(fragment: F, names: readonly Iri[]): F => ({
    ...fragment,
    attributes: Object.fromEntries(Object.entries(fragment.attributes).filter(([name]) => names.includes(name as Iri))),
  });

  return {
    create: (caller, items) =>
      distribute(caller, CREATE, items, ofFragment, reduceFragment, (rest) => local.create(caller, rest)),
    upsert: (caller, items, mode) =>
      distribute(caller, mode === 'update' ? UPSERT_UPDATE : UPSERT_REPLACE, items, ofFragment, reduceFragment, (rest) =>
        local.upsert(caller, rest, mode),
      ),
    update: (caller, items, overwrite) =>
      distribute(caller, overwrite ? UPDATE : APPEND, items, ofFragment, reduceFragment, (rest) =>
        local.update(caller, rest, overwrite),
      ),
    merge: (caller, items, options) =>
      distribute(caller, MERGE, items, ofFragment, reduceFragment, (rest) => local.merge(caller, rest, options)),
    delete: (caller, items) =>
      distribute(
        caller,
        DELETE,
        items,
        (id) => ({ id }),
        (id) => id,
        (rest) => local.delete(caller, rest),
      ),
  };
}
